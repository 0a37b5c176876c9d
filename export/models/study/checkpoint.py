"""The published tensors out of a checkpoint: every one that the network has, and none that it has not.

Names are those of the release without `module.`, wherever that stands. Not for: reading files
(export/checkpoint/file.py), or what the tensors compute (encoder.py, head.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from cathrt.export.checkpoint.file import CheckpointError, read_weights
from cathrt.export.models.study.encoder import ClipEncoder
from cathrt.export.models.study.graphs.graph import Float32
from cathrt.export.models.study.head import HeadShape, StudyHead
from cathrt.export.models.study.shape import ENCODERS, MLP_RATIO, MVIT_V2_S, EncoderShape
from cathrt.runtime.models.study.section import StudyQuestion
from cathrt.runtime.sources.input_names import shown_name

ENCODER_PREFIX, HEAD_PREFIX = "video_encoder.", "mil_model."
_AGGREGATOR = f"{ENCODER_PREFIX}aggregator."
_AGGREGATOR_PLACES = 1024
_PASSED_OVER = "module."
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class StudyWeights:
    """tensors: float32, by published name, without those that no answer rests on. sha256: of the file, hex.

    notes: lines for the user on what was left out.
    """

    encoder: EncoderShape
    head: HeadShape
    tensors: Mapping[str, Float32]
    sha256: str
    notes: tuple[str, ...]


def read_checkpoint(path: Path, questions: Sequence[StudyQuestion]) -> StudyWeights:
    """Raises CheckpointError with the full list where a tensor is missing, unknown or of another shape."""
    read = read_weights(path)
    found, notes = _network_tensors(read.tensors, path)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    encoder = _encoder_of(shapes)
    head = _head_of(shapes, questions, encoder.features)
    faults = differences(shapes, expected_shapes(encoder, head))
    if faults:
        raise CheckpointError(
            f"{shown_name(path)}: is not the network of {len(questions)} questions on {encoder.name}:\n  "
            + "\n  ".join(faults)
            + "\ngive the product that the file is of, or its questions in --settings"
        )
    tensors = {name: _float32(name, one, path) for name, one in found.items() if not name.startswith(_AGGREGATOR)}
    unused = len(found) - len(tensors)
    if unused:
        notes = (*notes, f"left out {unused} tensors of {_AGGREGATOR}*, which no answer rests on")
    return StudyWeights(encoder, head, tensors, read.sha256, notes)


def expected_shapes(encoder: EncoderShape, head: HeadShape) -> dict[str, Shape]:
    """Every tensor of a checkpoint, by published name."""
    modules = ((ENCODER_PREFIX, ClipEncoder(encoder)), (HEAD_PREFIX, StudyHead(head)))
    own = {
        f"{prefix}{name}": tuple(tensor.shape)
        for prefix, module in modules
        for name, tensor in module.state_dict().items()
    }
    return own | {f"{_AGGREGATOR}{name}": shape for name, shape in _aggregator(encoder.features, encoder.aggregator)}


def differences(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> list[str]:
    """A line for each tensor that is missing, unknown or of another shape; all of them."""
    lines = [f"missing: {name} {expected[name]}" for name in expected if name not in found]
    lines += [f"unknown: {name} {found[name]}" for name in found if name not in expected]
    lines += [
        f"another shape: {name} is {found[name]}, expected {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    return lines


def _network_tensors(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Those of the table that holds the network, without `module.`, and what is beside it."""
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = _without_wrappers(name)
        if short in plain:
            raise CheckpointError(
                f"{shown_name(path)}: {short} is there twice, once within {_PASSED_OVER}: save one network alone"
            )
        plain[short] = tensor
    tables = sorted({name[: name.find(ENCODER_PREFIX)] for name in plain if _begins_table(name)})
    if len(tables) != 1:
        found = f"{len(tables)} networks ({', '.join(tables)})" if tables else f"no {ENCODER_PREFIX}* tensors"
        raise CheckpointError(
            f"{shown_name(path)}: found {found}, expected one: give a probing checkpoint of a product"
        )
    (table,) = tables
    own = {name.removeprefix(table): tensor for name, tensor in plain.items() if name.startswith(table)}
    beside = sorted({name.split(".")[0] for name in plain if not name.startswith(table)})
    if not any(name.startswith(HEAD_PREFIX) for name in own):
        raise CheckpointError(
            f"{shown_name(path)}: holds an encoder and no {HEAD_PREFIX}* tensors, so it answers nothing: give the "
            "probing checkpoint of a product"
        )
    return own, (f"left out the tables {', '.join(beside)}",) if beside else ()


def _begins_table(name: str) -> bool:
    return name.startswith(ENCODER_PREFIX) or f".{ENCODER_PREFIX}" in name


def _without_wrappers(name: str) -> str:
    """A name without `module.` as any of its parts."""
    parts = name.split(".")
    return ".".join(part for part in parts if f"{part}." != _PASSED_OVER)


def _encoder_of(shapes: Mapping[str, Shape]) -> EncoderShape:
    """The one whose first layer is the file's; the published one where none is."""
    first = shapes.get(f"{ENCODER_PREFIX}model.conv_proj.bias")
    return next((one for one in ENCODERS.values() if (one.stages[0].channels,) == first), MVIT_V2_S)


def _head_of(shapes: Mapping[str, Shape], questions: Sequence[StudyQuestion], features: int) -> HeadShape:
    """Sizes that products differ in are the file's; questions are the product's."""
    gates, views = (shapes.get(f"{HEAD_PREFIX}{name}.weight") for name in ("attention_V", "view_embedding"))
    outputs = tuple((one.name, one.columns) for one in questions)
    return HeadShape(outputs, gates[0] if gates else None, features, views[0] if views else 0)


def _aggregator(features: int, blocks: int) -> Iterator[tuple[str, Shape]]:
    wide = MLP_RATIO * features
    yield "pos_encoding", (1, _AGGREGATOR_PLACES, features)
    yield "attn_query", (1, 1, features)
    for number in range(blocks):
        for name, rows, columns in (
            ("attn.in_proj_", 3 * features, features),
            ("attn.out_proj.", features, features),
            ("mlp.0.", wide, features),
            ("mlp.3.", features, wide),
        ):
            yield f"blocks.{number}.{name}weight", (rows, columns)
            yield f"blocks.{number}.{name}bias", (rows,)
    norms = [*(f"blocks.{number}.{name}" for number in range(blocks) for name in ("norm1", "norm2")), "final_ln"]
    for name in norms:
        yield f"{name}.weight", (features,)
        yield f"{name}.bias", (features,)


def _float32(name: str, tensor: Tensor, path: Path) -> Float32:
    values: Float32 = np.ascontiguousarray(tensor.float().numpy())
    if not np.isfinite(values).all():
        raise CheckpointError(f"{shown_name(path)}: {name} holds NaN or infinity: fetch the file again")
    return values

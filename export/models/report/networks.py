"""The networks of a model on disk, as stages: written once for each form, found again by the next command.

Not for: what is in a graph (graphs/), or plans of them (plans.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cathrt.export.models.report.cases import cases_for, grey_pictures
from cathrt.export.models.report.graphs.networks import (
    write_decoder_network,
    write_embedding_network,
    write_vision_network,
)
from cathrt.export.models.report.graphs.ranges import float16_rescale, ranges_of, vision_ranges_of
from cathrt.export.models.report.graphs.rescale import AS_IT_IS, Rescale
from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.export.models.report.source import Source
from cathrt.export.models.report.stored_decoder import Bits, write_stored_decoder
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.sized import layer_tensors
from cathrt.runtime.engines.stored_file import SUFFIX
from cathrt.runtime.models.report.contract import (
    EMBEDDINGS,
    GLOBAL_MASK,
    IMAGE_EMBEDDINGS,
    LAST,
    PIXELS,
    POSITIONS,
    SLIDING_MASK,
    TOKEN_IDS,
)
from cathrt.runtime.models.report.masks import masks
from cathrt.runtime.models.report.picture import pixels
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION

_LISTING = "network.json"
_RANGE_POSITIONS = 600  # of answers, beside their prompts: what the ranges of float16 are measured on
_SIGNIFICANT = 6


@dataclass(frozen=True, slots=True)
class Written:
    """One network. files: the ONNX file first. bytes_of: of its weights, by what they are for."""

    files: tuple[Path, ...]
    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    buckets: tuple[dict[str, int], ...]
    bytes_of: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.files)


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The networks in one form, by role. rescale: of what is computed in float16; None elsewhere."""

    settings: GraphSettings
    networks: Mapping[str, Written]
    rescale: Rescale | None = None


def written_form(cache: StageCache, source: Source, settings: GraphSettings) -> Form:
    """Raises EngineError where the form cannot hold the weights, or float16 what is computed of them."""
    rescale = _rescale(cache, source, settings) if settings.products == "float16" else None
    roles = [role for role in (VISION, EMBEDDING, DECODER) if role != VISION or source.section.picture is not None]
    found = {role: _written(cache, source, settings, role, rescale or AS_IT_IS) for role in roles}
    return Form(settings, found, rescale)


def stored_form(cache: StageCache, source: Source, form: Form, bits: Bits) -> Form:
    """The same networks, with the decoder as our own engine reads it."""

    def make(folder: Path) -> None:
        path = folder / f"{DECODER}{SUFFIX}"
        write_stored_decoder(source.weights, bits, form.settings.block, form.settings.context, path)

    inputs = {"weights": source.sha256, "bits": bits, "block": form.settings.block, "context": form.settings.context}
    path = cache.result(f"{DECODER}-stored-int{bits}", inputs, make) / f"{DECODER}{SUFFIX}"
    decoder = replace(form.networks[DECODER], files=(path,), bytes_of={"decoder": path.stat().st_size})
    return replace(form, networks={**form.networks, DECODER: decoder})


def _written(cache: StageCache, source: Source, settings: GraphSettings, role: str, rescale: Rescale) -> Written:
    """One network, a stage of its own. rescale: of the decoder and the vision tower."""

    def make(folder: Path) -> None:
        if role == DECODER:
            one = write_decoder_network(source.weights, settings, folder, rescale)
        elif role == VISION:
            one = write_vision_network(source.weights, settings, folder, rescale)
        else:
            one = write_embedding_network(source.weights, settings, folder)
        told = {
            "files": [path.name for path in one.files],
            "inputs": [asdict(tensor) for tensor in one.inputs],
            "outputs": [asdict(tensor) for tensor in one.outputs],
            "buckets": list(one.buckets),
            "bytes_of": dict(one.bytes_of),
        }
        (folder / _LISTING).write_text(json.dumps(told), encoding="utf-8")

    stage = f"{role}-{settings.precision}" + ("" if settings.products == "float32" else f"-{settings.products}")
    inputs = {"weights": source.sha256, "settings": asdict(settings)}
    if role != EMBEDDING:
        inputs["rescale"] = asdict(rescale)
    folder = cache.result(stage, inputs, make)
    return _read(folder, json.loads((folder / _LISTING).read_text(encoding="utf-8")))


def _read(folder: Path, entry: Mapping[str, Any]) -> Written:
    return Written(
        files=tuple(folder / name for name in entry["files"]),
        inputs=tuple(map(_tensor, entry["inputs"])),
        outputs=tuple(map(_tensor, entry["outputs"])),
        buckets=tuple(entry["buckets"]),
        bytes_of=entry["bytes_of"],
    )


def _tensor(entry: Mapping[str, Any]) -> DeclaredTensor:
    return DeclaredTensor(entry["name"], tuple(entry["shape"]), entry["dtype"])


def _rescale(cache: StageCache, source: Source, settings: GraphSettings) -> Rescale:
    """Powers of two by which what is computed fits float16, from how large it gets on generated prompts and pictures.

    Raises EngineError where no power makes it fit."""
    plain = written_form(cache, source, replace(settings, precision="float32", products="float32", block=None))
    layers, tower = source.section.layers, source.weights.shape.vision
    towers = 0 if tower is None else tower.layers

    def make(folder: Path) -> None:
        found = {"decoder": ranges_of(plain.networks[DECODER].files[0], layers, _feeds(source, plain))}
        if tower is not None:
            shown = ({PIXELS: one} for one in _shown(source))
            found["vision"] = vision_ranges_of(plain.networks[VISION].files[0], towers, shown)
        rounded = {
            role: {name: float(f"{value:.{_SIGNIFICANT}g}") for name, value in one.items()}
            for role, one in found.items()
        }
        (folder / "ranges.json").write_text(json.dumps(rounded), encoding="utf-8")

    inputs = {"weights": source.sha256, "section": asdict(source.section), "positions": _RANGE_POSITIONS}
    folder = cache.result("ranges", inputs, make)
    told = json.loads((folder / "ranges.json").read_text(encoding="utf-8"))
    return float16_rescale(told["decoder"], layers, told.get("vision"), towers)


def _shown(source: Source) -> list[NDArray[np.float32]]:
    """The generated pictures as the vision network reads them; none for a model that reads text alone."""
    picture = source.section.picture
    return [] if picture is None else [pixels(grey, picture) for grey in grey_pictures()]


def _feeds(source: Source, form: Form) -> Iterator[dict[str, NDArray[Any]]]:
    """The decoder's inputs for whole prompts with their answers, each in one run beside an empty cache."""
    section = source.section
    sessions = {role: _session(one.files[0]) for role, one in form.networks.items() if role != DECODER}
    pictures = [sessions[VISION].run([IMAGE_EMBEDDINGS], {PIXELS: shown})[0][0] for shown in _shown(source)]
    empty = {
        name: np.zeros((section.kv_heads, 1, section.head_dim), np.float32) for name in layer_tensors(section.layers)
    }
    for case in cases_for(section, source.tokenizer, _RANGE_POSITIONS):
        layout = case.layout(section, source.tokenizer, pictures)
        ids = np.concatenate([layout.ids, np.asarray(case.answer, np.int64)])
        rows = sessions[EMBEDDING].run([EMBEDDINGS], {TOKEN_IDS: ids[None]})[0]
        for span, picture in zip(layout.spans, layout.pictures, strict=True):
            rows[0, span.start : span.stop] = picture
        seen = masks(0, len(ids), len(ids), 1, section.window, layout.spans)
        yield {
            EMBEDDINGS: rows,
            POSITIONS: seen.positions,
            GLOBAL_MASK: seen.whole,
            SLIDING_MASK: seen.sliding,
            LAST: np.asarray([len(ids) - 1], np.int64),
            **empty,
        }


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

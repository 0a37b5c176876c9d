"""Writes the decoder as our own CPU engine reads it: one file of weights of 4 or 8 bits.

The format is described in runtime/engines/stored_file.py. One weight is in memory at a time. Not for: graphs (graphs/).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.decoder import angle_tables
from cathrt.export.models.report.graphs.weight_forms import check_range, check_scale, quantise
from cathrt.export.models.report.shape import GemmaShape, Weights
from cathrt.runtime.engines.stored_file import (
    ALIGNMENT,
    ANGLES,
    HEAD,
    LAST_NORM,
    LINEARS,
    MAGIC,
    NORMS,
    PANEL,
    linear_name,
    norm_name,
)
from cathrt.runtime.errors import EngineError

Bits = Literal[4, 8]
Float32 = NDArray[np.float32]

_GROUPS = (128, 64, 32, 16, 8)  # of int8, where no block is asked for: the first that divides a row
_AT_A_TIME = 1 << 22  # weights
_CHECKPOINT = {
    "query": "self_attn.q_proj.weight",
    "key": "self_attn.k_proj.weight",
    "value": "self_attn.v_proj.weight",
    "out": "self_attn.o_proj.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
    "before_attention": "input_layernorm.weight",
    "after_attention": "post_attention_layernorm.weight",
    "before_mlp": "pre_feedforward_layernorm.weight",
    "after_mlp": "post_feedforward_layernorm.weight",
    "query_norm": "self_attn.q_norm.weight",
    "key_norm": "self_attn.k_norm.weight",
}


def write_stored_decoder(weights: Weights, bits: Bits, block: int | None, context: int, path: Path) -> None:
    """bits: of the weights of layers and head. block: so many weights of a row share a scale; None: 8 bits alone, 128
    or the largest power of two that divides a row. context: most positions.

    Raises EngineError where a block does not divide a row, or a weight is not finite.
    """
    shape = weights.shape
    with path.open("xb") as file:
        plan = _Plan(shape, bits, block, context)
        header = json.dumps(plan.header, separators=(",", ":")).encode()
        header += b" " * (-(len(MAGIC) + 8 + len(header)) % ALIGNMENT)
        file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        begin = file.tell()
        for name in plan.linears:
            _write_linear(file, begin, plan, name, weights.tensor(_stored_name(name, shape)))
        for name in plan.norms:
            values = weights.tensor(_stored_name(name, shape))
            check_range(name, values[None], "float32")
            _write_at(file, begin + plan.norms[name]["values"], values)
        for name, rotary in (("", shape.text.rotary), ("sliding_", shape.text.sliding_rotary)):
            tables = angle_tables(rotary, shape.text.head_dim, context)
            for kind, table in zip(("cosines", "sines"), tables, strict=True):
                _write_at(file, begin + plan.angles[f"{name}{kind}"], table)
        file.truncate(begin + plan.size)


class _Plan:
    """Where everything lies, before anything is written."""

    def __init__(self, shape: GemmaShape, bits: Bits, block: int | None, context: int) -> None:
        text = shape.text
        queries, keys = text.heads * text.head_dim, text.kv_heads * text.head_dim
        sides = {
            "query": (queries, text.hidden),
            "key": (keys, text.hidden),
            "value": (keys, text.hidden),
            "out": (text.hidden, queries),
            "gate": (text.intermediate, text.hidden),
            "up": (text.intermediate, text.hidden),
            "down": (text.hidden, text.intermediate),
        }
        self.size = 0
        self.linears = {
            linear_name(layer, kind): self._linear(linear_name(layer, kind), *sides[kind], bits, block)
            for layer in range(text.layers)
            for kind in LINEARS
        }
        self.linears[HEAD] = self._linear(HEAD, text.vocabulary, text.hidden, bits, block)
        self.norms = {
            norm_name(layer, kind): self._norm(text.head_dim if kind.endswith("_norm") else text.hidden)
            for layer in range(text.layers)
            for kind in NORMS
        }
        self.norms[LAST_NORM] = self._norm(text.hidden)
        self.angles = {name: self._place(context * text.head_dim // 2 * 4) for name in ANGLES}
        self.header = {
            "hidden": text.hidden,
            "intermediate": text.intermediate,
            "heads": text.heads,
            "kv_heads": text.kv_heads,
            "head_dim": text.head_dim,
            "vocabulary": text.vocabulary,
            "sliding": list(text.sliding),
            "norm_eps": text.norm_eps,
            "query_scale": text.query_scale,
            "positions": context,
            "linears": self.linears,
            "norms": self.norms,
            "angles": self.angles,
        }

    def _linear(self, name: str, outputs: int, inputs: int, bits: Bits, block: int | None) -> dict[str, int]:
        group = block or next((size for size in _GROUPS if bits == 8 and inputs % size == 0), 0)
        if group == 0 or inputs % group:
            raise EngineError(
                f"{name}: rows of {inputs} weights do not divide into blocks of {block or 'any size'}: choose another "
                "--block or precision"
            )
        stored = (outputs + PANEL - 1) // PANEL * PANEL
        return {
            "outputs": outputs,
            "inputs": inputs,
            "group": group,
            "bits": bits,
            "weights": self._place(stored * inputs * bits // 8),
            "scales": self._place(stored * (inputs // group) * 2),
        }

    def _norm(self, length: int) -> dict[str, int]:
        return {"length": length, "values": self._place(length * 4)}

    def _place(self, size: int) -> int:
        place = self.size
        self.size += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        return place


def _stored_name(name: str, shape: GemmaShape) -> str:
    """What the checkpoint calls it."""
    if name == HEAD:
        return shape.head
    if name == LAST_NORM:
        return "language_model.norm.weight"
    layer, kind = name.split(".")
    return f"language_model.layers.{layer}.{_CHECKPOINT[kind]}"


def _write_linear(file: BinaryIO, begin: int, plan: _Plan, name: str, weight: Float32) -> None:
    entry = plan.linears[name]
    group, bits = entry["group"], entry["bits"]
    check_range(name, weight, "int8")
    weights_at, scales_at = begin + entry["weights"], begin + entry["scales"]
    for rows in _panels(weight):
        values, scales = quantise(rows, "int4" if bits == 4 else "int8", group, "float16")
        check_scale(name, scales, "float16")
        packed = packed_weights(values, 4 if bits == 4 else 8)
        ordered = packed_scales(scales)
        _write_at(file, weights_at, packed)
        _write_at(file, scales_at, ordered)
        weights_at += packed.nbytes
        scales_at += ordered.nbytes
    assert weights_at - begin <= entry["scales"]


def _panels(weight: Float32) -> Iterator[Float32]:
    """Rows in whole panels, some megabytes each; zeros fill the last one."""
    step = max(1, _AT_A_TIME // weight.shape[1] // PANEL) * PANEL
    for start in range(0, len(weight), step):
        rows = weight[start : start + step]
        missing = -len(rows) % PANEL
        yield np.concatenate([rows, np.zeros((missing, rows.shape[1]), np.float32)]) if missing else rows


def packed_weights(values: NDArray[np.int8], bits: Bits) -> NDArray[np.uint8]:
    """(outputs, inputs) whole numbers in the order of stored_file.py; outputs in whole panels."""
    outputs, inputs = values.shape
    if bits == 8:
        quads = values.reshape(outputs // PANEL, PANEL, inputs // 4, 4).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(quads).view(np.uint8)
    octets = (values.reshape(outputs // PANEL, PANEL, inputs // 8, 2, 4) + 8).astype(np.uint8).transpose(0, 2, 3, 1, 4)
    return np.ascontiguousarray(octets[:, :, 0] | octets[:, :, 1] << 4)


def packed_scales(scales: Float32) -> NDArray[np.float16]:
    """(outputs, groups) in the order of stored_file.py."""
    outputs, groups = scales.shape
    ordered = scales.reshape(outputs // PANEL, PANEL, groups).transpose(0, 2, 1)
    return np.ascontiguousarray(ordered.astype(np.float16))


def _write_at(file: BinaryIO, place: int, values: NDArray[np.generic]) -> None:
    file.seek(place)
    file.write(np.ascontiguousarray(values).data)

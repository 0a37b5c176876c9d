"""The file of stored weights that our own decoder engine reads: its layout, and a checked view of it.

MAGIC; the header's length in 8 bytes, little-endian; the header, JSON, filled with blanks; then the arrays, each at its
offset from the header's end, a multiple of ALIGNMENT. Everything is little-endian.

A linear layer (outputs, inputs): panels of 16 outputs, the last filled with zeros. In a panel, for every 4 inputs, the
4 values of each output in turn: signed bytes in 8 bits; in 4 bits, of every 8 inputs, a byte has a value of the first
four in its low half and of the last four in its high half, both plus 8. A value is multiplied by the scale of its group
of inputs: IEEE half floats, panel by panel, group by group, one for each of the 16 outputs. Norms and the tables of
rotary angles, (positions, head_dim / 2), are float32. Not for: computing (kernels/decoder), writing it (export).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError

SUFFIX = ".stored"
MAGIC = b"cathrtd1"
ALIGNMENT = 64
PANEL = 16
LINEARS = ("query", "key", "value", "out", "gate", "up", "down")
NORMS = ("before_attention", "after_attention", "before_mlp", "after_mlp", "query_norm", "key_norm")
HEAD, LAST_NORM = "head", "last_norm"
ANGLES = ("cosines", "sines", "sliding_cosines", "sliding_sines")

_SIZES = ("hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocabulary")
_MOST_HEADER = 1 << 24
_LARGEST = 1 << 24  # of any size in the header


def linear_name(layer: int, kind: str) -> str:
    """Key of a linear layer in the header; HEAD is the last one's."""
    return f"{layer}.{kind}"


def norm_name(layer: int, kind: str) -> str:
    """Key of a norm in the header; LAST_NORM is the last one's."""
    return f"{layer}.{kind}"


@dataclass(frozen=True, slots=True, eq=False)
class StoredLinear:
    """weights: uint8; scales: uint16, the bits of half floats. Both where the file is mapped."""

    weights: NDArray[np.uint8]
    scales: NDArray[np.uint16]
    outputs: int  # in whole panels
    inputs: int
    group: int
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class StoredDecoder:
    """sizes: hidden, intermediate, heads, kv_heads, head_dim, vocabulary, the last in whole panels.

    vocabulary: without what fills the last panel. linears: by layer, in the order of LINEARS, the head last; norms and
    angles likewise.
    """

    sizes: tuple[int, ...]
    vocabulary: int
    sliding: tuple[bool, ...]
    norm_eps: float
    query_scale: float
    linears: tuple[StoredLinear, ...]
    norms: tuple[NDArray[np.float32], ...]
    angles: tuple[NDArray[np.float32], ...]


def read_stored(data: NDArray[np.uint8], name: str) -> StoredDecoder:
    """A view of the file's bytes, which nothing is copied of. Raises EngineError where it is not such a file."""
    begin = len(MAGIC) + 8
    if data.size < begin or data[: len(MAGIC)].tobytes() != MAGIC:
        raise EngineError(f"{name}: found no {MAGIC.decode()} at its beginning: export the bundle again")
    length = int.from_bytes(data[len(MAGIC) : begin].tobytes(), "little")
    if length > min(_MOST_HEADER, data.size - begin) or (begin + length) % ALIGNMENT:
        raise EngineError(f"{name}: its header of {length} bytes does not fit: export the bundle again")
    try:
        return _read(json.loads(data[begin : begin + length].tobytes()), data[begin + length :])
    except (ValueError, KeyError, TypeError) as exc:
        raise EngineError(f"{name}: its header is not as expected ({exc}): export the bundle again") from exc


def _read(header: Mapping[str, Any], arrays: NDArray[np.uint8]) -> StoredDecoder:
    hidden, intermediate, heads, kv_heads, head_dim, vocabulary = (_size(header, key) for key in _SIZES)
    positions, sliding = _size(header, "positions"), tuple(header["sliding"])
    if not sliding or not all(isinstance(one, bool) for one in sliding):
        raise ValueError("sliding: expected true or false for each layer")
    layers = range(len(sliding))
    linears = [_linear(header["linears"][linear_name(layer, kind)], arrays) for layer in layers for kind in LINEARS]
    norms = [_norm(header["norms"][norm_name(layer, kind)], arrays) for layer in layers for kind in NORMS]
    head = _linear(header["linears"][HEAD], arrays)
    table = (positions, head_dim // 2)
    angles = (_floats(arrays, header["angles"][name], positions * (head_dim // 2)).reshape(table) for name in ANGLES)
    return StoredDecoder(
        sizes=(hidden, intermediate, heads, kv_heads, head_dim, head.outputs),
        vocabulary=vocabulary,
        sliding=sliding,
        norm_eps=_number(header, "norm_eps"),
        query_scale=_number(header, "query_scale"),
        linears=(*linears, head),
        norms=(*norms, _norm(header["norms"][LAST_NORM], arrays)),
        angles=tuple(angles),
    )


def _linear(entry: Mapping[str, Any], arrays: NDArray[np.uint8]) -> StoredLinear:
    outputs, inputs, group, bits = (_size(entry, key) for key in ("outputs", "inputs", "group", "bits"))
    if bits not in (4, 8) or inputs % group or group % 8:
        raise ValueError(f"a layer of {inputs} inputs in groups of {group} and {bits} bits")
    stored = (outputs + PANEL - 1) // PANEL * PANEL
    weights = _part(arrays, entry["weights"], stored * inputs * bits // 8)
    scales = _part(arrays, entry["scales"], stored * (inputs // group) * 2).view(np.uint16)
    return StoredLinear(weights, scales, stored, inputs, group, bits)


def _norm(entry: Mapping[str, Any], arrays: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _floats(arrays, entry["values"], _size(entry, "length"))


def _floats(arrays: NDArray[np.uint8], offset: object, count: int) -> NDArray[np.float32]:
    return _part(arrays, offset, count * 4).view(np.float32)


def _part(arrays: NDArray[np.uint8], offset: object, size: int) -> NDArray[np.uint8]:
    if not isinstance(offset, int) or offset < 0 or offset % ALIGNMENT or offset + size > arrays.size:
        raise ValueError(f"{size} bytes at {offset!r} of {arrays.size}")
    return arrays[offset : offset + size]


def _size(entry: Mapping[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST:
        raise ValueError(f"{key}: found {value!r}, expected 1 to {_LARGEST}")
    return value


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry[key]
    if not isinstance(value, float) or not 0.0 < value < 1e6:
        raise ValueError(f"{key}: found {value!r}, expected a number above 0")
    return value

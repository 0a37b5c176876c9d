"""How a matrix is stored: as floats, or as int8 or int4 with scales in front of a DequantizeLinear.

Symmetric, zero point 0. A matrix lies in the graph as (in, out), with blocks along `in`: so ONNX Runtime makes one
MatMulNBits of DequantizeLinear and MatMul. Not for: which matrix gets which form (settings.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from cathrt.export.graph.precision import LARGEST, SCALE_ROUNDING
from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.settings import Element, Form
from cathrt.runtime.errors import EngineError

Float32 = NDArray[np.float32]

FLOATS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
LEVELS = {"int8": (-127, 127), "int4": (-8, 7)}
# What int4 scales are tried: the largest weight of a block divided by these. Beyond 8 the largest one is clipped.
_INT4_DIVISORS = (7.0, 7.25, 7.5, 7.75, 8.0, 8.25, 8.5, 8.75, 9.0, 9.5, 10.0)
# Quantised at a time, so that it stays in the cache of the CPU (three times faster), and turned at a time, so that
# whole pages are written.
_WEIGHTS_AT_A_TIME = 1 << 17
_ROWS_AT_A_TIME = 1024
_SMALLEST_SCALE = 2.0**-14  # smallest normal float16: of a block of zeros


def matrix(
    graph: GraphWriter, name: str, weight: Float32, form: Form, block: int | None = None, *, purpose: str = "layers"
) -> str:
    """The tensor (in, out) of graph.element that x is multiplied by, made of a linear layer's weight (out, in).

    Where `block` does not divide `in`, int8 has one scale a channel. Raises EngineError where it does not divide in
    int4, and where `form` cannot hold the weights.
    """
    outputs, inputs = weight.shape
    check_range(name, weight, form)
    if form in FLOATS:
        stored = np.empty((inputs, outputs), FLOATS[form])
        for rows in _pieces(outputs, _ROWS_AT_A_TIME):
            stored[:, rows] = weight[rows].T
        held = graph.weight(name, stored, purpose)
        return held if form == graph.element else graph.cast(held, f"{name}.{graph.element}", graph.element)
    if block is not None and inputs % block:
        if form == "int4":
            raise EngineError(f"{name}: rows of {inputs} weights do not divide into blocks of {block}: use int8 there")
        block = None
    values = np.empty((inputs, outputs), np.int8)
    scales = np.empty((inputs // (block or inputs), outputs), FLOATS[graph.element])
    for rows in _pieces(outputs, _ROWS_AT_A_TIME):
        quantised, scale = _quantised(weight[rows], form, block or inputs, graph.element)
        check_scale(name, scale, graph.element)
        values[:, rows], scales[:, rows] = quantised.T, scale.T
    held = graph.packed_int4(name, values, purpose) if form == "int4" else graph.weight(name, values, purpose)
    if block is None:
        held_scales = graph.weight(f"{name}.scales", scales[0], purpose)
        return graph.node("DequantizeLinear", [held, held_scales], f"{name}.dequantised", axis=1)
    held_scales = graph.weight(f"{name}.scales", scales, purpose)
    return graph.node("DequantizeLinear", [held, held_scales], f"{name}.dequantised", axis=0, block_size=block)


def quantise(rows: Float32, form: Form, block: int, element: Element = "float32") -> tuple[NDArray[np.int8], Float32]:
    """Rows (n, in) as integers of the same shape, and their scales (n, in / block), rounded to `element` first.

    int8: the largest weight of a block becomes 127. int4: of several scales the one with the smallest squared error.
    """
    low, high = LEVELS[form]
    blocks = rows.reshape(len(rows), -1, block)
    largest = np.maximum(blocks.max(axis=2), -blocks.min(axis=2))
    best_scale = np.zeros_like(largest)
    best_error = np.full_like(largest, np.inf)
    for divisor in (float(high),) if form == "int8" else _INT4_DIVISORS:
        scale = _rounded_scale(largest / divisor, element)
        if form == "int8":
            best_scale = scale
            break
        error = _squared_error(blocks, scale, low, high)
        better = error < best_error
        best_scale, best_error = np.where(better, scale, best_scale), np.where(better, error, best_error)
    values = np.clip(np.rint(blocks / best_scale[..., None]), low, high).astype(np.int8)
    return values.reshape(rows.shape), best_scale


def _quantised(rows: Float32, form: Form, block: int, element: Element) -> tuple[NDArray[np.int8], Float32]:
    """quantise() of many rows, a few at a time."""
    step = max(1, _WEIGHTS_AT_A_TIME // rows.shape[1])
    parts = [quantise(rows[part], form, block, element) for part in _pieces(len(rows), step)]
    return np.concatenate([values for values, _ in parts]), np.concatenate([scales for _, scales in parts])


def check_range(name: str, weight: Float32, form: Form) -> None:
    """Raises EngineError where a weight is not finite, or too large for `form` if that is a float type."""
    largest = float(max(weight.max(), -weight.min()))
    limit = LARGEST[form] if form in ("float16", "bfloat16") else float(np.finfo(np.float32).max)
    if not largest <= limit:  # NaN is not
        advice = "bfloat16, or look why it is so large" if math.isfinite(largest) else "other weights"
        raise EngineError(f"{name}: largest weight {largest:g}, {form} ends at {limit:g}: use {advice}")


def check_scale(name: str, scale: Float32, element: Element) -> None:
    """Raises EngineError for a scale among the subnormal numbers of float16, which have few digits."""
    if element == "float16" and (low := float(scale.min())) < _SMALLEST_SCALE * (1 - SCALE_ROUNDING):
        raise EngineError(f"{name}: scale {low:.3g} would lose its digits in float16: use bfloat16")


def _rounded_scale(scale: Float32, element: Element) -> Float32:
    rounded = scale.astype(FLOATS[element]).astype(np.float32)
    return np.where(scale > 0, rounded, np.float32(_SMALLEST_SCALE))


def _squared_error(blocks: Float32, scale: Float32, low: int, high: int) -> Float32:
    scaled = blocks / scale[..., None]
    nearest = np.clip(np.rint(scaled), low, high)
    np.subtract(scaled, nearest, out=scaled)
    error: Float32 = np.einsum("nbk,nbk->nb", scaled, scaled) * scale * scale
    return error


def _pieces(rows: int, step: int) -> Iterator[slice]:
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))

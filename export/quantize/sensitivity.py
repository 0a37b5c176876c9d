"""The cost of each layer's int8: alone, at the outputs; and, layer by layer, where a quantised graph is wrong.

For: the report of an INT8 export, the order in which layers go back to float, and finding one wrong scale. Not for:
engines: graphs are computed as they are written (intermediates.py), whatever an engine's int8 kernels do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cathrt.export.graph.intermediates import Float32, Frame, Intermediates, check_frames, feeds_of, tensors_of
from cathrt.export.quantize.layers import Layer, weighted_layers
from cathrt.export.quantize.qdq import WeightBits, with_pairs

SQNR_LIMIT_DB = 200.0  # stands for "no difference", since a manifest holds no infinity


@dataclass(frozen=True, slots=True)
class OutputError:
    """largest: absolute difference of any value.   sqnr_db: power of the float outputs over that of the difference."""

    largest: float
    sqnr_db: float


def output_error(expected: Sequence[Float32], found: Sequence[Float32]) -> OutputError:
    """Over all frames at once, as answers_of gives them. Raises ValueError where a value is not finite."""
    reference, other = np.concatenate(expected).astype(np.float64), np.concatenate(found).astype(np.float64)
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        raise ValueError("outputs are not finite, expected numbers on every frame: the weights or a scale are broken")
    difference = other - reference
    noise, signal = float(np.square(difference).sum()), float(np.square(reference).sum())
    sqnr_db = 10.0 * math.log10(signal / noise) if noise and signal else SQNR_LIMIT_DB
    return OutputError(float(np.abs(difference).max()), min(sqnr_db, SQNR_LIMIT_DB))


def outputs_of(model: onnx.ModelProto, frames: Sequence[Frame]) -> list[dict[str, Float32]]:
    """The network's outputs by name on each frame."""
    return list(tensors_of(model, [value.name for value in model.graph.output], frames))


def answers_of(model: onnx.ModelProto, frames: Sequence[Frame]) -> list[Float32]:
    """The network's outputs on each frame, all in one row: (1, values)."""
    return [
        np.concatenate([values.reshape(1, -1) for values in found.values()], axis=1)
        for found in outputs_of(model, frames)
    ]


def sensitivities(
    model: onnx.ModelProto,
    layers: Sequence[Layer],
    scales: Mapping[str, np.float32],
    frames: Sequence[Frame],
    bits: WeightBits = 8,
) -> dict[str, OutputError]:
    """For each layer by name, what quantising it and no other does to the outputs of the float graph."""
    expected = answers_of(model, frames)
    return {
        layer.name: output_error(expected, answers_of(with_pairs(model, [layer], scales, bits), frames))
        for layer in layers
    }


def worst_layers(
    reference: onnx.ModelProto, quantised: onnx.ModelProto, frames: Sequence[Frame]
) -> list[tuple[str, float]]:
    """Every layer with weights and the error that it alone makes, the worst first.

    Error: root mean square of the difference at the layer's output, relative to that of the reference's output. What
    stands before the layer gets the reference's own outputs of the layers before it, so no error is passed on: one
    wrong scale shows at its layer and nowhere else. Both graphs must have the same layers by name.
    """
    check_frames(reference, frames)
    theirs = {layer.name: layer.output for layer in weighted_layers(reference)}
    ours = {layer.name: layer.output for layer in weighted_layers(quantised)}
    if unlike := sorted(theirs.keys() ^ ours.keys()):
        raise ValueError(
            f"layers {', '.join(unlike)} are in one graph only, expected the same in both: compare with the graph that "
            "was quantised"
        )
    run = Intermediates(_cut_behind(quantised, list(ours.values())), list(ours.values()))
    noise, signal = dict.fromkeys(ours, 0.0), dict.fromkeys(ours, 0.0)
    for frame, expected in zip(frames, tensors_of(reference, list(theirs.values()), frames), strict=True):
        feeds = {_given(ours[name]): expected[theirs[name]] for name in ours}
        found = run({**feeds_of(quantised, frame), **{k: v for k, v in feeds.items() if k in run.inputs}})
        for name in ours:
            noise[name] += _power(found[ours[name]] - expected[theirs[name]])
            signal[name] += _power(expected[theirs[name]])
    errors = [(name, _relative(noise[name], signal[name])) for name in ours]
    return sorted(errors, key=lambda pair: -pair[1])


def _cut_behind(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph with every reader of `outputs` reading an input of the graph in its place."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    read = {name for node in cut.graph.node for name in node.input}
    for node in cut.graph.node:
        node.input[:] = [_given(name) if name in outputs else name for name in node.input]
    cut.graph.input.extend(
        helper.make_tensor_value_info(_given(name), TensorProto.FLOAT, None) for name in outputs if name in read
    )
    return cut


def _given(tensor: str) -> str:
    return f"{tensor}.given"


def _power(values: NDArray[np.float32]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _relative(noise: float, signal: float) -> float:
    """inf where the reference is all zeros and the other is not, or where the other is not finite."""
    if not math.isfinite(noise):
        return math.inf
    return math.sqrt(noise / signal) if signal else (math.inf if noise else 0.0)

"""INT8: a float ONNX graph and calibration frames to the same graph with explicit Q/DQ pairs, and what that cost.

For: every engine that computes in int8 (docs/export.md says which layers and why). Not for: the precision of the
other layers, or whether the result is good enough: `back_off` asks a gate for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import onnx

from cathrt.export.graph.intermediates import Frame, check_frames
from cathrt.export.quantize.balance import balanced
from cathrt.export.quantize.layers import KINDS, Kind, Layer, float_weights, layer_named, weighted_layers
from cathrt.export.quantize.observers import OBSERVERS, Clip, Observer, clips_of, scales_of
from cathrt.export.quantize.qdq import OPSETS, WeightBits, int8_weights, with_pairs
from cathrt.export.quantize.ranges import histograms_of, largest_by_channel
from cathrt.export.quantize.sensitivity import OutputError, answers_of, output_error, sensitivities
from cathrt.runtime.errors import EngineError


@dataclass(frozen=True, slots=True)
class Int8Settings:
    """What to quantise and how. The defaults come from tests/export/quantize/test_quantize_demonstration.py.

    percentile: in (0, 100], for the observer of that name.   keep_kinds, keep_layers: what stays float.
    balance: strength in [0, 1], 0 balances nothing.   sensitivity_frames: how many frames, evenly spread, measure it.
    weight_bits: 8, or 7 for x86 CPUs without VNNI, which clip sums of full int8 products (runtime/engines/cpu.py).
    """

    observer: Observer = "mse"
    percentile: float = 99.99
    keep_kinds: tuple[Kind, ...] = ("stem", "depthwise", "head")
    keep_layers: tuple[str, ...] = ()
    balance: float = 0.0
    sensitivity_frames: int = 4
    weight_bits: WeightBits = 8

    def __post_init__(self) -> None:
        if self.observer not in OBSERVERS:
            raise ValueError(f"observer {self.observer!r}, expected one of {', '.join(OBSERVERS)}")
        if unknown := set(self.keep_kinds) - set(KINDS):
            raise ValueError(f"keep_kinds {sorted(unknown)} are no kinds of layer, expected some of {', '.join(KINDS)}")
        if not 0.0 < self.percentile <= 100.0:
            raise ValueError(f"percentile {self.percentile}, expected one above 0 and at most 100, such as 99.99")
        if not 0.0 <= self.balance <= 1.0:
            raise ValueError(f"balance {self.balance}, expected 0 (none) to 1")
        if self.weight_bits not in get_args(WeightBits):
            raise ValueError(f"weight_bits {self.weight_bits}, expected 7 or 8")
        if self.sensitivity_frames < 1:
            raise ValueError(f"sensitivity_frames {self.sensitivity_frames}, expected at least 1")


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer that computes in int8.

    activation_scale: one step of its input.   clipped: share of calibration values beyond 127 steps.
    weight_error: root mean square of rounding, relative to the weights.
    alone: the outputs with only this layer in int8.
    """

    name: str
    kind: Kind
    activation_scale: float
    clipped: float
    weight_error: float
    alone: OutputError


@dataclass(frozen=True, slots=True)
class Int8Report:
    """layers: in int8, in the order of the graph.   kept: names of layers left float by the settings.
    backed_off: names of layers left float for a gate, the worst first.   whole: outputs of the quantised graph, on the
    same frames as `alone`."""

    settings: Int8Settings
    calibration_frames: int
    layers: tuple[LayerReport, ...]
    kept: tuple[str, ...]
    backed_off: tuple[str, ...]
    whole: OutputError


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """A graph with Q/DQ pairs, and what is known of it."""

    model: onnx.ModelProto
    report: Int8Report

    def serialised(self) -> bytes:
        """The ONNX file: the same bytes for the same graph, frames and settings."""
        return bytes(self.model.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Calibrated:
    """The float graph, balanced if asked for, and all that quantising any of `layers` needs."""

    model: onnx.ModelProto
    layers: tuple[Layer, ...]
    clips: dict[str, Clip]

    @property
    def scales(self) -> dict[str, np.float32]:
        return {tensor: np.float32(scales_of(np.array(clip.at))) for tensor, clip in self.clips.items()}


def quantised(model: onnx.ModelProto, frames: Sequence[Frame], settings: Int8Settings) -> Quantised:
    """Quantise every layer that the settings do not keep float.

    model: float32, its weights initializers.   frames: as the network's inputs, preprocessed; all of them calibrate.
    Raises ValueError for frames that do not fit or make activations that are not finite, for a layer name that the
    graph does not have, and for a graph that cannot be quantised.
    """
    calibrated = _calibrated(model, frames, settings)
    reports = _layer_reports(calibrated, frames, settings)
    return _built(calibrated, reports, frames, settings, backed_off=())


def int8_graph(model: onnx.ModelProto, frames: Sequence[Frame], settings: Int8Settings) -> onnx.ModelProto:
    """The graph that `quantised` makes, without its report: measuring each layer alone takes most of the time."""
    calibrated = _calibrated(model, frames, settings)
    return _checked_pairs(calibrated, calibrated.layers, settings.weight_bits)


def back_off(
    model: onnx.ModelProto,
    frames: Sequence[Frame],
    settings: Int8Settings,
    passes: Callable[[onnx.ModelProto], bool],
) -> Quantised:
    """Quantise with as few of the worst layers kept float as `passes`, asked of a quantised graph, allows.

    Layers go back in the order of their error alone. The number is found by doubling and then halving, so the
    gate is asked a few times only; if it is not monotone, the result passes all the same but may keep a layer too many.
    Raises EngineError naming the layers left in int8 if it fails even with one, and ValueError as `quantised` does.
    """
    calibrated = _calibrated(model, frames, settings)
    reports = _layer_reports(calibrated, frames, settings)
    worst_first = [report.name for report in sorted(reports, key=lambda report: -report.alone.largest)]

    def built(count: int) -> Quantised:
        return _built(calibrated, reports, frames, settings, backed_off=tuple(worst_first[:count]))

    last = len(worst_first) - 1
    failed, count = -1, 0
    while not passes((attempt := built(count)).model):
        if count == last:
            raise EngineError(
                f"int8 fails its gate even with {last} of {len(worst_first)} layers in float; {worst_first[-1]} is "
                "left: use another precision, more calibration frames, or another observer"
            )
        failed, count = count, min(max(1, 2 * count), last)
    best = attempt
    while count - failed > 1:
        middle = (failed + count) // 2
        attempt = built(middle)
        if passes(attempt.model):
            best, count = attempt, middle
        else:
            failed = middle
    return best


def _calibrated(model: onnx.ModelProto, frames: Sequence[Frame], settings: Int8Settings) -> _Calibrated:
    _check_graph(model)
    check_frames(model, frames)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    layers = _chosen(model, settings)
    largest = largest_by_channel(model, layers, frames)
    if settings.balance:
        model = balanced(model, layers, largest, settings.balance)
        layers = _chosen(model, settings)
        largest = largest_by_channel(model, layers, frames)
    histograms = histograms_of(model, largest, frames)
    return _Calibrated(model, layers, clips_of(histograms, settings.observer, settings.percentile))


def _check_graph(model: onnx.ModelProto) -> None:
    opset = next((imported.version for imported in model.opset_import if imported.domain in ("", "ai.onnx")), 0)
    if opset not in OPSETS:
        raise ValueError(f"opset {opset}, expected {OPSETS.start} to {OPSETS.stop - 1}: export the graph again")
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ValueError("the graph holds QuantizeLinear already, expected float: quantise the graph it was made from")


def _chosen(model: onnx.ModelProto, settings: Int8Settings) -> tuple[Layer, ...]:
    layers = weighted_layers(model)
    kept = {layer_named(layers, name).name for name in settings.keep_layers}
    chosen = tuple(layer for layer in layers if layer.kind not in settings.keep_kinds and layer.name not in kept)
    if not chosen:
        raise ValueError(f"all {len(layers)} layers are kept float, expected one to quantise: keep fewer of them")
    for layer in chosen:
        float_weights(model, layer)
    return chosen


def _layer_reports(calibrated: _Calibrated, frames: Sequence[Frame], settings: Int8Settings) -> tuple[LayerReport, ...]:
    alone = sensitivities(
        calibrated.model, calibrated.layers, calibrated.scales, _spread(frames, settings), settings.weight_bits
    )
    return tuple(
        LayerReport(
            name=layer.name,
            kind=layer.kind,
            activation_scale=float(calibrated.scales[layer.activation]),
            clipped=calibrated.clips[layer.activation].clipped,
            weight_error=int8_weights(
                float_weights(calibrated.model, layer), layer.output_axis, settings.weight_bits
            ).error,
            alone=alone[layer.name],
        )
        for layer in calibrated.layers
    )


def _built(
    calibrated: _Calibrated,
    reports: tuple[LayerReport, ...],
    frames: Sequence[Frame],
    settings: Int8Settings,
    *,
    backed_off: tuple[str, ...],
) -> Quantised:
    layers = [layer for layer in calibrated.layers if layer.name not in backed_off]
    model = _checked_pairs(calibrated, layers, settings.weight_bits)
    few = _spread(frames, settings)
    chosen = {layer.name for layer in calibrated.layers}
    report = Int8Report(
        settings=settings,
        calibration_frames=len(frames),
        layers=tuple(report for report in reports if report.name not in backed_off),
        kept=tuple(layer.name for layer in weighted_layers(calibrated.model) if layer.name not in chosen),
        backed_off=backed_off,
        whole=output_error(answers_of(calibrated.model, few), answers_of(model, few)),
    )
    return Quantised(model, report)


def _checked_pairs(calibrated: _Calibrated, layers: Sequence[Layer], bits: WeightBits) -> onnx.ModelProto:
    model = with_pairs(calibrated.model, layers, calibrated.scales, bits)
    onnx.checker.check_model(model, full_check=True)
    return model


def _spread(frames: Sequence[Frame], settings: Int8Settings) -> list[Frame]:
    count = min(settings.sensitivity_frames, len(frames))
    return [frames[index * len(frames) // count] for index in range(count)]

"""Finding the layer that is wrong, and taking the worst layers back to float until a gate passes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import onnx
import pytest

from cathrt.export.graph.fold import Layout
from cathrt.export.quantize.int8 import Int8Settings, Quantised, back_off, quantised
from cathrt.export.quantize.layers import Layer, weighted_layers
from cathrt.export.quantize.sensitivity import SQNR_LIMIT_DB, answers_of, output_error, worst_layers
from cathrt.runtime.errors import EngineError
from tests.export.quantised_atto import float_atto, noise_frames, with_initializer

SETTINGS = Int8Settings(sensitivity_frames=1)
# Few layers in int8, so that a gate asked of every step stays quick.
FEW = Int8Settings(keep_kinds=("stem", "depthwise", "head", "pointwise"), sensitivity_frames=2)
BOTH = pytest.mark.parametrize("layout", get_args(Layout))
FACTORS = pytest.mark.parametrize("factor", [0.5, 1.5, 3.0])


@pytest.fixture(scope="module")
def floats() -> dict[str, onnx.ModelProto]:
    return {layout: float_atto(layout) for layout in get_args(Layout)}


@pytest.fixture(scope="module")
def results(floats: dict[str, onnx.ModelProto]) -> dict[str, Quantised]:
    return {layout: quantised(model, noise_frames(2), SETTINGS) for layout, model in floats.items()}


def some(layers: tuple[Layer, ...]) -> list[Layer]:
    """The first, the last and two others that are quantised."""
    int8 = [layer for layer in layers if layer.quantised]
    return [int8[0], int8[6], int8[15], int8[-1]]


@BOTH
@FACTORS
def test_a_wrong_weight_scale_on_one_layer_puts_that_layer_first(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout, factor: float
) -> None:
    for layer in some(weighted_layers(results[layout].model)):
        ruined = with_initializer(results[layout].model, layer.weight.replace(".int8", ".scale"), factor)
        (name, error), second, *_ = worst_layers(floats[layout], ruined, noise_frames(1))
        assert name == layer.name
        assert 0.5 < error / abs(factor - 1.0) < 1.1  # less where the bias, which is right, makes part of the output
        assert second[1] < 0.1


@BOTH
def test_a_clip_far_too_low_on_one_layer_puts_that_layer_first(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout
) -> None:
    for layer in some(weighted_layers(results[layout].model)):
        ruined = with_initializer(results[layout].model, f"{layer.activation}.scale", 0.2)
        (name, error), second, *_ = worst_layers(floats[layout], ruined, noise_frames(1))
        assert name == layer.name
        assert error > 3 * second[1]


@BOTH
def test_a_sound_graph_has_small_errors_and_none_in_float_layers(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised], layout: Layout
) -> None:
    errors = dict(worst_layers(floats[layout], results[layout].model, noise_frames(1)))
    layers = weighted_layers(results[layout].model)
    assert errors.keys() == {layer.name for layer in layers}
    assert all(1e-3 < errors[layer.name] < 0.1 for layer in layers if layer.quantised)
    assert all(errors[layer.name] < 1e-5 for layer in layers if not layer.quantised)


def test_a_balanced_graph_compares_with_the_float_graph_too(floats: dict[str, onnx.ModelProto]) -> None:
    balanced = quantised(floats["nhwc"], noise_frames(2), Int8Settings(balance=0.5, sensitivity_frames=1))
    assert worst_layers(floats["nhwc"], balanced.model, noise_frames(1))[0][1] < 0.1


def test_graphs_with_other_layers_are_not_compared(
    floats: dict[str, onnx.ModelProto], results: dict[str, Quantised]
) -> None:
    with pytest.raises(ValueError, match="are in one graph only, expected the same in both"):
        worst_layers(floats["nhwc"], results["nchw"].model, noise_frames(1))


def test_equal_logits_have_the_limit_of_sqnr() -> None:
    logits = [np.array([[1.0, -2.0]], np.float32)]
    assert output_error(logits, logits).sqnr_db == SQNR_LIMIT_DB


def test_sqnr_is_the_power_of_the_logits_over_that_of_the_difference() -> None:
    error = output_error([np.array([[3.0, 4.0]], np.float32)], [np.array([[3.0, 4.5]], np.float32)])
    assert error.largest == 0.5
    assert error.sqnr_db == pytest.approx(20.0)


def test_outputs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="outputs are not finite"):
        output_error([np.ones((1, 2), np.float32)], [np.full((1, 2), np.nan, np.float32)])


def test_a_gate_that_passes_at_once_keeps_nothing_back(floats: dict[str, onnx.ModelProto]) -> None:
    result = back_off(floats["nchw"], noise_frames(2), FEW, lambda model: True)
    assert result.report.backed_off == ()
    assert len(result.report.layers) == 3


@pytest.mark.parametrize("allowed", [2, 1])
def test_the_worst_layers_go_back_to_float_and_no_more_than_the_gate_needs(
    floats: dict[str, onnx.ModelProto], allowed: int
) -> None:
    frames = noise_frames(2)

    def passes(model: onnx.ModelProto) -> bool:
        return sum(layer.quantised for layer in weighted_layers(model)) <= allowed

    result = back_off(floats["nchw"], frames, FEW, passes)
    every = quantised(floats["nchw"], frames, FEW).report.layers
    worst = sorted(every, key=lambda layer: -layer.alone.largest)
    assert result.report.backed_off == tuple(layer.name for layer in worst[: 3 - allowed])
    assert {layer.name for layer in result.report.layers} == {layer.name for layer in worst[3 - allowed :]}
    int8 = {layer.name for layer in weighted_layers(result.model) if layer.quantised}
    assert int8 == {layer.name for layer in result.report.layers}


def test_a_gate_on_logits_is_met_by_what_comes_back(floats: dict[str, onnx.ModelProto]) -> None:
    frames = noise_frames(2)
    expected = answers_of(floats["nchw"], frames)

    def error_of(model: onnx.ModelProto) -> float:
        return output_error(expected, answers_of(model, frames)).largest

    whole = quantised(floats["nchw"], frames, SETTINGS)
    limit = 0.7 * error_of(whole.model)
    asked = []

    def passes(model: onnx.ModelProto) -> bool:
        asked.append(model)
        return error_of(model) <= limit

    result = back_off(floats["nchw"], frames, SETTINGS, passes)
    assert error_of(result.model) <= limit
    assert 0 < len(result.report.backed_off) < len(whole.report.layers)
    assert result.report.whole.largest <= error_of(whole.model)
    assert len(asked) <= 11  # twice the logarithm of 27 layers, and one


def test_a_gate_that_never_passes_ends_in_an_error_that_names_the_layer_left(
    floats: dict[str, onnx.ModelProto],
) -> None:
    least = min(quantised(floats["nchw"], noise_frames(2), FEW).report.layers, key=lambda layer: layer.alone.largest)
    with pytest.raises(EngineError, match=f"even with 2 of 3 layers in float; {least.name} is left: use another"):
        back_off(floats["nchw"], noise_frames(2), FEW, lambda model: False)

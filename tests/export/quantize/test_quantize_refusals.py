"""What the INT8 export refuses, and that the text says where to look."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from cathrt.export.quantize.int8 import Int8Settings, quantised
from tests.export.quantised_atto import HEIGHT, WIDTH, float_atto, noise_frames, with_initializer

SETTINGS = Int8Settings(sensitivity_frames=1)


@pytest.fixture(scope="module")
def atto() -> onnx.ModelProto:
    return float_atto("nchw")


def test_no_frames_are_refused(atto: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match=r"no frames, expected at least one.*give calibration frames"):
        quantised(atto, [], SETTINGS)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((1, 3, WIDTH, HEIGHT), np.float32), np.zeros((1, 3, HEIGHT, WIDTH))],
    ids=["turned", "float64"],
)
def test_a_frame_of_another_shape_or_type_is_refused(atto: onnx.ModelProto, frame: Any) -> None:
    with pytest.raises(ValueError, match=r"frame 1: found float.*the input 'image' is float32 \(1, 3, 96, 64\)"):
        quantised(atto, [*noise_frames(1), frame], SETTINGS)


def test_a_frame_with_nan_is_refused(atto: onnx.ModelProto) -> None:
    frames = noise_frames(2)
    frames[1][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="frame 1: holds NaN"):
        quantised(atto, frames, SETTINGS)


def test_activations_that_are_not_finite_name_the_layer_and_the_frame(atto: onnx.ModelProto) -> None:
    broken = with_initializer(atto, "stages.1.blocks.0.conv_dw.bias", np.inf)
    with pytest.raises(ValueError, match=r"stages\.1\.blocks\.0\.mlp\.fc1: its input is not finite on frame 0"):
        quantised(broken, noise_frames(1), SETTINGS)


def test_a_layer_that_sees_only_zeros_is_named(atto: onnx.ModelProto) -> None:
    dead = with_initializer(atto, "stages.0.blocks.0.mlp.fc1.weight", 0.0)
    dead = with_initializer(dead, "stages.0.blocks.0.mlp.fc1.bias", 0.0)
    with pytest.raises(ValueError, match=r"stages\.0\.blocks\.0\.mlp\.fc2.*is 0 on all 1 frames"):
        quantised(dead, noise_frames(1), SETTINGS)


def test_weights_that_are_not_finite_name_the_layer(atto: onnx.ModelProto) -> None:
    broken = with_initializer(atto, "stages.3.downsample.1.weight", np.nan)
    with pytest.raises(ValueError, match=r"stages\.3\.downsample\.1: weights are not finite"):
        quantised(broken, noise_frames(1), SETTINGS)


def test_an_unknown_layer_is_refused_with_the_names_there_are(atto: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match=r"no layer is named 'stages\.9', expected one of stem\.0, "):
        quantised(atto, noise_frames(1), Int8Settings(keep_layers=("stages.9",)))


def test_a_quantised_graph_is_not_quantised_again(atto: onnx.ModelProto) -> None:
    once = quantised(atto, noise_frames(1), SETTINGS).model
    with pytest.raises(ValueError, match="holds QuantizeLinear already"):
        quantised(once, noise_frames(1), SETTINGS)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"observer": "median"}, "observer 'median', expected one of minmax, percentile, mse, entropy"),
        ({"keep_kinds": ("stem", "tail")}, r"keep_kinds \['tail'\]"),
        ({"percentile": 0.0}, "percentile 0.0, expected one above 0"),
        ({"balance": 1.5}, "balance 1.5, expected 0"),
        ({"sensitivity_frames": 0}, "sensitivity_frames 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Int8Settings(**wrong)

"""INT8 of the shipped demonstration weights on phantom frames: what it costs, and that the defaults stand.

`pytest -m slow -s tests/export/quantize/test_quantize_demonstration.py` prints the table of all variants.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import onnx
import pytest

from cathrt.export.graph.fold import Layout, canonical
from cathrt.export.quantize.int8 import Int8Settings, quantised
from cathrt.export.quantize.observers import OBSERVERS
from cathrt.export.quantize.sensitivity import OutputError, answers_of, output_error, worst_layers
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.models import open_bundle
from tests.export.quantised_atto import Frames, phantom_frames

CALIBRATION_SEED, JUDGE_SEED = 50_000_000, 50_000_100
BOTH = pytest.mark.parametrize("layout", get_args(Layout))


@pytest.fixture(scope="module")
def floats() -> dict[str, onnx.ModelProto]:
    plain = onnx.load_from_string(open_bundle(demonstration_bundle(), shipped_keys()).read("model.onnx"))
    return {layout: canonical(plain, layout) for layout in get_args(Layout)}


@pytest.fixture(scope="module")
def calibration() -> Frames:
    return phantom_frames(range(CALIBRATION_SEED, CALIBRATION_SEED + 6), 2)


@pytest.fixture(scope="module")
def judged() -> Frames:
    return phantom_frames(range(JUDGE_SEED, JUDGE_SEED + 8), 3)


def agreement(expected: Frames, found: Frames) -> float:
    """Share of frames whose highest logit is in the same column."""
    return float(np.mean([a.argmax() == b.argmax() for a, b in zip(expected, found, strict=True)]))


@BOTH
def test_int8_names_the_same_classes_as_float32(
    floats: dict[str, onnx.ModelProto], calibration: Frames, judged: Frames, layout: Layout
) -> None:
    model = quantised(floats[layout], calibration, Int8Settings(sensitivity_frames=1)).model
    expected, found = answers_of(floats[layout], judged), answers_of(model, judged)
    error = output_error(expected, found)
    print(f"{layout}: agreement {agreement(expected, found):.3f}, {error}")
    assert agreement(expected, found) >= 23 / 24  # a frame between two classes may tip
    assert error.largest < 0.1  # of logits from -3 to 5
    assert error.sqnr_db > 40.0
    (_, worst), *_ = worst_layers(floats[layout], model, judged[:2])
    assert worst < 0.05


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_tried_is_clearly_better_than_the_defaults(floats: dict[str, onnx.ModelProto]) -> None:
    calibration = phantom_frames(range(CALIBRATION_SEED, CALIBRATION_SEED + 12), 2)
    judged = phantom_frames(range(JUDGE_SEED, JUDGE_SEED + 24), 4)
    expected = answers_of(floats["nhwc"], judged)
    kept = Int8Settings().keep_kinds
    tried = {
        **{observer: Int8Settings(observer=observer, sensitivity_frames=1) for observer in OBSERVERS},
        **{
            f"percentile {percentile}": Int8Settings(observer="percentile", percentile=percentile, sensitivity_frames=1)
            for percentile in (99.9, 99.999)
        },
        **{f"balance {alpha}": Int8Settings(balance=alpha, sensitivity_frames=1) for alpha in (0.25, 0.5, 0.75)},
        "minmax, balance 0.5": Int8Settings(observer="minmax", balance=0.5, sensitivity_frames=1),
        **{
            f"{kind} too": Int8Settings(
                keep_kinds=tuple(other for other in kept if other != kind), sensitivity_frames=1
            )
            for kind in kept
        },
        "all layers": Int8Settings(keep_kinds=(), sensitivity_frames=1),
        "downsample kept": Int8Settings(keep_kinds=(*kept, "downsample"), sensitivity_frames=1),
    }
    errors: dict[str, OutputError] = {}
    for name, settings in tried.items():
        found = answers_of(quantised(floats["nhwc"], calibration, settings).model, judged)
        errors[name] = output_error(expected, found)
        largest, sqnr_db = errors[name].largest, errors[name].sqnr_db
        print(f"| {name} | {largest:.3f} | {sqnr_db:.1f} | {agreement(expected, found):.3f} |", flush=True)
    default = errors["mse"].sqnr_db
    assert all(error.sqnr_db < default + 3.0 for error in errors.values())  # less is luck (rounding)
    assert default > errors["minmax"].sqnr_db + 3.0
    assert default > errors["entropy"].sqnr_db + 10.0
    assert all(default > errors[f"{kind} too"].sqnr_db + 2.0 for kind in kept)

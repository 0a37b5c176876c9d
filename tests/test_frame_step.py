"""The CPU's frame step: what it remembers of frames that it does not judge.

Not for: the line around it (tests/line) and the device's step (tests/engines/test_device_frames.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.frame_step import CpuFrameStep, any_history
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.tensor import TensorSpec
from tests.lines import BUNDLE, SIZE, ArraySource, Tensors, contrast, fake_engine, picture, remembering

PICTURES = [picture(score, noise) for noise, score in enumerate([0.3, 0.8, 0.1, 0.5, 0.5])]
RUN = ArraySource(PICTURES).run
(GREY,) = BUNDLE.manifest.network(CLASSIFIER).preprocessing
(REMEMBERING,) = remembering().manifest.network(CLASSIFIER).preprocessing


def step_of(engine: FakeEngine, *specs: Preprocessing) -> CpuFrameStep:
    return CpuFrameStep(engine, RUN, specs, lambda: 0)


def logits(step: CpuFrameStep, pixels: NDArray[Any]) -> NDArray[Any]:
    outputs = step(pixels).outputs
    assert outputs is not None
    return np.array(outputs["logits"])


@pytest.mark.parametrize("remembered", range(1, len(PICTURES)))
def test_after_remembering_frames_the_next_one_is_as_if_all_had_been_judged(remembered: int) -> None:
    judging, taking_over = fake_engine(contrast), fake_engine(contrast)
    whole, late = step_of(judging, REMEMBERING), step_of(taking_over, REMEMBERING)
    for pixels in PICTURES[:remembered]:
        whole(pixels)
        assert late.remember(pixels) is None
    for pixels in PICTURES[remembered:]:
        np.testing.assert_array_equal(logits(late, pixels), logits(whole, pixels))
        np.testing.assert_array_equal(taking_over.input_buffers["image"], judging.input_buffers["image"])
    assert judging.input_buffers["image"][0, 1].any(), "else this test would show nothing"


def test_remembering_runs_no_network() -> None:
    def forbidden(inputs: Tensors, outputs: Tensors) -> None:
        raise AssertionError("the network ran")

    step_of(fake_engine(forbidden), REMEMBERING).remember(PICTURES[0])


def test_without_a_history_remembering_does_nothing_whatever_the_pixels_are() -> None:
    engine = fake_engine()
    step = step_of(engine, GREY)
    step(PICTURES[0])
    before = engine.input_buffers["image"].copy()
    unseen: Any = object()
    for pixels in (PICTURES[1], PICTURES[1][:3], unseen):
        step.remember(pixels)
    np.testing.assert_array_equal(engine.input_buffers["image"], before)


def test_a_frame_that_cannot_be_remembered_raises_as_the_call_does() -> None:
    step = step_of(fake_engine(), REMEMBERING)
    on_device: Any = object()
    for pixels, message in (
        (on_device, "pixels are object, which fake cannot read: expected an array in host memory"),
        (PICTURES[0][:3], r"\(8, 8\)"),
    ):
        for take in (step, step.remember):
            with pytest.raises(ValueError, match=message):
                take(pixels)


def test_of_two_inputs_only_the_one_with_a_history_is_prepared_to_remember() -> None:
    inputs = tuple(TensorSpec(name, (1, 3, SIZE, SIZE), "float32") for name in ("image", "still"))
    engine = FakeEngine(inputs, fake_engine().outputs, contrast)
    step = step_of(engine, REMEMBERING, replace(GREY, input="still"))
    step(PICTURES[0])
    still = engine.input_buffers["still"].copy()
    step.remember(PICTURES[1])
    np.testing.assert_array_equal(engine.input_buffers["still"], still)
    alone = step_of(judging := fake_engine(contrast), REMEMBERING)
    for pixels in PICTURES[:3]:
        alone(pixels)
    step(PICTURES[2])
    np.testing.assert_array_equal(engine.input_buffers["image"], judging.input_buffers["image"])
    np.testing.assert_array_equal(engine.input_buffers["still"][0, 1], engine.input_buffers["image"][0, 0])


def test_one_input_with_a_history_is_a_history() -> None:
    assert any_history([GREY, REMEMBERING])
    assert not any_history([GREY])
    assert not any_history([])

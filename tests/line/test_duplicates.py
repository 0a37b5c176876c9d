"""Repeated pictures: one that was judged makes its repeats DUPLICATE, one that was not is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.alert import Outcome, Record, Verdict
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, VoiWindow
from cathrt.runtime.frame_step import CpuFrameStep, FrameStep, NowNs, Stepped
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.lines import MANIFEST, SIZE, ArraySource, ListJournal, Tensors, brightness, finding_of, line, picture

A, B, C = picture(0.2), picture(0.4), picture(0.6)
BROKEN = picture(0.9)  # the engine fails on it
Item = float | np.ndarray | LostFrame | None


def fails_on_bright(inputs: Tensors, outputs: Tensors) -> None:
    if inputs["image"].mean() > 0.85:
        raise EngineError("too bright")
    brightness(inputs, outputs)


def lost(index: int, *, failed: bool = True) -> LostFrame:
    return LostFrame(index, 0, "broken", failed=failed)


def judged(items: Sequence[Item], compute: Any = fails_on_bright, **changes: Any) -> list[Verdict]:
    journal = ListJournal()
    watch(ArraySource(items), line(compute, **changes), journal)
    return journal.verdicts


def outcomes(verdicts: Sequence[Verdict]) -> str:
    return " ".join(verdict.outcome.value for verdict in verdicts)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([A, A, A, B, A], "MET DUPLICATE DUPLICATE MET MET"),
        ([BROKEN, BROKEN, BROKEN], "FAILED FAILED FAILED"),
        ([A, BROKEN, BROKEN, A], "MET FAILED FAILED MET"),
        ([A, lost(1), A, lost(3, failed=False), A], "MET FAILED DUPLICATE DROPPED DUPLICATE"),
        ([lost(0), A, A], "FAILED MET DUPLICATE"),
        ([A, None, A], "MET DROPPED DUPLICATE"),
    ],
)
def test_only_a_judged_picture_makes_its_repeat_a_duplicate(items: list[Item], expected: str) -> None:
    assert outcomes(judged(items)) == expected


def test_a_frozen_picture_on_which_the_engine_failed_once_is_judged_once() -> None:
    calls = []

    def failing_first(inputs: Tensors, outputs: Tensors) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise EngineError("just this once")
        brightness(inputs, outputs)

    verdicts = judged([A, A, A, A], failing_first)
    assert outcomes(verdicts) == "FAILED MET DUPLICATE DUPLICATE"
    assert [verdict.reason for verdict in verdicts[2:]] == ["same pixels as frame 1"] * 2


def test_a_frozen_picture_that_failed_in_any_way_is_tried_again() -> None:
    def not_finite(inputs: Tensors, outputs: Tensors) -> None:
        outputs["logits"][:] = np.nan

    assert outcomes(judged([A, A], not_finite)) == "FAILED FAILED"


class TwoGreyScales(ArraySource):
    """Frames by turns under two windows."""

    @property
    def run(self) -> Run:
        run = super().run
        return replace(run, other_grayscales=(replace(run.grayscale, voi=VoiWindow(50.0, 100.0)),))

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            assert isinstance(item, Frame)
            yield replace(item, grayscale=item.index // 2 % 2)


def test_the_same_pixels_under_another_grey_scale_are_no_duplicate() -> None:
    journal = ListJournal()
    watch(TwoGreyScales([A] * 6), line(brightness), journal)
    assert outcomes(journal.verdicts) == "MET DUPLICATE MET DUPLICATE MET DUPLICATE"


class Covered(ArraySource):
    """A run whose shutter covers the whole frame."""

    @property
    def run(self) -> Run:
        exposed = np.zeros((SIZE, 2), np.int32)
        return replace(super().run, grayscale=Grayscale(8, voi=VoiWindow(100.0, 200.0), exposed=exposed))


def test_the_repeat_of_a_covered_frame_is_dropped_as_covered_and_no_duplicate() -> None:
    journal = ListJournal()
    watch(Covered([A, A]), line(), journal)
    assert outcomes(journal.verdicts) == "DROPPED DROPPED"
    assert {str(verdict.reason) for verdict in journal.verdicts} == {
        "no exposed pixel: shutter and collimator cover the frame"
    }


def test_a_late_frame_was_judged_and_its_repeat_is_a_duplicate() -> None:
    config = replace(line().config, line=replace(line().config.line, budget_ms=1e-6))
    assert outcomes(judged([A, A], config=config, rate="realtime")) == "LATE DUPLICATE"


def resumed(items: Sequence[Item], stored: int, compute: Any = fails_on_bright) -> tuple[ListJournal, ListJournal]:
    """The journal of a pass in one piece, and of the same pass taken up with so many verdicts stored."""
    whole = ListJournal()
    watch(ArraySource(items), line(compute), whole)
    kept = {verdict.id: verdict for verdict in whole.verdicts[:stored]}
    cut = ListJournal(dict[str, Record](kept))
    watch(ArraySource(items), line(compute), cut)
    return whole, cut


def what_became(journal: ListJournal) -> list[tuple[int, Outcome, str | None]]:
    return [(v.frame_index, v.outcome, v.reason) for v in sorted(journal.verdicts, key=lambda v: v.frame_index)]


ALL_KINDS: list[Item] = [A, A, lost(2), A, B, B, BROKEN, BROKEN, B, None, B, lost(11, failed=False), B, C, A, A]


@pytest.mark.parametrize("stored", range(len(ALL_KINDS)))
def test_a_pass_taken_up_anywhere_ends_as_the_pass_in_one_piece(stored: int) -> None:
    whole, cut = resumed(ALL_KINDS, stored)
    assert what_became(whole) == what_became(cut)
    assert [finding_of(v) for v in whole.verdicts] == [
        finding_of(v) for v in sorted(cut.verdicts, key=lambda v: v.frame_index)
    ]
    assert whole.summaries[0].verdicts == cut.summaries[0].verdicts


PICTURES = st.sampled_from([A, B, BROKEN, "lost", "dropped"])


@given(st.lists(PICTURES, max_size=12), st.integers(0, 12))
def test_whatever_repeats_wherever_it_is_cut_a_duplicate_names_a_judged_frame(drawn: list[Any], stored: int) -> None:
    items = [lost(i, failed=item == "lost") if isinstance(item, str) else item for i, item in enumerate(drawn)]
    whole, cut = resumed(items, min(stored, len(items)))
    assert what_became(whole) == what_became(cut)
    by_index = {verdict.frame_index: verdict for verdict in cut.verdicts}
    for verdict in cut.verdicts:
        if verdict.outcome is Outcome.DUPLICATE:
            original = by_index[int(str(verdict.reason).rpartition(" ")[2])]
            assert finding_of(original) is not None
            assert original.frame_index < verdict.frame_index


@pytest.mark.parametrize(
    ("first", "then", "stored", "expected"),
    [
        # the picture that was judged does not come this time: its repeat that stands stands for it
        ([A, A, A, A], [lost(0), A, A, A], 2, "MET DUPLICATE DUPLICATE DUPLICATE"),
        ([A, B, B], [A, lost(1), B], 2, "MET MET MET"),
        ([A, B, A], [A, lost(1), A], 2, "MET MET MET"),
        # a frame that was lost the first time comes this time
        ([A, lost(1), A], [A, A, A], 2, "MET FAILED DUPLICATE"),
        ([A, lost(1), A], [A, B, A], 2, "MET FAILED MET"),
    ],
)
def test_a_source_that_loses_other_frames_this_time_makes_no_false_duplicate(
    first: list[Item], then: list[Item], stored: int, expected: str
) -> None:
    before = ListJournal()
    watch(ArraySource(first), line(), before)
    journal = ListJournal({verdict.id: verdict for verdict in before.verdicts[:stored]})
    watch(ArraySource(then), line(), journal)
    assert outcomes(sorted(journal.verdicts, key=lambda v: v.frame_index)) == expected


class OnDevice:
    """What lends pixels on a device: no array of the host."""


class DeviceEngine(FakeEngine):
    """An engine that takes frames on its device and finds the same on all of them."""

    def frame_step(self, run: Run, specs: Sequence[Preprocessing], now_ns: NowNs) -> FrameStep:
        return DeviceStep(self, run, specs, now_ns)


class DeviceStep(CpuFrameStep):
    def __call__(self, pixels: Any, grayscale: int = 0) -> Stepped:
        return super().__call__(A if isinstance(pixels, OnDevice) else pixels, grayscale)


class Mixed(ArraySource):
    """The same picture again and again: on the device where the item is None, else on the host."""

    def frames(self) -> Iterator[Frame | LostFrame]:
        lent: Any = OnDevice()
        for index, item in enumerate(self.items):
            yield Frame(lent if item is None else item, index, 0)


def test_frames_on_a_device_are_compared_with_nothing() -> None:
    engine = DeviceEngine(
        MANIFEST.network(CLASSIFIER).input_specs({}), MANIFEST.network(CLASSIFIER).output_specs({}), brightness
    )
    journal = ListJournal()
    watch(Mixed([None, None, A, None, A, A]), line(engine=engine), journal)
    assert outcomes(journal.verdicts) == "MET MET MET MET MET DUPLICATE"

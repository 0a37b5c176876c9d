"""The line at rate "live": frames are due when they are captured, repeats that the source names are DUPLICATE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Alert, Outcome, RunSummary, Verdict
from cathrt.runtime.frame import Frame, LostFrame, Run, Timing
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from tests.clocks import ManualClock
from tests.lines import ArraySource, line, picture
from tests.passes import AT_ONCE, Shown

MS = 1_000_000


@dataclass
class LiveRun:
    """A live source: each item with the milliseconds after the first at which it was captured."""

    items: Sequence[tuple[float, float | str]]
    clock: ManualClock
    judged_after_ms: float = 1.0
    run: Run = field(init=False)

    def __post_init__(self) -> None:
        whole = ArraySource([0.1], name="A 12:00:00").run
        self.run = replace(whole, frame_count=None, timing=Timing(15.0, "default"))

    def frames(self) -> Iterator[Frame | LostFrame]:
        start_ns = self.clock.now_ns()
        for index, (at_ms, item) in enumerate(self.items):
            captured_ns = start_ns + round(at_ms * MS)
            self.clock.wait_until(captured_ns + round(self.judged_after_ms * MS))
            if isinstance(item, str):
                yield LostFrame(index, captured_ns, item, failed=False, repeat=item.startswith("shows"))
            else:
                yield Frame(picture(item, index), index, captured_ns)
        self.run = replace(self.run, timing=Timing(30.0, "measured"), flags=("near_duplicates",))

    def close(self) -> None:
        """Nothing is owned."""


def watched(source: LiveRun, clock: ManualClock, tmp_path: Path) -> list[object]:
    shown = Shown()
    with Journal(tmp_path / "live.journal", AT_ONCE, [shown]) as journal:
        watch(source, replace(line(rate="live"), clock=clock), journal)
    return list(shown.records)


def verdicts(records: Sequence[object]) -> list[Verdict]:
    return [record for record in records if isinstance(record, Verdict)]


def test_repeats_and_overrun_pictures_have_their_verdicts(tmp_path: Path) -> None:
    clock = ManualClock()
    items = [(0.0, 0.2), (20.0, "shows the same as frame 0"), (40.0, "overrun: 2 newer pictures"), (60.0, 0.3)]
    found = verdicts(watched(LiveRun(items, clock), clock, tmp_path))
    assert [verdict.outcome for verdict in found] == [Outcome.MET, Outcome.DUPLICATE, Outcome.DROPPED, Outcome.MET]
    assert [verdict.reason for verdict in found][1:3] == ["shows the same as frame 0", "overrun: 2 newer pictures"]
    assert not any(verdict.retry for verdict in found)


@pytest.mark.parametrize(("after_ms", "outcome"), [(1.0, Outcome.MET), (400.0, Outcome.LATE)])
def test_a_frame_is_late_by_the_time_since_it_was_captured(after_ms: float, outcome: Outcome, tmp_path: Path) -> None:
    clock = ManualClock()
    source = LiveRun([(0.0, 0.2), (500.0, 0.3), (1000.0, 0.4)], clock, judged_after_ms=after_ms)
    assert {verdict.outcome for verdict in verdicts(watched(source, clock, tmp_path))} == {outcome}


def test_the_summary_has_the_rate_and_the_flags_that_are_known_at_the_end(tmp_path: Path) -> None:
    clock = ManualClock()
    records = watched(LiveRun([(0.0, 0.2), (33.0, 0.3)], clock), clock, tmp_path)
    (summary,) = [record for record in records if isinstance(record, RunSummary)]
    assert (summary.frame_rate_hz, summary.frame_rate_origin, summary.flags) == (30.0, "measured", ("near_duplicates",))


def test_rules_over_time_count_the_time_of_capture_not_the_assumed_rate(tmp_path: Path) -> None:
    # The same nine pictures with a rise in the middle: at a pace of 4 s each no key frame is held back as too near.
    scores = [0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1]

    def alerts(step_ms: float, folder: str) -> list[int]:
        clock = ManualClock()
        path = tmp_path / folder
        path.mkdir()
        source = LiveRun([(index * step_ms, score) for index, score in enumerate(scores)], clock)
        return [record.frame_index for record in watched(source, clock, path) if isinstance(record, Alert)]

    fast, again, slow = alerts(66.7, "fast"), alerts(66.7, "again"), alerts(4000.0, "slow")
    assert fast == again
    assert fast != slow

"""Recorded runs one after another: whatever becomes of one input, the others are judged and the books balance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import PassStart, Rate, Record, Refusal, RunSummary, Verdict
from cathrt.runtime.errors import (
    ConfigError,
    EngineError,
    EngineLostError,
    JournalError,
    ManifestError,
    SinkError,
    SourceError,
)
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Rescale, Run
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import Replayed, replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.ports import Opening, SeveralRunsError
from tests.lines import BUNDLE, MANIFEST, ArraySource, Tensors, brightness, line
from tests.passes import AT_ONCE, Shown

RATES: tuple[Rate, ...] = ("max", "realtime")


@dataclass
class BreaksOff(ArraySource):
    """Raises an error in place of frame `breaks_at`. knows_its_length: False for a live tap."""

    breaks_at: int = 2
    error: BaseException | None = None
    knows_its_length: bool = True

    @property
    def run(self) -> Run:
        run = super().run
        return run if self.knows_its_length else replace(run, frame_count=None)

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            if item.index == self.breaks_at:
                raise self.error or SourceError("the cable was pulled")
            yield item
        if self.breaks_at == len(self.items):
            raise self.error or SourceError("the cable was pulled")


def openings(*sources: ArraySource) -> list[Opening]:
    return [Opening(source.name, lambda source=source: source) for source in sources]


def done(
    path: Path, given: Iterable[Opening], opened: Line | None = None, rate: Rate = "max"
) -> tuple[Replayed, Shown]:
    """Replay into the journal at `path`."""
    shown = Shown()
    with Journal(path, AT_ONCE, [shown]) as journal:
        return replay(given, opened or line(rate=rate), journal), shown


def verdicts(shown: Shown, run_id: str) -> list[Verdict]:
    return [record for record in shown.records if isinstance(record, Verdict) and record.run_id == run_id]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("breaks_at", [0, 1, 3])
def test_a_source_that_breaks_off_fails_what_it_owes_and_the_next_input_is_judged(
    tmp_path: Path, rate: Rate, breaks_at: int
) -> None:
    broken, whole = BreaksOff([0.1] * 4, name="broken", breaks_at=breaks_at), ArraySource([0.1] * 3, name="whole")
    replayed, shown = done(tmp_path / "journal.db", openings(broken, whole), rate=rate)
    first, second = replayed.summaries
    assert replayed.refusals == ()
    assert (first.verdicts["FAILED"], second.verdicts["FAILED"]) == (4 - breaks_at, 0)
    owed = verdicts(shown, broken.run.run_id)[breaks_at:]
    assert {verdict.reason for verdict in owed} == {"the source broke off: the cable was pulled"}
    assert not any(verdict.retry for verdict in owed), "nothing says that the input was whole"
    assert all(verdict.latency_ms.end_to_end < 60_000.0 for verdict in owed)
    assert broken.closed
    assert verify_journal(tmp_path / "journal.db", record_parts()).sound


@pytest.mark.parametrize("rate", RATES)
def test_a_live_run_that_breaks_off_ends_with_one_failed_frame_that_says_so(tmp_path: Path, rate: Rate) -> None:
    broken = BreaksOff([0.1] * 4, name="live", knows_its_length=False)
    replayed, shown = done(tmp_path / "journal.db", openings(broken), rate=rate)
    (summary,) = replayed.summaries
    assert (summary.frames, summary.verdicts["FAILED"]) == (3, 1)
    assert "the cable was pulled" in str(verdicts(shown, broken.run.run_id)[-1].reason)


def test_a_source_that_breaks_off_behind_its_last_frame_owes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = BreaksOff([0.1] * 3, name="tail", breaks_at=3)
    (summary,) = done(tmp_path / "journal.db", openings(broken))[0].summaries
    assert summary.verdicts["FAILED"] == 0
    assert "the cable was pulled" in caplog.text


def test_memory_that_runs_out_while_a_frame_is_read_is_ours_and_is_tried_again(tmp_path: Path) -> None:
    path, short = tmp_path / "journal.db", BreaksOff([0.1] * 4, name="run", error=MemoryError())
    replayed, shown = done(path, openings(short))
    assert replayed.summaries[0].verdicts["FAILED"] == 2
    assert verdicts(shown, short.run.run_id)[-1].reason == "the source broke off: MemoryError"
    assert done(path, openings(ArraySource([0.1] * 4, name="run")))[0].summaries[0].verdicts["FAILED"] == 0
    assert [books.attempt for books in verify_journal(path, record_parts()).passes] == [1, 2]


@pytest.mark.parametrize("error", [OSError("our bug"), KeyboardInterrupt()])
def test_a_bug_in_a_source_and_an_interrupt_are_not_hidden(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        done(tmp_path / "journal.db", openings(BreaksOff([0.1] * 4, error=error)))


class Unreadable(ArraySource):
    """A run whose grey scale cannot be applied."""

    @property
    def run(self) -> Run:
        return replace(super().run, grayscale=Grayscale(8, modality=Rescale(0.0, 0.0)))


def test_a_run_that_does_not_fit_the_line_is_refused_and_the_next_input_is_judged(tmp_path: Path) -> None:
    unfit, whole = Unreadable([0.1], name="unfit"), ArraySource([0.1], name="whole")
    replayed, shown = done(tmp_path / "journal.db", openings(unfit, whole))
    (refusal,) = replayed.refusals
    assert (refusal.source, refusal.error) == ("unfit", "SourceError")
    assert "rescale slope" in refusal.message
    assert [summary.source for summary in replayed.summaries] == ["whole"]
    assert unfit.closed
    assert [record.type for record in shown.records] == ["refusal", "pass", "verdict", "run"]
    assert verify_journal(tmp_path / "journal.db", record_parts()).sound


def raising(error: Exception) -> Callable[[], Any]:
    def open_() -> Any:
        raise error

    return open_


@pytest.mark.parametrize(
    "error",
    [SourceError("no run"), ManifestError("no percentiles"), ConfigError("no such syntax"), EngineError("too large")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_one_input_meets_before_its_first_frame_is_its_refusal(tmp_path: Path, error: Exception) -> None:
    given = [Opening("bad", raising(error)), *openings(ArraySource([0.1], name="whole"))]
    replayed, _ = done(tmp_path / "journal.db", given)
    assert [(r.source, r.error, r.message) for r in replayed.refusals] == [("bad", type(error).__name__, str(error))]
    assert len(replayed.summaries) == 1


def test_an_input_that_is_several_runs_is_taken_as_these_in_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = SeveralRunsError("b is two", openings(ArraySource([0.2], name="b1"), ArraySource([0.3], name="b2")))
    outer = SeveralRunsError("a and b are two", [*openings(ArraySource([0.1], name="a")), Opening("b", raising(inner))])
    given = [Opening("ab", raising(outer)), *openings(ArraySource([0.4], name="c"))]
    replayed, _ = done(tmp_path / "journal.db", given)
    assert [summary.source for summary in replayed.summaries] == ["a", "b1", "b2", "c"]
    assert replayed.refusals == ()
    assert [record.getMessage() for record in caplog.records] == ["a and b are two", "b is two"]


def test_a_manifest_that_fits_only_some_runs_refuses_the_others(tmp_path: Path) -> None:
    spec = replace(MANIFEST.network(CLASSIFIER).preprocessing[0], percentiles=(99.0, 1.0))
    network = replace(MANIFEST.network(CLASSIFIER), preprocessing=(spec,))
    opened = line(bundle=replace(BUNDLE, manifest=replace(MANIFEST, networks={CLASSIFIER: network})))

    class Windowless(ArraySource):
        @property
        def run(self) -> Run:
            return replace(super().run, grayscale=Grayscale(8))

    given = openings(Windowless([0.1], name="no window"), ArraySource([0.1], name="window"))
    replayed, _ = done(tmp_path / "journal.db", given, opened)
    assert [(refusal.source, refusal.error) for refusal in replayed.refusals] == [("no window", "ManifestError")]
    assert [summary.source for summary in replayed.summaries] == ["window"]


@pytest.mark.parametrize("error", [JournalError("disk full"), SinkError("pipe closed")])
def test_a_journal_or_a_sink_that_takes_no_more_ends_the_replay(tmp_path: Path, error: Exception) -> None:
    class Full(Journal):
        def append(self, record: Record) -> None:  # noqa: ARG002
            raise error

    with Full(tmp_path / "journal.db", AT_ONCE) as journal:
        with pytest.raises(type(error)):
            replay(openings(ArraySource([0.1], name="a"), ArraySource([0.1], name="b")), line(), journal)


def test_a_run_that_comes_twice_in_one_command_is_judged_once_though_it_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(inputs: Tensors, outputs: Tensors) -> None:
        if inputs["image"].mean() > 0.5:
            raise EngineLostError("gone")
        brightness(inputs, outputs)

    path = tmp_path / "journal.db"
    for replays in (1, 2):
        copies = openings(*(ArraySource([0.1, 0.9], name="run") for _ in range(3)))
        replayed, shown = done(path, copies, line(failing))
        assert [summary.verdicts["FAILED"] for summary in replayed.summaries] == [1, 1, 1]
        assert [books.attempt for books in verify_journal(path, record_parts()).passes] == list(range(1, replays + 1))
        assert [record.attempt for record in shown.records if isinstance(record, PassStart)] == [replays]
    assert "gone" in caplog.text


def test_the_rate_tells_passes_apart_and_each_is_completed_at_its_own(tmp_path: Path) -> None:
    path, source = tmp_path / "journal.db", ArraySource([0.1, 0.2, 0.3], name="run")
    whole, shown = done(path, openings(source), rate="realtime")
    cut = tmp_path / "cut.db"
    with Journal(cut, AT_ONCE) as journal:
        for record in shown.records[:3]:
            journal.append(record)
    done(cut, openings(source), rate="max")
    (books,) = verify_journal(cut, record_parts()).incomplete
    assert (books.rate, books.source, books.attempt) == ("realtime", "run", 1)
    done(cut, openings(source), rate="realtime")
    assert verify_journal(cut, record_parts()).sound
    assert {summary.pass_id for summary in whole.summaries} < {
        books.pass_id for books in verify_journal(cut, record_parts()).passes
    }


def test_every_input_is_in_exactly_one_list(tmp_path: Path) -> None:
    given = [*openings(ArraySource([0.1], name="a")), Opening("b", raising(SourceError("no")))]
    replayed, shown = done(tmp_path / "journal.db", given)
    assert [type(record) for record in shown.records] == [PassStart, Verdict, RunSummary, Refusal]
    assert (len(replayed.summaries), len(replayed.refusals)) == (1, 1)


@dataclass
class Noted:
    """Openings that note what is done with them, in order."""

    done: list[str]

    def of(self, *inputs: ArraySource | Exception, prefix: str = "") -> Iterator[Opening]:
        for number, given in enumerate(inputs):
            name = f"{prefix}{number}"
            self.done.append(f"asked for {name}")
            yield Opening(name, partial(self._open, name, given), partial(self._note, "start", name),
                          partial(self._note, "give up", name))  # fmt: skip

    def _note(self, what: str, name: str) -> None:
        self.done.append(f"{what} {name}")

    def _open(self, name: str, given: ArraySource | Exception) -> ArraySource:
        self._note("open", name)
        if isinstance(given, Exception):
            raise given
        return given


def runs(*names: str) -> list[ArraySource]:
    return [ArraySource([0.1], name=name) for name in names]


def test_at_full_speed_the_next_input_is_started_while_the_present_one_is_judged(tmp_path: Path) -> None:
    noted = Noted([])
    done(tmp_path / "journal.db", noted.of(*runs("a", "b", "c")))
    assert noted.done == [
        "asked for 0", "open 0", "asked for 1", "start 1", "open 1", "asked for 2", "start 2", "open 2",
    ]  # fmt: skip


def test_at_real_time_nothing_is_started_ahead(tmp_path: Path) -> None:
    noted = Noted([])
    done(tmp_path / "journal.db", noted.of(*runs("a", "b")), rate="realtime")
    assert noted.done == ["asked for 0", "open 0", "asked for 1", "open 1"]


def test_what_is_wrong_with_an_input_that_was_started_is_its_refusal_at_its_turn(tmp_path: Path) -> None:
    noted = Noted([])
    a, c = runs("a", "c")
    replayed, shown = done(tmp_path / "journal.db", noted.of(a, SourceError("no run"), c))
    assert [refusal.message for refusal in replayed.refusals] == ["no run"]
    assert [record.type for record in shown.records] == ["pass", "verdict", "run", "refusal", "pass", "verdict", "run"]
    assert noted.done[2:] == ["asked for 1", "start 1", "open 1", "asked for 2", "open 2"]


def test_an_input_that_is_several_runs_comes_before_all_that_were_to_follow(tmp_path: Path) -> None:
    noted = Noted([])
    (a, b), inner = runs("a", "b"), list(noted.of(*runs("c", "d"), prefix="inner "))
    noted.done.clear()
    replayed, _ = done(tmp_path / "journal.db", noted.of(a, SeveralRunsError("two stills", inner), b))
    assert [summary.source for summary in replayed.summaries] == ["a", "c", "d", "b"]
    assert noted.done == [
        "asked for 0", "open 0", "asked for 1", "start 1", "open 1", "open inner 0", "start inner 1", "open inner 1",
        "asked for 2", "start 2", "open 2",
    ]  # fmt: skip


def test_what_was_started_and_not_opened_is_given_up_when_the_replay_ends_early(tmp_path: Path) -> None:
    noted = Noted([])
    broken = BreaksOff([0.1] * 4, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        done(tmp_path / "journal.db", noted.of(broken, *runs("b", "c")))
    assert noted.done[2:] == ["asked for 1", "start 1", "give up 1"]


def test_a_look_at_each_source_leaves_the_start_ahead_as_it_is(tmp_path: Path) -> None:
    noted = Noted([])
    done(tmp_path / "journal.db", each_opened(noted.of(*runs("a", "b")), lambda _, source: source))
    assert "start 1" in noted.done

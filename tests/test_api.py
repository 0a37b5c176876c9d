"""The library's few names: records as they come, a loop that is left early, one frame, arrays; and the same answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.alert import Alert, PassStart, Rate, Record, Refusal, RunSummary, Verdict
from cathrt.runtime.api import OpenLine, open_bundle, open_line, run_from_frames, run_from_phantom, runs_from_paths
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, EngineError, JournalError, ManifestError, SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line import handover
from cathrt.runtime.line.replay import replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.ports import Opening, SeveralRunsError
from tests.lines import SIZE, ArraySource, line, picture
from tests.passes import AT_ONCE, Shown

SCORES = [0.1] * 4 + [0.9] * 5 + [0.1] * 9


at_both_rates = pytest.mark.parametrize("rate", ["max", "realtime"])


@pytest.fixture
def rate() -> Rate:
    return "max"


@pytest.fixture
def open_(rate: Rate) -> Iterator[OpenLine]:
    """A line in memory."""
    with ThreadPoolExecutor(1) as thread:
        opened = OpenLine(line(rate=rate), Config(), thread)
        yield opened
        opened.stop()


def opening(source: ArraySource) -> Opening:
    return Opening(source.name, lambda: source)


def run_of(scores: list[float] = SCORES, name: str = "run") -> Opening:
    return Opening(name, lambda: ArraySource(scores, name=name))


def verdicts(records: list[Record]) -> list[Verdict]:
    return [record for record in records if isinstance(record, Verdict)]


@at_both_rates
def test_the_records_are_those_of_the_line_in_order(open_: OpenLine, tmp_path: Path) -> None:
    runs = [run_of(name="one"), run_of(SCORES[:3], name="two")]
    shown = Shown()
    with Journal(tmp_path / "journal.db", AT_ONCE, [shown]) as journal:
        replay(runs, open_._line, journal)

    records = list(open_.judge(runs))
    assert [record.id for record in records] == [record.id for record in shown.records]
    kinds = [type(record) for record in records]
    assert kinds.count(PassStart) == kinds.count(RunSummary) == 2
    assert kinds.count(Verdict) == len(SCORES) + 3
    assert Alert in kinds


class Waits(ArraySource):
    """Hands out its second frame when somebody has seen the first one's verdict."""

    seen = threading.Event()

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            if item.index == 1:
                assert self.seen.wait(60.0), "the first verdict was not handed out while the run went on"
            yield item


@at_both_rates
def test_a_verdict_comes_while_the_run_goes_on(open_: OpenLine) -> None:
    source = Waits(SCORES)
    for record in open_.judge(opening(source)):
        if isinstance(record, Verdict):
            source.seen.set()
    assert source.closed


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the reader has left the loop."""
    event, leave = threading.Event(), handover.Handover.leave

    def noted(reader: handover.Handover) -> None:
        leave(reader)
        event.set()

    monkeypatch.setattr(handover.Handover, "leave", noted)
    return event


class HeldUp(ArraySource):
    """Does not go on behind its eighth frame before the reader has left."""

    def __init__(self, scores: list[float], left: threading.Event) -> None:
        super().__init__(scores)
        self._left = left

    def frames(self) -> Iterator[Frame | LostFrame]:
        for item in super().frames():
            if item.index == 8:
                assert self._left.wait(60.0)
            yield item


@at_both_rates
def test_a_loop_that_is_left_stops_the_line_and_the_journal_has_what_was_judged(
    open_: OpenLine, tmp_path: Path, left: threading.Event
) -> None:
    path, scores = tmp_path / "day.journal", [0.1 + 0.01 * index for index in range(30)]
    source = HeldUp(scores, left)
    read = []
    for record in open_.judge(opening(source), path):
        read.append(record)
        if isinstance(record, Verdict) and record.frame_index == 3:
            break

    assert source.closed
    (books,) = verify_journal(path, record_parts()).passes
    assert 4 <= sum(books.verdicts.values()) <= 8
    assert books.frames is None, "a run that was left has no summary"
    assert books.verdicts.keys() <= {"MET", "LATE", "DROPPED"}

    again = list(open_.judge(opening(ArraySource(scores)), path))
    assert [record.id for record in again[: len(read)]] == [record.id for record in read]
    assert [verdict.frame_index for verdict in verdicts(again)] == list(range(30))
    report = verify_journal(path, record_parts())
    assert report.sound
    assert len(report.passes) == 1


def test_a_loop_that_is_left_opens_no_further_run(open_: OpenLine, left: threading.Event) -> None:
    opened, first = [], HeldUp(SCORES, left)

    def noted(source: ArraySource) -> ArraySource:
        opened.append(source)
        return source

    further = ArraySource(SCORES, name="further")
    records = open_.judge(Opening(source.name, lambda source=source: noted(source)) for source in (first, further))
    next(records)
    records.close()  # type: ignore[attr-defined]
    assert opened == [first]
    assert list(open_.judge(run_of())), "the line judges on"


def test_a_line_that_closes_ends_the_loop_that_it_feeds() -> None:
    with ThreadPoolExecutor(1) as thread:
        opened = OpenLine(line(), Config(), thread)
        source = ArraySource(SCORES)
        records = opened.judge(opening(source))
        next(records)
        opened.stop()
        assert source.closed
        assert len(list(records)) <= len(SCORES) + 5


def test_an_error_in_the_loop_leaves_no_thread_and_no_open_source() -> None:
    before = threading.active_count()
    source = ArraySource(SCORES)
    with pytest.raises(ZeroDivisionError), ThreadPoolExecutor(1) as thread:
        for _ in OpenLine(line(), Config(), thread).judge(opening(source)):
            raise ZeroDivisionError
    assert source.closed
    assert threading.active_count() == before


def test_a_slow_reader_gets_every_record_and_the_line_waits_for_it(
    open_: OpenLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MOST_WAITING", 4)
    read, unread = [], []
    for record in open_.judge(run_of([0.1 + 0.001 * index for index in range(200)])):
        assert open_._under_way is not None
        unread.append(len(open_._under_way[0]._waiting))
        read.append(record)
    assert [verdict.frame_index for verdict in verdicts(read)] == list(range(200))
    assert 1 < max(unread) <= 4


def test_a_second_loop_at_the_same_time_is_refused_and_a_later_one_is_not(open_: OpenLine) -> None:
    first = open_.judge(run_of())
    next(first)
    with pytest.raises(RuntimeError, match="judging already"):
        next(open_.judge(run_of()))
    list(first)
    assert list(open_.judge(run_of()))


def test_a_stopped_loop_that_is_closed_later_leaves_the_next_one_alone(open_: OpenLine) -> None:
    old = open_.judge(run_of())
    next(old)
    open_.stop()
    new = open_.judge(run_of())
    next(new)
    old.close()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="judging already"):
        next(open_.judge(run_of()))
    assert len(verdicts(list(new))) == len(SCORES)


def test_an_error_of_the_runs_own_iterator_reaches_the_reader(open_: OpenLine) -> None:
    def runs() -> Iterator[Opening]:
        yield run_of()
        raise LookupError("the list is broken")

    with pytest.raises(LookupError):
        list(open_.judge(runs()))


def test_a_frame_that_cannot_be_judged_has_a_reason_and_no_finding() -> None:
    def broken(inputs: object, outputs: object) -> None:
        raise EngineError("the device was busy")

    with ThreadPoolExecutor(1) as thread:
        verdict = OpenLine(line(broken), Config(), thread).judge_frame(picture(0.5))
    assert (verdict.outcome, verdict.findings) == ("FAILED", ())
    assert "the device was busy" in str(verdict.reason)


def test_an_input_that_is_several_runs_is_judged_as_these_and_can_be_left_too(open_: OpenLine) -> None:
    def several() -> ArraySource:
        raise SeveralRunsError("two runs", [run_of(name="one"), run_of(name="two")])

    folder = Opening("folder", several)  # type: ignore[arg-type]
    summaries = [record for record in open_.judge(folder) if isinstance(record, RunSummary)]
    assert [summary.source for summary in summaries] == ["one", "two"]
    records = open_.judge(folder)
    next(records)
    records.close()  # type: ignore[attr-defined]


def test_a_loop_that_never_began_costs_nothing(open_: OpenLine) -> None:
    open_.judge(run_of())
    assert list(open_.judge(run_of()))


def test_an_input_that_is_no_run_is_a_refusal_among_the_records(tmp_path: Path, open_: OpenLine) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM at all")
    records = list(open_.judge([*runs_from_paths(broken), run_of()]))
    assert isinstance(records[0], Refusal)
    assert isinstance(records[-1], RunSummary)


def test_runs_of_files_can_be_judged_again(tmp_path: Path, open_: OpenLine) -> None:
    source = ArraySource([0.1] * 5)
    write_xa(source.run, lambda index: picture(0.1 + 0.05 * index, index), tmp_path / "run.dcm")
    runs = runs_from_paths(tmp_path)
    first, second = ([record.id for record in open_.judge(runs)] for _ in range(2))
    assert first == second
    assert len(first) >= 7


def test_a_journal_that_cannot_be_kept_is_raised_and_the_line_judges_on(tmp_path: Path, open_: OpenLine) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no journal" * 1000)
    with pytest.raises(JournalError):
        list(open_.judge(run_of(), garbage))
    assert list(open_.judge(run_of()))


def test_one_frame_has_the_verdict_of_a_run_of_one_frame(open_: OpenLine) -> None:
    # without a window of its own its grey values are stretched, unlike those of a run in tests.lines
    pixels = picture(0.5, 3)
    (in_a_run,) = verdicts(list(open_.judge(run_from_frames(pixels[np.newaxis], 15.0))))
    alone = open_.judge_frame(pixels)
    assert alone.findings == in_a_run.findings
    assert alone.outcome == "MET"
    assert open_.judge_frame(pixels.astype(np.uint16), bits_stored=12).findings == alone.findings


def test_polarity_of_an_array_is_that_which_is_given(open_: OpenLine) -> None:
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[:, : SIZE // 4] = 200
    dark, bright = (
        open_.judge_frame(pixels, photometric_interpretation=given).findings[0].score  # type: ignore[arg-type]
        for given in ("MONOCHROME2", "MONOCHROME1")
    )
    assert dark < 0.5 < bright


@pytest.mark.parametrize(
    ("frames", "given", "said"),
    [
        (np.zeros((2, 8, 8), np.float32), {}, "float32"),
        (np.zeros((8, 8), np.uint8), {}, r"shape \(8, 8\)"),
        (np.zeros((0, 8, 8), np.uint8), {}, r"shape \(0, 8, 8\)"),
        ([[[1]]], {}, "list"),
        (np.full((1, 8, 8), 4096, np.uint16), {"bits_stored": 12}, "4096"),
        (np.zeros((1, 8, 8), np.uint16), {"bits_stored": 8}, "expected 9 to 16"),
        (np.zeros((1, 8, 8), np.uint8), {"bits_stored": 9}, "expected 8 to 8"),
        (np.zeros((1, 8, 8), np.uint8), {"frame_rate_hz": 0.0}, "frame_rate_hz"),
        (np.zeros((1, 8, 8), np.uint8), {"frame_rate_hz": float("nan")}, "frame_rate_hz"),
        (np.zeros((1, 8, 8), np.uint8), {"photometric_interpretation": "RGB"}, "RGB"),
    ],
)
def test_an_array_that_holds_no_stored_values_is_refused_at_once(frames: object, given: dict, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        run_from_frames(frames, **{"frame_rate_hz": 15.0, **given})  # type: ignore[arg-type]


def test_the_same_array_is_the_same_run_and_another_rate_or_depth_is_another() -> None:
    frames = np.arange(3 * 64, dtype=np.uint16).reshape(3, 8, 8)

    def run_id(frames: np.ndarray = frames, rate: float = 15.0, **given: int) -> str:
        return run_from_frames(frames, rate, **given).open().run.run_id  # type: ignore[arg-type]

    assert run_id() == run_id(np.asfortranarray(frames)) == run_id(frames.astype(">u2"))
    assert len({run_id(), run_id(rate=30.0), run_id(bits_stored=12), run_id(frames + 1), run_id(frames[:2])}) == 5


def test_a_frame_that_fits_no_model_raises_what_a_run_would_be_refused_with(open_: OpenLine) -> None:
    with pytest.raises(SourceError, match="expected"):
        open_.judge_frame(np.zeros((1, 1, 1), np.uint8))


def test_a_folder_without_runs_and_a_line_without_bundles_are_errors(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SourceError, match="no X-ray run"):
        runs_from_paths(tmp_path)
    with pytest.raises(ConfigError, match="at least one"), open_line():
        pass
    with pytest.raises(ManifestError):
        open_bundle(tmp_path)
    with pytest.raises(ValueError, match="kind"):
        run_from_phantom(1, kind="giraffe")


def test_the_demonstration_bundle_judges_a_generated_run() -> None:
    bundle = open_bundle()
    with open_line(bundle) as opened:
        records = list(opened.judge(run_from_phantom(3, matrix=64)))
    summary = records[-1]
    assert isinstance(summary, RunSummary)
    assert len(verdicts(records)) == summary.frames == sum(summary.verdicts.values())
    assert summary.results[0].manifest_sha256 == bundle.manifest_sha256


def test_an_engine_that_cannot_be_opened_is_raised_before_any_run() -> None:
    settings = Config()
    settings = replace(settings, engine=replace(settings.engine, name="tensorrt"))
    with pytest.raises(EngineError), open_line(open_bundle(), config=settings):
        pass

"""Stage times in shared memory: whole at every moment, each durable verdict once, also over kills."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cathrt.runtime.alert import JUDGED, StageTimes, Verdict
from cathrt.runtime.errors import JournalError
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.journal.lookups import last_seq
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.metrics.histogram import bucket_of
from cathrt.runtime.processes import times_file
from cathrt.runtime.processes.tally import source_of_run
from cathrt.runtime.processes.times_file import STAGES, TimesFile, read_times
from cathrt.runtime.processes.timings import Timings, catch_up
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE, Shown

TIMES = StageTimes(12.0, 1.5, 8.0, 0.1, 30.0)


class _KilledError(Exception):
    """Stands for kill -9: nothing that the process would do later happens."""


@contextmanager
def opened(path: Path, source: str = "A", since_seq: int = 0) -> Iterator[TimesFile]:
    with closing(TimesFile(path, source, since_seq)) as times:
        yield times


def counts(path: Path) -> dict[str, int]:
    found = read_times(path)
    assert found is not None
    return {stage: found.stages[stage].count for stage in STAGES}


def test_each_stage_is_counted_in_its_bucket_and_in_its_sum(tmp_path: Path) -> None:
    with opened(tmp_path / "times") as times:
        for seq in range(1, 4):
            times.count(seq, TIMES)
    found = read_times(tmp_path / "times")
    assert found is not None
    assert (found.source, found.through_seq) == ("A", 3)
    for stage in STAGES:
        histogram = found.stages[stage]
        seconds = getattr(TIMES, stage) / 1e3
        assert histogram.sum_s == pytest.approx(3 * seconds)
        bucket = bucket_of(seconds)
        assert bucket is not None
        assert (histogram.count, histogram.buckets[bucket]) == (3, 3)


def test_a_row_that_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    with opened(tmp_path / "times", since_seq=4) as times:
        for seq in (3, 4, 5, 5, 6):
            times.count(seq, TIMES)
    assert set(counts(tmp_path / "times").values()) == {2}


def test_a_process_that_is_killed_within_a_count_leaves_the_counts_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "times"
    for killed_after in range(2 * len(STAGES)):
        calls = iter(range(killed_after))

        def bucket_until_killed(seconds: float, calls: Iterator[int] = calls) -> int | None:
            if next(calls, None) is None:
                raise _KilledError
            return bucket_of(seconds)

        before = read_times(path)
        with opened(path) as times:
            monkeypatch.setattr(times_file, "bucket_of", bucket_until_killed)
            seq = times.through_seq + 1
            with pytest.raises(_KilledError):
                while True:
                    times.count(seq, TIMES)
                    seq += 1
            monkeypatch.undo()
        after = read_times(path)
        assert after is not None
        whole = (0 if before is None else before.through_seq) + killed_after // len(STAGES)
        assert after.through_seq == whole
        assert set(counts(path).values()) == {whole}


def test_a_reader_beside_the_writer_never_sees_half_a_count(tmp_path: Path) -> None:
    path, stop = tmp_path / "times", threading.Event()

    def write() -> None:
        with opened(path) as times:
            while not stop.is_set():
                times.count(times.through_seq + 1, TIMES)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen, newest = 0, 0
        while seen < 200:
            found = read_times(path)
            if found is None:
                continue
            assert {found.stages[stage].count for stage in STAGES} == {found.through_seq}
            assert found.through_seq >= newest
            seen, newest = seen + 1, found.through_seq
    finally:
        stop.set()
        writer.join()


def test_there_are_none_before_a_process_has_begun(tmp_path: Path) -> None:
    assert read_times(tmp_path / "times") is None


def test_what_is_not_such_a_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "times"
    path.write_bytes(b"something else")
    with pytest.raises(JournalError, match="expected times of this version"):
        read_times(path)
    with opened(tmp_path / "a") as _, pytest.raises(JournalError, match="another"):
        TimesFile(tmp_path / "a", "A")
    with pytest.raises(JournalError, match="the times of A, expected those of B"):
        TimesFile(tmp_path / "a", "B")


def judge(journal: Path, *runs: str, sink: Timings | None = None) -> list[Verdict]:
    """Runs of three frames, of which one is a repeat. Returns the verdicts that were judged."""
    shown = Shown()
    with Journal(journal, AT_ONCE, [shown] if sink is None else [shown, sink]) as book:
        for number, run in enumerate(runs):
            repeat = LostFrame(1, 0, "shows the same as frame 0", failed=False, repeat=True)
            pixels = (last_seq(journal) + number) / 1000 + 0.1  # no two runs are the same one
            watch(ArraySource([pixels, repeat, pixels + 0.1], name=run), line(rate="live"), book)
    return [record for record in shown.records if isinstance(record, Verdict) and record.outcome in JUDGED]


def test_durable_verdicts_of_a_killed_process_are_counted_by_the_next_and_once(tmp_path: Path) -> None:
    journal, path = tmp_path / "live.journal", tmp_path / "times"
    judge(journal, "A 11:00:00")
    with opened(path, since_seq=last_seq(journal)):
        pass  # the process before was killed as soon as it had made the page
    judge(journal, "A 2 12:00:00")
    mine = judge(journal, "A 12:01:00", "A 12:02:00")
    for _ in range(2):
        with opened(path) as times:
            catch_up(times, journal, lambda run: source_of_run(run, ("A", "A 2")) == "A")
    found = read_times(path)
    assert found is not None
    assert counts(path) == dict.fromkeys(STAGES, len(mine)) == dict.fromkeys(STAGES, 4)
    total_s = sum(verdict.latency_ms.end_to_end for verdict in mine) / 1e3
    assert found.stages["end_to_end"].sum_s == pytest.approx(total_s, abs=1e-6)


def test_the_sink_counts_what_was_judged_of_its_sources_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path / "times") as times:
        sink = Timings(lambda run: times if source_of_run(run, ("A",)) else None)
        mine = judge(tmp_path / "live.journal", "A 12:00:00", sink=sink)
        judge(tmp_path / "live.journal", "B 12:00:00", sink=sink)
        with closing(sink):
            assert counts(tmp_path / "times") == dict.fromkeys(STAGES, len(mine))

"""The journal: durable before shown, stored once, in order, without holding the line up."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cathrt.runtime.alert import Outcome, Percentiles, Record, StoredRecord
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.errors import JournalError, SinkError
from cathrt.runtime.failpoints import JOURNAL_POINTS, POINTS, arm, armed, disarm, failpoint
from cathrt.runtime.journal.file import open_for_writing
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.passes import AT_ONCE, GROUPED, Shown, alert, pass_of, refusal, rows, summary, verdict, whole_pass, write

PATIENCE_S = 20.0
NEVER = JournalConfig(group_commit_ms=1e6)  # a group time longer than any test


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    for name in POINTS:
        disarm(name)


class Gate:
    """A fail point's action that holds the writer until it is opened, as a slow disk would."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(PATIENCE_S)

    def open(self) -> None:
        self._open.set()


def test_everything_appended_is_stored_and_shown_in_order(path: Path) -> None:
    sink, records = Shown(), whole_pass()

    with Journal(path, GROUPED, (sink,)) as journal:
        for record in records:
            journal.append(record)

    assert sink.records == records
    assert rows(path) == [(seq, record.id) for seq, record in enumerate(records, 1)]


def test_what_a_sink_is_shown_is_already_in_the_file(path: Path) -> None:
    found: list[bool] = []

    class Looks(Shown):
        def emit(self, stored: StoredRecord) -> None:
            found.append((stored.seq, stored.id) in rows(path))

    with Journal(path, AT_ONCE, (Looks(),)) as journal:
        for record in whole_pass():
            journal.append(record)

    assert found == [True] * len(whole_pass())


def test_verdicts_wait_for_their_group_and_an_alert_commits_it_at_once(path: Path) -> None:
    sink = Shown()
    with Journal(path, NEVER, (sink,)) as journal:
        for index in range(10):
            journal.append(verdict(index))
        journal.append(alert(3))
        _until(lambda: len(sink.records) == 11)
        stats = journal.stats()

    assert (stats.commits, stats.largest_group) == (1, 11)
    assert stats.shown_ms is not None
    assert stats.sync_ms is not None
    assert stats.shown_ms.max > stats.sync_ms.max > 0.0


@pytest.mark.parametrize("urgent", [summary([]), refusal()], ids=["summary", "refusal"])
def test_a_summary_and_a_refusal_commit_at_once_too(path: Path, urgent: Record) -> None:
    sink = Shown()
    with Journal(path, NEVER, (sink,)) as journal:
        journal.append(verdict(0))
        journal.append(urgent)
        _until(lambda: len(sink.records) == 2)


def test_a_lone_verdict_is_shown_after_the_group_time_without_further_calls(path: Path) -> None:
    sink = Shown()
    with Journal(path, JournalConfig(group_commit_ms=5.0), (sink,)) as journal:
        journal.append(verdict(0))
        _until(lambda: sink.ids == [verdict(0).id])


def test_sync_returns_when_all_is_stored_and_shown(path: Path) -> None:
    sink = Shown()
    with Journal(path, NEVER, (sink,)) as journal:
        for index in range(5):
            journal.append(verdict(index))
        journal.sync()
        assert len(sink.records) == len(rows(path)) == 5


def test_append_does_not_wait_for_a_slow_disk(path: Path) -> None:
    sink, slow_disk = Shown(), Gate()
    with Journal(path, AT_ONCE, (sink,)) as journal, armed("journal.before_commit", slow_disk):
        journal.append(verdict(0))
        assert slow_disk.reached.wait(PATIENCE_S)
        for index in range(1, 300):  # ten seconds of frames while one sync hangs
            journal.append(verdict(index))
        assert sink.records == []
        assert journal.stats().blocked_appends == 0
        slow_disk.open()
        journal.sync()

    assert len(sink.records) == 300


def test_percentiles_lie_between_the_values_they_are_of() -> None:
    times = Percentiles.over([float(value) for value in range(101)])

    assert (times.p50, times.p95, times.p99, times.max) == (50.0, 95.0, 99.0, 100.0)
    assert Percentiles.over([7.0]) == Percentiles(7.0, 7.0, 7.0, 7.0)
    assert Percentiles.over(deque([1.0, 2.0])).p50 == 1.5


def test_append_blocks_only_at_the_bound_and_the_stats_tell(path: Path) -> None:
    slow_disk = Gate()
    with Journal(path, AT_ONCE, queue_records=4) as journal, armed("journal.before_commit", slow_disk):
        journal.append(verdict(0))
        assert slow_disk.reached.wait(PATIENCE_S)
        for index in range(1, 5):
            journal.append(verdict(index))
        blocked = threading.Thread(target=journal.append, args=(verdict(5),))
        blocked.start()
        blocked.join(0.05)
        assert blocked.is_alive()
        slow_disk.open()
        blocked.join(PATIENCE_S)
        assert not blocked.is_alive()
        journal.sync()
        stats = journal.stats()

    assert stats.blocked_appends == 1
    assert stats.longest_block_ms >= 50.0
    assert len(rows(path)) == 6


def test_a_full_queue_commits_without_waiting_for_the_group_time(path: Path) -> None:
    sink = Shown()
    with Journal(path, NEVER, (sink,), queue_records=4) as journal:
        for index in range(4):
            journal.append(verdict(index))
        _until(lambda: len(sink.records) == 4)


def test_the_same_id_is_stored_once_and_shown_once_by_one_process(path: Path) -> None:
    sink = Shown()
    with Journal(path, GROUPED, (sink,)) as journal:
        journal.append(verdict(0, end_to_end_ms=7.5))
        journal.append(verdict(0, end_to_end_ms=99.0))
        journal.sync()
        journal.append(verdict(0, end_to_end_ms=99.0))

    assert sink.records == [verdict(0, end_to_end_ms=7.5)]
    assert len(rows(path)) == 1


def test_a_later_process_is_shown_what_is_stored_not_what_it_appended(path: Path) -> None:
    write(path, [verdict(0, end_to_end_ms=7.5)])
    sink = Shown()

    with Journal(path, GROUPED, (sink,)) as journal:
        journal.append(verdict(0, end_to_end_ms=99.0))
        journal.append(verdict(1))
        journal.append(verdict(0, end_to_end_ms=99.0))

    assert sink.records == [verdict(0, end_to_end_ms=7.5), verdict(1)]
    assert [seq for seq, _ in rows(path)] == [1, 2]


def read(journal: Journal, name: str) -> list[Record]:
    return [record_from_body(row.body, record_parts()) for row in journal.stored(pass_of(name))]


def test_stored_gives_back_one_pass_as_it_was_written(path: Path) -> None:
    mine, other = whole_pass(12, "run a"), whole_pass(12, "run b")
    mixed = [record for pair in zip(mine, other, strict=True) for record in pair]
    write(path, mixed)

    with Journal(path, GROUPED) as journal:
        assert read(journal, "run a") == mine
        assert journal.stored("no such pass") == ()


def test_stored_waits_for_records_of_that_pass_that_are_on_their_way_and_for_no_others(path: Path) -> None:
    mine, slow_disk = whole_pass(12, "run a"), Gate()
    with Journal(path, NEVER) as journal:
        for record in mine[:5]:
            journal.append(record)
        assert read(journal, "run a") == mine[:5]
        with armed("journal.before_commit", slow_disk):
            for record in mine[5:]:
                journal.append(record)
            assert slow_disk.reached.wait(PATIENCE_S)
            assert journal.stored(pass_of("run b")) == ()
            threading.Timer(0.02, slow_disk.open).start()
            assert read(journal, "run a") == mine


@pytest.mark.parametrize("point", ["journal.before_insert", "journal.mid_transaction", "journal.before_commit"])
def test_an_io_error_stops_the_journal_and_nothing_undurable_is_shown(path: Path, point: str) -> None:
    def broken_disk() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    sink = Shown()
    journal = Journal(path, GROUPED, (sink,))
    journal.append(verdict(0))
    journal.sync()
    with armed(point, broken_disk):
        journal.append(alert(0))
        with pytest.raises(JournalError, match="disk I/O error"):
            journal.sync()
    with pytest.raises(JournalError, match="has stopped: 1 of 2 records"):
        journal.append(verdict(1))
    with pytest.raises(JournalError, match="disk I/O error"):
        journal.close()

    assert sink.records == [verdict(0)]
    assert rows(path) == [(1, verdict(0).id)]


def test_a_stopped_journal_completes_when_it_is_opened_again(path: Path) -> None:
    journal = Journal(path, AT_ONCE)
    with armed("journal.before_commit", _raise(OSError(28, "No space left on device"))):
        journal.append(verdict(0))
        with pytest.raises(JournalError, match="No space left"):
            journal.close()

    write(path, whole_pass())

    assert len(rows(path)) == len(whole_pass())


def test_a_blocked_append_is_told_when_the_writer_fails(path: Path) -> None:
    told: list[str] = []
    slow_disk = Gate()

    def fails_late() -> None:
        slow_disk()
        raise sqlite3.OperationalError("disk I/O error")

    journal = Journal(path, AT_ONCE, queue_records=1)

    def append() -> None:
        try:
            journal.append(verdict(2))
        except JournalError as exc:
            told.append(str(exc))

    with armed("journal.before_commit", fails_late):
        journal.append(verdict(0))
        assert slow_disk.reached.wait(PATIENCE_S)
        journal.append(verdict(1))
        blocked = threading.Thread(target=append)
        blocked.start()
        slow_disk.open()
        blocked.join(PATIENCE_S)
    with pytest.raises(JournalError):
        journal.close()

    assert "disk I/O error" in told[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_a_sink_stops_the_journal_and_keeps_its_cause(path: Path) -> None:
    class Buggy(Shown):
        def emit(self, stored: StoredRecord) -> None:
            raise ZeroDivisionError(f"a bug at {stored.type}")

    journal = Journal(path, GROUPED, (Buggy(),))
    journal.append(refusal())
    with pytest.raises(JournalError, match="ZeroDivisionError: a bug at refusal") as told:
        journal.close()

    assert isinstance(told.value.__cause__, ZeroDivisionError)
    assert len(rows(path)) == 1


def test_a_failing_sink_stops_neither_rows_nor_other_sinks_and_sync_tells(path: Path) -> None:
    broken, sound, records = Shown(refuse_from=3), Shown(), whole_pass()
    journal = Journal(path, GROUPED, (broken, sound))
    for record in records:
        journal.append(record)

    with pytest.raises(SinkError, match=r"Shown: refused on purpose \(every record is in the journal"):
        journal.sync()
    with pytest.raises(SinkError):
        journal.close()

    assert broken.records == records[:3]
    assert sound.records == records
    assert len(rows(path)) == len(records)


def test_a_second_writer_is_refused_here_and_in_another_process(path: Path) -> None:
    with Journal(path, GROUPED):
        with pytest.raises(JournalError, match="locked by another writer"):
            Journal(path, GROUPED)
        script = (
            "import sys; from pathlib import Path; from cathrt.runtime.config import JournalConfig;"
            "from cathrt.runtime.journal.writer import Journal; Journal(Path(sys.argv[1]), JournalConfig())"
        )
        other = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        assert other.returncode != 0
        assert "locked by another writer" in other.stderr

    Journal(path, GROUPED).close()


def test_a_lock_held_by_another_program_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, [verdict(0)])
    monkeypatch.setattr("cathrt.runtime.journal.file._BUSY_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    journal = Journal(path, GROUPED)
    other.execute("BEGIN IMMEDIATE")
    try:
        journal.append(alert(0))
        with pytest.raises(JournalError, match=r"SQLITE_BUSY.*another program"):
            journal.sync()
    finally:
        other.close()
        with pytest.raises(JournalError):
            journal.close()


def test_append_after_close_and_a_second_close(path: Path) -> None:
    journal = Journal(path, GROUPED)
    journal.close()
    journal.close()

    with pytest.raises(JournalError, match="closed"):
        journal.append(verdict(0))


def test_leaving_with_an_error_closes_and_keeps_that_error(path: Path) -> None:
    with pytest.raises(RuntimeError, match="ours") as told:
        with Journal(path, GROUPED, (Shown(refuse_from=0),)) as journal:
            journal.append(verdict(0))
            raise RuntimeError("ours")

    assert "closing the journal also failed" in told.value.__notes__[0]
    assert len(rows(path)) == 1


def test_every_commit_is_synced_to_the_disk(path: Path) -> None:
    opened = open_for_writing(path)
    try:
        assert opened.connection.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
        assert opened.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    finally:
        opened.close()


def test_only_the_owner_may_read_the_files(path: Path) -> None:
    with Journal(path, GROUPED) as journal:
        journal.append(alert(0))
        journal.sync()
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file

    assert {file.name for file in path.parent.iterdir()} == {"journal.db", "journal.db-head"}


def test_the_write_ahead_log_is_checkpointed_and_does_not_grow_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cathrt.runtime.journal.books.CHECKPOINT_ROWS", 50)
    wal = path.with_name("journal.db-wal")
    sizes = []
    with Journal(path, AT_ONCE) as journal:
        for index in range(2000):
            journal.append(verdict(index))
            if index % 100 == 99:
                journal.sync()
                sizes.append(wal.stat().st_size)

    assert max(sizes) < path.stat().st_size / 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file or directory"):
        Journal(tmp_path / "missing" / "journal.db", GROUPED)


def test_a_record_that_is_no_json_is_refused_by_append_and_the_journal_goes_on(path: Path) -> None:
    with Journal(path, GROUPED) as journal:
        with pytest.raises(ValueError, match="finite"):
            journal.append(verdict(0, end_to_end_ms=float("nan")))
        journal.append(verdict(1))

    assert rows(path) == [(1, verdict(1).id)]


def test_a_disk_quota_reached_is_a_journal_error_and_shows_nothing_undurable(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.journal.file import open_for_writing
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.passes import GROUPED, whole_pass
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
journal = Journal(Path(sys.argv[1]), GROUPED, (JsonlSink(sys.stdout.buffer),))
try:
    for number, record in enumerate(whole_pass(5000)):
        journal.append(record)
        if number == 20:
            journal.sync()
    journal.close()
except JournalError as exc:
    print(exc, file=sys.stderr)
    sys.exit(JournalError.exit_code)
"""
    path = tmp_path / "journal.db"
    root = Path(__file__).resolve().parent.parent.parent
    ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False, cwd=root)

    assert ended.returncode == JournalError.exit_code, ended.stderr
    assert "the disk" in ended.stderr
    stored = rows(path)
    assert 21 <= len(ended.stdout.splitlines()) <= len(stored) < 5000
    for (_, id_), line in zip(stored, ended.stdout.splitlines(), strict=False):
        assert id_ in line
    write(path, whole_pass(5000))
    assert len(rows(path)) == len(whole_pass(5000))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.lists(st.integers(0, 30), max_size=25), min_size=1, max_size=4),
    group_ms=st.sampled_from([0.0, 1.0, 100.0]),
    bound=st.integers(1, 8),
)
def test_several_lines_appending_at_once_lose_double_and_disorder_nothing(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[int]], group_ms: float, bound: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "journal.db"
    sink = Shown()
    with Journal(path, JournalConfig(group_commit_ms=group_ms), (sink,), queue_records=bound) as journal:

        def append(name: str, indices: list[int]) -> None:
            for index in indices:
                journal.append(verdict(index, name, Outcome.MET if index % 3 else Outcome.LATE))
                if index % 5 == 4:
                    journal.append(alert(index, name))

        threads = [
            threading.Thread(target=append, args=(f"line {number}", indices)) for number, indices in enumerate(lines)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

    stored = [id_ for _, id_ in rows(path)]
    assert sink.ids == stored
    assert [seq for seq, _ in rows(path)] == list(range(1, len(stored) + 1))
    for number, indices in enumerate(lines):
        expected = list(dict.fromkeys(verdict(index, f"line {number}").id for index in indices))
        assert [id_ for id_ in stored if id_ in expected] == expected


def test_every_fail_point_of_the_journal_is_passed(path: Path) -> None:
    passed: list[str] = []
    for name in JOURNAL_POINTS:
        arm(name, lambda name=name: passed.append(name))

    with Journal(path, GROUPED, (Shown(), Shown())) as journal:
        journal.append(verdict(0))

    assert set(passed) == set(JOURNAL_POINTS)


def test_a_fail_point_lets_the_asked_number_of_passes_by() -> None:
    passed: list[int] = []
    with armed("journal.enqueue", lambda: passed.append(1), after=2):
        counts = []
        for _ in range(4):
            failpoint("journal.enqueue")
            counts.append(len(passed))
    failpoint("journal.enqueue")

    assert counts == [0, 0, 1, 2]
    assert len(passed) == 2


def test_an_unknown_fail_point_cannot_be_armed() -> None:
    with pytest.raises(ValueError, match=r"journal\.typo.*expected one of"):
        arm("journal.typo", lambda: None)


def _raise(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def _until(true: Callable[[], bool]) -> None:
    """Wait for another thread's work; fails after PATIENCE_S."""
    done = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if true():
            return
        done.wait(0.005)
    raise AssertionError(f"not within {PATIENCE_S} s (pid {os.getpid()})")

"""One journal under its limits: what is old and delivered goes, whole passes of it, and the rest says why it stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.counts import VERDICT_COUNTS
from cathrt.runtime.journal.head import noted_anchor
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.outlets.outbox import Outbox, Place
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.tally import durable_verdicts
from cathrt.runtime.retention.kept_journal import JournalLimits, KeptJournal, Looked, Moment
from cathrt.runtime.retention.rules import DAY_S
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, start, tampered, write

NOW = 100 * DAY_S
LIMITS = JournalLimits(days=10.0, mib=0, keep_s=DAY_S)
ARCHIVE = OutletConfig(name="archive", kind="webhook", address="http://127.0.0.1:9/", mandatory=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Six passes: two from day 50, two from day 95, two from today."""
    path = tmp_path / "live.journal"
    write(path, [record for name in "abcdef" for record in of_run(f"run {name}")])
    marks = [(2 * PASS_ROWS, 50 * DAY_S), (4 * PASS_ROWS, 95 * DAY_S), (6 * PASS_ROWS, NOW)]
    tampered(path, "DELETE FROM mark", *(f"INSERT INTO mark VALUES ({seq}, {int(at)})" for seq, at in marks))
    return path


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path, AT_ONCE) as journal:
        yield journal


def kept(journal: Journal, limits: JournalLimits = LIMITS, outlets: tuple[OutletConfig, ...] = ()) -> KeptJournal:
    return KeptJournal("live", journal, limits, outlets, journal.path.with_name("outbox.db"))


def looked(keeps: KeptJournal, moment: Moment, through: int) -> Looked:
    """One look, and the pruning that it asked for."""
    found = keeps.look(moment)
    until(lambda: first_row(keeps.journal.path) == through + 1)
    return found


def test_rows_over_their_age_go_and_a_second_look_counts_them(journal: Journal) -> None:
    keeps = kept(journal)

    first = looked(keeps, Moment(NOW), 2 * PASS_ROWS)
    second = looked(keeps, Moment(NOW), 2 * PASS_ROWS)

    assert (first.removed, first.note, first.reason) == (0, "", "")
    assert (second.removed, second.note, second.more) == (2 * PASS_ROWS, "", False)


@pytest.mark.parametrize(
    ("days", "mib", "moment", "through", "note"),
    [
        (0.0, 1, Moment(NOW), 0, ""),  # it is smaller than that
        (1.0, 0, Moment(NOW), 4 * PASS_ROWS, ""),
        (0.0, 0, Moment(NOW, 1, disk_is_short=True), 4 * PASS_ROWS, "the disk is short"),
        (0.5, 0, Moment(NOW + DAY_S / 2 + 60), 4 * PASS_ROWS, "younger than retention.keep_hours"),
    ],
)
def test_whole_passes_go_and_never_the_last_day(
    journal: Journal, days: float, mib: int, moment: Moment, through: int, note: str
) -> None:
    assert note in looked(kept(journal, JournalLimits(days, mib, DAY_S)), moment, through).note


def test_a_journal_over_its_size_loses_its_oldest_passes(tmp_path: Path) -> None:
    path = tmp_path / "live.journal"
    write(path, [record for number in range(60) for record in of_run(f"run {number}")])
    assert 1 << 20 < path.stat().st_size < 5 << 18
    tampered(path, "DELETE FROM mark", f"INSERT INTO mark VALUES ({59 * PASS_ROWS}, 0)")
    with Journal(path, AT_ONCE) as journal:
        keeps = kept(journal, JournalLimits(0.0, 1, DAY_S))
        keeps.look(Moment(NOW))
        allowed = noted_anchor(path)
        assert allowed is not None
        until(lambda: first_row(path) == allowed.seq + 1)
        assert keeps.look(Moment(NOW)).reason == ""

    assert (first_row(path) - 1) % PASS_ROWS == 0
    assert first_row(path) < 15 * PASS_ROWS


def test_what_a_mandatory_outlet_has_not_taken_stays_and_the_note_says_so(journal: Journal) -> None:
    keeps = kept(journal, outlets=(ARCHIVE,))

    nothing = looked(keeps, Moment(NOW), 0)
    why = "a mandatory outlet has not taken them (`cathrt outbox list`)"
    assert nothing.note == f"{2 * PASS_ROWS} rows over the limit stay: {why}"

    with closing(JournalReader(journal.path)) as reader, closing(Outbox(keeps.outbox)) as outbox:
        place = reader.place_at(PASS_ROWS + 5)
        assert place is not None
        outbox.begin("archive", "live", Place(place))
    some = looked(keeps, Moment(NOW), PASS_ROWS)
    assert "a mandatory outlet has not taken them" in some.note


def test_what_a_draft_still_needs_stays(journal: Journal) -> None:
    keeps = kept(journal)
    keeps.needed = lambda _head: PASS_ROWS + 3

    found = looked(keeps, Moment(NOW), PASS_ROWS)

    assert "a draft of their study is not written yet" in found.note


def test_counts_go_on_exactly_where_their_verdicts_are_pruned(tmp_path: Path) -> None:
    path, page, source = tmp_path / "live.journal", tmp_path / "counts", "A"
    runs = [(replace(start(f"run {n}"), source=f"A 12:00:0{n}"), of_run(f"run {n}", 10)) for n in range(4)]
    write(path, [record for begun, records in runs for record in (begun, *records[1:])])

    def counted(counts: CountsFile) -> int:
        return counts.settle(durable_verdicts(path, source, [source], counts.since_seq))

    with closing(CountsFile(page, source)) as counts:
        counts.settle({})
        counts.add("received", 42)
        counts.add("frames", 42)  # two frames are in hand when it is killed
    with closing(CountsFile(page, source)) as counts:
        assert counted(counts) == 2
        before = {name: counts.value(name) for name in (*VERDICT_COUNTS, "lost")}
        through = 2 * 12
        counts.count_from(through, durable_verdicts(path, source, [source], counts.since_seq, through))
        with Journal(path, AT_ONCE) as journal:
            journal.prune(through)
            until(lambda: first_row(path) == through + 1)
    with closing(CountsFile(page, source)) as counts:
        assert counted(counts) == 0
        assert {name: counts.value(name) for name in (*VERDICT_COUNTS, "lost")} == before
        assert counts.since_seq == through


def test_pruning_goes_on_while_rows_come_and_the_books_balance(journal: Journal) -> None:
    stop = threading.Event()

    def write_on() -> None:
        number = 0
        while not stop.is_set():
            for record in of_run(f"later {number}", 5):
                journal.append(record)
            journal.sync()
            number += 1

    writing = threading.Thread(target=write_on)
    writing.start()
    try:
        looked(kept(journal), Moment(NOW), 2 * PASS_ROWS)
    finally:
        stop.set()
        writing.join()
    report = verify_journal(journal.path, record_parts())
    assert (report.pruned, report.sound) == (2 * PASS_ROWS, True)

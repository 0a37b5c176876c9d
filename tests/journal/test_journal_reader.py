"""A reader in another place of the program or the machine: every durable row once, in order, and no other."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.errors import JournalError, SinkError
from cathrt.runtime.failpoints import armed
from cathrt.runtime.journal.head import Head, head_path, noted_head
from cathrt.runtime.journal.reader import BATCH_ROWS, Followed, JournalReader, ReaderPlace, deliver
from cathrt.runtime.journal.records import body_from_record
from cathrt.runtime.journal.writer import Journal
from tests.passes import AT_ONCE, Shown, tampered, verdict, whole_pass, write

START = Head()
RECORDS = whole_pass(20)
DONE = threading.Event()
DONE.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def reader(path: Path) -> Iterator[JournalReader]:
    reader = JournalReader(path)
    yield reader
    reader.close()


def ids(followed: list[Followed]) -> list[str]:
    return [each.stored.id for each in followed]


def everything(reader: JournalReader, after: Head = START) -> list[Followed]:
    """What is durable now."""
    return list(reader.follow(after, DONE))


def test_a_reader_gets_every_row_in_order_with_its_bytes_and_its_place(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS)
    followed = everything(reader)

    assert [each.stored.body for each in followed] == [body_from_record(record) for record in RECORDS]
    assert [each.place.seq for each in followed] == list(range(1, len(RECORDS) + 1))
    assert followed[-1].place == noted_head(path)


def test_a_reader_starts_behind_its_place_and_goes_on_where_it_was(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS[:10])
    first = everything(reader)
    write(path, RECORDS)

    assert ids(everything(reader, first[3].place)) == [record.id for record in RECORDS[4:]]
    assert ids(everything(reader, first[-1].place)) == [record.id for record in RECORDS[10:]]


def test_a_reader_follows_a_writer_in_another_thread_until_it_is_stopped(path: Path) -> None:
    records, stop, got = whole_pass(2000), threading.Event(), []

    def follow() -> None:
        reader = JournalReader(path)
        got.extend(reader.follow(START, stop, poll_ms=1.0))
        reader.close()

    thread = threading.Thread(target=follow)
    thread.start()  # the journal is not there yet
    with Journal(path, AT_ONCE) as journal:
        for record in records:
            journal.append(record)
    stop.set()
    thread.join(20.0)

    assert ids(got) == [record.id for record in records]


def test_a_journal_that_is_not_there_yet_has_no_rows_and_is_not_made(path: Path, reader: JournalReader) -> None:
    assert everything(reader) == []
    assert list(path.parent.iterdir()) == []

    write(path, RECORDS)
    assert len(everything(reader)) == len(RECORDS)


def test_several_readers_at_different_places_do_not_disturb_each_other_or_the_writer(path: Path) -> None:
    readers = [JournalReader(path) for _ in range(3)]
    places = [START] * len(readers)
    with Journal(path, AT_ONCE) as journal:
        for number, record in enumerate(whole_pass(300)):
            journal.append(record)
            journal.sync()
            turn = number % 7
            if turn < len(readers) and (batch := readers[turn].read(places[turn])):
                places[turn] = batch[-1].place
    for reader, place in zip(readers, places, strict=True):
        assert place.seq + len(everything(reader, place)) == len(whole_pass(300))
        reader.close()


def test_a_reader_stays_attached_while_writers_come_and_go(path: Path, reader: JournalReader) -> None:
    place, got = START, []
    for number in range(0, 200, 20):
        with Journal(path, AT_ONCE) as journal:
            for record in whole_pass(200)[number : number + 20]:
                journal.append(record)
            journal.sync()
            batch = reader.read(place)
            place = batch[-1].place
            got += batch

    assert ids(got) == [record.id for record in whole_pass(200)[:200]]


def test_rows_in_the_file_that_are_not_noted_as_durable_are_not_read(path: Path, reader: JournalReader) -> None:
    with Journal(path, AT_ONCE) as journal:
        for record in RECORDS[:5]:
            journal.append(record)
        journal.sync()
        before = head_path(path).read_bytes()
        for record in RECORDS[5:]:
            journal.append(record)
    head_path(path).write_bytes(before)

    assert len(everything(reader)) == 5
    write(path, RECORDS)  # the next writer syncs what it finds, and notes it
    assert len(everything(reader)) == len(RECORDS)


def test_a_row_committed_and_not_yet_noted_is_not_read(path: Path, reader: JournalReader) -> None:
    got: list[int] = []
    with Journal(path, AT_ONCE) as journal, armed("journal.after_commit", lambda: got.append(len(everything(reader)))):
        for record in RECORDS[:5]:
            journal.append(record)
            journal.sync()

    assert got == [0, 1, 2, 3, 4]


def test_a_journal_whose_writer_has_noted_nothing_yet_has_no_rows(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS)
    head_path(path).write_bytes(b"")

    assert everything(reader) == []


def test_a_journal_without_its_head_file_is_refused_and_not_taken_for_an_empty_one(
    path: Path, reader: JournalReader
) -> None:
    write(path, RECORDS)
    head_path(path).unlink()

    with pytest.raises(JournalError, match=r"journal\.db-head is missing.*open the journal once for writing"):
        reader.read(START)
    write(path, [])
    assert len(everything(reader)) == len(RECORDS)


def test_a_note_behind_the_reader_is_waited_for_as_after_a_power_cut(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS[:5])
    older = head_path(path).read_bytes()
    write(path, RECORDS)
    place = everything(reader)[-1].place
    head_path(path).write_bytes(older)

    assert everything(reader, place) == []


@pytest.mark.parametrize("frames", [5, 20, 40], ids=["shorter", "as long", "longer"])
def test_another_journal_in_its_place_is_refused(path: Path, reader: JournalReader, frames: int) -> None:
    write(path, RECORDS)
    place = everything(reader)[-1].place
    for file in list(path.parent.iterdir()):
        file.unlink()
    with pytest.raises(JournalError, match=f"no such file, expected the journal .* up to row {place.seq}"):
        reader.read(place)
    write(path, whole_pass(frames, "run b"))

    with pytest.raises(JournalError, match=f"row {place.seq} is not the one that this reader has read"):
        reader.read(place)
    assert len(everything(reader)) == len(whole_pass(frames, "run b"))


def test_a_journal_copied_elsewhere_and_put_back_is_read_on(path: Path, reader: JournalReader, tmp_path: Path) -> None:
    write(path, RECORDS[:5])
    place = everything(reader)[-1].place
    shutil.move(path, tmp_path / "away.db")
    shutil.copyfile(tmp_path / "away.db", path)
    write(path, RECORDS)

    assert len(everything(reader, place)) == len(RECORDS) - 5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("UPDATE record SET body = replace(body, '0.9', '0.1') WHERE seq = 11", "row 11 is missing or is not what was"),
        ("DELETE FROM record WHERE seq = 4", "row 4 is missing or is not what was written"),
        ("DELETE FROM record WHERE seq > 20", "row 23: journal.db-head notes it as durable, and the file lacks it"),
        ("UPDATE record SET chain = zeroblob(32) WHERE seq = 23", "row 23: .* lacks it or holds another one"),
    ],
)
def test_a_tampered_row_is_not_passed_on(path: Path, reader: JournalReader, change: str, match: str) -> None:
    write(path, RECORDS)
    tampered(path, change)

    with pytest.raises(JournalError, match=match):
        everything(reader)


def test_a_head_read_half_written_is_read_again(
    path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, RECORDS)
    sound = noted_head(path)
    assert sound is not None
    torn = iter([Head(sound.seq + 976, sound.chain), sound])
    monkeypatch.setattr("cathrt.runtime.journal.reader.noted_head", lambda _: next(torn))

    assert len(reader.read(START)) == len(RECORDS)


def test_what_is_no_journal_is_refused(path: Path, reader: JournalReader) -> None:
    path.write_bytes(b"\x89PNG\r\n")

    with pytest.raises(JournalError, match="no cathrt journal"):
        reader.read(START)


@pytest.mark.parametrize("rows", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_reader_that_stands_still_does_not_make_the_log_grow(path: Path, rows: int) -> None:
    log, sizes = path.with_name("journal.db-wal"), []
    standing, walking = JournalReader(path), JournalReader(path)
    with Journal(path, AT_ONCE) as journal:
        for index in range(BATCH_ROWS + 1):
            journal.append(verdict(index))
        journal.sync()
        still = standing.follow(START, threading.Event())
        walker = walking.follow(START, threading.Event())
        next(still)  # and no more: it stands in the middle of a batch
        for index in range(BATCH_ROWS + 1, rows):  # an hour at 30 frames/s is 108,000
            journal.append(verdict(index))
            if index % 1000 == 0:
                next(walker)
                journal.sync()
                sizes.append(log.stat().st_size)
        journal.sync()
        assert next(still).stored.seq == 2
    standing.close()
    walking.close()

    assert max(sizes) < 10_000_000  # the rows between two checkpoints; all of them are more


def test_a_reader_with_a_transaction_would_make_the_log_grow(path: Path) -> None:
    log, sizes = path.with_name("journal.db-wal"), []
    write(path, RECORDS)
    with sqlite3.connect(path, isolation_level=None) as other, Journal(path, AT_ONCE) as journal:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM record").fetchone()
        for index in range(6000):
            journal.append(verdict(index, "run b"))
            if index % 1000 == 999:
                journal.sync()
                sizes.append(log.stat().st_size)
        other.execute("ROLLBACK")
    other.close()

    assert sizes == sorted(sizes)
    assert sizes[-1] > 4 * sizes[0]


def test_a_reader_holds_no_transaction_while_its_caller_works(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS)
    followed = reader.follow(START, DONE)
    next(followed)

    assert reader._connection is not None
    assert not reader._connection.in_transaction


def test_a_sink_that_refuses_gets_the_same_row_first_when_it_is_started_again(path: Path, tmp_path: Path) -> None:
    write(path, RECORDS)

    def run(sink: Shown) -> None:
        place, reader = ReaderPlace(tmp_path / "pacs.place"), JournalReader(path)
        try:
            deliver(reader.follow(place.place, DONE), sink, place)
        finally:
            place.close()
            reader.close()

    broken, mended, third = Shown(refuse_from=3), Shown(), Shown()
    with pytest.raises(SinkError, match="refused on purpose"):
        run(broken)
    run(mended)
    run(third)

    assert broken.ids + mended.ids == [record.id for record in RECORDS]
    assert third.ids == []


def test_a_place_is_kept_from_start_to_start_and_belongs_to_one_reader(tmp_path: Path) -> None:
    place = ReaderPlace(tmp_path / "pacs.place")
    assert place.place == START
    place.move(Head(7, b"\1" * 32))
    with pytest.raises(JournalError, match="locked by another reader"):
        ReaderPlace(tmp_path / "pacs.place")
    place.close()

    again = ReaderPlace(tmp_path / "pacs.place")
    assert again.place == Head(7, b"\1" * 32)
    again.close()


def test_a_place_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pacs.place").write_bytes(b"7")

    with pytest.raises(JournalError, match="expected a row number and a sha256"):
        ReaderPlace(tmp_path / "pacs.place")


@pytest.mark.parametrize("cut", range(86))
def test_a_first_note_cut_anywhere_is_no_note(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "pacs.place"
    ReaderPlace(file).close()
    file.write_bytes(file.read_bytes()[:cut])

    place = ReaderPlace(file)
    assert place.place == START
    place.close()


def test_the_place_of_a_row_is_found_by_its_number(path: Path, reader: JournalReader) -> None:
    assert (reader.place_at(0), reader.place_at(1)) == (START, None)  # there is no journal yet
    write(path, RECORDS)

    for followed in everything(reader):
        assert reader.place_at(followed.place.seq) == followed.place
    assert reader.place_at(len(RECORDS) + 1) is None


def test_the_place_of_a_row_beyond_the_note_is_found_since_the_note_may_lag(path: Path, reader: JournalReader) -> None:
    write(path, RECORDS[:10])
    noted = head_path(path).read_bytes()
    write(path, RECORDS)
    head_path(path).write_bytes(noted)

    place = reader.place_at(12)
    assert place is not None
    assert reader.read(place) == []


def test_the_end_is_behind_the_last_row_that_is_noted(path: Path, reader: JournalReader) -> None:
    assert reader.end() == START
    for count in (10, len(RECORDS)):
        write(path, RECORDS[:count])
        assert reader.end() == noted_head(path)
        assert reader.end().seq == count
        assert reader.read(reader.end()) == []


def test_looking_for_a_place_holds_no_transaction(path: Path, reader: JournalReader) -> None:
    with Journal(path, AT_ONCE) as journal:
        for count, record in enumerate(RECORDS, 1):
            journal.append(record)
            journal.sync()
            assert reader.place_at(count) == reader.end()
        connection = sqlite3.connect(path)
        busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        connection.close()
    assert (busy, frames) == (0, copied)
    assert frames > 0

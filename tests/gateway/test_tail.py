"""The rows that the feed keeps in memory: what they continue, and what is left to the file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cathrt.runtime.gateway import tail as tail_module
from cathrt.runtime.gateway.tail import Tail
from cathrt.runtime.journal.head import Head, head_path
from cathrt.runtime.journal.reader import JournalReader
from tests.gateway.reading import PATIENCE_S, RECORDS
from tests.passes import whole_pass, write


@contextmanager
def following(path: Path) -> Iterator[tuple[Tail, Callable[[Callable[[], bool]], None]]]:
    """A tail that has begun, and a function that waits until something is so."""
    changed = threading.Condition()

    def tell() -> None:
        with changed:
            changed.notify_all()

    def until(so: Callable[[], bool]) -> None:
        with changed:
            assert changed.wait_for(so, PATIENCE_S)

    tail = Tail(path, tell, poll_ms=1.0)
    tail.start()
    try:
        until(lambda: tail._place is not None or bool(tail.fault))
        yield tail, until
    finally:
        tail.finish()


def places(path: Path) -> list[Head]:
    reader = JournalReader(path)
    try:
        return [Head(), *(row.place for row in reader.read(Head()))]
    finally:
        reader.close()


def test_it_has_the_rows_that_came_since_it_began_and_leaves_older_ones_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, RECORDS[:10])
    with following(path) as (tail, until):
        write(path, RECORDS)
        until(lambda: tail.seq == len(RECORDS))
        at = places(path)

        assert tail.after(at[9]) is None
        for seq in range(10, len(RECORDS)):
            rows = tail.after(at[seq])
            assert rows is not None
            assert [row.place for row in rows] == at[seq + 1 :]
        assert tail.after(at[-1]) == ()


def test_a_place_in_another_journal_is_left_to_the_file_which_refuses_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with following(path) as (tail, until):
        write(path, RECORDS)
        until(lambda: tail.seq == len(RECORDS))
        assert tail.after(Head()) != ()
        for seq in (10, len(RECORDS), len(RECORDS) + 1):
            assert tail.after(Head(seq, b"x" * 32)) is None


@pytest.mark.parametrize("limit", ["KEPT_ROWS", "KEPT_BYTES"])
def test_its_memory_is_bounded_in_rows_and_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    most = 7 if limit == "KEPT_ROWS" else 5000
    monkeypatch.setattr(tail_module, limit, most)
    path = tmp_path / "journal"
    with following(path) as (tail, until):
        write(path, RECORDS)
        until(lambda: tail.seq == len(RECORDS))
        kept = list(tail._rows)
        size = len(kept) if limit == "KEPT_ROWS" else sum(len(row.stored.body) for row in kept)

        assert 0 < size <= most
        assert [row.place for row in kept] == places(path)[-len(kept) :]


def test_a_journal_that_cannot_be_followed_is_a_fault_until_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "RETRY_S", 0.01)
    path = tmp_path / "journal"
    write(path, RECORDS)
    note = head_path(path).read_bytes()
    head_path(path).unlink()
    with following(path) as (tail, until):
        assert "journal-head is missing" in tail.fault
        assert tail.after(Head()) is None
        head_path(path).write_bytes(note)
        until(lambda: not tail.fault)
        assert tail.seq == len(RECORDS)


def test_another_journal_is_followed_from_its_own_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "RETRY_S", 0.01)
    path, other = tmp_path / "journal", tmp_path / "other"
    write(path, RECORDS)
    write(other, whole_pass(40, "run b"))
    with following(path) as (tail, until):
        old, new = places(path)[-1], places(other)[-1]
        other.replace(path)
        head_path(other).replace(head_path(path))
        until(lambda: tail.seq == new.seq)
        assert tail.after(old) is None
        assert tail.after(new) == ()


def test_a_journal_that_is_gone_is_noticed_also_where_its_head_file_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in ("RETRY_S", "LOOK_S"):
        monkeypatch.setattr(tail_module, wait, 0.01)
    path = tmp_path / "journal"
    write(path, RECORDS)
    with following(path) as (tail, until):
        until(lambda: tail.seq == len(RECORDS))
        path.unlink()
        until(lambda: tail.seq == 0)


def test_finishing_reads_what_is_durable_by_then(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    tail = Tail(path, lambda: None, poll_ms=1e6)
    tail.start()
    write(path, RECORDS)
    tail.finish()
    assert tail.seq == len(RECORDS)

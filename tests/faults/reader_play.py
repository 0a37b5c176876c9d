"""Readers that the kill tests start in processes of their own.

Not for: judging what they got (test_reader_kill.py).
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from cathrt.runtime.failpoints import arm, kill
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader, ReaderPlace, deliver
from cathrt.runtime.sinks.jsonl import JsonlSink


def take_with_place(folder: str, point: str, after: int) -> None:
    """Hand what is durable to a sink that writes to the file "taken"; the place is kept in a file."""
    root = Path(folder)
    if point:
        arm(point, kill, after)
    reader, place = JournalReader(root / "journal.db"), ReaderPlace(root / "reader.place")
    with (root / "taken").open("ab") as taken:
        deliver(reader.follow(place.place, _set()), JsonlSink(taken), place)


def take_in_transaction(folder: str, point: str, after: int) -> None:
    """Store what is durable in the reader's own SQLite file, each row and the place in one transaction."""
    root = Path(folder)
    if point:
        arm(point, kill, after)
    reader, store = JournalReader(root / "journal.db"), _store(root / "reader.db")
    for followed in reader.follow(_place(store), _set()):
        store.execute("INSERT INTO taken (seq, chain, body) VALUES (?, ?, ?)",
                      (followed.place.seq, followed.place.chain, followed.stored.body))  # fmt: skip


def follow_until_the_run_ends(folder: str) -> None:
    """Follow beside the writer, whatever becomes of it: each row goes to the store, then to the file "taken"."""
    root = Path(folder)
    reader, store, never = JournalReader(root / "journal.db"), _store(root / "reader.db"), threading.Event()
    with (root / "taken").open("ab") as taken:
        sink = JsonlSink(taken)
        for followed in reader.follow(_place(store), never, poll_ms=1.0):
            store.execute("INSERT INTO taken (seq, chain, body) VALUES (?, ?, ?)",
                          (followed.place.seq, followed.place.chain, followed.stored.body))  # fmt: skip
            sink.emit(followed.stored)
            if followed.stored.type == "run":
                return


def bodies_taken(store: Path) -> list[bytes]:
    """What a reader has stored, in the order in which it did."""
    connection = sqlite3.connect(store)
    try:
        return [body for (body,) in connection.execute("SELECT body FROM taken ORDER BY number")]
    finally:
        connection.close()


def _store(path: Path) -> sqlite3.Connection:
    """Rows may be doubled and disordered in it, so that a fault would show."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("CREATE TABLE IF NOT EXISTS taken (number INTEGER PRIMARY KEY, seq INTEGER, chain BLOB, body BLOB)")
    return store


def _place(store: sqlite3.Connection) -> Head:
    row = store.execute("SELECT seq, chain FROM taken ORDER BY number DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head()


def _set() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop

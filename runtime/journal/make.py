"""Makes a new journal: whole or not at all, however full the disk is and wherever the process is killed.

The schema is here too. Not for: opening one that exists (journal/file.py).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from cathrt.runtime.journal.head import Head
from cathrt.runtime.outside.disk import sync_folder

# 4: findings name their kind, passes have a start, verdicts say retry, readers keep their places
# 5: rows at the front may be pruned: an anchor, marks of time, pages that can be given back
SCHEMA_VERSION = 5
APPLICATION_ID = int.from_bytes(b"cath", "big")
_RECORD = (
    """CREATE TABLE record (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  chain BLOB NOT NULL,
  run_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.run_id')) VIRTUAL,
  pass_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.pass_id')) VIRTUAL
) STRICT""",
    "CREATE INDEX record_of_pass ON record (pass_id)",
    """CREATE TRIGGER record_is_never_changed BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
)
SCHEMA_4 = (
    *_RECORD,
    """CREATE TRIGGER record_is_never_removed BEFORE DELETE ON record
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TABLE meta (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  head_seq INTEGER NOT NULL,
  head_chain BLOB NOT NULL
) STRICT""",
)
# What version 5 has that 4 has not. anchor: the last row that was pruned, and its chain; 0 while none was. mark: a row
# that was stored at that second of the wall clock, now and then one.
CHANGED_IN_5 = (
    """CREATE TRIGGER record_is_never_removed BEFORE DELETE ON record
WHEN OLD.seq > (SELECT anchor_seq FROM meta)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only, and pruned behind its anchor alone'); END""",
    """CREATE TABLE meta (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  head_seq INTEGER NOT NULL,
  head_chain BLOB NOT NULL,
  anchor_seq INTEGER NOT NULL,
  anchor_chain BLOB NOT NULL
) STRICT""",
    "CREATE TABLE mark (seq INTEGER PRIMARY KEY, at_s INTEGER NOT NULL) STRICT",
)
SCHEMA = (*_RECORD, *CHANGED_IN_5)
_WAL_MODE = b"\2\2"  # the file's write and read version, bytes 18 and 19 (https://www.sqlite.org/fileformat.html, 1.3)


def make_journal(path: Path) -> None:
    """Write an empty journal under another name, sync it, rename it, sync its folder.

    The file is complete before it has its name: it needs no log, and no SQLite has had it open.
    Raises OSError: then there is no journal, or a complete one whose folder was not synced.
    """
    new = path.with_name(path.name + "-new")
    with suppress(FileNotFoundError):
        new.unlink()  # of a process that was killed here
    try:
        _write_synced(new, _empty_journal())
        new.rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            new.unlink()
        raise
    sync_folder(path.parent)


def _empty_journal() -> bytes:
    """The bytes of a journal of no row."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # first; free pages can be given back in small steps
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        for statement in SCHEMA:
            connection.execute(statement)
        empty = Head()
        connection.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?)", (empty.seq, empty.chain, empty.seq, empty.chain))
        content = connection.serialize()
    finally:
        connection.close()
    return content[:18] + _WAL_MODE + content[20:]


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

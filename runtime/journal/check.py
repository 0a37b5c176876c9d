"""Checks that a journal is one, and whole: header, schema, pages, hash chain, head and anchor.

Not for: opening it (journal/file.py), what its rows add up to (journal/report.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.errors import DAMAGED
from cathrt.runtime.journal.head import Head, anchor_path, head_path, link, noted_anchor
from cathrt.runtime.journal.make import APPLICATION_ID, SCHEMA, SCHEMA_4, SCHEMA_VERSION

_SCHEMAS = {4: SCHEMA_4, SCHEMA_VERSION: SCHEMA}  # that are read; one that is written is brought to the newest
_MAGIC = b"SQLite format 3\0"


class Row(NamedTuple):
    """One row that has been checked; text is UTF-8 as stored."""

    seq: int
    id: bytes
    kind: bytes
    body: bytes
    chain: bytes


def checked_rows(
    connection: sqlite3.Connection, path: Path, noted: Head | None, after: Head | None = None
) -> Iterator[Row]:
    """Yield every row in order, proving the file whole on the way: pages, indexes, chain, head. Linear in the rows.

    noted: from noted_head, read before the transaction `connection` is in; its row must be there and have its chain.
    Rows that were pruned are missing at the front, up to the anchor, whose chain the first row goes on from.
    after: only the rows behind that one are yielded and proved, against its chain and the head; pages are not read.
    Raises JournalError naming the first row that does not fit; the file is whole once the iterator ends.
    """
    if after is None:
        problems = [line.decode(errors="replace") for (line,) in connection.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise JournalError(f"{path}: {'; '.join(problems)}: {DAMAGED}")
    stored = connection.execute("SELECT head_seq, head_chain FROM meta").fetchall()
    if len(stored) != 1:
        raise _tampered(path, 0, f"{len(stored)} heads, expected one")
    anchor = anchor_in(connection)
    _check_anchor(path, anchor)
    seq, chain = (after or anchor).seq, (after or anchor).chain
    if noted is not None and anchor.seq < noted.seq <= seq and row_at(connection, noted.seq) != noted:
        raise _tampered(path, noted.seq, f"{head_path(path).name} remembers another row of that number")
    rows = connection.execute("SELECT seq, id, kind, body, chain FROM record WHERE seq > ? ORDER BY seq", (seq,))
    for row in map(Row._make, rows):
        if row.seq != seq + 1:
            raise _tampered(path, seq + 1, f"it is missing, {row.seq} follows {seq}")
        seq, chain = row.seq, link(chain, row.kind, row.id, row.body)
        if chain != row.chain:
            raise _tampered(path, row.seq, "it, or a row before it, is not what was written")
        if noted is not None and noted.seq == seq and noted.chain != chain:
            raise _tampered(path, row.seq, f"{head_path(path).name} remembers another row of that number")
        yield row
    head_seq, head_chain = stored[0]
    if (head_seq, head_chain) != (seq, chain):
        raise _tampered(path, seq + 1, f"the head says {head_seq} rows, {seq} are there, or its hash differs")
    if noted is not None and noted.seq > seq:
        raise _tampered(path, seq + 1, f"rows up to {noted.seq} had been committed and are gone")


def row_at(connection: sqlite3.Connection, seq: int) -> Head | None:
    """The row of that number with its chain, unproved; None where it is missing. Raises sqlite3.Error."""
    found = connection.execute("SELECT chain FROM record WHERE seq = ?", (seq,)).fetchone()
    return None if found is None else Head(seq, found[0])


def unsound_path(journal: Path) -> Path:
    """A note that the journal was found not to add up: it is checked as a whole before anything else is appended."""
    return journal.with_name(journal.name + "-unsound")


def anchor_in(connection: sqlite3.Connection) -> Head:
    """The last row that was pruned, and its chain; that of no row while none was. Raises sqlite3.Error."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < SCHEMA_VERSION:
        return Head()
    found = connection.execute("SELECT anchor_seq, anchor_chain FROM meta").fetchone()
    return Head() if found is None else Head(*found)


def _check_anchor(path: Path, anchor: Head) -> None:
    """Refuse a journal that lacks more of its front than was noted. The note is made first, so it never lags."""
    noted = noted_anchor(path)
    if noted is None:  # lost: reported, as a lost head is
        return
    if anchor.seq > noted.seq:
        raise _tampered(
            path, anchor.seq, f"rows up to it were removed, and {anchor_path(path).name} allows for {noted.seq}"
        )
    if anchor.seq == noted.seq and anchor.chain != noted.chain:
        raise _tampered(path, anchor.seq, f"{anchor_path(path).name} remembers another row of that number")


def check_schema(connection: sqlite3.Connection, path: Path) -> int:
    """Refuse a journal of a schema that is not known, before anything in it is touched. Returns its schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in _SCHEMAS:
        raise JournalError(
            f"{path}: journal schema {version}, expected {' or '.join(map(str, _SCHEMAS))}: "
            "use the version of cathrt that made it, or start a new journal"
        )
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found != {statement.encode() for statement in _SCHEMAS[version]}:
        raise JournalError(f"{path}: its tables are not those of journal schema {version}: {DAMAGED}")
    return int(version)


def require_journal(header: bytes, path: Path) -> None:
    """Tell what never was a journal from one that is damaged. header: the file's first 100 bytes, or all it has."""
    ours = header[68:72] == APPLICATION_ID.to_bytes(4, "big")  # https://www.sqlite.org/fileformat.html, 1.3
    if header.startswith(_MAGIC) and ours:
        return
    if ours:
        raise JournalError(f"{path}: its first bytes are {header[:16]!r}, expected {_MAGIC!r}: {DAMAGED}")
    what = f"its first bytes are {header[:16]!r}" if header else "the file is empty"
    if header.startswith(_MAGIC):
        what = f"an SQLite file of another program (application id {header[68:72].hex() or 'none'})"
    raise JournalError(
        f"{path}: no cathrt journal: {what}, expected an SQLite file with application id {APPLICATION_ID:x}: "
        "check the path; to start a new journal, give the name of a file that does not exist yet"
    )


def _tampered(path: Path, seq: int, what: str) -> JournalError:
    return JournalError(
        f"{path}: row {seq}: {what}. Nothing is appended to a journal that does not add up: "
        "keep the file for examination and start a new one"
    )

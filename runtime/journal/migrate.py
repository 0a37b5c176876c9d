"""Brings a journal of schema 4 to schema 5 where it is: one transaction, in which no row is touched.

Schema 5 has an anchor, so that rows at the front may be pruned. An older version of cathrt refuses the file afterwards.
Free pages of such a file are used again and not given back: only a journal made as schema 5 can shrink.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.make import CHANGED_IN_5, SCHEMA_VERSION


def migrate_from_4(connection: sqlite3.Connection, head: Head, wall: Callable[[], float] = time.time) -> None:
    """Change the tables around the rows. head: of the rows, which have been checked. Raises sqlite3.Error.

    The rows count as stored now: nobody has noted when they were.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("DROP TRIGGER record_is_never_removed")
        connection.execute("DROP TABLE meta")
        for statement in CHANGED_IN_5:
            connection.execute(statement)
        none = Head()
        connection.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?)", (head.seq, head.chain, none.seq, none.chain))
        if head.seq:
            connection.execute("INSERT INTO mark VALUES (?, ?)", (head.seq, int(wall())))
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

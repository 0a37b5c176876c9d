"""Named points where a test may stop, break or delay the program: how "kill -9 at every step" is tried.

A point that is not armed costs one look at an empty dictionary. Points are armed by code alone, never by environment
or configuration. Not for: production control flow.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

PRUNING_POINTS = (
    "journal.anchor_moved",  # writer, pruning: the anchor is moved, its rows are there, no commit
    "journal.front_removed",  # writer, pruning: the rows are removed, no commit
    "journal.pruned",  # writer, pruning: committed, and not synced
    "journal.given_back",  # writer, pruning: free pages are given back, and not synced
)
JOURNAL_POINTS = (
    "journal.enqueue",  # line's thread, before the record is queued
    "journal.before_insert",  # writer, transaction begun, nothing inserted
    "journal.mid_transaction",  # writer, after each record of the group
    "journal.before_commit",  # writer, whole group inserted
    "journal.after_commit",  # writer, durable, head not yet noted, nothing shown
    "journal.before_emit",  # writer, head noted, nothing shown
    "journal.between_sinks",  # writer, one sink has the group, the next has not
    "journal.after_emit",  # writer, every sink has the group
    "journal.close",  # closing thread, all written, file not yet closed
)
READER_POINTS = (
    "reader.noted",  # reader, knows how far it may read, no transaction yet
    "reader.in_transaction",  # reader, in its one transaction
    "reader.fetched",  # reader, transaction ended, nothing handed over
    "reader.taken",  # reader, the sink has the row, the place is not moved
    "reader.moved",  # reader, the place is moved
)
LINE_POINTS = (
    "line.received",
    "line.preprocessed",
    "line.inferred",
    "line.judged",
    "line.alerted",
    "line.summarised",
)
DRAFT_POINTS = (
    "study.ended",  # study's thread, the record of an ended study is durable, the intake book does not know it
    "study.drafted",  # study's thread, the draft is written, its record not handed in
    "study.draft_durable",  # study's thread, the record is durable, the intake book does not know it
)
READING_POINTS = (
    "study.encoded",  # study's thread, a clip is encoded, its features are not kept
    "study.features_kept",  # its features are durable, the intake book does not know it
    "study.read",  # study's thread, a study is read, its record not handed in
    "study.reading_durable",  # the record is durable, nothing else knows it
    "study.reading_noted",  # the features' file knows it, the intake book does not
)
DECISION_POINTS = (
    "decision.checked",  # gateway, what a person decided fits, its record is not handed in
    "decision.durable",  # gateway, the record is durable, nobody was answered
)
OUTLET_POINTS = (
    "outlet.sending",  # outlet's thread, before the receiver is given a record
    "outlet.acknowledged",  # the receiver has it, the place is not moved
    "outlet.saving",  # the place has moved in memory
    "outlet.saved",  # the place is durable
    "outlet.burying",  # in the transaction of a dead letter, the place is not moved
    "outlet.buried",  # dead letter and place are durable
)
BACKUP_POINTS = (
    "backup.databases",  # backup, databases are copied
    "backup.objects",  # backup, objects too
    "backup.written",  # backup, all of it with its manifest, under a name that does not count
    "backup.counts",  # backup, it counts, older ones are there
    "restore.begun",  # restore, the folder is marked
    "restore.files",  # restore, all but the objects
    "restore.objects",  # restore, all of it, the folder still marked
)
STORE_POINTS = ("store.forgotten",)  # gateway, an object is out of the index, its file is there
POINTS = frozenset(
    STORE_POINTS
    + BACKUP_POINTS
    + JOURNAL_POINTS
    + PRUNING_POINTS
    + READER_POINTS
    + LINE_POINTS
    + DRAFT_POINTS
    + READING_POINTS
    + DECISION_POINTS
    + OUTLET_POINTS
)


@dataclass(slots=True)
class _Armed:
    action: Callable[[], None]
    passes_left: int


_armed: dict[str, _Armed] = {}


def failpoint(name: str) -> None:
    """Run the action armed at `name`, if any. Whatever the action raises comes out here."""
    if not _armed:
        return
    point = _armed.get(name)
    if point is None:
        return
    if point.passes_left:
        point.passes_left -= 1
        return
    point.action()


def arm(name: str, action: Callable[[], None], after: int = 0) -> None:
    """Let `after` passes of `name` go by, then call `action` at every further one. Raises ValueError: unknown point."""
    if name not in POINTS:
        raise ValueError(f"unknown fail point {name!r}: expected one of {', '.join(sorted(POINTS))}")
    if after < 0:
        raise ValueError(f"after is {after}: expected 0 or more passes")
    _armed[name] = _Armed(action, after)


def disarm(name: str) -> None:
    """Make `name` free to pass again; nothing happens if it is."""
    _armed.pop(name, None)


@contextmanager
def armed(name: str, action: Callable[[], None], after: int = 0) -> Iterator[None]:
    """`arm` for the length of a with block."""
    arm(name, action, after)
    try:
        yield
    finally:
        disarm(name)


def kill() -> NoReturn:
    """Die at once and uncleanly, as by kill -9: no finally, no flush, no atexit."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process outlived SIGKILL")

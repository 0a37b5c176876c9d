"""Rows of a journal as server-sent events, and places in a journal as their ids.

An id is the row's number and the beginning of its hash ("42-9f3a1c07d2e4b6a8"): with the hash, a place in another
journal is noticed. Not for: connections (stream.py), what the records mean (docs/records.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from cathrt.runtime.alert import Record
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.journal.reader import Followed

PIECE_BYTES = 32 << 10  # what is written to a connection at once
_HASH_DIGITS = 16
_PLACE = re.compile(rf"([0-9]{{1,18}})(?:-([0-9a-f]{{{_HASH_DIGITS}}}))?")


def _type_of(record: Any) -> str:
    return next(str(field.default) for field in fields(record) if field.name == "type")


RECORD_TYPES = tuple(map(_type_of, get_args(Record)))


@dataclass(frozen=True, slots=True)
class ClaimedPlace:
    """Where a reader says that it is. hash_start: hex digits; empty if it gave the number alone."""

    seq: int
    hash_start: str

    def is_at(self, place: Head) -> bool:
        """Whether this is what the feed said of that place."""
        return self.seq == place.seq and place.chain.hex().startswith(self.hash_start)


@dataclass(frozen=True, slots=True)
class Piece:
    """Text for a connection, and where its reader is once it has it. Empty where the reader wants none of the rows."""

    text: bytes
    place: Head


def event_id(place: Head) -> str:
    """The id of the event of the row at `place`."""
    return f"{place.seq}-{place.chain.hex()[:_HASH_DIGITS]}"


def claimed_place(text: str) -> ClaimedPlace:
    """The place that an event's id, or a row's number, stands for. Raises ValueError saying what was expected."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(
            f"found the place {text[:40]!r}, expected the id of an event as the feed sent it, such as "
            f"{event_id(Head())}, or the number of a row: give back the last id unchanged, or none"
        )
    return ClaimedPlace(int(found[1]), found[2] or "")


def wanted_types(text: str) -> frozenset[str]:
    """The record types of a list such as "alert,run". Raises ValueError naming one that does not exist."""
    wanted = frozenset(text.split(","))
    if unknown := sorted(wanted.difference(RECORD_TYPES)):
        raise ValueError(
            f"found the record type {unknown[0][:40]!r}, expected some of {','.join(RECORD_TYPES)}: "
            "name them with commas and no spaces, or leave `types` out for all"
        )
    return wanted


def pieces(rows: Sequence[Followed], wanted: frozenset[str], now_ns: Callable[[], int]) -> Iterator[Piece]:
    """The rows as text, in pieces of some PIECE_BYTES. now_ns: the clock by which alerts are late, read for each."""
    text = bytearray()
    for row in rows:
        if row.stored.type in wanted:
            text += _event(row, now_ns())
        if len(text) >= PIECE_BYTES:
            yield Piece(bytes(text), row.place)
            text.clear()
    if rows:
        yield Piece(bytes(text), rows[-1].place)


def _event(row: Followed, now_ns: int) -> bytes:
    shown = as_shown(row.stored, now_ns)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id(row.place).encode(), shown.type.encode(), shown.body)


def opening(place: Head) -> bytes:
    """What every stream begins with: how soon to come back, and the place, so that a reader has one from the start."""
    return b"retry: 1000\nid: %b\n\n" % event_id(place).encode()


def heartbeat(place: Head) -> bytes:
    """A comment for a quiet connection, and the place, which moves on also behind rows that are not wanted."""
    return b": nothing new\nid: %b\n\n" % event_id(place).encode()

"""One case of the malformed corpus, the ends it may come to, and the valid run that most cases are a twist of.

Not for: the cases themselves (malformed_*.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.sources.dicom_bytes import EXPLICIT_LITTLE, Value, native, part10, pictures, xa_elements, xa_file


@dataclass(frozen=True)
class Refused:
    """No run at all: SourceError whose message holds `message`."""

    message: str


@dataclass(frozen=True)
class Read:
    """A run of `frames` items, `lost` of them LostFrame, carrying at least these flags."""

    frames: int = 3
    lost: int = 0
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """One input: a file name (whose suffix tells the kind), its bytes, and the end it must come to."""

    id: str
    build: Callable[[], bytes]
    end: Refused | Read
    name: str = "run.dcm"


def flagged(*flags: str, frames: int = 3, lost: int = 0) -> Read:
    return Read(frames, lost, frozenset(flags))


FINE = Read()


def xa(**changes: Value | None) -> Callable[[], bytes]:
    return lambda: xa_file(**changes)


def with_bytes(before: bytes = b"", *, syntax: str = EXPLICIT_LITTLE, **changes: Value) -> Callable[[], bytes]:
    """A valid run with raw bytes put between its header and its pixels."""
    elements = xa_elements() | {int(name.removeprefix("_"), 16): value for name, value in changes.items()}
    return lambda: part10(elements, before + native(pictures(), 16, syntax), syntax)

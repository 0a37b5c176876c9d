"""What a person asks to be written down, and why it may be refused. Not for: doing it (desk.py)."""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.alert import Correction, DecidedWhat, Thing
from cathrt.runtime.errors import CathrtError


class UnknownStudyError(CathrtError):
    """There is no study of that name."""


class ReplacedError(CathrtError):
    """What was on the screen is not what is there now, or an id stands for something else."""


class NotDurableError(CathrtError):
    """What was asked for is not on the disk, as far as is known."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Person:
    """user: as the users' file has them. name: what they are called."""

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class AskedDecision:
    """id: made by who asks, the same for a repeat. The rest as PersonDecided's."""

    id: str
    study: str
    revision: int
    thing: Thing
    what: DecidedWhat
    correction: Correction | None
    shown: tuple[str, ...]
    follows: str | None
    text: str


@dataclass(frozen=True, slots=True)
class AskedSignature:
    """As DraftSigned has it."""

    id: str
    study: str
    revision: int
    draft_id: str
    text_sha256: str
    text_ja_sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class AskedReview:
    """As ReviewFinished has it; all but id and text is what review_due() said."""

    id: str
    study: str
    revision: int
    decisions: tuple[str, ...]
    signoffs: tuple[str, ...]
    shown: tuple[str, ...]
    follows: str | None
    text: str

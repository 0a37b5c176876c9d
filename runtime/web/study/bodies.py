"""What is sent to the page's API about studies. Checked before a handler sees it.

Not for: what it means (runtime/decisions/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen, Predicate

from cathrt.runtime.alert import Correction, Count, DecidedWhat, Sha256, Thing, Words
from cathrt.runtime.decisions.asked import AskedDecision, AskedReview, AskedSignature
from cathrt.runtime.web.part.route import STRICT

StudyName = Annotated[str, MinLen(1), MaxLen(128), Predicate(str.isprintable)]
MadeId = Annotated[str, MinLen(8), MaxLen(64), Predicate(str.isprintable)]  # by the browser, for one decision
RecordId = Annotated[str, MinLen(1), MaxLen(128), Predicate(str.isprintable)]
RecordIds = Annotated[tuple[RecordId, ...], MaxLen(500)]


@dataclass(frozen=True, slots=True)
class ListInputs:
    """most: so many studies, the newest ones."""

    __pydantic_config__ = STRICT
    most: Annotated[int, Ge(1), Le(1000)] = 200


@dataclass(frozen=True, slots=True)
class StudyInputs:
    """study: our name for it."""

    __pydantic_config__ = STRICT
    study: StudyName


@dataclass(frozen=True, slots=True)
class DecisionBody:
    """As GET /api/studies/{study} gave thing, shown, follows and revision."""

    __pydantic_config__ = STRICT
    id: MadeId
    study: StudyName
    revision: Count
    thing: Thing
    what: DecidedWhat
    shown: RecordIds
    correction: Correction | None = None
    follows: RecordId | None = None
    text: Words = ""

    def asked(self) -> AskedDecision:
        """As the desk takes it."""
        return AskedDecision(
            id=self.id,
            study=self.study,
            revision=self.revision,
            thing=self.thing,
            what=self.what,
            correction=self.correction,
            shown=self.shown,
            follows=self.follows,
            text=self.text,
        )


@dataclass(frozen=True, slots=True)
class SignatureBody:
    """draft: its record. The hashes as GET /api/studies/{study} gave them."""

    __pydantic_config__ = STRICT
    id: MadeId
    study: StudyName
    revision: Annotated[int, Ge(1)]
    draft: RecordId
    text_sha256: Sha256
    text_ja_sha256: Sha256
    text: Words = ""

    def asked(self) -> AskedSignature:
        """As the desk takes it."""
        return AskedSignature(
            id=self.id,
            study=self.study,
            revision=self.revision,
            draft_id=self.draft,
            text_sha256=self.text_sha256,
            text_ja_sha256=self.text_ja_sha256,
            text=self.text,
        )


@dataclass(frozen=True, slots=True)
class ReviewBody:
    """As `review` of GET /api/studies/{study} has it, but for id and text."""

    __pydantic_config__ = STRICT
    id: MadeId
    study: StudyName
    revision: Annotated[int, Ge(1)]
    decisions: RecordIds
    signoffs: RecordIds
    shown: RecordIds
    follows: RecordId | None = None
    text: Words = ""

    def asked(self) -> AskedReview:
        """As the desk takes it."""
        return AskedReview(
            id=self.id,
            study=self.study,
            revision=self.revision,
            decisions=self.decisions,
            signoffs=self.signoffs,
            shown=self.shown,
            follows=self.follows,
            text=self.text,
        )

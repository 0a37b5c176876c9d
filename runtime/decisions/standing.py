"""What stands of all that people decided: a fold over the records of gateway.journal, in their order.

The last decision about a thing stands; the ones before it stay and can be seen. Not for: writing them (desk.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cathrt.runtime.alert import DraftSigned, PersonDecided, ReviewFinished, Thing
from cathrt.runtime.decisions.confirmed import StudyNow

OfPerson = PersonDecided | DraftSigned | ReviewFinished
TYPES = ("decision", "signoff", "review")


@dataclass(frozen=True, slots=True)
class StudyDecisions:
    """All that was decided of one study, each list in order."""

    decisions: tuple[PersonDecided, ...] = ()
    signoffs: tuple[DraftSigned, ...] = ()
    reviews: tuple[ReviewFinished, ...] = ()

    def standing(self, thing: Thing) -> PersonDecided | None:
        """The decision about the thing that stands; None where nobody has decided."""
        return next((one for one in reversed(self.decisions) if one.thing == thing), None)

    def all_standing(self) -> tuple[PersonDecided, ...]:
        """Of each thing the decision that stands, in the order in which the things were first decided about."""
        return tuple({one.thing: one for one in self.decisions}.values())

    def counting(self, now: StudyNow) -> tuple[PersonDecided, ...]:
        """Those that stand and are about what the study's results are now."""
        return tuple(one for one in self.all_standing() if is_about(one, now))

    def signed(self, now: StudyNow) -> tuple[DraftSigned, ...]:
        """Signatures of the draft that counts now."""
        return tuple(one for one in self.signoffs if now.draft is not None and one.draft_id == now.draft.id)

    def reviewed(self, revision: int) -> ReviewFinished | None:
        """The last finished review of a revision; None where there is none."""
        return next((one for one in reversed(self.reviews) if one.revision == revision), None)


@dataclass(slots=True)
class Decisions:
    """The fold. by_id: every record of a person."""

    by_id: dict[str, OfPerson] = field(default_factory=dict)
    _of_study: dict[str, StudyDecisions] = field(default_factory=dict)

    def take(self, record: OfPerson) -> None:
        """Go on with the next record. One that was taken before changes nothing."""
        if record.id in self.by_id:
            return
        self.by_id[record.id] = record
        before = self.of(record.study)
        match record:
            case PersonDecided():
                made = StudyDecisions((*before.decisions, record), before.signoffs, before.reviews)
            case DraftSigned():
                made = StudyDecisions(before.decisions, (*before.signoffs, record), before.reviews)
            case ReviewFinished():
                made = StudyDecisions(before.decisions, before.signoffs, (*before.reviews, record))
        self._of_study[record.study] = made

    def of(self, study: str) -> StudyDecisions:
        """All that was decided of a study of that name."""
        return self._of_study.get(study, StudyDecisions())


def is_about(decision: PersonDecided, now: StudyNow) -> bool:
    """Whether the decision is about what counts now: its record was not replaced since, by a new judging, a new
    reading, or a new end of the study."""
    of_thing = records_of(decision.thing, now)
    return bool(of_thing) and {*of_thing} <= {*decision.shown}


def records_of(thing: Thing, now: StudyNow) -> tuple[str, ...]:
    """Ids of the records that a thing is in now; () where there is no such thing, or not any more."""
    if thing.kind in ("key_frame", "side"):
        run = now.run(thing.run_id)
        return () if run is None else (run.id,)
    if thing.kind == "finding":
        reading = now.reading(thing.bundle)
        return () if reading is None else (reading.id,)
    return now.rests_on

"""What was decided of a study, for the page: every decision with whether it stands, and the state of each thing.

Not for: deciding (runtime/decisions/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cathrt.runtime.alert import DraftSigned, PersonDecided, ReviewFinished, Thing
from cathrt.runtime.decisions.confirmed import StudyNow
from cathrt.runtime.decisions.standing import StudyDecisions, is_about, records_of
from cathrt.runtime.decisions.words import in_words

_UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class StudyDecided:
    """A study as it is now, and all that was decided of it."""

    now: StudyNow
    decided: StudyDecisions

    def counting(self, thing: Thing) -> PersonDecided | None:
        """The decision about the thing that stands and counts."""
        standing = self.decided.standing(thing)
        return standing if standing is not None and is_about(standing, self.now) else None

    def of_thing(self, thing: Thing) -> dict[str, Any]:
        """What every thing that can be decided about says of itself; thing, shown and follows are to be sent back."""
        standing, counting = self.decided.standing(thing), self.counting(thing)
        return {
            "thing": asdict(thing),
            "state": _UNDECIDED if counting is None else counting.what,
            "decision": None if counting is None else counting.id,
            "shown": records_of(thing, self.now),
            "follows": None if standing is None else standing.id,
        }

    def decision(self, one: PersonDecided) -> dict[str, Any]:
        """One decision."""
        words, words_ja = in_words(one, self.run_numbers)
        standing = self.decided.standing(one.thing)
        stands = standing is not None and standing.id == one.id
        return {
            **without_frame_of_record(one),
            "stands": stands,
            "counts": stands and is_about(one, self.now),
            "of_earlier_revision": one.revision < self.now.revision,
            "in_words": words,
            "in_words_ja": words_ja,
        }

    @property
    def run_numbers(self) -> Mapping[str, int]:
        """Of the runs in this study, from 1."""
        return {run.run_id: number for number, run in enumerate(self.now.runs, 1)}


def without_frame_of_record(one: PersonDecided | DraftSigned | ReviewFinished) -> dict[str, Any]:
    """A record as JSON, without its type and notice, which the answer has once."""
    return {key: value for key, value in asdict(one).items() if key not in ("type", "notice")}

"""When a study has ended: a state machine of plain values, fed with events and asked with a clock's reading.

A study ends once two signs of different kinds say so, or a person does, and nothing of it has come for
listener.study_settle_s. A later object opens it again: the next end is an addendum with the next revision.
Not for: where events and ends are kept (study_book.py), and who feeds it (study_watch.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from enum import StrEnum

from cathrt.runtime.listener.study_end import Evidence


class Kind(StrEnum):
    """What happened."""

    OBJECT = "object"
    DOSE_REPORT = "dose_report"  # an object, too
    STEP_STARTED = "step_started"  # MPPS IN PROGRESS, and each change to it until its end
    STEP_COMPLETED = "step_completed"
    STEP_DISCONTINUED = "step_discontinued"
    NEW_PATIENT = "new_patient"  # the study's sender has begun with another patient
    BUTTON = "button"


MOST_ENDED = 1000  # studies kept in mind without an object that awaits their end; the others are loaded again
OBJECTS = frozenset({Kind.OBJECT, Kind.DOSE_REPORT})
STEPS = frozenset({Kind.STEP_STARTED, Kind.STEP_COMPLETED, Kind.STEP_DISCONTINUED})


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """One thing that happened to a study. seq: its number. study_instance_uid: "" where an object names none.

    patient: keyed hash of the Patient ID, "" if unknown. sender: AE title and address, "" for a person's.
    object_seq: of an object, its number in the store. step_uid: of a procedure step, "" else.
    """

    seq: int
    kind: Kind
    study_instance_uid: str
    patient: str = ""
    sender: str = ""
    object_seq: int | None = None
    step_uid: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndRules:
    """Seconds without anything new of a study. settle_s: before any end. idle_s, long_idle_s: a sign each."""

    settle_s: float
    idle_s: float
    long_idle_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """A study that has ended. event_seq: the last event that this takes into account."""

    study_instance_uid: str
    revision: int
    evidence: tuple[Evidence, ...]
    event_seq: int
    flags: tuple[str, ...]


@dataclass(slots=True)
class _Study:
    """What is known of a study. is_open: objects came since the last end. active_at: when anything came last."""

    active_at: float
    revision: int = 0
    is_open: bool = False
    event_seq: int = 0
    signs: set[Evidence] = field(default_factory=set)
    steps: dict[str, Kind] = field(default_factory=dict)
    senders: set[str] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)

    def apply(self, event: StudyEvent, now: float) -> None:
        self.event_seq = event.seq
        self.flags.update(event.flags)
        if event.kind is Kind.NEW_PATIENT:
            self.signs.add(Evidence.NEW_PATIENT)
            return
        if event.kind is Kind.BUTTON:
            self.signs.add(Evidence.BUTTON)
            return
        self.active_at = now
        self.senders |= {event.sender} - {""}
        self.patients |= {event.patient} - {""}
        if event.kind in STEPS:
            self.steps[event.step_uid] = event.kind
            return
        self.is_open = True
        self.signs.discard(Evidence.NEW_PATIENT)  # the sender has come back to it
        if event.kind is Kind.DOSE_REPORT:
            self.signs.add(Evidence.DOSE_REPORT)

    def end(self) -> None:
        self.revision += 1
        self.is_open = False
        self.signs -= {Evidence.NEW_PATIENT, Evidence.BUTTON}  # they were said of what had come by then

    def evidence(self, now: float, rules: EndRules) -> tuple[Evidence, ...]:
        signs = set(self.signs)
        steps = set(self.steps.values())
        if steps and Kind.STEP_STARTED not in steps:
            completed = Kind.STEP_COMPLETED in steps
            signs.add(Evidence.STEP_COMPLETED if completed else Evidence.STEP_DISCONTINUED)
        quiet = now - self.active_at
        signs |= {Evidence.IDLE} if quiet >= rules.idle_s else set()
        signs |= {Evidence.LONG_IDLE} if quiet >= rules.long_idle_s else set()
        return tuple(sign for sign in Evidence if sign in signs)


class Studies:
    """The studies that something may still happen to. Pure: no clock, no disk, no thread of its own.

    `now` is any clock that never goes back, in seconds. A restart of the process starts its silences anew.
    """

    def __init__(self, rules: EndRules) -> None:
        self._rules = rules
        self._studies: dict[str, _Study] = {}

    def knows(self, study_instance_uid: str) -> bool:
        """Whether it has this study; if not, load() its history before its next event."""
        return study_instance_uid in self._studies

    def load(self, uid: str, events: Iterable[StudyEvent], ends: Set[int], now: float) -> None:
        """Take a study in. ends: the event_seq of each of its ends."""
        study = self._studies[uid] = _Study(now)
        for event in events:
            study.apply(event, now)
            if event.seq in ends:
                study.end()

    def apply(self, event: StudyEvent, now: float) -> None:
        """Something happened. The study must be known."""
        self._studies[event.study_instance_uid].apply(event, now)

    def left_behind(self, event: StudyEvent) -> list[str]:
        """The studies that this event's sender has left for another patient, and that were not known to be so."""
        if event.kind not in OBJECTS | {Kind.STEP_STARTED} or not event.sender or not event.patient:
            return []
        return [
            uid
            for uid, study in self._studies.items()
            if study.is_open
            and uid != event.study_instance_uid
            and event.sender in study.senders
            and study.patients
            and event.patient not in study.patients
            and Evidence.NEW_PATIENT not in study.signs
        ]

    def due(self, now: float, receiving: Set[str] = frozenset()) -> list[Ending]:
        """The studies that have ended and whose end is not noted yet. receiving: senders of objects on their way in."""
        endings = []
        for uid, study in self._studies.items():
            evidence = study.evidence(now, self._rules)
            enough = len(evidence) >= 2 or Evidence.BUTTON in evidence
            settled = now - study.active_at >= self._rules.settle_s and not study.senders & receiving
            if study.is_open and enough and settled:
                mismatch = {"patient_mismatch"} if len(study.patients) > 1 else set()
                flags = tuple(sorted(study.flags | mismatch))
                endings.append(Ending(uid, study.revision + 1, evidence, study.event_seq, flags))
        return endings

    def end(self, ending: Ending) -> None:
        """The end is noted."""
        self._studies[ending.study_instance_uid].end()

    def forget(self, now: float) -> None:
        """Let go of studies of which no object is awaited to be counted: silent ones, and the oldest of very many."""
        ended = [(study.active_at, uid) for uid, study in self._studies.items() if not study.is_open]
        too_many = sorted(ended)[: max(0, len(ended) - MOST_ENDED)]
        silent = [(at, uid) for at, uid in ended if now - at >= self._rules.long_idle_s]
        for _, uid in {*too_many, *silent}:
            del self._studies[uid]

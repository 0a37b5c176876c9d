"""A store without a port, what watches it, and the time: what the tests of study ends and of readers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cathrt.runtime.listener.object_store import Arrival, ObjectStore
from cathrt.runtime.listener.studies import EndRules
from cathrt.runtime.listener.study_end import StudyEnd
from cathrt.runtime.listener.study_watch import StudyWatch
from tests.listener.listening import LIMITS, XA
from tests.sources.dicom_bytes import EXPLICIT_LITTLE, part10, text, xa_elements

RULES = EndRules(settle_s=30.0, idle_s=600.0, long_idle_s=3600.0)
PATIENT = "MRN-4711"


@dataclass
class Watched:
    """A store, what watches it, and the time."""

    folder: Path
    now: float = 1000.0
    told: list[StudyEnd] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store = ObjectStore(self.folder, LIMITS)
        self.watch = StudyWatch(self.store, RULES, self.told.append, clock=lambda: self.now)

    def again(self) -> None:
        """The process ends and begins anew; what it had in mind is gone."""
        self.store.close()
        self.open()

    def receives(self, uid: str, octets: bytes, sop_class: str = XA, sender: str = "ANGIO1") -> None:
        file = self.store.spool.open()
        self.store.spool.take(file)
        file.write(octets)
        self.store.place(file, Arrival(uid, sop_class, EXPLICIT_LITTLE, sender, "10.0.0.1"))

    def passes(self, seconds: float) -> list[StudyEnd]:
        """What is told meanwhile."""
        self.watch.look()
        before = len(self.told)
        self.now += seconds
        self.watch.look()
        return self.told[before:]


def of_study(study: str, patient: str = PATIENT) -> bytes:
    """An object of a study, with its pixels far behind."""
    named = {0x00100020: text("LO", patient), 0x0020000D: text("UI", study)}
    return part10(xa_elements() | named, bytes(2_000_000))

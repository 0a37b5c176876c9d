"""What outlets of objects are given for a message: the results of its study, and the DICOM objects made of them.

Not for: when they are due (objects/due.py), how they are sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cathrt.runtime.audit.messages import Party
from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import JournalError, SourceError
from cathrt.runtime.listener.commitments_asked import CommitmentsAsked
from cathrt.runtime.listener.index import StoreError
from cathrt.runtime.objects.due import Evidence, NotDueError
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError

if TYPE_CHECKING:
    from cathrt.runtime.objects.results import StudyResults


@dataclass(frozen=True, slots=True)
class Studies:
    """Any thread may use it. limits: of what is decoded. commitments: what receivers are asked to commit to.
    audit: where it is noted what was sent."""

    evidence: Evidence
    limits: LimitsConfig = LimitsConfig()  # noqa: RUF009 - frozen
    commitments: CommitmentsAsked = field(default_factory=CommitmentsAsked)
    audit: AuditTrail = field(default_factory=lambda: AuditTrail(None))

    def __call__(self, message: Message) -> StudyResults | None:
        """The results that are due for a message; None where nothing is to be sent for it: a provisional reading, or a
        study of which there is a later revision already.

        Raises RefusedError: none can be made; UnreachableError: not now.
        """
        return self._results(message) if self._is_newest(message) else None

    def objects(self, message: Message, modalities: Collection[str]) -> tuple[Any, ...]:
        """Data sets, made anew from the durable records; of every revision, since none overwrites another.

        modalities: of the objects that are wanted; none for all. Raises as __call__() does.
        """
        from cathrt.runtime.objects.dicom.study_objects import objects_of
        from cathrt.runtime.objects.frame_reader import FrameReader

        results = self._results(message)
        if results is None:
            return ()
        try:
            objects = objects_of(results, FrameReader(self.limits))
        except SourceError as exc:
            raise RefusedError(str(exc)) from exc
        return tuple(one for one in objects if not modalities or str(one.Modality) in modalities)

    def sent(self, objects: Sequence[Any], name: str, address: str, *, well: bool) -> None:
        """Note in the audit trail that they went out, or should have."""
        studies = list(dict.fromkeys(str(one.StudyInstanceUID) for one in objects))
        classes = Counter(str(one.SOPClassUID) for one in objects)
        self.audit.sent(Party(name, address, is_requestor=False), studies, sorted(classes.items()), well=well)

    def _is_newest(self, message: Message) -> bool:
        try:
            return self.evidence.is_newest(message.record)
        except JournalError as exc:
            raise UnreachableError(str(exc)) from exc

    def _results(self, message: Message) -> StudyResults | None:
        try:
            return self.evidence.results(message.record)
        except (NotDueError, SourceError) as exc:
            raise RefusedError(str(exc)) from exc
        except (JournalError, StoreError) as exc:
            raise UnreachableError(str(exc)) from exc

"""Modality Performed Procedure Step as SCP (PS3.4 annex F): N-CREATE and N-SET say when a study begins and ends.

A step's data set is not kept: only its UID, its studies, its state, and the keyed hash of its Patient ID.
Not for: what follows from a step (studies.py).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.data_sets import PatientKey, message_data_set, usable_uid
from cathrt.runtime.listener.peers import RefusedError, address_of, answered, title_of
from cathrt.runtime.listener.studies import Kind, StudyEvent
from cathrt.runtime.listener.study_watch import StudyWatch, sender_name
from cathrt.runtime.sources.syntax import is_uid

MOST_STUDIES = 16  # of one step: group cases are two or three
MOST_STEPS = 64  # of one study
_STATES = {
    "IN PROGRESS": Kind.STEP_STARTED,
    "COMPLETED": Kind.STEP_COMPLETED,
    "DISCONTINUED": Kind.STEP_DISCONTINUED,
}
_WRONG_WORKLIST_ENTRY = "110514"  # DCM, CID 9300
_REASONS = "PerformedProcedureStepDiscontinuationReasonCodeSequence"


@dataclass(frozen=True, slots=True)
class _NewStep:
    """What an N-CREATE says."""

    state: Kind | None
    studies: frozenset[str]
    patient: str


@dataclass(frozen=True, slots=True)
class _Change:
    """What an N-SET says. state: None where it leaves the state as it is, or says one that is none."""

    state: Kind | None
    is_usable: bool
    flags: tuple[str, ...]


class ProcedureSteps:
    """Answers N-CREATE and N-SET once the step's new state is durable. Each association calls it from its own thread.

    has_room: whether the disk has room for rows.
    """

    def __init__(self, watch: StudyWatch, has_room: Callable[[], bool]) -> None:
        self._watch = watch
        self._has_room = has_room
        self._lock = threading.Lock()  # of looking a step up and noting what becomes of it

    def create(self, event: Any) -> tuple[int, Dataset | None]:
        """N-CREATE: the status for the peer, and the UID that we chose where it left that to us."""
        given = event.request.AffectedSOPInstanceUID
        uid = str(given or f"2.25.{uuid.uuid4().int}")
        status = answered(lambda: self._create(event, uid), event.assoc.requestor, "procedure step")
        if given or status != statuses.SUCCESS:
            return status, None
        chosen = Dataset()
        chosen.AffectedSOPInstanceUID = uid
        return status, chosen

    def change(self, event: Any) -> tuple[int, None]:
        """N-SET: the status for the peer."""
        return answered(lambda: self._change(event), event.assoc.requestor, "procedure step"), None

    def _create(self, event: Any, uid: str) -> None:
        step = _new_step(event, self._watch.key)
        if not is_uid(uid):
            raise RefusedError(statuses.INVALID_ATTRIBUTE_VALUE, "no valid SOP Instance UID")
        if step.state is not Kind.STEP_STARTED:
            raise RefusedError(statuses.INVALID_ATTRIBUTE_VALUE, "a new step that is not IN PROGRESS")
        if not step.studies:
            raise RefusedError(statuses.MISSING_ATTRIBUTE, "no valid Study Instance UID (0020,000D)")
        with self._lock:
            if self._watch.book.step(uid):
                raise RefusedError(statuses.DUPLICATE_INSTANCE, "a step of this UID is there already")
            self._require_room(step.studies)
            self._note(event, Kind.STEP_STARTED, dict.fromkeys(step.studies, step.patient), uid, ())

    def _require_room(self, studies: Set[str]) -> None:
        if len(studies) > MOST_STUDIES:
            raise RefusedError(statuses.RESOURCE_LIMITATION, f"a step of more than {MOST_STUDIES} studies")
        if any(self._watch.book.steps(study) >= MOST_STEPS for study in studies):
            raise RefusedError(statuses.RESOURCE_LIMITATION, f"a study of more than {MOST_STEPS} steps")
        if not self._has_room():
            raise RefusedError(statuses.RESOURCE_LIMITATION, "the disk has no room (listener.reserve_mib)")

    def _change(self, event: Any) -> None:
        change, uid = _change(event), str(event.request.RequestedSOPInstanceUID or "")
        with self._lock:
            known = self._watch.book.step(uid)
            if not known:
                raise RefusedError(statuses.NO_SUCH_INSTANCE, "a step that is not known")
            if known[0].sender.rpartition("@")[0] != title_of(event.assoc.requestor):
                raise RefusedError(statuses.NOT_AUTHORISED, "a step that another AE title began")
            if not change.is_usable:
                raise RefusedError(statuses.INVALID_ATTRIBUTE_VALUE, "a Performed Procedure Step Status that is none")
            was = known[0].kind
            if was is not Kind.STEP_STARTED and change.state is not was:  # the same again: our answer was lost
                raise RefusedError(statuses.PROCESSING_FAILURE, "a step that has ended may no longer be changed")
            if was is Kind.STEP_STARTED and change.state not in (None, Kind.STEP_STARTED):
                patients = {step.study_instance_uid: step.patient for step in known}
                self._note(event, change.state, patients, uid, change.flags)

    def _note(self, event: Any, kind: Kind, patients: Mapping[str, str], uid: str, flags: tuple[str, ...]) -> None:
        peer = event.assoc.requestor
        sender = sender_name(title_of(peer), address_of(peer))
        self._watch.note(
            [
                StudyEvent(0, kind, study, patient=patient, sender=sender, step_uid=uid, flags=flags)
                for study, patient in sorted(patients.items())
            ]
        )


def _new_step(event: Any, key: PatientKey) -> _NewStep:
    """Raises DataSetError."""
    keywords = ("ScheduledStepAttributesSequence", "PatientID", "PerformedProcedureStepStatus")
    with message_data_set(event.request.AttributeList, str(event.context.transfer_syntax), keywords) as sent:
        items = sent.items("ScheduledStepAttributesSequence")
        studies = {usable_uid(item, "StudyInstanceUID") for item in items} - {""}
        status = sent.attributes.code("PerformedProcedureStepStatus") or ""
        return _NewStep(_STATES.get(status), frozenset(studies), key.of(sent.attributes))


def _change(event: Any) -> _Change:
    """Raises DataSetError."""
    keywords = ("PerformedProcedureStepStatus", _REASONS)
    with message_data_set(event.request.ModificationList, str(event.context.transfer_syntax), keywords) as sent:
        said = sent.attributes.codes("PerformedProcedureStepStatus")
        damaged = "performed_procedure_step_status_unusable" in sent.attributes.flags
        state = _STATES.get(said[0]) if len(said) == 1 else None
        codes = {(reason.text("CodeValue") or "").strip() for reason in sent.items(_REASONS)[:1]}
        # A step that was discontinued since the wrong worklist entry was chosen names the wrong patient.
        wrong = state is Kind.STEP_DISCONTINUED and _WRONG_WORKLIST_ENTRY in codes
        usable = not damaged and (not said or state is not None)
        return _Change(state, usable, ("wrong_worklist_entry",) if wrong else ())

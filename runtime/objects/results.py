"""What every object is made of: the confirmed results of one study, and what its received runs say of themselves.

Made from durable records of study.journal and from the store, never from a live result. No clock is read: the same
records and runs give the same results. Not for: any one standard's objects (dicom/, fhir/, hl7/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from cathrt.runtime.alert import (
    NOTICES,
    Record,
    RunResult,
    RunSummary,
    StudyDraft,
    StudyEnded,
    StudyFinding,
    StudyFindings,
)
from cathrt.runtime.errors import SourceError
from cathrt.runtime.listener.object_store import Received
from cathrt.runtime.models import MODELS
from cathrt.runtime.objects.evidence_header import has_unreadable_text, header_of
from cathrt.runtime.objects.identity import Edition, hash_of
from cathrt.runtime.objects.run_words import run_words

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Who the patient is, as far as other standards' objects say it. DICOM objects copy the whole modules (evidence_header).
PATIENT_ELEMENTS = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")

Laterality = Literal["left", "right", "unknown"]  # of the coronary artery


class Store(Protocol):
    """What is needed of a store (listener/store_reader.py)."""

    def stored(self, sop_instance_uid: str) -> Received | None: ...
    def path_of(self, received: Received) -> Path: ...


@dataclass(frozen=True, slots=True)
class Maker:
    """The program that makes the objects."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What judged a run. version: the beginning of the hash; manifest_sha256: the hash of its bundle's manifest."""

    name: str
    version: str
    manifest_sha256: str
    engine: str


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """One frame to look at. frame_number: 1-based, as DICOM counts. score: what the model gave it.

    readability: the same number where the model tells readability; None where it tells a class probability.
    by_person: a person chose the frame, and not the model.
    """

    frame_number: int
    score: float
    readability: float | None
    by_person: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RunEvidence:
    """One received run and what is confirmed of it. key_frames: best first.

    record_id: of the summary that it rests on. received_at: seconds since 1970. header: without pixels, text in
    Unicode; of its own, so it may not be changed. file: where the pixels are. text, text_ja: one line for a person,
    which counts frames from 1. flags: of the run, and what its model warns of. laterality_score: None where a person
    has named the artery. withdrawn: key frames of the model that a person has rejected or replaced.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    rows: int
    columns: int
    number_of_frames: int
    run_id: str
    record_id: str
    laterality: Laterality
    laterality_score: float | None
    key_frames: tuple[KeyFrame, ...]
    flags: tuple[str, ...]
    algorithm: Algorithm
    text: str
    text_ja: str
    received_at: float
    header: Dataset
    file: Path
    withdrawn: tuple[KeyFrame, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has decided about these results. by: who; at: when, by the wall clock; text: what, in words.

    number: of the decision on this revision, from 1. record_id: of the finished review, if it is in a journal.

    What is corrected is in the results themselves; this says that, and by whom. An object stays unverified all the
    same: this box does not know who may sign.
    """

    what: Literal["accepted", "corrected", "rejected"]
    by: str
    at: datetime
    text: str = ""
    number: int = 1
    record_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class StudyResults:
    """One edition of a study's confirmed results.

    revision: of the study's end; 0 before it has ended. patient: PATIENT_ELEMENTS that are there. evidence: runs in
    order of arrival. readings: of models that read the study as a whole. notice: the gravest of all records.
    decision: None until a person has decided. replaces: the edition before, which these results take the place of.
    draft_before, readings_before: ids of the draft's and the readings' records that it had, the latter by bundle.
    withdrawn: answers of models that read the study, each with its algorithm, which a person has rejected.
    """

    study_instance_uid: str
    revision: int
    patient: Mapping[str, str]
    evidence: tuple[RunEvidence, ...]
    draft: StudyDraft | None
    notice: str
    made_by: Maker
    readings: tuple[StudyFindings, ...] = ()
    unjudged: int = 0
    decision: Decision | None = None
    replaces: Edition | None = None
    draft_before: str | None = None
    readings_before: Mapping[str, str] = field(default_factory=dict)
    withdrawn: tuple[tuple[Algorithm, StudyFinding], ...] = ()

    @property
    def edition(self) -> Edition:
        """Whose UIDs its objects have. A draft adds objects of its own and changes no other."""
        return _edition(self.study_instance_uid, self.revision, self.evidence, self.decision)

    @property
    def made_at(self) -> datetime:
        """When the newest of what it rests on came: the last run, or the decision. In the time zone of the study."""
        if self.decision is not None:
            return self.decision.at.astimezone(self._zone())
        return datetime.fromtimestamp(max(run.received_at for run in self.evidence), self._zone())

    def _zone(self) -> timezone | None:
        """The one that the runs name; else the box's own, as modalities do that name none."""
        offset = str(self.evidence[-1].header.get("TimezoneOffsetFromUTC") or "")
        if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdecimal():
            return None
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))

    def decided(
        self,
        decision: Decision,
        evidence: Sequence[RunEvidence] | None = None,
        readings: Sequence[StudyFindings] | None = None,
    ) -> StudyResults:
        """The next edition, which says what a person has decided, and takes the place of this one.

        evidence, readings: as corrected; None where nothing of them was changed.
        """
        if decision.at.tzinfo is None:
            decision = replace(decision, at=decision.at.replace(tzinfo=UTC))
        kept = self.evidence if evidence is None else tuple(evidence)
        return replace(
            self,
            evidence=kept,
            readings=self.readings if readings is None else tuple(readings),
            decision=decision,
            replaces=self.edition,
            draft_before=_shown(self.draft),
            readings_before={one.reading.bundle: one.id for one in self.readings},
        )


def results_from(records: Iterable[Record], store: Store) -> StudyResults:
    """The results of one study. Raises SourceError where its runs are gone, or name several studies or patients.

    records: of study.journal, in order: the summaries of the study's runs, its readings, and its drafts and ends of all
    revisions, the newest last. Of an end or a draft, the runs that it names count; without one, all do, as revision 0.
    """
    all_ = tuple(records)
    summaries = {record.run_id: record for record in all_ if isinstance(record, RunSummary)}
    ends = [record for record in all_ if isinstance(record, StudyDraft | StudyEnded)]
    newest = max((end.revision for end in ends), default=0)
    run_ids = _runs_of(ends, newest) if ends else tuple(summaries)
    evidence = _evidence((summaries[run_id] for run_id in run_ids if run_id in summaries), store)
    if not evidence:
        raise SourceError("no confirmed run of this study is in the journal: there is nothing to make objects of")
    study = _the_one("studies", (str(run.header.get("StudyInstanceUID") or "") for run in evidence))
    _the_one("patients", (str(run.header.get("PatientID") or "") for run in evidence))
    draft, readings = _draft_of(ends, newest), _final_readings(all_, newest)
    before = _edition_before(study, ends, newest, summaries)
    return StudyResults(
        study_instance_uid=study,
        revision=newest,
        patient=_patient(evidence[-1].header),
        evidence=evidence,
        draft=draft,
        notice=_gravest(evidence, summaries, draft, readings),
        made_by=Maker("cathrt", version("cathrt")),
        readings=readings,
        unjudged=next((end.unjudged for end in reversed(ends) if end.revision == newest), 0),
        replaces=before,
        draft_before=None if before is None else _shown(_draft_of(ends, before.revision)),
        readings_before={}
        if before is None
        else {one.reading.bundle: one.id for one in _final_readings(all_, before.revision)},
    )


def _runs_of(ends: Sequence[StudyDraft | StudyEnded], revision: int) -> tuple[str, ...]:
    return next(end.run_ids for end in ends if end.revision == revision)


def _evidence(summaries: Iterable[RunSummary], store: Store) -> tuple[RunEvidence, ...]:
    found = [(summary, store.stored(summary.source)) for summary in summaries]
    gone = [summary.run_id for summary, received in found if received is None]
    if gone:
        raise SourceError(f"{len(gone)} received runs of this study are not in the store any more, first {gone[0]}")
    there = [(summary, received) for summary, received in found if received is not None]
    there.sort(key=lambda pair: pair[1].seq)
    return tuple(_run(summary, received, store.path_of(received)) for summary, received in there)


def _run(summary: RunSummary, received: Received, file: Path) -> RunEvidence:
    header, result = header_of(file), _result_of(summary)
    kind = MODELS[result.kind]
    laterality: Laterality = (kind.side(result) if kind.side is not None else None) or "unknown"
    side_score = kind.side_score(result) if kind.side_score is not None else 0.0
    readable = kind.tells_readability is not None and kind.tells_readability(result)
    pairs = [(index + 1, score) for index, score in zip(result.marked_frames, result.marked_scores, strict=True)]
    text, text_ja = run_words(laterality, side_score, pairs) if pairs else (result.text, result.text_ja)
    cautions = kind.cautions(result) if kind.cautions is not None else ()
    unreadable = ("patient_text_unreadable",) if has_unreadable_text(header) else ()
    return RunEvidence(
        sop_instance_uid=received.arrival.sop_instance_uid,
        sop_class_uid=received.arrival.sop_class_uid,
        series_instance_uid=str(header.get("SeriesInstanceUID") or ""),
        rows=int(header.get("Rows") or 0),
        columns=int(header.get("Columns") or 0),
        number_of_frames=int(header.get("NumberOfFrames") or 1),
        run_id=summary.run_id,
        record_id=summary.id,
        laterality=laterality,
        laterality_score=side_score,
        key_frames=tuple(KeyFrame(number, score, score if readable else None) for number, score in pairs),
        flags=(*summary.flags, *cautions, *unreadable),
        algorithm=Algorithm(result.bundle, result.manifest_sha256[:16], result.manifest_sha256, result.engine),
        text=text,
        text_ja=text_ja,
        received_at=received.received_at,
        header=header,
        file=file,
    )


def _result_of(summary: RunSummary) -> RunResult:
    """That of the model that tells which artery it is; else the first."""
    return next((one for one in summary.results if MODELS[one.kind].side is not None), summary.results[0])


def _the_one(what: str, values: Iterable[str]) -> str:
    found = set(values)
    if len(found) != 1 or found == {""}:
        expected = "one" if what == "studies" else "at most one"
        if what == "patients" and found == {""}:
            return ""
        raise SourceError(f"the runs name {len(found - {''})} {what}, expected {expected}: settle whose study this is")
    return found.pop()


def _patient(header: Dataset) -> Mapping[str, str]:
    told = {keyword: str(header.get(keyword) or "") for keyword in PATIENT_ELEMENTS}
    return MappingProxyType({keyword: text for keyword, text in told.items() if text})


def _draft_of(ends: Iterable[StudyDraft | StudyEnded], revision: int) -> StudyDraft | None:
    """The newest draft of that end of the study."""
    drafts = [record for record in ends if isinstance(record, StudyDraft) and record.revision == revision]
    return drafts[-1] if drafts else None


def _shown(draft: StudyDraft | None) -> str | None:
    """Its record, where there are documents of it: of a withheld draft there are none."""
    return None if draft is None or draft.draft.withheld is not None else draft.id


def _final_readings(records: Iterable[Record], revision: int) -> tuple[StudyFindings, ...]:
    """Of each model the newest reading of this end of the study."""
    newest: dict[str, StudyFindings] = {}
    for record in records:
        if isinstance(record, StudyFindings) and record.ended == revision and record.reading.withheld is None:
            newest[record.reading.bundle] = record
    return tuple(newest.values())


def _gravest(
    evidence: Iterable[RunEvidence],
    summaries: Mapping[str, RunSummary],
    draft: StudyDraft | None,
    readings: Iterable[StudyFindings],
) -> str:
    notices = [summaries[run.run_id].notice for run in evidence]
    notices += [] if draft is None else [draft.notice]
    notices += [reading.notice for reading in readings]
    return max(notices, key=NOTICES.index)


def _edition(study: str, revision: int, evidence: Sequence[RunEvidence], decision: Decision | None) -> Edition:
    rests_on = sorted(run.record_id for run in evidence)
    if decision is not None:
        rests_on += [decision.what, decision.by, decision.at.isoformat(), decision.text, decision.record_id]
        rests_on += [f"{run.run_id} {run.laterality} {run.key_frames}" for run in evidence]
    return Edition(study, revision, hash_of(rests_on))


def _edition_before(
    study: str, ends: Sequence[StudyDraft | StudyEnded], newest: int, summaries: Mapping[str, RunSummary]
) -> Edition | None:
    """The newest earlier revision of which there were objects; None where there is none, or it is not told."""
    earlier = sorted({end.revision for end in ends if end.revision < newest}, reverse=True)
    for revision in earlier:
        run_ids = _runs_of(ends, revision)
        if run_ids and all(run_id in summaries for run_id in run_ids):
            return Edition(study, revision, hash_of(sorted(summaries[run_id].id for run_id in run_ids)))
    return None

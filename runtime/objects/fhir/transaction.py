"""A study's results as one FHIR transaction: all of it is stored or nothing.

All but the report are created under an identifier out of their content, unless they are there: a repeat changes
nothing. There is one report for a study; a later version takes the place of an earlier one. Not for: sending, and what
the server answers (answer.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cathrt.runtime.objects.fhir.elements import (
    URI,
    Element,
    Release,
    identified,
    patient_reference,
    study_reference,
)
from cathrt.runtime.objects.fhir.observations import (
    device,
    imaging_selection,
    key_frame_observation,
    run_observation,
    study_observation,
)
from cathrt.runtime.objects.fhir.report import (
    PROVENANCE_TAGS,
    ReportVersion,
    provenance_of,
    report_of,
    versioned,
)
from cathrt.runtime.objects.results import RunEvidence, StudyResults
from cathrt.runtime.objects.said import answers, is_rejected, order_id, study_date


@dataclass(frozen=True, slots=True)
class Stored:
    """A study's report as the server has it. id: the server's. etag: of that state, "" where it says none."""

    id: str
    etag: str
    version: ReportVersion | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study's results as resources. others: reference within the bundle, query that finds it, resource."""

    order: str
    version: ReportVersion
    report: Element
    others: tuple[tuple[str, str, Element], ...]

    @property
    def report_query(self) -> str:
        """What finds the study's report, whichever version it is."""
        return f"identifier={URI}|urn:uuid:{self.order}"


def prepared(results: StudyResults, patient_system: str, release: Release) -> Prepared:
    """Raises PatientUnknownError."""
    shared = _shared(results, patient_system)
    order, others = order_id(results), dict(_resources(results, shared, release))
    by_kind = {
        kind: [reference for reference, resource in others.items() if resource["resourceType"] == kind]
        for kind in ("Device", "Observation")
    }
    version, report = versioned(report_of(results, shared, by_kind["Observation"], release), results)
    targets = [f"urn:uuid:{order}", *by_kind["Observation"]]
    tag, provenance = provenance_of(results, targets, by_kind["Device"], version)
    queries = [(reference, f"identifier={URI}|{reference}", resource) for reference, resource in others.items()]
    queries.append((f"urn:uuid:{tag}", f"_tag={PROVENANCE_TAGS}|{tag}", provenance))
    return Prepared(order, version, report, tuple(queries))


def transaction(what: Prepared, stored: Stored | None, record: str) -> Element:
    """The bundle. stored: the report that the server has, which this one replaces. record: of the journal."""
    reference = f"urn:uuid:{what.order}"
    report, request = what.report, {"method": "POST", "url": "DiagnosticReport", "ifNoneExist": what.report_query}
    if stored is not None:
        report = {**report, "id": stored.id}
        request = {"method": "PUT", "url": f"DiagnosticReport/{stored.id}"}
        request |= {"ifMatch": stored.etag} if stored.etag else {}
    entries = [{"fullUrl": reference, "resource": report, "request": request}]
    entries += [
        {
            "fullUrl": full_url,
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"], "ifNoneExist": query},
        }
        for full_url, query, resource in what.others
    ]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": URI, "value": f"urn:uuid:{record}"},
        "type": "transaction",
        "entry": entries,
    }


def _resources(results: StudyResults, shared: Element, release: Release) -> Iterator[tuple[str, Element]]:
    """Each under its reference within the bundle. Of results that a person has rejected there are none."""
    if is_rejected(results):
        return
    for run in results.evidence:
        by, of_algorithm = identified(device(run.algorithm, results.notice, release))
        yield by, of_algorithm
        yield from _of_run(run, results, shared, by, release)
    for algorithm, finding in answers(results):
        by, of_algorithm = identified(device(algorithm, results.notice, release))
        yield by, of_algorithm
        yield identified(study_observation(finding, shared, by, results.notice))


def _of_run(
    run: RunEvidence, results: StudyResults, shared: Element, by: str, release: Release
) -> Iterator[tuple[str, Element]]:
    yield identified(run_observation(run, shared, by, results.notice))
    of_frames = shared
    if release == "R5" and run.key_frames:
        reference, selection = identified(imaging_selection(run, shared, results.study_instance_uid, by))
        yield reference, selection
        of_frames = {**shared, "derivedFrom": [*shared["derivedFrom"], {"reference": reference}]}
    for frame in run.key_frames:
        yield identified(key_frame_observation(run, frame, of_frames, by, results.notice))


def _shared(results: StudyResults, patient_system: str) -> Element:
    shared: Element = {
        "subject": patient_reference(results, patient_system),
        "derivedFrom": [study_reference(results.study_instance_uid)],
    }
    if date := study_date(results):
        shared["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return shared

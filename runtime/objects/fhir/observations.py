"""What each run shows, as FHIR: an Observation of the artery, one of each key frame, the Device that says so; in R5 an
ImagingSelection of the key frames.

Not for: the report that holds them together (report.py).
"""

from __future__ import annotations

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.objects.codes import (
    ALGORITHM_FAMILY,
    FINDING_SITE,
    FRAME_NUMBER,
    IMAGE_UID,
    KEY_FRAME,
    OURS,
    PROBABILITY,
    READABILITY,
    SERIES_UID,
    Code,
    artery,
)
from cathrt.runtime.objects.fhir.elements import (
    AI_ASSERTED,
    URI,
    Element,
    Release,
    component,
    concept,
    quantity,
)
from cathrt.runtime.objects.results import Algorithm, KeyFrame, RunEvidence
from cathrt.runtime.objects.run_words import chosen_by

_PERCENT = ("%", "percent")
_IMAGING = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]}


def device(algorithm: Algorithm, notice: str, release: Release) -> Element:
    """The algorithm, told apart by the hash of its signed manifest."""
    kind = concept(ALGORITHM_FAMILY)
    named: Element = (
        {"deviceName": [{"name": algorithm.name, "type": "model-name"}], "type": kind}
        if release == "R4"
        else {"name": [{"value": algorithm.name, "type": "user-friendly-name"}], "type": [kind]}
    )
    return {
        "resourceType": "Device",
        "status": "active",
        "manufacturer": "cathrt",
        **named,
        "version": [
            {"value": algorithm.version},
            {"type": {"text": "SHA-256 of the manifest"}, "value": algorithm.manifest_sha256},
        ],
        "note": [{"text": notice}],
    }


def run_observation(run: RunEvidence, shared: Element, device_reference: str, notice: str) -> Element:
    """Which artery the run shows. shared: subject, time and study, the same in all of a study."""
    notes = [notice, run.text, run.text_ja, *(f"flag: {flag}" for flag in run.flags)]
    return {
        **_observation(shared, device_reference),
        "code": concept(FINDING_SITE),
        "valueCodeableConcept": concept(artery(run.laterality)),
        "note": [{"text": note} for note in notes],
        "component": [
            *([] if run.laterality_score is None else [_probability(run.laterality_score)]),
            *_image(run),
        ],
    }


def key_frame_observation(
    run: RunEvidence, frame: KeyFrame, shared: Element, device_reference: str, notice: str
) -> Element:
    """That one frame of the run is of interest. R4 has no reference to a frame: its number is a component."""
    code, score = (PROBABILITY, frame.score) if frame.readability is None else (READABILITY, frame.readability)
    return {
        **_observation(shared, device_reference),
        "code": concept(KEY_FRAME),
        "valueCodeableConcept": concept(artery(run.laterality)),
        "note": [{"text": notice}, *([{"text": chosen_by(person=True)}] if frame.by_person else [])],
        "component": [
            component(FRAME_NUMBER, valueInteger=frame.frame_number),
            component(code, valueQuantity=quantity(score)),
            *_image(run),
        ],
    }


def study_observation(finding: StudyFinding, shared: Element, device_reference: str, notice: str) -> Element:
    """What a model that read the study as a whole answers to one question."""
    said = [text for text in (finding.label, finding.label_ja) if text]
    value: Element
    if finding.form == "category":
        value = {"valueString": finding.label, "component": [_probability(finding.value)]}
    else:
        value = {"valueQuantity": _percent(finding.value) if finding.unit in _PERCENT else quantity(finding.value)}
    return {
        **_observation(shared, device_reference),
        "code": {**concept(Code(finding.name, OURS, finding.title)), "text": finding.asks},
        **value,
        **({"interpretation": [{"text": " / ".join(said)}]} if said else {}),
        "note": [{"text": notice}],
    }


def imaging_selection(run: RunEvidence, shared: Element, study_uid: str, device_reference: str) -> Element:
    """R5: the run's key frames, so that a viewer can open them."""
    image: Element = {
        "uid": run.sop_instance_uid,
        "sopClass": {"system": URI, "code": f"urn:oid:{run.sop_class_uid}"},
        "subset": [str(frame.frame_number) for frame in run.key_frames],
    }
    return {
        "resourceType": "ImagingSelection",
        "meta": AI_ASSERTED,
        "status": "available",
        "subject": shared["subject"],
        "performer": [{"actor": {"reference": device_reference}}],
        "code": concept(KEY_FRAME),
        "studyUid": study_uid,
        "derivedFrom": shared["derivedFrom"],
        "seriesUid": run.series_instance_uid,
        "instance": [image],
    }


def _observation(shared: Element, device_reference: str) -> Element:
    return {
        "resourceType": "Observation",
        "meta": AI_ASSERTED,
        "status": "preliminary",
        "category": [_IMAGING],
        **shared,
        "device": {"reference": device_reference},
    }


def _probability(value: float) -> Element:
    return component(PROBABILITY, valueQuantity=quantity(value))


def _percent(value: float) -> Element:
    return {"value": round(value, 2), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}


def _image(run: RunEvidence) -> list[Element]:
    return [
        component(SERIES_UID, valueString=run.series_instance_uid),
        component(IMAGE_UID, valueString=run.sop_instance_uid),
    ]

"""The elements that FHIR resources of ours share: codes, identifiers, references, labels. Not for: whole resources."""

from __future__ import annotations

import json
from typing import Any, Literal

from cathrt.runtime.identity import record_id
from cathrt.runtime.objects.codes import OURS, Code
from cathrt.runtime.objects.results import StudyResults
from cathrt.runtime.objects.said import patient_id

Release = Literal["R4", "R5"]
Element = dict[str, Any]

URI = "urn:ietf:rfc:3986"  # the system of identifiers that are URIs themselves
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    OURS: "urn:cathrt:codes",
}
# Security label: asserted by artificial intelligence, without a person.
AI_ASSERTED = {
    "security": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "AIAST",
            "display": "Artificial Intelligence asserted",
        }
    ]
}


def concept(code: Code) -> Element:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": _SYSTEMS[code.system], "code": code.value, "display": code.meaning}]}


def quantity(value: float) -> Element:
    """A number without a unit."""
    return {"value": round(value, 4), "system": "http://unitsofmeasure.org", "code": "1"}


def component(code: Code, **value: Any) -> Element:
    """A part of an Observation. value: one of its value[x]."""
    return {"code": concept(code), **value}


def study_reference(study_instance_uid: str) -> Element:
    """An ImagingStudy by its identifier: where it is, the server may know."""
    return {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{study_instance_uid}"}}


def patient_reference(results: StudyResults, system: str) -> Element:
    """A patient by the identifier alone. system: the URI of the identifiers; "" where none is configured.

    Raises PatientUnknownError.
    """
    identifier: Element = {"system": system} if system else {}
    identifier["value"] = patient_id(results)
    if issuer := results.patient.get("IssuerOfPatientID", "").strip():
        identifier["assigner"] = {"display": issuer}
    return {"type": "Patient", "identifier": identifier}


def content_id(resource: Element) -> str:
    """A UUID out of all that a resource says: the same content is the same resource, other content is another one."""
    return record_id("fhir", resource["resourceType"], json.dumps(resource, sort_keys=True, allow_nan=False))


def uuid_identifier(uuid: str) -> Element:
    """An identifier that needs no registered system."""
    return {"system": URI, "value": f"urn:uuid:{uuid}"}


def identified(resource: Element) -> tuple[str, Element]:
    """A resource under an identifier out of its content; and, in front of it, the reference to it within a bundle."""
    uuid = content_id(resource)
    return f"urn:uuid:{uuid}", {**resource, "identifier": [uuid_identifier(uuid)]}

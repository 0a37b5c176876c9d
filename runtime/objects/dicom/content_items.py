"""Content items of structured documents (PS3.3 C.17.3): text, codes, images, containers.

Not for: TID 1500, whose templates come from highdicom (measurements.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from cathrt.runtime.objects.codes import Code
from cathrt.runtime.objects.dicom.references import run_reference
from cathrt.runtime.objects.results import RunEvidence, StudyResults

LANGUAGE = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH = Code("en", "RFC5646", "English")
JAPANESE = Code("ja", "RFC5646", "Japanese")
COMMENT = Code("121106", "DCM", "Comment")
_OBSERVER_TYPE = Code("121005", "DCM", "Observer Type")
_DEVICE = Code("121007", "DCM", "Device")
_DEVICE_UID = Code("121012", "DCM", "Device Observer UID")
_DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")
_DEVICE_MODEL = Code("121015", "DCM", "Device Observer Model Name")


def code_sequence(code: Code) -> list[Dataset]:
    """As an attribute of a code has it."""
    made = Dataset()
    made.CodeValue = code.value
    made.CodingSchemeDesignator = code.system
    made.CodeMeaning = code.meaning
    return [made]


def text_item(relationship: str, name: Code, text: str) -> Dataset:
    made = _item(relationship, "TEXT", name)
    made.TextValue = text
    return made


def code_item(relationship: str, name: Code, value: Code) -> Dataset:
    made = _item(relationship, "CODE", name)
    made.ConceptCodeSequence = code_sequence(value)
    return made


def uid_item(relationship: str, name: Code, uid: str) -> Dataset:
    made = _item(relationship, "UIDREF", name)
    made.UID = uid
    return made


def image_item(relationship: str, run: RunEvidence, frames: Sequence[int], name: Code | None = None) -> Dataset:
    """frames: 1-based."""
    made = _item(relationship, "IMAGE", name)
    made.ReferencedSOPSequence = [run_reference(run, frames)]
    return made


def container(relationship: str, name: Code, items: Sequence[Dataset]) -> Dataset:
    made = _item(relationship, "CONTAINER", name)
    made.ContinuityOfContent = "SEPARATE"
    made.ContentSequence = list(items)
    return made


def fill_root(document: Dataset, title: Code, template: str, items: Sequence[Dataset]) -> None:
    """Make a data set the root of a document. template: of PS3.16, e.g. "2010"."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = code_sequence(title)
    document.ContinuityOfContent = "SEPARATE"
    used = Dataset()
    used.MappingResource, used.TemplateIdentifier = "DCMR", template
    document.ContentTemplateSequence = [used]
    document.ContentSequence = list(items)


def observer_items(results: StudyResults, device_uid: str) -> list[Dataset]:
    """Who says so: this program (TID 1002)."""
    context = "HAS OBS CONTEXT"
    return [
        code_item(context, _OBSERVER_TYPE, _DEVICE),
        uid_item(context, _DEVICE_UID, device_uid),
        text_item(context, _DEVICE_NAME, results.made_by.name),
        text_item(context, _DEVICE_MODEL, f"{results.made_by.name} {results.made_by.version}"),
    ]


def _item(relationship: str, value_type: str, name: Code | None) -> Dataset:
    made = Dataset()
    made.RelationshipType = relationship
    made.ValueType = value_type
    if name is not None:
        made.ConceptNameCodeSequence = code_sequence(name)
    return made

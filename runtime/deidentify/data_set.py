"""The profile applied to one data set, with all its sequences. Works on a copy.

Not for: pixels (pictures.py), deciding whether the result may leave (check.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from cathrt.runtime.deidentify.profile import Act, Profile
from cathrt.runtime.deidentify.pseudonyms import Pseudonyms, shifted

_TEXT = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DUMMIES = {
    "AE": "ANONYMOUS", "AS": "000Y", "CS": "ANONYMOUS", "DA": "19000101", "DT": "19000101000000", "TM": "000000",
    "DS": "0", "IS": "0", "UR": "http://anonymous.invalid", "FL": 0.0, "FD": 0.0, "SL": 0, "SS": 0, "SV": 0, "UL": 0,
    "US": 0, "UV": 0, "AT": 0,
}  # fmt: skip
_METHODS = {  # context group 7050
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "clean_pixels": ("113101", "Clean Pixel Data Option"),
    "shifted_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "device": ("113109", "Retain Device Identity Option"),
}


@dataclass(frozen=True, slots=True)
class Applied:
    """One data set's patient, as far as it decides what is put in place of values."""

    profile: Profile
    pseudonyms: Pseudonyms
    name: str
    days: int


def deidentified(data_set: Dataset, profile: Profile, pseudonyms: Pseudonyms, *, cleaned: bool) -> Dataset:
    """A copy that the profile was applied to. cleaned: whether text in its pictures was looked for and is not there."""
    patient_id, issuer = str(data_set.get("PatientID") or ""), str(data_set.get("IssuerOfPatientID") or "")
    applied = Applied(profile, pseudonyms, pseudonyms.patient(patient_id, issuer), pseudonyms.days(patient_id, issuer))
    made = _level(data_set, applied)
    made.PatientName = made.PatientID = applied.name
    for keyword in ("PatientBirthDate", "PatientSex"):  # type 2 in every object
        if keyword not in made:
            setattr(made, keyword, "")
    made.PatientIdentityRemoved = "YES"
    options = profile.options
    chosen = ["basic", *(["clean_pixels"] if cleaned else []), *(["shifted_dates"] if options.shifted_dates else [])]
    chosen += ["device"] if options.device else []
    made.DeidentificationMethod = "Basic Profile, PS3.15 table E.1-1, edition 2026c"
    made.DeidentificationMethodCodeSequence = [_code(*_METHODS[name]) for name in chosen]
    made.LongitudinalTemporalInformationModified = "MODIFIED" if options.shifted_dates else "REMOVED"
    if cleaned:
        made.BurnedInAnnotation = "NO"
    if "EncapsulatedDocumentLength" in made:
        made.EncapsulatedDocumentLength = len(made.get("EncapsulatedDocument") or b"")
    made.SpecificCharacterSet = "ISO_IR 192"
    return made


def _level(data_set: Dataset, applied: Applied) -> Dataset:
    made = Dataset()
    for element in data_set:  # which decodes text by the data set's own character set
        if (kept := _element(element, applied)) is not None:
            made[element.tag] = kept
    return made


def _element(element: DataElement, applied: Applied) -> DataElement | None:
    tag = element.tag
    if tag.element == 0 or tag.group in (0x0002, 0xFFFC):
        return None
    if tag.is_private or not dictionary_has_tag(tag) or element.VR == "UN":
        return None
    act = applied.profile.act(int(tag)) or _unnamed(element)
    if element.VR in ("DA", "DT") and applied.profile.options.shifted_dates:
        act = Act.REMOVE if tag.group == 0x0010 else Act.SHIFT
    if element.VR == "TM" and applied.profile.options.shifted_dates and tag.group != 0x0010:
        act = Act.KEEP  # a time of day without its date
    return _DOES[act](element, applied)


def _unnamed(element: DataElement) -> Act:
    """Of elements that the table leaves alone: names, dates and free text go all the same, UIDs are replaced."""
    if element.VR == "PN":
        return Act.EMPTY
    if element.VR in ("DA", "DT"):
        return Act.DUMMY
    if element.VR in ("LT", "ST", "UT", "UC", "UR"):
        return Act.REMOVE
    return Act.UID if element.VR == "UI" else Act.KEEP


def _keep(element: DataElement, applied: Applied) -> DataElement:
    if element.VR == "SQ":
        return DataElement(element.tag, "SQ", [_level(item, applied) for item in element.value or []])
    return element


def _dummy(element: DataElement, applied: Applied) -> DataElement:
    if element.VR == "SQ":
        return DataElement(element.tag, "SQ", [_dummies(item, applied) for item in element.value or []])
    if element.VR == "UI":
        return _uid(element, applied)
    if element.VR in _DUMMIES:
        return DataElement(element.tag, element.VR, _DUMMIES[element.VR])
    if element.VR in _TEXT:
        return DataElement(element.tag, element.VR, "ANONYMOUS")
    return DataElement(element.tag, element.VR, b"\0\0")


def _dummies(item: Dataset, applied: Applied) -> Dataset:
    """An item of a sequence whose content is to say nothing: its form stays, with codes and numbers."""
    made = Dataset()
    for element in item:
        if element.tag.is_private or not dictionary_has_tag(element.tag) or element.VR == "UN":
            continue
        if element.VR == "SQ" or element.VR in _TEXT - {"SH"} or element.VR in ("UI", "DA", "DT", "TM", "AS"):
            made[element.tag] = _dummy(element, applied)
        elif element.VR in ("CS", "SH", "US", "SS", "UL", "SL", "FL", "FD"):
            made[element.tag] = element
    return made


def _uid(element: DataElement, applied: Applied) -> DataElement:
    values = element.value if element.VM > 1 else [element.value]
    mapped = [applied.pseudonyms.uid(str(value or "")) for value in values]
    return DataElement(element.tag, "UI", mapped if len(mapped) > 1 else mapped[0])


def _shift(element: DataElement, applied: Applied) -> DataElement:
    values = element.value if element.VM > 1 else [element.value]
    moved = [shifted(str(value or ""), applied.days) for value in values]
    return DataElement(element.tag, element.VR, moved if len(moved) > 1 else moved[0])


_DOES: dict[Act, Callable[[DataElement, Applied], DataElement | None]] = {
    Act.REMOVE: lambda _element, _applied: None,
    Act.EMPTY: lambda element, _applied: DataElement(element.tag, element.VR, [] if element.VR == "SQ" else None),
    Act.DUMMY: _dummy,
    Act.UID: _uid,
    Act.SHIFT: _shift,
    Act.KEEP: _keep,
}


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item

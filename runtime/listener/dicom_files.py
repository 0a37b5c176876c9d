"""Data sets as DICOM files, and whether two of them hold the same. Not for: what is in them."""

from __future__ import annotations

import hashlib
from io import BytesIO

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from cathrt.runtime.listener.store_calls import with_meta
from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS

_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_PATIENT_AND_STUDY = (0x0002, 0x0008, 0x0010, 0x0012, 0x0018, 0x0020)  # which archives may correct


def file_of(data_set: Dataset) -> bytes:
    """The DICOM file of a data set."""
    buffer = BytesIO()
    dcmwrite(buffer, with_meta(data_set), enforce_file_format=True)
    return buffer.getvalue()


def read_file(content: bytes) -> Dataset | None:
    """The data set of a DICOM file; None where it is none."""
    try:
        return dcmread(BytesIO(content))
    except (*CONVERSION_ERRORS, InvalidDicomError, EOFError, RecursionError):
        return None


def content_digest(data_set: Dataset) -> str:
    """Of what an object says: its UIDs and all elements but those that an archive may correct (patient, study).

    It is written and read once more first, since what was never written may hold its values in another form.
    """
    data_set, digest = read_file(file_of(data_set)) or data_set, hashlib.sha256()
    for keyword in _IDENTITY:
        digest.update(f"{data_set.get(keyword, '')}|".encode())
    kept = Dataset()
    for element in data_set:
        if element.tag.group not in _PATIENT_AND_STUDY and element.tag.element != 0:
            kept[element.tag] = element
    digest.update(json_text(kept).encode())
    return digest.hexdigest()


def json_text(data_set: Dataset) -> str:
    """One text for one content, however it was encoded."""
    return str(data_set.to_json(bulk_data_threshold=1 << 62, suppress_invalid_tags=False))

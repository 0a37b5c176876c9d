"""The few attributes that the listener looks at: of an object's front, and of the data sets of messages.

Bad bytes are absent values and flags, or DataSetError, never a crash; nothing but the named attributes is kept, and no
more than MOST_BYTES are looked at. Not for: what a run is described by, which a confined process reads (sources/).
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS, Attributes
from cathrt.runtime.sources.dicom.part10 import IMPLICIT_LITTLE, read_part10
from cathrt.runtime.sources.syntax import is_uid

MOST_BYTES = 1 << 20  # of one object's front, and of one message's data set
MOST_ITEMS = 2048  # of all sequences of a message together; each costs a kilobyte and a millisecond
_ITEM = b"\xfe\xff\x00\xe0"
_AFTER_STUDY = 0x0020000E  # Patient ID (0010,0020) and Study Instance UID (0020,000D) come before it
# Reading a data set changes the warnings filter, which belongs to the whole process (warnings.catch_warnings).
_READING = threading.Lock()


class DataSetError(SourceError):
    """A message's data set cannot be read."""


@dataclass(frozen=True, slots=True)
class ObjectFront:
    """What an object says of where it belongs.

    study_instance_uid: "" where there is none that can be used. patient: keyed hash of the Patient ID; "" without one.
    """

    study_instance_uid: str
    patient: str
    flags: tuple[str, ...]


class PatientKey:
    """Turns a Patient ID into what two of them can be compared by. The key is the store's own and leaves it never."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, attributes: Attributes) -> str:
        """Keyed hash of the Patient ID; "" where there is none."""
        patient_id = (attributes.text("PatientID") or "").strip()
        return hmac.digest(self._key, patient_id.encode(errors="replace"), "sha256").hex()[:32] if patient_id else ""


def object_front(path: Path, key: PatientKey) -> ObjectFront:
    """What the first bytes of an object's file say. Raises OSError where the file cannot be read."""
    with path.open("rb") as file:
        front = BytesIO(file.read(MOST_BYTES))
    with _READING:
        try:
            part10 = read_part10(
                front, max_inflated_bytes=MOST_BYTES, keywords=("PatientID", "StudyInstanceUID"), until=_AFTER_STUDY
            )
        except SourceError:
            return ObjectFront("", "", ("header_unusable",))
        flags: set[str] = set()
        attributes = Attributes([[part10.dataset]], flags)
        study, patient = usable_uid(attributes, "StudyInstanceUID"), key.of(attributes)
    return ObjectFront(study, patient, tuple(sorted(flags)))


def usable_uid(attributes: Attributes, keyword: str) -> str:
    """A UID that is one by its form; "" and a flag otherwise."""
    uid = attributes.text(keyword) or ""
    if is_uid(uid):
        return uid
    attributes.flag_unusable(keyword)
    return ""


@dataclass(frozen=True, slots=True)
class MessageDataSet:
    """Attributes of a message's data set, and the items of its sequences."""

    attributes: Attributes

    def items(self, keyword: str) -> list[Attributes]:
        """The items of a sequence at the top; [] where it is absent. Raises DataSetError where it cannot be read."""
        (level,) = self.attributes.levels
        try:
            found = level[0].get(keyword) or []
            return [Attributes([[item]], self.attributes.flags) for item in found if isinstance(item, Dataset)]
        except (*CONVERSION_ERRORS, EOFError, RecursionError) as exc:
            raise DataSetError(f"{keyword} cannot be read ({type(exc).__name__})") from exc


@contextmanager
def message_data_set(
    sent: BytesIO | None, transfer_syntax_uid: str, keywords: Sequence[str]
) -> Iterator[MessageDataSet]:
    """The named attributes of a message's data set, for the length of the block: take out of it what is needed.

    sent: its bytes, little endian. One thread at a time is in such a block. Raises DataSetError.
    """
    octets = b"" if sent is None else sent.getvalue()
    if len(octets) > MOST_BYTES:
        raise DataSetError(f"a data set of {len(octets)} bytes, expected at most {MOST_BYTES}")
    items = octets.count(_ITEM)
    if items > MOST_ITEMS:
        raise DataSetError(f"{items} sequence items, expected at most {MOST_ITEMS}")
    with _READING:
        try:
            tags = [tag_for_keyword(keyword) for keyword in keywords]
            implicit = transfer_syntax_uid == IMPLICIT_LITTLE
            data_set = read_dataset(BytesIO(octets), implicit, True, specific_tags=tags)
        except (*CONVERSION_ERRORS, EOFError, RecursionError) as exc:
            raise DataSetError(f"its data set cannot be read ({type(exc).__name__})") from exc
        yield MessageDataSet(Attributes([[data_set]], set()))

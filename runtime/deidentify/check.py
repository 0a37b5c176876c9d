"""A second look at a de-identified file, which knows nothing of how it was made: no original value of the patient may
be in any byte of it, in any of the encodings that it may have been written in.

It reads the file's bytes, and its elements by pydicom: text of any VR, in sequences, private ones, the file meta
information and the preamble. Not for: making the file (data_set.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from cathrt.runtime.errors import SourceError

_ENCODINGS = (
    "utf-8", "latin-1", "shift_jis", "iso2022_jp", "euc_jp", "gb18030", "euc_kr", "iso8859_2", "iso8859_5", "iso8859_7",
    "utf-16-le", "utf-16-be",
)  # fmt: skip
_LEAST, _LEAST_ELSE = 3, 2  # characters of a value that is looked for; of one that is not ASCII, as 山田 is a name
_PURE_TEXT = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN", "OB", "CS", "DA", "DT", "TM", "AS")
_EMPTIED = ("AE", "LO", "LT", "SH", "ST", "UC", "UT")
_NUMERIC = ("DS", "IS", "UI")
_IN_PIXELS = 8  # bytes of a value that is looked for in pictures too, where shorter ones occur by chance
_NOT_ORIGINAL = ("CS", "DS", "IS", "SQ", "US", "FL", "FD", "UL", "SS", "SL")  # codes and amounts name nobody
# Beside the patient module (group 0010): who and what else points at a person.
_ALSO = ("AccessionNumber", "StudyID", "AdmissionID", "ServiceEpisodeID", "PlacerOrderNumberImagingServiceRequest")
_SPLIT = re.compile(r"[\^=\\ ,;]+")


class LeftoverError(SourceError):
    """Something of the patient is still in a file that was to have none. It is not written."""


@dataclass(frozen=True, slots=True)
class Original:
    """One original value. keyword: where it was, for messages, which never show the value. whole: only where it is the
    whole value of a text element: short numbers occur everywhere."""

    keyword: str
    text: str
    whole: bool


def originals_of(data_set: Dataset) -> tuple[Original, ...]:
    """The values that may not be left: of the patient module, of names anywhere, of what numbers the study."""
    found: dict[tuple[str, str], Original] = {}
    for element in _elements(data_set):
        of_patient = element.tag.group == 0x0010 or element.VR == "PN" or element.keyword in _ALSO
        if not of_patient or element.VR in _NOT_ORIGINAL:
            continue
        name = element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})"
        for value in _values(element.value):
            for text in {value, *(_SPLIT.split(value) if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT") else ())}:
                plain = text.strip(" \0")
                if len(plain) >= (_LEAST if plain.isascii() else _LEAST_ELSE):
                    found[name, plain] = Original(name, plain, plain.isdecimal() and len(plain) < 6)
    return tuple(found.values())


def emptied(data_set: Dataset, originals: Iterable[Original]) -> int:
    """Empty texts that the profile keeps and that hold a value of the patient all the same. Returns how many."""
    wanted, count = tuple(originals), 0
    for element in _elements(data_set):
        if element.VR in _EMPTIED and any(_holds(element.VR, element.value, original) for original in wanted):
            element.value, count = "", count + 1
    return count


def require_nothing_left(content: bytes, originals: Iterable[Original]) -> None:
    """Raises LeftoverError naming the element whose original value is still in the file, and where it was found."""
    wanted = tuple(originals)
    data_set = dcmread(BytesIO(content), force=True)
    meta, pixels = getattr(data_set, "file_meta", Dataset()), _pixel_bytes(data_set)
    where = content.find(pixels) if pixels else -1
    outside = content if where < 0 else content[:where] + b"\0\0" + content[where + len(pixels) :]
    for original in wanted:
        for element in (*_elements(data_set), *_elements(meta)):
            if _holds(element.VR, element.value, original):
                tag = f"({element.tag.group:04X},{element.tag.element:04X})"
                raise LeftoverError(f"the original {original.keyword} is still in {tag} {element.keyword}")
        if original.whole:
            continue
        for octets in _encoded(original.text):
            if _found(octets, outside) or (len(octets) >= _IN_PIXELS and octets in pixels):
                raise LeftoverError(f"the original {original.keyword} is still in the bytes of the file")


def _elements(data_set: Dataset) -> Iterator[Any]:
    for element in data_set:
        yield element
        if element.VR == "SQ":
            for item in element.value or []:
                yield from _elements(item)


def _values(value: object) -> list[str]:
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    if isinstance(value, str | PersonName) or not isinstance(value, Iterable):
        return [str(value)] if value is not None else []
    return [text for one in value for text in _values(one)]


def _holds(vr: str, value: object, original: Original) -> bool:
    if vr == "SQ" or (vr not in _PURE_TEXT and vr not in _NUMERIC):
        return False
    for text in _values(value):
        plain = text.strip(" \0")
        if original.whole:
            if vr in _PURE_TEXT and vr not in ("DA", "TM", "DT", "OB", "UN") and plain == original.text:
                return True
        elif _as_word(original.text.casefold(), plain.casefold()):
            return True
    return False


def _as_word(text: str, within: str) -> bool:
    """Whether it is there, not as a part of a longer word of ASCII letters and digits."""
    if not text.isascii():
        return text in within
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", within) is not None


def _encoded(text: str) -> set[bytes]:
    found = set()
    for encoding in _ENCODINGS:
        try:
            octets = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        if encoding == "iso2022_jp" and not text.isascii():
            octets = octets.removesuffix(b"\x1b(B")
        if len(octets) >= _LEAST:
            found.add(octets)
    return found


def _found(octets: bytes, within: bytes) -> bool:
    pattern = re.escape(octets)
    if octets.isascii() and octets.isalnum():
        pattern = rb"(?<![A-Za-z0-9])" + pattern + rb"(?![A-Za-z0-9])"
    return re.search(pattern, within, re.IGNORECASE if octets.isascii() else 0) is not None


def _pixel_bytes(data_set: Dataset) -> bytes:
    value = data_set.get("PixelData")
    return value if isinstance(value, bytes) else b""

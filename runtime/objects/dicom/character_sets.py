"""Which character set an object is written in: UTF-8, or ISO 2022 for archives that know no other.

An object whose text ISO 2022 cannot hold is written in UTF-8 all the same: a wrong name is worse than an unread one.
Not for: reading (evidence_header.py).
"""

from __future__ import annotations

import warnings
from typing import Literal

from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataset import Dataset

JAPANESE = ("", "ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159")  # ASCII, half-width kana, JIS X 0208, 0212
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def with_character_set(made: Dataset, character_set: Literal["utf-8", "japanese"]) -> Dataset:
    """The same object, declared in that character set where all of its text can be."""
    if character_set == "japanese" and all(_survives(text) for text in _texts(made)):
        made.SpecificCharacterSet = list(JAPANESE)
    return made


def _texts(made: Dataset) -> list[str]:
    return [str(element.value) for element in made.iterall() if element.VR in _TEXTS and element.value]


def _survives(text: str) -> bool:
    """Whether a reader gets back what is written."""
    encodings = convert_encodings(list(JAPANESE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says what it replaces; the comparison does
        return bool(decode_bytes(encode_string(text, encodings), encodings, set()) == text)

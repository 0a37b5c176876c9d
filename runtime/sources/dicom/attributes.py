"""Attributes of a data set read with tolerance: empty is absent, nonsense is absent and flagged, nothing raises.

Not for: where the functional groups of a frame lie (functional_groups.py), and what an absent attribute means: each
caller decides.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

from cathrt.runtime.sources.syntax import is_code_string

# What pydicom raises when it turns a damaged value into Python's types.
CONVERSION_ERRORS = (
    ArithmeticError,
    BytesLengthException,
    AttributeError,
    LookupError,
    NotImplementedError,
    OSError,  # "No tag to read": a sequence that ends within its items
    TypeError,
    ValueError,
    struct.error,
)


class Attributes:
    """Data sets that say what holds, the most specific level first; the first that has a tag with a value answers.

    levels: of an Enhanced object the functional groups of a frame, those that all share, and the top of the data set;
        else the data set alone. The data sets of one level are looked at as one.
    flags: shared by everything read from one file; unusable values add "<attribute>_unusable".
    """

    def __init__(self, levels: Sequence[Sequence[Dataset]], flags: set[str]) -> None:
        self.levels = levels
        self.flags = flags

    def of_level_with(self, *keywords: str) -> Attributes:
        """The first level that has a value for any of these, alone: what belongs together is not mixed."""
        for level in self.levels:
            found = Attributes([level], self.flags)
            if any(found.has(keyword) for keyword in keywords):
                return found
        return Attributes([], self.flags)

    def has(self, keyword: str) -> bool:
        """Whether there is a value, usable or not. An empty one is none."""
        return self._value(keyword) is not None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values of a numeric attribute; () where it is absent, empty, or not made of finite numbers (flagged)."""
        value = self._value(keyword)
        if value is None:
            return ()
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        try:
            numbers = tuple(float(item) for item in values)
        except CONVERSION_ERRORS:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            self.flag_unusable(keyword)
            return ()
        return numbers

    def number(self, keyword: str) -> float | None:
        """The first value of a numeric attribute, or None."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """The first value of a whole-number attribute, or None (flagged when it has a fraction)."""
        number = self.number(keyword)
        if number is not None and number != int(number):
            self.flag_unusable(keyword)
            return None
        return None if number is None else int(number)

    def codes(self, keyword: str) -> tuple[str, ...]:
        """The values of a code string; () where it is absent, empty or no code string (flagged)."""
        value = self._value(keyword)
        if value is None:
            return ()
        values = [
            str(item) for item in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
        ]
        if not all(item == "" or is_code_string(item) for item in values):
            self.flag_unusable(keyword)
            return ()
        return tuple(item.strip() for item in values)

    def code(self, keyword: str) -> str | None:
        """The first value of a code string, or None."""
        codes = self.codes(keyword)
        return codes[0] or None if codes else None

    def text(self, keyword: str) -> str | None:
        """The attribute as text, unchecked: only for UIDs, which the caller checks."""
        value = self._value(keyword)
        return None if value is None else str(value)

    def words(self, keyword: str, *, little_endian: bool) -> NDArray[np.uint16] | None:
        """The values of a US, SS or OW attribute as unsigned 16-bit words (LUT Data may be any of them)."""
        value = self._value(keyword)
        if isinstance(value, bytes):
            return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little_endian else ">u2").astype(np.uint16)
        numbers = self.numbers(keyword)
        if any(not -32768 <= number <= 65535 for number in numbers):
            self.flag_unusable(keyword)
            return None
        return np.array([int(number) & 0xFFFF for number in numbers], np.uint16) if numbers else None

    def octets(self, keyword: str) -> bytes | None:
        """The value of a byte attribute (OB, OV, ...), or None."""
        value = self._value(keyword)
        return value if isinstance(value, bytes) else None

    def item(self, keyword: str) -> Attributes | None:
        """The first item of a sequence, or None."""
        value = self._value(keyword)
        if isinstance(value, Sequence) and isinstance(value[0], Dataset):
            return Attributes([[value[0]]], self.flags)
        return None

    def count(self, keyword: str) -> int:
        """How many values or items there are."""
        value = self._value(keyword)
        return 0 if value is None else len(value) if isinstance(value, Sequence) and not isinstance(value, str) else 1

    def flag_unusable(self, keyword: str) -> None:
        """Note that an attribute is there but cannot be used."""
        self.flags.add(f"{snake_case(keyword)}_unusable")

    def _value(self, keyword: str) -> Any:
        """The first value that is not empty."""
        for level in self.levels:
            for dataset in level:
                if keyword in dataset and not _is_empty(value := self._converted(dataset, keyword)):
                    return value
        return None

    def _converted(self, dataset: Dataset, keyword: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's opinion of a value; ours is the caller's check
                element = dataset[keyword]
        except CONVERSION_ERRORS:
            self.flag_unusable(keyword)
            return None
        if (element.VR == "SQ") != _is_sequence(keyword):  # items have no text, and text has no items
            self.flag_unusable(keyword)
            return None
        return element.value


@cache
def _is_sequence(keyword: str) -> bool:
    return bool(dictionary_VR(keyword) == "SQ")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, Sequence) and len(value) == 0)


def snake_case(keyword: str) -> str:
    """FrameTimeVector -> frame_time_vector; VOILUTFunction -> voilut_function."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", keyword).lower()

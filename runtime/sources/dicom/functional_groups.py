"""The functional groups of Enhanced objects: what holds for each frame, and whether two frames say the same.

Not for: what an attribute means (grayscale.py, exposed.py, geometry.py, timing.py).
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS, Attributes

_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"


class FunctionalGroups:
    """A data set's per-frame and shared functional groups; an object without any has the data set itself.

    most: no more per-frame items are looked at.   items: how many frames have an item of their own, or most + 1.
    flags: of the file.
    """

    def __init__(self, dataset: Dataset, flags: set[str], most: int) -> None:
        self._dataset = dataset
        self.flags = flags
        self._per_frame = self._items(_PER_FRAME, most + 1)
        shared = self._items(_SHARED, 1)
        self._shared = self._groups(shared[0]) if shared else []
        self.items = len(self._per_frame)

    def of_frame(self, index: int) -> Attributes:
        """What holds for a frame: its own functional groups, then the shared ones, then the top of the data set."""
        own = self._groups(self._per_frame[index]) if index < self.items else []
        return Attributes([own, self._shared, [self._dataset]], self.flags)

    def _items(self, keyword: str, most: int) -> Any:
        try:
            _crop(self._dataset, keyword, most)
            return (self._dataset.get(keyword) or ())[:most]
        except CONVERSION_ERRORS:
            self.flags.add("functional_groups_unusable")
            return ()

    def _groups(self, item: Dataset) -> list[Dataset]:
        """An item of either sequence, and the first item of each group in it."""
        try:
            return [item, *(element.value[0] for element in item if element.VR == "SQ" and element.value)]
        except CONVERSION_ERRORS:
            self.flags.add("functional_groups_unusable")
            return [item]


def _crop(dataset: Dataset, keyword: str, most: int) -> None:
    """Cut a sequence that is not parsed yet off after so many items: parsing an item takes long, passing it does not.

    One with items of undefined length is left as it is; pydicom parses sequences of undefined length while reading.
    """
    tag = Tag(keyword)
    if tag not in dataset or not isinstance(raw := dataset.get_item(tag), RawDataElement) or raw.value is None:
        return
    header = struct.Struct("<HHI" if raw.is_little_endian else ">HHI")
    end = 0
    for _ in range(most):
        if end + header.size > len(raw.value):
            return
        *item, length = header.unpack_from(raw.value, end)
        if item != [0xFFFE, 0xE000] or length == 0xFFFFFFFF:
            return
        end += header.size + length
    if end < len(raw.value):
        dataset[tag] = raw._replace(value=raw.value[:end], length=end)


def fingerprint(datasets: Collection[Dataset], tags: Collection[int]) -> tuple[object, ...]:
    """Equal for data sets in which these tags have the same values as stored."""
    return tuple(
        (int(tag), _stored_value(dataset, tag))
        for dataset in datasets
        for tag in dataset.keys()  # noqa: SIM118 - iterating over a Dataset converts its elements
        if tag in tags
    )


def _stored_value(dataset: Dataset, tag: int) -> object:
    """None for a value that cannot be converted, which pydicom tries for an empty one: that is as good as absent."""
    try:
        return _stored(dataset.get_item(tag).value)
    except CONVERSION_ERRORS:
        return None


def _stored(value: Any) -> object:
    if isinstance(value, bytes | str | int | float | None):
        return value
    if isinstance(value, Collection) and all(isinstance(item, Dataset) for item in value):
        return tuple(fingerprint([item], list(item.keys())) for item in value)
    return repr(value)

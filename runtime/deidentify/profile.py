"""What becomes of each element: PS3.15 table E.1-1, edition 2026c, as the package dicom-anonymizer has it, and the
options that are offered here. Only the table is taken from that package: actions are ours (data_set.py).

Not for: doing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cathrt.runtime.errors import ConfigError

TABLE = "dicomfields_2026c"


class Act(StrEnum):
    """What is done with an element. DUMMY: a value of its kind that says nothing. UID: the one that stands for it.

    SHIFT: a date moved by the days of its patient. KEEP: left, and looked into where it is a sequence.
    """

    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"
    SHIFT = "shift"
    KEEP = "keep"


# Columns of the table. Where it leaves a choice by an object's type of attribute, that one is taken which every object
# allows: an empty element rather than none, a dummy rather than an empty one.
_ACTS = {
    "X_TAGS": Act.REMOVE,
    "Z_TAGS": Act.EMPTY,
    "X_Z_TAGS": Act.EMPTY,
    "D_TAGS": Act.DUMMY,
    "Z_D_TAGS": Act.DUMMY,
    "X_D_TAGS": Act.DUMMY,
    "X_Z_D_TAGS": Act.DUMMY,
    "U_TAGS": Act.UID,
    "X_Z_U_STAR_TAGS": Act.KEEP,  # sequences whose items refer to objects: the UIDs in them are replaced
}
# What the Retain Device Identity Option has as K: what names a machine, says when it was made or measured, or where it
# stands. Application entity titles are C there, to be cleaned; nobody can tell what a title says, so they go.
RETAIN_DEVICE = (
    0x00081010, 0x0014407C, 0x0014407E, 0x0016004E, 0x0016004F, 0x00160050, 0x00160051, 0x00181000, 0x00181002,
    0x00181004, 0x00181005, 0x00181007, 0x00181008, 0x00181009, 0x0018100A, 0x0018100B, 0x00181200, 0x00181201,
    0x00181202, 0x00181203, 0x00181204, 0x00181205, 0x00185011, 0x0018700A, 0x0018700C, 0x0018700E, 0x00189367,
    0x00189371, 0x00189373, 0x00203401, 0x00321020, 0x00400010, 0x00400011, 0x00400242, 0x00404025, 0x00404027,
    0x00404028, 0x00404030, 0x00500020, 0x04000563, 0x30080105, 0x300A00B2, 0x300A0216, 0x300C0127, 0x3010002D,
    0x30100043,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """shifted_dates: Retain Longitudinal Temporal Information, Modified Dates. device: Retain Device Identity.
    clean_pixels: Clean Pixel Data: text in pictures is painted over; without it such a file is refused."""

    shifted_dates: bool = False
    device: bool = False
    clean_pixels: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """acts: by tag. masked: of repeating groups: tag, mask and act. options: that were chosen."""

    acts: Mapping[int, Act]
    masked: tuple[tuple[int, int, Act], ...]
    options: Options

    def act(self, tag: int) -> Act | None:
        """What is done with an element; None where the table does not name it."""
        found = self.acts.get(tag)
        if found is not None:
            return found
        return next((act for value, mask, act in self.masked if tag & mask == value), None)


def profile(options: Options) -> Profile:
    """The Basic Profile with these options. Raises ConfigError where the table is not installed."""
    try:
        from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
    except ImportError as exc:
        raise ConfigError("deidentify needs dicom-anonymizer: pip install '.[deidentify]'") from exc
    acts: dict[int, Act] = {}
    masked: list[tuple[int, int, Act]] = []
    for name, tags in dicom_anonymization_database_selector(TABLE).items():
        act = _ACTS.get(name)
        if act is None:
            continue  # all tags once more
        for tag in tags:
            value = tag[0] << 16 | tag[1]
            if len(tag) == 2:
                acts[value] = act
            else:
                mask = tag[2] << 16 | tag[3]
                masked.append((value & mask, mask, act))
    if options.device:
        acts.update((tag, Act.KEEP) for tag in RETAIN_DEVICE)
    return Profile(acts, tuple(masked), options)

"""What holds for each frame of a run: its grey scale and exposed area, each kept once, and where the C-arm stood.

Not for: what one frame's attributes mean (grayscale.py, exposed.py, geometry.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.exposed import EXPOSED_KEYWORDS
from cathrt.runtime.sources.dicom.functional_groups import FunctionalGroups, fingerprint
from cathrt.runtime.sources.dicom.grayscale import GRAYSCALE_KEYWORDS
from cathrt.runtime.sources.grayscale_message import MAX_GRAYSCALES, MAX_NUMBERS, numbers_of

_TAGS = frozenset(tag for keyword in (*GRAYSCALE_KEYWORDS, *EXPOSED_KEYWORDS) if (tag := tag_for_keyword(keyword)))
# A functional group belongs to every frame or to none (PS3.3 C.7.6.16.1.1). What says that a frame has the group:
_GROUPS = {
    "voi_missing_in_frames": ("WindowCenter", "VOILUTSequence"),
    "shutter_missing_in_frames": ("ShutterShape",),
    "collimator_missing_in_frames": ("CollimatorShape",),
    "positioner_angle_missing_in_frames": ("PositionerPrimaryAngle",),
}


@dataclass(frozen=True, slots=True)
class Grayscales:
    """Those of a run, each once. of_frames: the place of each frame's."""

    distinct: tuple[Grayscale, ...]
    of_frames: tuple[int, ...]


def grayscales_of_frames(
    groups: FunctionalGroups, frame_count: int, make: Callable[[Attributes], Grayscale]
) -> Grayscales:
    """The grey scale that `make` makes of each frame's attributes; it is called once for frames that say the same.

    Raises SourceError where a run has more of them than a line can prepare for, or larger ones.
    """
    made: dict[tuple[object, ...], int] = {}  # by what a frame says
    kept: dict[tuple[object, ...], int] = {}  # by what that means
    distinct: list[Grayscale] = []
    numbers = 0
    of_frames = []
    for index in range(frame_count):
        attributes = groups.of_frame(index)
        says = fingerprint(attributes.levels[0], _TAGS)
        if says not in made:
            grayscale = make(attributes)
            means = (grayscale.window_key, grayscale.exposed_key, grayscale.pixel_intensity_relationship)
            if means not in kept:
                kept[means] = len(distinct)
                distinct.append(grayscale)
                numbers += numbers_of(grayscale)
                _require_few(len(distinct), numbers)
            made[says] = kept[means]
        of_frames.append(made[says])
    return Grayscales(tuple(distinct), tuple(of_frames))


def flag_gaps(groups: FunctionalGroups, frame_count: int, flags: set[str]) -> None:
    """Flag functional groups that do not go with the frames: too few items, too many, a group only in some of them."""
    if not groups.items:
        return
    if groups.items < frame_count:
        flags.add("functional_groups_incomplete")
    if groups.items > frame_count:
        flags.add("functional_groups_left_over")
    own = [Attributes(groups.of_frame(index).levels[:1], flags) for index in range(min(frame_count, groups.items))]
    for flag, keywords in _GROUPS.items():
        frames = sum(any(map(attributes.has, keywords)) for attributes in own)
        if 0 < frames < frame_count:
            flags.add(flag)


def _require_few(grayscales: int, numbers: int) -> None:
    if grayscales > MAX_GRAYSCALES:
        raise SourceError(
            f"its frames have more than {MAX_GRAYSCALES} different grey scales and exposed areas (VOI, shutter, "
            "collimator): export the run in parts"
        )
    if numbers > MAX_NUMBERS:
        raise SourceError(
            f"the lookup tables and exposed areas of its frames hold more than {MAX_NUMBERS} numbers: export the run "
            "in parts, or with windows in place of VOI LUTs"
        )

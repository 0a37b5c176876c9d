"""C-arm geometry of a DICOM run, and its angles frame by frame where the C-arm moves.

Not for: deciding laterality from angles; they are known to carry the wrong sign.
"""

from __future__ import annotations

from itertools import accumulate

from cathrt.runtime.frame import Geometry
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.functional_groups import FunctionalGroups

Angles = tuple[float | None, float | None]
_PRIMARY, _SECONDARY = "PositionerPrimaryAngle", "PositionerSecondaryAngle"
# PS3.3 C.8.7.5: primary -180..180, secondary -90..90.
_MAX_ANGLE_DEG = {_PRIMARY: 180.0, _SECONDARY: 90.0}


def geometry_from_attributes(attributes: Attributes) -> Geometry:
    """Angles, spacing and distances; None for what is absent or cannot be meant (flagged)."""
    spacing = attributes.numbers("ImagerPixelSpacing")
    if spacing and (len(spacing) != 2 or min(spacing) <= 0.0):
        attributes.flag_unusable("ImagerPixelSpacing")
        spacing = ()
    return Geometry(
        positioner_primary_angle_deg=_angle(attributes, _PRIMARY),
        positioner_secondary_angle_deg=_angle(attributes, _SECONDARY),
        imager_pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        distance_source_to_detector_mm=_distance(attributes, "DistanceSourceToDetector"),
        distance_source_to_patient_mm=_distance(attributes, "DistanceSourceToPatient"),
    )


def angles_of_frames(groups: FunctionalGroups, geometry: Geometry, frame_count: int) -> list[Angles]:
    """(primary, secondary) of every frame. geometry: of the first one.

    A moving C-arm (DYNAMIC) gives an incremental change for each frame (0018,1520/1521): they are summed, and the run
    flagged "positioner_increments_summed", because some systems are said to write offsets from the first frame instead.
    Enhanced objects give the angle itself per frame. Where distances or spacing differ between frames, the run has
    those of the first one and the flag "distances_change".
    """
    start: Angles = (geometry.positioner_primary_angle_deg, geometry.positioner_secondary_angle_deg)
    if groups.items:
        frames = [geometry_from_attributes(groups.of_frame(index)) for index in range(frame_count)]
        if len({_distances(frame) for frame in frames}) > 1:
            groups.flags.add("distances_change")
        return [(frame.positioner_primary_angle_deg, frame.positioner_secondary_angle_deg) for frame in frames]
    attributes = groups.of_frame(0)
    if attributes.code("PositionerMotion") != "DYNAMIC":
        return [start] * frame_count
    primary = _moved(attributes, start[0], f"{_PRIMARY}Increment", frame_count)
    secondary = _moved(attributes, start[1], f"{_SECONDARY}Increment", frame_count)
    return list(zip(primary, secondary, strict=True))


def _moved(attributes: Attributes, start: float | None, keyword: str, frame_count: int) -> list[float | None]:
    increments = attributes.numbers(keyword)
    if start is None or not increments:
        return [start] * frame_count
    angles = [start + moved for moved in accumulate(increments)]
    if len(increments) != frame_count or max(map(abs, angles)) > 360.0:
        attributes.flag_unusable(keyword)
        return [start] * frame_count
    attributes.flags.add("positioner_increments_summed")
    return list(angles)


def _distances(geometry: Geometry) -> tuple[object, ...]:
    return (
        geometry.imager_pixel_spacing_mm,
        geometry.distance_source_to_detector_mm,
        geometry.distance_source_to_patient_mm,
    )


def _angle(attributes: Attributes, keyword: str) -> float | None:
    angle = attributes.number(keyword)
    if angle is not None and abs(angle) > _MAX_ANGLE_DEG[keyword]:
        attributes.flag_unusable(keyword)
        return None
    return angle


def _distance(attributes: Attributes, keyword: str) -> float | None:
    distance = attributes.number(keyword)
    if distance is not None and not 0.0 < distance < 10_000.0:
        attributes.flag_unusable(keyword)
        return None
    return distance

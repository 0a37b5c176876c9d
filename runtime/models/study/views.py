"""The view of a run as the table of views in a study head numbers it, from the angles of the C-arm.

Positive primary angles are LAO, positive secondary angles cranial, as DICOM counts. Not for: what a view shows.
"""

from __future__ import annotations

VIEWS = (
    "AP", "AP caudal", "AP cranial", "LAO caudal", "LAO cranial", "LAO lateral", "LAO straight", "other",
    "RAO caudal", "RAO cranial", "RAO lateral", "RAO straight", "unknown",
)  # fmt: skip
_STRAIGHT, _OBLIQUE, _LATERAL, _BEYOND = 15.0, 45.0, 70.0, 110.0  # degrees, where one view ends


def view_id(primary_deg: float | None, secondary_deg: float | None) -> int:
    """Of the angles (0018,1510) and (0018,1511); "unknown" where one is missing.

    Where two views meet, as at 15 degrees, the lateral comes first, then cranial, straight, caudal.
    """
    if primary_deg is None or secondary_deg is None:
        return VIEWS.index("unknown")
    side = "LAO" if primary_deg > 0 else "RAO"
    if _LATERAL <= abs(primary_deg) <= _BEYOND and abs(secondary_deg) <= _STRAIGHT:
        return VIEWS.index(f"{side} lateral")
    sides = _sides(primary_deg)
    for tilt, straight in ((_is_cranial, "cranial"), (_is_straight, "straight"), (_is_caudal, "caudal")):
        if sides and tilt(secondary_deg):
            name = f"{sides[0]} {straight}"
            return VIEWS.index("AP" if name == "AP straight" else name)
    return VIEWS.index("other")


def _sides(primary_deg: float) -> list[str]:
    """Of two that meet, the one that the published rule asks for first."""
    found = [("RAO", -_OBLIQUE, -_STRAIGHT), ("AP", -_STRAIGHT, _STRAIGHT), ("LAO", _STRAIGHT, _OBLIQUE)]
    return [name for name, low, high in found if low <= primary_deg <= high]


def _is_cranial(secondary_deg: float) -> bool:
    return _STRAIGHT <= secondary_deg <= _OBLIQUE


def _is_straight(secondary_deg: float) -> bool:
    return abs(secondary_deg) <= _STRAIGHT


def _is_caudal(secondary_deg: float) -> bool:
    return -_OBLIQUE <= secondary_deg <= -_STRAIGHT

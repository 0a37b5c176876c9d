"""Chord lengths of the rays through thin curved tubes: vessels, catheters, wires, ribs.

A tube is a polyline with a radius at each point. Each of its links paints the pixels between the two bisectors at its
ends, so neighbouring links neither overlap nor leave a gap; crossing tubes add, as attenuation does.
Not for: what the chords attenuate (detector.py) or bodies with volume such as the heart (background.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom._projector import add_chords
from cathrt.runtime.phantom.carm import CArm


@dataclass(frozen=True, slots=True, eq=False)
class TubeBundle:
    """Many tubes laid end to end. points (N, 3) mm, radii (N,) mm; link k joins point k and k+1 where joined[k]."""

    points: NDArray[np.float64]
    radii: NDArray[np.float64]
    joined: NDArray[np.bool_]

    @classmethod
    def from_polylines(cls, points: Sequence[NDArray[np.float64]], radii: Sequence[NDArray[np.float64]]) -> TubeBundle:
        joined = np.ones(sum(map(len, points)) - 1, dtype=bool) if points else np.zeros(0, dtype=bool)
        if points:
            joined[np.cumsum([len(part) for part in points])[:-1] - 1] = False
        return cls(
            points=np.concatenate(points) if points else np.zeros((0, 3)),
            radii=np.concatenate(radii) if radii else np.zeros(0),
            joined=joined,
        )


def chord_map(
    carm: CArm,
    tubes: TubeBundle,
    *,
    weight: NDArray[np.float64] | None = None,
    blur_variance: NDArray[np.float64] | float = 0.0,
    margin: int = 0,
) -> NDArray[np.float32]:
    """Sum of chord lengths, mm, of each pixel's ray through the tubes.

    weight: (N,) factor at each point, e.g. concentration; links of weight 0 cost nothing. blur_variance: pixel², at
    each point, of a blur across the tube (motion), which widens it and thins it by the same factor.
    margin: pixels added on each side. Returns (rows + 2 margin, columns + 2 margin) float32.
    A straight cylinder across the beam has the chord 2 sqrt(r² - d²); slanted, it lengthens as 1 / sin of the slant.
    Raises ValueError for numbers that are not finite, points behind the source, and arrays of the wrong length.
    """
    image = np.zeros((carm.rows + 2 * margin, carm.columns + 2 * margin), dtype=np.float32)
    with np.errstate(all="ignore"):  # add_chords says which point is at fault
        pixel, pixels_per_mm = carm.project(tubes.points)
    seen = np.column_stack([pixel + margin, pixels_per_mm])
    variance = np.asarray(blur_variance, dtype=np.float64)
    add_chords(
        image,
        np.ascontiguousarray(tubes.points, dtype=np.float64),
        seen,
        np.ascontiguousarray(tubes.radii, dtype=np.float64),
        np.ascontiguousarray(tubes.joined, dtype=np.bool_),
        None if weight is None else np.ascontiguousarray(weight, dtype=np.float64),
        np.full(len(tubes.points), variance) if variance.ndim == 0 else np.ascontiguousarray(variance),
    )
    return image

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

from cathrt.runtime.sources.phantom.carm import CArm

# Half-sizes of the square patches that links are painted in: the smallest that holds the link is taken.
_PATCH_HALF = (3, 4, 5, 6, 8, 11, 16, 24, 40, 64, 96, 160)
# A vessel seen end-on: its chord is cut off at its own radius times this.
_MAX_OBLIQUITY = 6.0


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
    """
    height, width = carm.rows + 2 * margin, carm.columns + 2 * margin
    links = np.flatnonzero(tubes.joined)
    if weight is not None:
        links = links[(weight[links] + weight[links + 1]) > 1e-3]
    if links.size == 0:
        return np.zeros((height, width), dtype=np.float32)

    pixel, pixels_per_mm = carm.project(tubes.points)
    pixel = pixel + margin
    link_vector = pixel[links + 1] - pixel[links]
    link_pixels = np.hypot(link_vector[:, 0], link_vector[:, 1])
    scale = 0.5 * (pixels_per_mm[links] + pixels_per_mm[links + 1])
    length = np.linalg.norm(tubes.points[links + 1] - tubes.points[links], axis=1) * scale
    along = link_vector / np.maximum(link_pixels, 1e-6)[:, None]
    obliquity = np.minimum(length / np.maximum(link_pixels, 1e-6), _MAX_OBLIQUITY)

    variance = np.broadcast_to(np.asarray(blur_variance, dtype=float), tubes.radii.shape)
    true_square = (tubes.radii * pixels_per_mm) ** 2
    seen_square = true_square + 4.0 * variance  # an ellipse of radius r has variance r²/4 across
    thinning = true_square / seen_square / pixels_per_mm * (1.0 if weight is None else weight)

    # Half a pixel's width across the link, so that the pixels of a row or column tile its profile exactly.
    aperture = 0.5 * np.abs(along).max(axis=1)
    # Bisector at each joint; at a free end, the link's own direction.
    normal_at = np.zeros((len(tubes.points), 2))
    np.add.at(normal_at, links, along)
    np.add.at(normal_at, links + 1, along)
    weak = np.einsum("ij,ij->i", normal_at[links], along) < 0.2
    start_normal = np.where(weak[:, None], along, normal_at[links])
    weak = np.einsum("ij,ij->i", normal_at[links + 1], along) < 0.2
    end_normal = np.where(weak[:, None], along, normal_at[links + 1])

    centre = 0.5 * (pixel[links] + pixel[links + 1])
    seen_radius = np.sqrt(np.maximum(seen_square[links], seen_square[links + 1]))
    reach = np.maximum(seen_radius, np.hypot(seen_radius, 0.5 * link_pixels)) + 1.0
    visible = (
        (centre[:, 0] > -reach)
        & (centre[:, 1] > -reach)
        & (centre[:, 0] < width + reach)
        & (centre[:, 1] < height + reach)
        & (link_pixels > 1e-3)
        & (reach < _PATCH_HALF[-1])
    )
    bucket = np.searchsorted(_PATCH_HALF, reach)
    flats: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    values: list[NDArray[np.float64]] = [np.zeros(0)]
    for index in np.unique(bucket[visible]):
        half = _PATCH_HALF[index]
        here = np.flatnonzero(visible & (bucket == index))
        offset = np.arange(-half, half + 1, dtype=np.float32)
        corner = np.rint(centre[here]).astype(np.int64)
        start, end = pixel[links[here]], pixel[links[here] + 1]

        def across(
            point: NDArray[np.float64],
            normal: NDArray[np.float64],
            corner: NDArray[np.int64] = corner,
            offset: NDArray[np.float32] = offset,
        ) -> NDArray[np.float32]:
            """normal · (pixel - point) over every patch, (K, 2 half + 1, 2 half + 1)."""
            x = (corner[:, 0] - point[:, 0]) * normal[:, 0] + (corner[:, 1] - point[:, 1]) * normal[:, 1]
            line = offset[None, :] * normal[:, 0:1].astype(np.float32) + x[:, None].astype(np.float32)
            column = offset[None, :] * normal[:, 1:2].astype(np.float32)
            return np.asarray(line[:, None, :] + column[:, :, None])

        inside = across(start, start_normal[here]) >= 0
        inside &= across(end, end_normal[here]) < 0
        along_here = along[here]
        distance = across(start, np.stack([-along_here[:, 1], along_here[:, 0]], axis=1))
        fraction = across(start, along_here / link_pixels[here, None])
        np.clip(fraction, 0.0, 1.0, out=fraction)
        square_start = seen_square[links[here]].astype(np.float32)[:, None, None]
        square_end = seen_square[links[here] + 1].astype(np.float32)[:, None, None]
        radius = np.sqrt(square_start + fraction * (square_end - square_start))
        inside &= np.abs(distance) < radius + aperture[here].astype(np.float32)[:, None, None]
        patch, row, column = np.nonzero(inside)
        value = _mean_chord(distance[inside], radius[inside], aperture[here][patch]) * obliquity[here][patch]
        thin_start, thin_end = thinning[links[here]], thinning[links[here] + 1]
        value *= thin_start[patch] + fraction[inside] * (thin_end - thin_start)[patch]
        row += corner[patch, 1] - half
        column += corner[patch, 0] - half
        on_canvas = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        flats.append(row[on_canvas] * width + column[on_canvas])
        values.append(value[on_canvas])
    image = np.bincount(np.concatenate(flats), weights=np.concatenate(values), minlength=height * width)
    return image.reshape(height, width).astype(np.float32)


def _mean_chord(
    distance: NDArray[np.float32], radius: NDArray[np.float32], aperture: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chord 2 sqrt(radius² - x²) averaged over x within distance +- aperture: the area between two lines by its width.

    This is what keeps tubes thinner than a pixel from flickering as they move.
    """
    near = np.clip((distance - aperture) / radius, -1.0, 1.0)
    far = np.clip((distance + aperture) / radius, -1.0, 1.0)
    area = far * np.sqrt(1.0 - far * far) + np.arcsin(far) - near * np.sqrt(1.0 - near * near) - np.arcsin(near)
    return np.asarray(area * radius * radius / (2.0 * aperture))

"""What the phantom's native part must agree with: the same formulae in numpy, written to be read, not to be fast.

Not for: what the results are used for (cathrt.runtime.phantom).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.tubes import TubeBundle

# Half-sizes of the square patches that links are painted in: the smallest that holds the link is taken.
_PATCH_HALF = (3, 4, 5, 6, 8, 11, 16, 24, 40, 64, 96, 160)
# A vessel seen end-on: its chord is cut off at its own radius times this.
_MAX_OBLIQUITY = 6.0


def chord_map(
    carm: CArm,
    tubes: TubeBundle,
    *,
    weight: NDArray[np.float64] | None = None,
    blur_variance: NDArray[np.float64] | float = 0.0,
    margin: int = 0,
) -> NDArray[np.float32]:
    """Truth of cathrt.runtime.phantom.tubes.chord_map: every link over a square patch, all patches at once."""
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
    """Chord 2 sqrt(radius² - x²) averaged over x within distance +- aperture."""
    near = np.clip((distance - aperture) / radius, -1.0, 1.0)
    far = np.clip((distance + aperture) / radius, -1.0, 1.0)
    area = far * np.sqrt(1.0 - far * far) + np.arcsin(far) - near * np.sqrt(1.0 - near * near) - np.arcsin(near)
    return np.asarray(area * radius * radius / (2.0 * aperture))


def shift_layers(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    share: float,
    margin: int,
    shift: tuple[float, float],
) -> NDArray[np.float32]:
    """The blend without its margins, moved down and right by `shift` pixels."""
    layer = first * (1.0 - share) + second * share
    origins = np.clip(margin - np.asarray(shift), 0.0, max(2 * margin - 1e-3, 0.0))
    for axis, origin in enumerate(origins):
        count = layer.shape[axis] - 2 * margin
        index = int(origin) + np.arange(count)
        after = np.minimum(index + 1, layer.shape[axis] - 1)  # weight 0 where it does not exist
        part = origin - int(origin)
        layer = layer.take(index, axis) * (1.0 - part) + layer.take(after, axis) * part
    return np.asarray(layer, dtype=np.float32)


def transmit(
    primary: NDArray[np.float32], path: NDArray[np.float32], mu: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The primary beam behind `path` mm of contrast medium, double precision."""
    left = (share[:, None, None] * np.exp(-mu[:, None, None] * path.astype(np.float64))).sum(axis=0)
    return np.asarray(primary * np.where(path > np.float32(1e-3), left, 1.0))


def low_pass(
    image: NDArray[np.float32], row_spread: NDArray[np.float32], column_spread: NDArray[np.float32], block: int
) -> NDArray[np.float64]:
    """Spread block means, double precision; blocks that stick out repeat the edge."""
    missing = [-side % block for side in image.shape]
    whole = np.pad(image.astype(np.float64), [(0, count) for count in missing], mode="edge")
    means = whole.reshape(whole.shape[0] // block, block, -1, block).mean(axis=(1, 3))
    return np.asarray(row_spread.astype(np.float64) @ means @ column_spread.astype(np.float64))


def separable_blur3(image: NDArray[np.float32], neighbour: float, reach: int) -> NDArray[np.float64]:
    """The blurred image, double precision; edges repeat."""
    out = image.astype(np.float64)
    for axis in (0, 1):
        index = np.arange(image.shape[axis])
        before = out.take(np.maximum(index - reach, 0), axis)
        after = out.take(np.minimum(index + reach, len(index) - 1), axis)
        out = (1.0 - 2.0 * neighbour) * out + neighbour * (before + after)
    return out


def noise_deviation(
    signal: NDArray[np.float32], per_photon: float, electronic_square: float, noise_share: float
) -> NDArray[np.float64]:
    """SD of each pixel's noise."""
    return np.asarray(
        np.sqrt(np.maximum(signal.astype(np.float64) * per_photon + electronic_square, 0.0)) * noise_share
    )

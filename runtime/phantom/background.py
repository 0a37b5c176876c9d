"""What the beam crosses besides arteries: chest wall, lungs with their vessels, heart, diaphragm, spine and ribs.

Soft parts are ellipsoids whose overlaps along each ray are worked out exactly; bones and lung vessels are tubes.
Made once a run as line-integral layers: the still ones, and the organs at a few steps of the heart's contraction.
Not for: iodine and devices, drawn anew in every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom._projector import shift_layers
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.skeleton import MIDLINE_X_MM, lung_vessels, ribs, spine
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map

# Per mm at a mean 58 keV.
WATER_PER_MM = 0.0205
_CONTRACTION_STEPS = 5


@dataclass(frozen=True, slots=True)
class Chest:
    """One patient's chest. Lengths mm, patient axes. inspiration_mm: how far the diaphragm stands below its mean.

    girth: size of the chest wall, 1 is 340 x 220 mm. heart: size of the heart's shadow. fat: share of that shadow that
    is fat and great vessels about it, so that its border is no edge. lung_density: of the lungs, water is 1.
    clutter: SD of the soft-tissue noise in nepers, clutter_slope: fall of its power spectrum. bone: how dense, 1 is
    average; bone_blur_mm: SD of how gradually bones end. seed: for the textures.
    """

    girth: float
    heart: float
    fat: float
    lung_density: float
    inspiration_mm: float
    bone: float
    bone_blur_mm: float
    lung_vessels: float
    clutter: float
    clutter_slope: float
    vertebra_phase: float
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Line integrals, nepers, (rows + 2 margin, columns + 2 margin) float32.

    still: chest wall and bones. organs: what moves with the breath, once for each of several steps of the heart's
    contraction, from end-diastole to end-systole.
    """

    still: NDArray[np.float32]
    organs: tuple[NDArray[np.float32], ...]
    margin: int

    def add_organs(self, line: NDArray[np.float32], contraction: float, row_shift: float, column_shift: float) -> None:
        """Add the organs at a contraction of 0 to 1, blended from the two nearest steps and shifted by pixels."""
        position = float(np.clip(contraction, 0.0, 1.0)) * (len(self.organs) - 1)
        step = min(int(position), len(self.organs) - 2)
        near, far = self.organs[step], self.organs[step + 1]
        shift_layers(near, far, position - step, self.margin, row_shift, column_shift, line)

    def add_still(self, line: NDArray[np.float32], row_shift: float, column_shift: float) -> None:
        """Add what neither breathes nor beats, shifted by pixels."""
        shift_layers(self.still, self.still, 0.0, self.margin, row_shift, column_shift, line)


def sample_chest(rng: np.random.Generator) -> Chest:
    """Draw a chest."""
    return Chest(
        girth=float(np.clip(rng.normal(1.0, 0.09), 0.8, 1.25)),
        heart=float(np.clip(rng.normal(1.08, 0.1), 0.88, 1.4)),
        fat=float(rng.uniform(0.2, 0.6)),
        lung_density=float(rng.uniform(0.26, 0.62)),
        inspiration_mm=float(rng.uniform(-35.0, 15.0)),
        bone=float(rng.uniform(0.5, 1.5)),
        bone_blur_mm=float(rng.uniform(1.0, 3.5)),
        lung_vessels=float(rng.uniform(0.4, 1.6)),
        clutter=float(np.exp(rng.uniform(np.log(0.022), np.log(0.11)))),
        clutter_slope=float(rng.uniform(1.9, 3.1)),
        vertebra_phase=float(rng.random()),
        seed=int(rng.integers(2**63)),
    )


def build_layers(chest: Chest, carm: CArm, table_mm: NDArray[np.float64], margin: int) -> Layers:
    """Project the chest once. table_mm: the patient's origin from the isocentre. margin: pixels, a multiple of 2."""
    rng = np.random.Generator(np.random.PCG64(chest.seed))
    columns = np.arange(-margin + 0.5, carm.columns + margin, 2.0)
    rows = np.arange(-margin + 0.5, carm.rows + margin, 2.0)
    source, towards = carm.rays(columns, rows)
    source, direction = source - table_mm, _planes(towards)

    # No organ is an ellipsoid: each is seen through its own smooth warp of the rays.
    for_lungs = _warped(rng, direction, carm, 7.0)
    for_heart = _warped(rng, direction, carm, 6.0)
    for_domes = _warped(rng, direction, carm, 6.0)
    lift = chest.inspiration_mm
    wall = _ellipsoid(source, direction, [MIDLINE_X_MM, 0, -35], np.array([170, 4000, 112]) * chest.girth)
    left = _ellipsoid(source, for_lungs, [50, 35, -48], [58 * chest.girth, 150, 84 * chest.girth])
    right = _ellipsoid(source, for_lungs, [-104, 35, -45], [60 * chest.girth, 150, 86 * chest.girth])
    dome_right = _ellipsoid(source, for_domes, [-100, -142 - lift, -25], [82, 84, 98])
    dome_left = _ellipsoid(source, for_domes, [42, -152 - lift, -40], [78, 80, 92])
    under_left, under_right = _meet(left, dome_left), _meet(right, dome_right)
    airy = np.float32(WATER_PER_MM * (1.0 - chest.lung_density))
    lungs = airy * (_length(under_left) + _length(under_right) - _length(left) - _length(right))
    lungs += _texture(rng, lungs.shape, 0.35 * chest.clutter, 2.4)
    still = np.float32(WATER_PER_MM) * _length(wall) + _texture(rng, lungs.shape, chest.clutter, chest.clutter_slope)

    organs = []
    for squeeze in np.linspace(0.0, 1.0, _CONTRACTION_STEPS):
        beats = chest.heart * (1.0 - 0.06 * squeeze)
        organ = lungs
        # The muscle, and about it what lies in the mediastinum: both take the place of lung.
        for size, share in ((beats, 1.0 - chest.fat), (beats * 1.16, 0.6 * chest.fat), (beats * 1.34, 0.4 * chest.fat)):
            heart = _heart(source, for_heart, size)
            in_air = [_length(_meet(lung, heart)) for lung in (left, right)]
            in_dome = [_length(_meet(dome, heart)) for dome in (under_left, under_right)]
            organ = organ + np.float32(share) * airy * (in_air[0] + in_air[1] - in_dome[0] - in_dome[1])
        organs.append(organ)

    whole = _enlarge(still)
    for tubes, per_mm in (*spine(chest.vertebra_phase, rng), *ribs(chest.girth, chest.vertebra_phase, rng)):
        whole += np.float32(per_mm * chest.bone) * _project(carm, tubes, table_mm, margin, soft_mm=chest.bone_blur_mm)
    branches = _project(carm, lung_vessels(rng), table_mm, margin)
    branches *= np.float32(0.75 * WATER_PER_MM * chest.lung_vessels)
    return Layers(whole, tuple(_enlarge(organ) + branches for organ in organs), margin)


def chord_through_ellipsoid(
    carm: CArm, centre_mm: NDArray[np.float64], semi_axes_mm: NDArray[np.float64], frame: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """Chord of each pixel's ray through one ellipsoid, mm, (rows, columns), worked out on every second pixel.

    frame: (3, 3), rows are the directions of the semi-axes; None for the patient's own axes.
    """
    source, direction = carm.rays(np.arange(0.5, carm.columns, 2.0), np.arange(0.5, carm.rows, 2.0))
    half = _length(_ellipsoid(source, _planes(direction), list(centre_mm), semi_axes_mm, frame))
    return _enlarge(half)[: carm.rows, : carm.columns]


def _planes(direction: NDArray[np.float64]) -> NDArray[np.float32]:
    """(rows, columns, 3) directions as (3, rows, columns)."""
    return np.ascontiguousarray(np.moveaxis(direction, -1, 0), dtype=np.float32)


def _warped(
    rng: np.random.Generator, direction: NDArray[np.float32], carm: CArm, deviation_mm: float
) -> NDArray[np.float32]:
    """The rays, each bent a little, smoothly over the field: deviation_mm at the isocentre."""
    right, up, _ = carm.axes()
    cells = 5
    spread = [
        np.exp(-0.5 * ((np.arange(count)[:, None] / count * cells - np.arange(-1, cells + 2)) / 0.75) ** 2)
        for count in direction.shape[1:]
    ]
    rows, columns = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in spread)
    coarse = rng.normal(0.0, deviation_mm / carm.source_to_isocentre_mm, (2, cells + 3, cells + 3))
    bent = direction.copy()
    # Summed by hand: BLAS would start threads, and those of several drawing processes stall each other.
    for cell in range(cells + 3):
        for toward, strength in zip((right, up), coarse, strict=True):
            swing = np.outer(rows[:, cell], columns @ strength[cell]).astype(np.float32)
            for plane, part in zip(bent, toward, strict=True):
                plane += np.float32(part) * swing
    return bent


_Interval = tuple[NDArray[np.float32], NDArray[np.float32]]


def _ellipsoid(
    source: NDArray[np.float64],
    direction: NDArray[np.float32],
    centre: list[float],
    semi_axes: NDArray[np.float64] | list[float],
    rotation: NDArray[np.float64] | None = None,
) -> _Interval:
    """Where each ray enters and leaves an ellipsoid, mm from the source; entry > exit where it misses.

    direction: (3, rows, columns), the rays' x, y and z.
    """
    turn = np.eye(3) if rotation is None else rotation
    scale = turn / np.asarray(semi_axes, dtype=float)[:, None]
    start = scale @ (source - np.asarray(centre, dtype=float))
    heading = [sum(np.float32(part) * plane for part, plane in zip(row, direction, strict=True)) for row in scale]
    a = heading[0] ** 2 + heading[1] ** 2 + heading[2] ** 2
    b = heading[0] * np.float32(start[0]) + heading[1] * np.float32(start[1]) + heading[2] * np.float32(start[2])
    root = np.sqrt(np.maximum(b * b - a * np.float32(start @ start - 1.0), np.float32(0.0)))
    return (-b - root) / a, (-b + root) / a


def _heart(source: NDArray[np.float64], direction: NDArray[np.float32], size: float) -> _Interval:
    """The heart's shadow: an ellipsoid 150 mm along base to apex, 112 and 100 mm across."""
    axis = np.array([0.55, -0.5, 0.67])
    axis /= np.linalg.norm(axis)
    second = np.cross(axis, [0.0, 0.0, 1.0])
    second /= np.linalg.norm(second)
    return _ellipsoid(
        source,
        direction,
        [-6.0, -6.0, -2.0],
        size * np.array([75.0, 56.0, 50.0]),
        np.stack([axis, second, np.cross(axis, second)]),
    )


def _meet(first: _Interval, second: _Interval) -> _Interval:
    return np.maximum(first[0], second[0]), np.minimum(first[1], second[1])


def _length(interval: _Interval) -> NDArray[np.float32]:
    return np.asarray(np.maximum(interval[1] - interval[0], np.float32(0.0)))


def _enlarge(half: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the size, bilinear, for samples that sit in the middle of each 2 x 2 block."""
    for axis in (0, 1):
        padded = np.concatenate([half.take([0], axis), half, half.take([-1], axis)], axis)
        middle = half * np.float32(0.75)
        count = half.shape[axis]
        before = middle + np.float32(0.25) * padded.take(range(count), axis)
        after = middle + np.float32(0.25) * padded.take(range(2, count + 2), axis)
        pair = np.stack([before, after], axis + 1)
        half = pair.reshape([2 * n if k == axis else n for k, n in enumerate(half.shape)])
    return half


def _project(
    carm: CArm, tubes: TubeBundle, table_mm: NDArray[np.float64], margin: int, soft_mm: float = 0.0
) -> NDArray[np.float32]:
    """Chord map of tubes in patient axes; soft_mm: SD of how gradually they end, at the isocentre."""
    placed = TubeBundle(tubes.points + table_mm, tubes.radii, tubes.joined)
    variance = (soft_mm * carm.magnification / carm.pixel_mm) ** 2
    return chord_map(carm, placed, blur_variance=variance, margin=margin)


def _texture(rng: np.random.Generator, shape: tuple[int, ...], deviation: float, slope: float) -> NDArray[np.float32]:
    """Random texture with a power spectrum falling as frequency ** -slope, of this standard deviation."""
    white = rng.standard_normal((shape[0], shape[1]), dtype=np.float32)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    frequency[0, 0] = np.inf
    shaped = np.fft.irfft2(np.fft.rfft2(white) * frequency ** (-0.5 * slope), s=(shape[0], shape[1]))
    return np.asarray((deviation / shaped.std()) * shaped, dtype=np.float32)

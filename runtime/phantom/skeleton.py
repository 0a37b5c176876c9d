"""Bones and lung vessels as tubes: vertebrae, ribs, the descending aorta, and the branches of both hila.

Patient axes, mm. Not for: soft organs with volume (background.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.curves import catmull_rom
from cathrt.runtime.phantom.tubes import TubeBundle

MIDLINE_X_MM = -30.0
SPINE_Z_MM = -88.0


def spine(vertebra_phase: float, rng: np.random.Generator) -> list[tuple[TubeBundle, float]]:
    """Vertebrae with a waist, end plates, pedicles and processes, and the descending aorta beside them, each with what
    it attenuates per mm above soft tissue."""
    bodies: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    plates: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    posts: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    height, pitch = 23.0, 28.0
    lean = rng.normal(0.0, 0.02)
    for level in range(-7, 8):
        y = (level + vertebra_phase) * pitch
        x, z = MIDLINE_X_MM + lean * y, SPINE_Z_MM - 0.0006 * y * y
        ys = y + np.array([0.0, 0.08, 0.2, 0.5, 0.8, 0.92, 1.0]) * height
        middle = np.column_stack([np.full(7, x), ys, np.full(7, z)])
        bodies.append((middle, np.array([12.0, 16.2, 15.8, 15.0, 15.8, 16.2, 12.0])))
        for edge in (1.2, height - 1.2):
            ys = y + edge + np.array([-1.3, 0.0, 1.3])
            plates.append((np.column_stack([np.full(3, x), ys, np.full(3, z)]), np.array([8.0, 16.5, 8.0])))
        for aside in (-1.0, 1.0):
            posts.append(_rounded([x + 12 * aside, y + 16, z - 8], [x + 14 * aside, y + 15, z - 30], 4.5))
            posts.append(_rounded([x + 12 * aside, y + 14, z - 25], [x + 36 * aside, y + 20, z - 38], 4.0))
        posts.append(_rounded([x, y + 12, z - 26], [x + rng.normal(0.0, 1.0), y - 14, z - 52], 4.0))
    aorta = catmull_rom(
        np.array([[-12.0, 100, -62], [-11, 50, -74], [-12, 0, -76], [-16, -60, -80], [-20, -150, -84]]), 8
    )
    wall = [(aorta, np.full(len(aorta), 12.0))]
    levels = np.arange(-220.0, 240.0, 12.0)
    discs = np.column_stack([MIDLINE_X_MM + lean * levels, levels, SPINE_Z_MM - 0.0006 * levels * levels])
    column = [(discs, np.full(len(levels), 15.5))]
    return [
        (TubeBundle.from_polylines(*map(list, zip(*parts, strict=True))), per_mm)
        for parts, per_mm in ((bodies, 0.0035), (column, 0.003), (plates, 0.003), (posts, 0.006), (wall, 0.007))
    ]


def ribs(girth: float, vertebra_phase: float, rng: np.random.Generator) -> list[tuple[TubeBundle, float]]:
    """Ten pairs of ribs: round the chest and downwards, cortex outside, marrow inside."""
    lines = []
    for level in range(-5, 6):
        for aside in (-1.0, 1.0):
            angle = np.radians(np.array([172.0, 150, 120, 90, 60, 32]))
            y = level * 28.0 + vertebra_phase * 28.0 + 12.0 - np.array([0.0, 2, 18, 45, 75, 95])
            x = MIDLINE_X_MM + aside * 150.0 * girth * np.sin(angle)
            z = -35.0 + 96.0 * girth * np.cos(angle)
            controls = np.column_stack([x, y, z]) + rng.normal(0.0, 4.0, (6, 3))
            lines.append(catmull_rom(controls, 6.0))
    outer = TubeBundle.from_polylines(lines, [np.full(len(line), 6.5) for line in lines])
    inner = TubeBundle.from_polylines(lines, [np.full(len(line), 5.2) for line in lines])
    return [(outer, 0.009), (inner, -0.0075)]


def lung_vessels(rng: np.random.Generator) -> TubeBundle:
    """Arteries and veins of both lungs: they leave the hila, fork five times, and taper to the pleura."""
    roots, steps, step_mm = 30, 8, 3.6
    left = np.arange(roots) % 2 == 0
    aside = np.where(left, 1.0, -1.0)
    heading = rng.standard_normal((roots, 3)) * [0.6, 1.0, 0.8]
    heading += np.column_stack([0.9 * aside, np.full(roots, -0.3), np.zeros(roots)])
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    hilum = np.where(left[:, None], [8.0, 38.0, -45.0], [-70.0, 38.0, -42.0])
    start = hilum + rng.normal(0.0, 9.0, (roots, 3)) + rng.uniform(4.0, 30.0, (roots, 1)) * heading
    radius = rng.uniform(1.0, 2.4, roots)
    lines: list[NDArray[np.float64]] = []
    radii: list[NDArray[np.float64]] = []
    for _ in range(5):
        headings = heading[:, None, :] + np.cumsum(rng.normal(0.0, 0.07, (len(start), steps, 3)), axis=1)
        headings /= np.linalg.norm(headings, axis=2, keepdims=True)
        onward = start[:, None, :] + step_mm * np.cumsum(headings, axis=1)
        lines += list(np.concatenate([start[:, None, :], onward], axis=1))
        radii += list(radius[:, None] * np.linspace(1.0, 0.8, steps + 1))
        start, last, radius = (np.repeat(part, 2, axis=0) for part in (onward[:, -1], headings[:, -1], radius))
        heading = last + rng.normal(0.0, 0.32, last.shape)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        radius = radius * rng.uniform(0.55, 0.78, len(radius))
    return TubeBundle.from_polylines(lines, radii)


def _rounded(start: list[float], end: list[float], radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A straight process with rounded ends: 9 points and their radii."""
    t = np.linspace(0.0, 1.0, 9)
    points = np.asarray(start) + t[:, None] * (np.asarray(end) - np.asarray(start))
    return points, radius * np.sqrt(np.clip(1.0 - np.abs(2 * t - 1) ** 4, 0.02, 1.0))

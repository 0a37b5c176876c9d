"""Light vessels on a darker ground: angiograms of the wrong polarity, and what else shows vessels that way.

Not for: binary masks and shaded trees, which are drawings (drawings.py).
"""

from __future__ import annotations

import numpy as np

from cathrt.export.models.keyframe.demo.outsiders.canvas import Picture, Rng, cloud, fractal, grid, soften
from cathrt.export.models.keyframe.demo.outsiders.vessels import OUTSIDE_SEEDS, vessel_path
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.scene import SceneKind

_MATRIX = 224
_CORONARY_SHARE = 0.85
_FILLED_MM, _FILLED_SHARE = 0.5, 0.02  # path through contrast, and the share of the picture with more


def inverted_frame(rng: Rng) -> Picture:
    """A phantom frame of full contrast with light and dark exchanged, the collimator's black with it or not."""
    while True:
        other: SceneKind = ("other_vessels", "lv_gram", "aortogram")[int(rng.integers(3))]
        kind: SceneKind = "coronary" if rng.random() < _CORONARY_SHARE else other
        scene = sample_scene(OUTSIDE_SEEDS + int(rng.integers(10**9)), kind=kind, matrix=_MATRIX)
        begin = scene.bolus or scene.chamber
        assert begin is not None
        filled_s = begin.start_s + min(1.0, 0.6 * begin.duration_s) + float(rng.uniform(0.0, 0.8)) * begin.duration_s
        index = int(np.clip(filled_s * scene.frame_rate_hz, 0, scene.frame_count - 1))
        source = PhantomSource(scene)
        seen = source.iodine_path(index) * (scene.field.openness(_MATRIX, _MATRIX) > 0.5)
        if np.mean(seen > _FILLED_MM) > _FILLED_SHARE:
            break  # without contrast nobody could tell which way round the picture is
    stored = source.render(index)
    grey = stored.astype(np.float32) / np.float32((1 << scene.display.bits_stored) - 1)
    low, high = np.percentile(grey, [1.0, 99.0])
    grey = 1.0 - np.clip((grey - low) / max(float(high - low), 1e-3), 0.0, 1.0)
    if rng.random() < 0.4:
        grey[scene.field.openness(_MATRIX, _MATRIX) < 0.05] = 0.0
    return np.asarray(grey, np.float32)


def inverted_subtraction(rng: Rng) -> Picture:
    """A subtracted run shown light on dark: flat ground, noise, edges of bone that moved, and bright vessels."""
    shape = (_MATRIX, _MATRIX)
    filled = 1.0 - np.exp(-np.float32(rng.uniform(0.15, 0.6)) * vessel_path(rng, shape))
    bone = soften(fractal(rng, shape, float(rng.uniform(1.4, 2.0))), 1.0)
    shift = int(rng.integers(1, 4))
    moved = bone - np.roll(bone, (shift, -shift), (0, 1))
    grain = soften(rng.standard_normal(shape, np.float32), float(rng.uniform(0.5, 1.2)))
    ground = np.float32(rng.uniform(0.05, 0.5)) + np.float32(rng.uniform(0.0, 0.06)) * cloud(rng, shape, 3)
    ground = ground + np.float32(rng.uniform(0.0, 0.06)) * moved + np.float32(rng.uniform(0.02, 0.14)) * grain
    return np.asarray(ground + rng.uniform(0.5, 1.0) * soften(filled, float(rng.uniform(0.5, 1.3))), np.float32)


def maximum_projection(rng: Rng) -> Picture:
    """Vessels of a CT or MR study projected at their brightest: light on black, with faint organs behind."""
    shape = (_MATRIX, _MATRIX)
    vessels = np.minimum(vessel_path(rng, shape) / np.float32(rng.uniform(1.5, 4.0)), 1.0)
    down, across = grid(shape)
    organs = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(0, 5))):
        row, column, high, wide = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), *rng.uniform(0.15, 0.6, 2)
        inside = ((down - row) / high) ** 2 + ((across - column) / wide) ** 2
        organs = np.maximum(organs, np.float32(rng.uniform(0.1, 0.5)) * np.exp(-(inside**2)))
    organs = organs * (1.0 + 0.25 * fractal(rng, shape, 1.2))
    picture = np.maximum(organs, soften(vessels, float(rng.uniform(0.5, 1.2))))
    return picture + np.float32(rng.uniform(0.01, 0.06)) * np.abs(rng.standard_normal(shape, np.float32))

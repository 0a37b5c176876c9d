"""The diagnostic catheter: from the groin or the arm over the arch to an ostium, or a pigtail to root or ventricle.

Not for: guidewires and what was implanted (devices.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import LEFT_OSTIUM_MM, RIGHT_OSTIUM_MM, Side
from cathrt.runtime.phantom.curves import catmull_rom
from cathrt.runtime.phantom.tubes import TubeBundle

ROOT_MM = np.array([-36.0, 25.0, -12.0])
# The aorta's centreline from its root over the arch to the diaphragm.
AORTA_MM = np.array(
    [
        ROOT_MM,
        [-43.0, 60.0, -6.0],
        [-39.0, 92.0, -18.0],
        [-30.0, 106.0, -42.0],
        [-22.0, 92.0, -70.0],
        [-17.0, 55.0, -80.0],
        [-17.0, 0.0, -82.0],
        [-20.0, -70.0, -84.0],
        [-22.0, -170.0, -86.0],
    ]
)
SUBCLAVIAN_MM = np.array([[-75.0, 150.0, -20.0], [-55.0, 115.0, -22.0], [-43.0, 88.0, -16.0]])
_FRENCH_MM = 1.0 / 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Catheter:
    """A catheter from its entry to its tip. wall_per_mm: attenuation of its wall above that of blood.

    follows: (N,) how far each point rides on the beating root, 1 at the tip.
    """

    points: NDArray[np.float64]
    outer_mm: float
    inner_mm: float
    wall_per_mm: float
    follows: NDArray[np.float64]

    def tubes(self, points: NDArray[np.float64], radius_mm: float) -> TubeBundle:
        """The catheter displaced to `points`, as a tube of this radius."""
        return TubeBundle(points, np.full(len(points), radius_mm), np.ones(len(points) - 1, dtype=bool))


def sample_catheter(
    rng: np.random.Generator, tip: Side | Literal["root", "ventricle"], towards: NDArray[np.float64] | None = None
) -> Catheter:
    """Draw a 4 to 6 French catheter. tip: the ostium it sits in, or for a pigtail the aortic root or the ventricle.

    towards: unit direction in which the artery leaves, so that the tip is coaxial with it.
    """
    femoral = rng.random() < 0.4
    shaft = AORTA_MM[:0:-1] if femoral else SUBCLAVIAN_MM
    shaft = shaft + rng.normal(0.0, 3.0, shaft.shape)
    if femoral:  # it hugs the outer curve on its way over the arch
        shaft = shaft[:-1]
    if tip == "left":
        hook = np.array([[-51.0, 62.0, -4.0], [-50.0, 42.0, -6.0], [-43.0, 31.0, -12.0]])
        end = LEFT_OSTIUM_MM
    elif tip == "right":
        hook = np.array([[-40.0, 62.0, -12.0], [-34.0, 36.0, -16.0], [-29.0, 18.0, -9.0]])
        end = RIGHT_OSTIUM_MM
    else:
        end = ROOT_MM + (np.array([0.0, 10.0, 2.0]) if tip == "root" else np.array([34.0, -26.0, 18.0]))
        hook = np.array([[-43.0, 62.0, -6.0], [-40.0, 44.0, -8.0], ROOT_MM + np.array([2.0, 12.0, 0.0])])
    hook = hook + rng.normal(0.0, 2.5, hook.shape)
    if tip in ("left", "right"):
        inward = np.array([1.0, 0.0, 0.0]) if towards is None else towards
        tail = np.array([end - 4.0 * inward, end + rng.uniform(0.5, 5.0) * inward])
    else:
        turn = np.linspace(0.0, 2 * np.pi * 0.9, 9)[:, None]
        a, b = np.array([0.6, -0.6, 0.5]), np.array([0.5, 0.7, 0.3])
        tail = end + 6.0 * (np.cos(turn) * a + np.sin(turn) * b)
    points = catmull_rom(np.concatenate([shaft, hook, tail]), 2.0)
    left = np.arange(len(points))[::-1] * 2.0
    outer = 0.5 * float(rng.choice([4.0, 5.0, 6.0], p=[0.2, 0.4, 0.4])) * _FRENCH_MM
    return Catheter(
        points=points,
        outer_mm=outer,
        inner_mm=outer * float(rng.uniform(0.6, 0.72)),
        wall_per_mm=float(rng.uniform(0.12, 0.42)),
        follows=np.exp(-left / 35.0),
    )

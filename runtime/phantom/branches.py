"""Branches that no table lists: they leave their parents at an angle and creep along the heart's wall, all at once.

Three generations after the named arteries, each thinner, shorter and closer together than the one before.
Not for: the named arteries (anatomy.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.curves import arc_length

STEP_MM = 1.3
APEX_MM = np.array([18.0, -45.0, 48.0])


@dataclass(frozen=True, slots=True, eq=False)
class Vessel:
    """One artery. name: Dodge's segment family ("LAD", "D1", "R", ...), "A" for an acute marginal, else "twig".

    points: (N, 3) mm along the centreline. radii: (N,) mm. arc_mm: (N,) distance from the ostium along the lumen.
    segment: (N,) SYNTAX segment number, 0 where it has none. parent, joint: which vessel of the tree it leaves and at
    which of its points; -1 for the trunk.
    """

    name: str
    points: NDArray[np.float64]
    radii: NDArray[np.float64]
    arc_mm: NDArray[np.float64]
    segment: NDArray[np.int64]
    parent: int
    joint: int

    @property
    def length_mm(self) -> float:
        return float(self.arc_mm[-1] - self.arc_mm[0])


@dataclass(frozen=True, slots=True)
class Generation:
    """How one generation grows. spacing_mm: mean distance between origins along a parent.

    reach_mm, radius_mm: least and most. from_share: where on a parent the first may leave. towards_apex: how strongly
    it is drawn there, per mm.
    """

    spacing_mm: float
    reach_mm: tuple[float, float]
    radius_mm: tuple[float, float]
    from_share: float
    towards_apex: float


GENERATIONS = (
    Generation(19.0, (22.0, 70.0), (0.38, 0.75), 0.15, 0.012),
    Generation(13.0, (12.0, 40.0), (0.24, 0.42), 0.12, 0.004),
    Generation(15.0, (6.0, 20.0), (0.16, 0.26), 0.2, 0.0),
)
_SEPTAL_PARENTS = ("LAD", "RD")


def grow(
    rng: np.random.Generator,
    vessels: Sequence[Vessel],
    parents: Sequence[int],
    generation: Generation,
    *,
    richness: float,
    tortuosity: float,
    calibre: float,
) -> list[Vessel]:
    """One generation on vessels[k] for each k of parents. richness: number of branches, 1 is average."""
    joints: list[tuple[int, int]] = []
    for index in parents:
        vessel = vessels[index]
        count = int(rng.poisson(richness * vessel.length_mm * (1 - generation.from_share) / generation.spacing_mm))
        where = rng.uniform(generation.from_share, 0.96, count) * (len(vessel.points) - 1)
        joints += [(index, int(np.clip(at, 1, len(vessel.points) - 2))) for at in where if len(vessel.points) > 3]
    if not joints:
        return []
    count = len(joints)
    position = np.array([vessels[index].points[at] for index, at in joints])
    tangent = _unit(np.array([vessels[index].points[at + 1] - vessels[index].points[at - 1] for index, at in joints]))
    outward = _unit(position)
    septal = np.array([vessels[index].name in _SEPTAL_PARENTS for index, _ in joints]) & (rng.random(count) < 0.4)
    aside = _unit(np.cross(outward, tangent)) * np.where(rng.random(count) < 0.5, 1.0, -1.0)[:, None]
    aside = np.where(septal[:, None], -outward, aside)
    angle = np.radians(rng.uniform(28.0, 75.0, count))[:, None]
    heading = np.cos(angle) * tangent + np.sin(angle) * aside

    thickest = np.array([vessels[index].radii[at] for index, at in joints])
    first = np.minimum(rng.uniform(*generation.radius_mm, count) * calibre, 0.8 * thickest)
    # Long branches are the thick ones, as a tree that fills its territory must have it.
    low, high = generation.reach_mm
    thick = np.clip((first / calibre - generation.radius_mm[0]) / np.ptp(generation.radius_mm), 0.0, 1.0)
    reach = low + (high - low) * np.clip(0.65 * thick + 0.35 * rng.random(count), 0.0, 1.0) * rng.uniform(
        0.6, 1.0, count
    )
    reach = np.where(septal, np.minimum(reach, 38.0), reach)
    lines = _creep(rng, position, heading, septal, round(high / STEP_MM) + 1, tortuosity, generation.towards_apex)
    grown = []
    for k, (index, at) in enumerate(joints):
        parent = vessels[index]
        length = max(4, round(reach[k] / STEP_MM))
        points = lines[k, :length]
        radii = first[k] * np.linspace(1.0, 0.4, length)
        arc = parent.arc_mm[at] + arc_length(points)
        grown.append(Vessel("twig", points, radii, arc, np.zeros(length, dtype=np.int64), index, at))
    return grown


def _creep(
    rng: np.random.Generator,
    start: NDArray[np.float64],
    heading: NDArray[np.float64],
    septal: NDArray[np.bool_],
    steps: int,
    tortuosity: float,
    towards_apex: float,
) -> NDArray[np.float64]:
    """(B, steps, 3) walks from start (B, 3): they turn smoothly at random, and all but septal ones keep to the wall."""
    count = len(start)
    position, heading = start.copy(), _unit(heading)
    reach, apex_reach = np.linalg.norm(start, axis=1), float(np.linalg.norm(APEX_MM))
    begun = np.clip(_unit(start) @ (APEX_MM / apex_reach), -1.0, 0.98)
    turn = np.zeros(count)
    # Tight swings for the tortuous, wide arcs for all; each branch has its own pace.
    memory = np.exp(-STEP_MM / rng.uniform(5.0, 16.0, count))
    agitation = rng.uniform(0.015, 0.035, count) * (0.7 + 0.9 * min(tortuosity, 2.0))
    lines = np.empty((count, steps, 3))
    for step in range(steps):
        lines[:, step] = position
        turn = memory * turn + np.sqrt(1 - memory**2) * agitation * rng.standard_normal(count) * STEP_MM * 2.0
        outward = _unit(position)
        heading = heading + turn[:, None] * np.cross(outward, heading)
        heading = heading + towards_apex * STEP_MM * _unit(APEX_MM - position)
        drop = np.einsum("ij,ij->i", heading, outward)
        heading = _unit(heading - np.where(septal, 0.05, 0.9)[:, None] * drop[:, None] * outward)
        position = position + STEP_MM * heading
        nearing = np.clip((_unit(position) @ (APEX_MM / apex_reach) - begun) / (1.0 - begun), 0.0, 1.0)
        wall = reach + np.maximum(apex_reach - reach, 0.0) * nearing
        pull = np.where(septal, 0.0, 0.15)[:, None]
        distance = np.linalg.norm(position, axis=1)
        position = position * (1.0 + pull * (wall / distance - 1.0)[:, None])
    return lines


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))

"""What lies in the beam beside anatomy: a guidewire, stents and calcium in the wall, leads, sternal wires and clips.

Not for: the catheter (catheter.py), what holds contrast (anatomy.py, chambers.py), and motion (motion.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import CoronaryTree
from cathrt.runtime.phantom.branches import Vessel
from cathrt.runtime.phantom.curves import arc_length, catmull_rom
from cathrt.runtime.phantom.disease import Calcium, place_in
from cathrt.runtime.phantom.motion import freedom_by_arc
from cathrt.runtime.phantom.skeleton import MIDLINE_X_MM
from cathrt.runtime.phantom.tubes import TubeBundle

DeviceName = Literal[
    "stent",
    "calcification",
    "guidewire",
    "pacemaker_lead",
    "sternal_wires",
    "clips",
    "ecg_leads",
    "echo_probe",
    "valve",
]


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """Thin and dense. per_mm: (N,) attenuation at each point. freedom: (N,) how far each follows the heart's wall."""

    name: DeviceName
    tubes: TubeBundle
    per_mm: NDArray[np.float64]
    freedom: NDArray[np.float64]


def sample_implants(rng: np.random.Generator, tree: CoronaryTree, *, engaged: bool) -> tuple[Opaque, ...]:
    """What rides on the heart: stents, calcium and a guidewire in the arteries, pacemaker leads in the right heart."""
    found: list[Opaque] = []
    wide = [v for v in tree.vessels if v.name != "twig" and v.length_mm > 20.0 and v.radii.max() > 0.9]
    if rng.random() < 0.15:
        found += [_stent(rng, wide[int(rng.integers(len(wide)))]) for _ in range(int(rng.integers(1, 3)))]
    if rng.random() < 0.25:
        found += [_calcium(rng, wide[int(rng.integers(len(wide)))]) for _ in range(int(rng.integers(1, 5)))]
    if rng.random() < 0.12 and engaged:
        found.append(_guidewire(rng, tree))
    if rng.random() < 0.08:
        found += [_pacing_lead(rng, chamber) for chamber in ("ventricle", "atrium")[: int(rng.integers(1, 3))]]
    return tuple(found)


def sample_skin_and_bone(rng: np.random.Generator) -> tuple[Opaque, ...]:
    """What does not move with the heart: ECG leads on the skin, wires in a sternum once opened, clips of a graft."""
    found: list[Opaque] = []
    lines = [_lead(rng) for _ in range(int(rng.choice(5, p=[0.6, 0.18, 0.12, 0.06, 0.04])))]
    if lines:
        found.append(_opaque("ecg_leads", lines, float(rng.uniform(0.25, 0.7)), float(rng.uniform(0.1, 0.35)), 0.0))
    if rng.random() < 0.1:
        wires = [_sternal_wire(rng, level) for level in range(int(rng.integers(4, 7)))]
        found.append(_opaque("sternal_wires", wires, 0.4, float(rng.uniform(0.4, 0.9)), 0.0))
        clips = [_clip(rng) for _ in range(int(rng.integers(0, 9)))]
        if clips:
            found.append(_opaque("clips", clips, 0.5, float(rng.uniform(0.4, 0.9)), 0.3))
    return tuple(found)


def sample_metal(rng: np.random.Generator) -> tuple[Opaque, ...]:
    """Much metal in the beam: at least one of leads, sternal wires with clips, an echo probe, a valve's ring."""
    found: list[Opaque] = []
    while not found:
        if rng.random() < 0.6:
            lines = [_lead(rng) for _ in range(int(rng.integers(2, 6)))]
            found.append(_opaque("ecg_leads", lines, float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.2, 0.6)), 0.0))
        if rng.random() < 0.5:
            wires = [_sternal_wire(rng, level) for level in range(int(rng.integers(4, 7)))]
            found.append(_opaque("sternal_wires", wires, 0.45, float(rng.uniform(0.5, 1.0)), 0.0))
            clips = [_clip(rng) for _ in range(int(rng.integers(3, 16)))]
            found.append(_opaque("clips", clips, 0.5, float(rng.uniform(0.5, 0.9)), 0.3))
        if rng.random() < 0.25:
            found.append(_echo_probe(rng))
        if rng.random() < 0.25:
            found.append(_valve(rng))
    return tuple(found)


def _echo_probe(rng: np.random.Generator) -> Opaque:
    """A transoesophageal echo probe behind the heart: a shaft, and a thick head with its transducer."""
    tip = float(rng.uniform(-30.0, 40.0))
    y = np.arange(tip, 170.0, 4.0)
    bend = rng.normal(0.0, 6.0)
    line = np.column_stack([-22.0 + bend * np.sin((y - tip) / 60.0), y, -58.0 + rng.normal(0.0, 4.0) + 0.0 * y])
    head = y < tip + 40.0
    tubes = TubeBundle.from_polylines([line], [np.where(head, 6.5, 4.8)])
    per_mm = np.where(head, float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.04, 0.1)))
    return Opaque("echo_probe", tubes, per_mm, np.zeros(len(line)))


def _valve(rng: np.random.Generator) -> Opaque:
    """The ring of a prosthetic aortic or mitral valve; it rides on the heart's base."""
    centre = np.array([-22.0, 26.0, -16.0]) + rng.normal(0.0, 4.0, 3)
    axis = rng.normal(0.0, 1.0, 3)
    axis /= np.linalg.norm(axis)
    first = np.cross(axis, [0.31, 0.87, 0.38])
    first /= np.linalg.norm(first)
    turn = np.linspace(0.0, 2 * np.pi, 40)[:, None]
    ring = centre + float(rng.uniform(10.0, 14.0)) * (np.cos(turn) * first + np.sin(turn) * np.cross(axis, first))
    return _opaque("valve", [ring], float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.4, 0.8)), 0.5)


def _opaque(
    name: DeviceName,
    lines: list[NDArray[np.float64]],
    radius_mm: float,
    per_mm: float,
    freedom: float | NDArray[np.float64],
) -> Opaque:
    tubes = TubeBundle.from_polylines(lines, [np.full(len(line), radius_mm) for line in lines])
    count = len(tubes.points)
    return Opaque(name, tubes, np.full(count, per_mm), np.broadcast_to(np.asarray(freedom, dtype=float), count).copy())


def _stretch_of(rng: np.random.Generator, vessel: Vessel, length_mm: float) -> tuple[NDArray[np.float64], float, float]:
    """Points along some `length_mm` of a vessel, every half millimetre, its radius there and its arc."""
    arc = vessel.arc_mm - vessel.arc_mm[0]
    length_mm = min(length_mm, 0.8 * float(arc[-1]))
    start = float(rng.uniform(0.05 * arc[-1], arc[-1] - length_mm))
    at = np.arange(start, start + length_mm, 0.5)
    points = np.column_stack([np.interp(at, arc, vessel.points[:, axis]) for axis in range(3)])
    return points, float(np.interp(at.mean(), arc, vessel.radii)), float(vessel.arc_mm[0] + at.mean())


def _ring_axes(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two unit vectors across the line at each of its points."""
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.cross(tangent, np.array([0.31, 0.87, 0.38]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(tangent, first)


def _stent(rng: np.random.Generator, vessel: Vessel) -> Opaque:
    """Struts as a zigzag wound about the lumen: two counter-rotating helices."""
    points, radius, arc_mm = _stretch_of(rng, vessel, float(rng.uniform(10.0, 38.0)))
    first, second = _ring_axes(points)
    turn = np.cumsum(np.full(len(points), 0.5 / float(rng.uniform(0.35, 0.7))))
    lines = []
    for way, phase in ((1.0, 0.0), (1.0, np.pi), (-1.0, 0.0), (-1.0, np.pi)):
        angle = (way * turn + phase)[:, None]
        lines.append(points + (radius + 0.1) * (np.cos(angle) * first + np.sin(angle) * second))
    return _opaque("stent", lines, 0.045, float(rng.uniform(0.7, 1.4)), float(freedom_by_arc(np.array([arc_mm]))[0]))


def _calcium(rng: np.random.Generator, vessel: Vessel) -> Opaque:
    """A plaque: one to three rods along the wall."""
    points, radius, arc_mm = _stretch_of(rng, vessel, float(rng.uniform(4.0, 22.0)))
    first, second = _ring_axes(points)
    lines = []
    for phase in rng.uniform(0.0, 2 * np.pi, int(rng.integers(1, 4))):
        lines.append(points + (radius + 0.25) * (np.cos(phase) * first + np.sin(phase) * second))
    per_mm = float(rng.uniform(0.02, 0.08))
    freedom = float(freedom_by_arc(np.array([arc_mm]))[0])
    return _opaque("calcification", lines, float(rng.uniform(0.25, 0.6)), per_mm, freedom)


def calcium_in(tree: CoronaryTree, plaque: Calcium) -> Opaque | None:
    """The plaque in this tree; None where the tree has no such segment."""
    place = place_in(tree.vessels, plaque.segment, plaque.at)
    if place is None:
        return None
    vessel, middle = tree.vessels[place[0]], place[1]
    first_mm = max(float(vessel.arc_mm[0]), middle - 0.5 * plaque.length_mm)
    at = np.arange(first_mm, min(float(vessel.arc_mm[-1]), middle + 0.5 * plaque.length_mm), 0.5)
    points = np.column_stack([np.interp(at, vessel.arc_mm, vessel.points[:, axis]) for axis in range(3)])
    # On the wall as it was before the lumen was narrowed, or a tight plaque would lie in the lumen's middle.
    radius = float(np.percentile(vessel.radii[vessel.segment == plaque.segment], 75))
    first, second = _ring_axes(points)
    angles = plaque.turn + 2 * np.pi * np.arange(plaque.rods) / plaque.rods
    lines = [points + (radius + 0.25) * (np.cos(angle) * first + np.sin(angle) * second) for angle in angles]
    return _opaque("calcification", lines, plaque.radius_mm, plaque.per_mm, np.tile(freedom_by_arc(at), plaque.rods))


def _guidewire(rng: np.random.Generator, tree: CoronaryTree) -> Opaque:
    """0.014 inch: down the trunk and one of its branches, its last 30 mm of platinum."""
    ends = [i for i, v in enumerate(tree.vessels) if v.name in ("LAD", "LCx", "RP", "RD", "D1", "M1", "OM")]
    index = int(rng.choice(ends)) if ends else 0
    parts: list[NDArray[np.float64]] = []
    upto = len(tree.vessels[index].points)
    while index >= 0:
        vessel = tree.vessels[index]
        parts.insert(0, vessel.points[:upto])
        upto, index = vessel.joint + 1, vessel.parent
    line = np.concatenate(parts)
    keep = np.concatenate([[True], np.linalg.norm(np.diff(line, axis=0), axis=1) > 0.1])
    line = line[keep]
    arc = arc_length(line)
    tubes = TubeBundle.from_polylines([line], [np.full(len(line), 0.18)])
    per_mm = np.where(arc > arc[-1] - 30.0, 1.6, float(rng.uniform(0.5, 0.9)))
    return Opaque("guidewire", tubes, per_mm, freedom_by_arc(arc))


def _pacing_lead(rng: np.random.Generator, chamber: str) -> Opaque:
    """From the left subclavian vein through the superior vena cava to the right ventricle's apex or the atrium."""
    vein = np.array([[85.0, 140.0, 20.0], [30.0, 118.0, 25.0], [-40.0, 100.0, 8.0], [-66.0, 70.0, -8.0]])
    end = (
        np.array([[-72.0, 25.0, -2.0], [-58.0, -18.0, 14.0], [-15.0, -40.0, 36.0], [6.0, -44.0, 48.0]])
        if chamber == "ventricle"
        else np.array([[-72.0, 30.0, 0.0], [-62.0, 12.0, 14.0], [-52.0, 22.0, 24.0]])
    )
    line = catmull_rom(np.concatenate([vein, end]) + rng.normal(0.0, 4.0, (len(vein) + len(end), 3)), 2.0)
    to_tip = np.arange(len(line))[::-1] * 2.0
    radius = np.full(len(line), float(rng.uniform(0.6, 1.0)))
    per_mm = np.full(len(line), float(rng.uniform(0.12, 0.3)))
    per_mm[to_tip < 4.0] = 0.7  # electrodes: a tip and a ring
    per_mm[(to_tip > 12.0) & (to_tip < 16.0)] = 0.7
    if chamber == "ventricle" and rng.random() < 0.35:  # a defibrillator's coil
        coil = (to_tip > 18.0) & (to_tip < 70.0)
        radius[coil] *= 1.7
        per_mm[coil] = 0.35
    tubes = TubeBundle.from_polylines([line], [radius])
    return Opaque("pacemaker_lead", tubes, per_mm, 0.8 * np.exp(-to_tip / 60.0))


def _lead(rng: np.random.Generator) -> NDArray[np.float64]:
    start = np.array([rng.uniform(-120.0, 120.0), rng.uniform(-110.0, 110.0), 75.0])
    angle = rng.uniform(0.0, 2 * np.pi)
    heading = np.array([np.cos(angle), np.sin(angle), 0.0])
    bow = np.array([-heading[1], heading[0], 0.0]) * rng.normal(0.0, 25.0)
    controls = [start - 160.0 * heading, start - 60 * heading + bow, start + 60 * heading + bow * 0.5]
    return catmull_rom(np.array([*controls, start + 160.0 * heading]), 5.0)


def _sternal_wire(rng: np.random.Generator, level: int) -> NDArray[np.float64]:
    """A loop round the sternum with its twisted end."""
    middle = np.array([MIDLINE_X_MM + rng.normal(0.0, 2.0), 75.0 - 26.0 * level + rng.normal(0.0, 3.0), 84.0])
    turn = np.linspace(0.0, 2 * np.pi, 12)
    loop = np.column_stack([9.0 * np.cos(turn), rng.uniform(1.0, 4.0) * np.sin(turn), 7.0 * np.sin(turn)])
    twist = np.array([[10.0, 1.0, 2.0], [7.0, 3.0, 3.0], [9.0, 5.0, 3.0]])
    return catmull_rom(middle + np.concatenate([loop, twist]), 1.5)


def _clip(rng: np.random.Generator) -> NDArray[np.float64]:
    """Five millimetres of titanium along a mammary graft."""
    middle = np.array([rng.uniform(-20.0, 15.0), rng.uniform(-30.0, 110.0), rng.uniform(50.0, 75.0)])
    heading = rng.normal(0.0, 1.0, 3)
    return middle + np.linspace(-2.5, 2.5, 4)[:, None] * heading / np.linalg.norm(heading)

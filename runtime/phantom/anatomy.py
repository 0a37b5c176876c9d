"""A coronary tree: named arteries after Dodge with anatomical spread, diseased as drawn, with branches.

Patient axes, mm: x left, y cranial, z anterior, origin at the heart's centre, heart at end-diastole.
Not for: how the tree moves (motion.py) or fills (contrast.py), and the growing itself (branches.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom import dodge
from cathrt.runtime.phantom.branches import APEX_MM, GENERATIONS, STEP_MM, Vessel, grow
from cathrt.runtime.phantom.curves import arc_length, catmull_rom
from cathrt.runtime.phantom.disease import Disease, place_in
from cathrt.runtime.phantom.tubes import TubeBundle

Side = Literal["left", "right"]
Dominance = Literal["right", "left"]

# Where the ostia lie from the heart's centre; the right ostium lies caudal and anterior of the left.
LEFT_OSTIUM_MM = np.array([-25.0, 35.0, -20.0])
RIGHT_OSTIUM_MM = np.array([-29.0, 14.0, 0.0])
_LEFT_DOMINANT_SHARE = 0.1
_OCCLUDED_SHARE = 0.05

# SYNTAX segments (Sianos 2005) along the arteries that hold several: (segment, up to which tabulated middle point, in
# points of the lists below; a half is midway between two of them).
_SEGMENTS: dict[str, tuple[tuple[int, float], ...]] = {
    "R": ((1, 2.5), (2, 3.5), (3, 99.0)),
    "LAD": ((6, 2.5), (7, 3.5), (8, 99.0)),
    "LCx": ((11, 2.5), (13, 99.0)),
}
_SEGMENT_OF = {
    **{"LM": 5, "RD": 4, "RP": 16, "RI": 16, "D1": 9, "D2": 10, "D3": 10, "MR": 12, "OM": 12, "OP": 12, "M1": 12},
    **{"M2": 14, "M3": 14, "CP": 15},
}


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A narrowing: where its centre lies, how long it is, and the diameter lost at its worst."""

    vessel: str
    segment: int
    arc_mm: float
    length_mm: float
    diameter_stenosis_percent: float


@dataclass(frozen=True, slots=True)
class Occlusion:
    """A chronic total occlusion at arc_mm of this vessel. collateral: opacification beyond it, by way of others."""

    vessel: str
    segment: int
    arc_mm: float
    collateral: float


@dataclass(frozen=True, slots=True, eq=False)
class CoronaryTree:
    """All arteries of one side. tubes lays the vessels end to end; what follows is per point of it.

    named: of an artery that has a name. segment: its SYNTAX segment, 0 for none. patency: share of the lumen's
    contrast that gets there, 1 but for what lies beyond an occlusion.
    """

    side: Side
    dominance: Dominance
    ostium: NDArray[np.float64]
    vessels: tuple[Vessel, ...]
    stenoses: tuple[Stenosis, ...]
    occlusion: Occlusion | None
    tubes: TubeBundle
    arc_mm: NDArray[np.float64]
    named: NDArray[np.bool_]
    segment: NDArray[np.int64]
    patency: NDArray[np.float64]

    @property
    def departure(self) -> NDArray[np.float64]:
        """Unit direction in which the artery leaves its ostium."""
        trunk = self.vessels[0].points
        along = trunk[min(4, len(trunk) - 1)] - trunk[0]
        return np.asarray(along / np.linalg.norm(along))


def dodge_point_mm(name: str, deviation: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """A tabulated point, mm from the ostium of its artery; deviation: how many SDs off in radius, theta and phi.

    Near the pole an angle's spread overstates the distance (R3 and RD have a theta SD of 60 degrees), so the shift
    along theta is held to 15 mm.
    """
    radius, theta, phi = dodge.POSITION[name]
    if deviation is not None:
        spread = dodge.SPREAD.get(name) or dodge.SPREAD[name[:-1] + "m"]
        radius = max(0.2, radius + deviation[0] * spread[0])
        phi += deviation[2] * spread[2]
        widest = np.degrees(1.5 / max(radius * np.cos(np.radians(phi)), 0.1))
        theta += float(np.clip(deviation[1] * spread[1], -widest, widest))
    theta, phi = np.radians([theta, phi])
    return np.asarray(10.0 * radius * np.array([np.cos(phi) * np.sin(theta), np.sin(phi), np.cos(phi) * np.cos(theta)]))


def sample_tree(
    rng: np.random.Generator,
    side: Side,
    *,
    spread: float = 1.0,
    large_circumflex: bool = False,
    richness: float | None = None,
    dominance: Dominance | None = None,
    disease: Disease | None = None,
) -> CoronaryTree:
    """Draw one tree. spread scales every departure from the published means; 0 gives the mean tree with its twigs.

    large_circumflex: a left-dominant tree whose circumflex is wider than its anterior descending artery. richness: of
    branches, 1 is average. dominance, disease: None draws them.
    """
    drawn: Dominance = "left" if rng.random() < _LEFT_DOMINANT_SHARE * (spread > 0) else "right"
    builder = _Builder(rng, side, "left" if large_circumflex else dominance or drawn, spread)
    if large_circumflex:
        builder.widen_circumflex()
    if richness is not None:
        builder.richness = richness
    if side == "left":
        _build_left(builder)
    else:
        _build_right(builder)
    if disease is None:
        stenoses, occlusion = builder.narrow(), builder.occlude()
    else:
        stenoses, occlusion = builder.suffer(disease)
    builder.grow_branches()
    vessels = tuple(builder.vessels)
    return CoronaryTree(
        side=side,
        dominance=builder.dominance,
        ostium=builder.ostium,
        vessels=vessels,
        stenoses=stenoses,
        occlusion=occlusion,
        tubes=TubeBundle.from_polylines([v.points for v in vessels], [v.radii for v in vessels]),
        arc_mm=np.concatenate([v.arc_mm for v in vessels]),
        named=np.concatenate([np.full(len(v.points), v.name != "twig") for v in vessels]),
        segment=np.concatenate([v.segment for v in vessels]),
        patency=_patency(vessels, occlusion),
    )


def _patency(vessels: tuple[Vessel, ...], occlusion: Occlusion | None) -> NDArray[np.float64]:
    """Per point of all vessels: 1, or the collateral share beyond the occlusion and in all that leaves from there."""
    parts: list[NDArray[np.float64]] = []
    for vessel in vessels:
        upstream = parts[vessel.parent][vessel.joint] if vessel.parent >= 0 else 1.0
        share = np.full(len(vessel.points), upstream)
        if occlusion is not None and vessel.name == occlusion.vessel:
            share[vessel.arc_mm >= occlusion.arc_mm] = occlusion.collateral
        parts.append(share)
    return np.concatenate(parts)


def _build_left(builder: _Builder) -> None:
    chance = builder.chance
    main = builder.point("LMm")
    bifurcation = main + 0.6 * (0.5 * (builder.point("L1p") + builder.point("C1p")) - main)
    builder.trunk("LM", ["L_ostium", "LMm", "LMm"], [np.zeros(3), main, bifurcation])
    after = [builder.point(name) for name in ("L1p", "L1m", "L2m", "L3m", "L4p", "L4m")]
    lad = [bifurcation, *after[:5], after[5]]
    reach = 7 if chance(0.6) else 6
    builder.branch("LAD", "LM", ["LMm", "L1p", "L1m", "L2m", "L3m", "L4p", "L4m"][:reach], lad[:reach])
    left_dominant = builder.dominance == "left"
    lcx = ["C1p", "C1m", "C2m", "C3m"] if chance(0.8) or left_dominant else ["C1p", "C1m", "C2m"]
    lcx += ["C4m"] if left_dominant else []
    builder.branch("LCx", "LM", ["C1p", *lcx], [bifurcation, *(builder.point(name) for name in lcx)])
    for name, share in (("D1", 0.95), ("D2", 0.75), ("D3", 0.4), ("S1", 0.9), ("S2", 0.8), ("S3", 0.6)):
        if chance(share):
            builder.side_branch(name, "LAD")
    if chance(0.25):
        builder.side_branch("MR", "LM")
    if chance(0.35):
        builder.side_branch("OM", "LCx", points=("OMp", "OMm", "OMd", "OAp", "OAm"))
        if chance(0.7):
            builder.side_branch("OP", "OM")
    else:
        for name, share in (("M1", 0.95), ("M2", 0.7), ("M3", 0.5)):
            if chance(share):
                builder.side_branch(name, "LCx")
    if left_dominant:
        builder.side_branch("CP", "LCx")


def _build_right(builder: _Builder) -> None:
    crux = 0.5 * (builder.point("R4m") + builder.point("RDo"))
    names = ["R_ostium", "R1p", "R1m", "R2m", "R3m"]
    points = [np.zeros(3), *(builder.point(name) for name in names[1:])]
    if builder.dominance == "left":
        builder.trunk("R", names, points)
        return
    builder.trunk("R", [*names, "R4m"], [*points, crux])
    builder.side_branch("RD", "R", points=("RDp", "RDm"), towards=APEX_MM - RIGHT_OSTIUM_MM + [0.0, -14.0, 0.0])
    posterior = [0.5 * (crux + builder.point("RIo")), builder.point("RPo"), builder.point("RPp"), builder.point("RPm")]
    builder.branch("RP", "R", ["R4m", "R4m", "RPo", "RPp", "RPm"], [crux, *posterior])
    if builder.chance(0.7):
        builder.side_branch("RI", "RP", points=("RIp", "RIm"))


class _Builder:
    """Lays vessels down one after another; all randomness of the anatomy passes through here in a fixed order."""

    def __init__(self, rng: np.random.Generator, side: Side, dominance: Dominance, spread: float) -> None:
        self.rng, self.side, self.dominance, self.spread = rng, side, dominance, spread
        self.ostium = LEFT_OSTIUM_MM if side == "left" else RIGHT_OSTIUM_MM
        self.vessels: list[Vessel] = []
        self._shared = self._normal(3, limit=1.7)
        self._size = 1.0 + 0.07 * self._normal(1)[0]
        female = dodge.FEMALE_DIAMETER_FACTOR if rng.random() < 0.35 else 1.0
        self._calibre = (1.0 + dodge.DIAMETER_SPREAD * self._normal(1, limit=1.8)[0]) * (female if spread else 1.0)
        self._tortuosity = spread * float(rng.gamma(1.6, 0.5))
        self.richness = float(rng.uniform(0.5, 1.25)) if spread else 0.8
        self._circumflex = 1.0

    def widen_circumflex(self) -> None:
        """The circumflex gets wider yet than in a left-dominant heart, the anterior descending artery narrower."""
        self._circumflex = float(self.rng.uniform(1.0, 1.3))

    def _normal(self, count: int, limit: float = 2.0) -> NDArray[np.float64]:
        return self.spread * np.clip(self.rng.standard_normal(count), -limit, limit)

    def chance(self, share: float) -> bool:
        """True with this probability; always for the usual branches of the mean tree."""
        drawn = bool(self.rng.random() < share)
        return drawn if self.spread else share >= 0.5

    def point(self, name: str) -> NDArray[np.float64]:
        """A tabulated point with this heart's size and spread: three quarters of the variance common to the tree."""
        deviation = np.sqrt(0.75) * self._shared + 0.5 * self._normal(3, limit=1.7)
        return np.asarray(self._size * dodge_point_mm(name, deviation))

    def trunk(self, name: str, diameter_names: list[str], controls: list[NDArray[np.float64]]) -> None:
        """The artery that begins at the ostium."""
        self._lay(name, diameter_names, np.array(controls) + self.ostium, -1, -1)

    def branch(self, name: str, parent: str, diameter_names: list[str], controls: list[NDArray[np.float64]]) -> None:
        """An artery whose first control is the end of its parent."""
        index = self._index(parent)
        end = len(self.vessels[index].points) - 1
        self._lay(name, diameter_names, np.array(controls) + self.ostium, index, end)

    def _index(self, name: str) -> int:
        return next(index for index, vessel in enumerate(self.vessels) if vessel.name == name)

    def side_branch(
        self, name: str, parent: str, *, points: tuple[str, ...] = (), towards: NDArray[np.float64] | None = None
    ) -> None:
        """A branch that leaves its parent where it comes nearest to the tabulated origin, and runs on past its middle.

        points: tabulated points after the origin (default p and m). towards: where it heads for after the last one;
        by default it goes on as it ran, along the wall of the heart.
        """
        points = points or (f"{name}p", f"{name}m")
        index = self._index(parent)
        trunk = self.vessels[index]
        origin_name = f"{name}o" if f"{name}o" in dodge.POSITION else points[0]
        tabulated = dodge_point_mm(origin_name)
        origin = self.point(origin_name) + self.ostium
        joint = int(np.argmin(np.linalg.norm(trunk.points - origin, axis=1)))
        joint = min(max(joint, 2), len(trunk.points) - 1)
        # The table's distances from its own origin, carried to where the origin came to lie on this trunk.
        controls = [trunk.points[joint]]
        previous = tabulated
        for point in points:
            if point == origin_name:
                continue
            mean = dodge_point_mm(point)
            step = mean - previous
            turn = 0.15 * np.linalg.norm(step) * self._normal(3)
            controls.append(controls[-1] + self._size * (step + turn))
            previous = mean
        last = controls[-1] - controls[-2]
        reach = float(np.linalg.norm(controls[-1] - controls[0])) * self.rng.uniform(0.3, 0.8)
        if towards is None:
            outward = controls[-1] / np.linalg.norm(controls[-1])
            last = last / np.linalg.norm(last)
            last = last - 0.9 * (last @ outward) * outward + 0.35 * (APEX_MM - controls[-1]) / 60.0
        else:
            last = towards + self.ostium - controls[-1]
            reach = float(np.linalg.norm(last)) * self.rng.uniform(0.4, 0.9)
        controls.append(controls[-1] + reach * last / np.linalg.norm(last))
        diameters = [origin_name, *(p for p in points if p != origin_name), points[-1]]
        self._lay(name, diameters, np.array(controls), index, joint)

    def _lay(
        self, name: str, diameter_names: list[str], controls: NDArray[np.float64], parent: int, joint: int
    ) -> None:
        calibre = self._calibre
        if self.dominance == "left":
            calibre *= {"R": dodge.LEFT_DOMINANT_RCA_FACTOR, "LCx": dodge.LEFT_DOMINANT_LCX_FACTOR}.get(name, 1.0)
        calibre *= self._circumflex if name == "LCx" else 1.0 / self._circumflex if name == "LAD" else 1.0
        radii = np.array([0.5 * calibre * dodge.DIAMETER_MM[key] for key in diameter_names])
        if name not in ("LM", "R", "LAD", "LCx", "RP"):
            radii *= 1.0 + 0.1 * self._normal(1)[0]
            radii[-1] *= 0.55
        if name != "LM" and (
            name != "R" or self.dominance == "left"
        ):  # it does not end where the table does, but thins out on the wall
            outward = controls[-1] / np.linalg.norm(controls[-1])
            onward = controls[-1] - controls[-2]
            onward = onward / np.linalg.norm(onward)
            onward = onward - 0.9 * (onward @ outward) * outward + 0.15 * self._normal(3)
            controls = np.vstack([controls, controls[-1] + self.rng.uniform(12.0, 30.0) * onward])
            radii = np.append(radii, min(0.35, 0.6 * radii[-1]))
        curve = catmull_rom(np.column_stack([controls, radii]), STEP_MM)
        points, radii = curve[:, :3], np.clip(curve[:, 3], 0.25, 3.2)
        segment = _segments(name, points, controls)
        points = self._wander(points, radii)
        if parent < 0:  # the ostium is a funnel, not a flat cut
            radii[:2] *= [0.6, 0.9]
        start_arc_mm = float(self.vessels[parent].arc_mm[joint]) if parent >= 0 else 0.0
        self.vessels.append(Vessel(name, points, radii, start_arc_mm + arc_length(points), segment, parent, joint))

    def _wander(self, points: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tortuosity: smooth swings across the centreline, none at the origin, tighter in thinner vessels."""
        arc = arc_length(points)
        swing = np.zeros_like(points)
        for wavelength_mm, share in ((45.0, 1.0), (21.0, 0.45), (11.0, 0.22)):
            phase = self.rng.uniform(0.0, 2 * np.pi, 3)
            amplitude = share * self._tortuosity * np.clip(self.rng.standard_normal(3), -1.5, 1.5)
            stretch = self.rng.uniform(0.8, 1.25)
            swing += amplitude * np.sin(2 * np.pi * arc[:, None] / (stretch * wavelength_mm) + phase)
        fade = 1.0 - np.exp(-arc / 15.0)
        tangent = np.gradient(points, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        swing -= np.einsum("ij,ij->i", swing, tangent)[:, None] * tangent
        return np.asarray(points + swing * (fade * np.clip(1.6 - 0.5 * radii, 0.4, 1.3))[:, None])

    def narrow(self) -> tuple[Stenosis, ...]:
        """Put 0 to 3 stenoses on arteries of at least 1.8 mm; the lumen follows a cosine bell."""
        count = int(self.rng.choice(4, p=[0.5, 0.27, 0.15, 0.08])) if self.spread else 0
        found = []
        for _ in range(count):
            wide = [i for i, v in enumerate(self.vessels) if v.radii.max() > 0.9 and arc_length(v.points)[-1] > 25.0]
            index = int(self.rng.choice(wide))
            vessel = self.vessels[index]
            centre = float(self.rng.uniform(vessel.arc_mm[0] + 8.0, vessel.arc_mm[-1] - 8.0))
            length = float(self.rng.uniform(5.0, 22.0))
            percent = float(self.rng.uniform(25.0, 95.0))
            found.append(self._narrowed(index, centre, length, percent))
        return tuple(found)

    def _narrowed(self, index: int, centre: float, length: float, percent: float) -> Stenosis:
        vessel = self.vessels[index]
        off = (vessel.arc_mm - centre) / length
        bell = np.where(np.abs(off) < 0.5, np.cos(np.pi * np.clip(off, -0.5, 0.5)) ** 2, 0.0)
        self.vessels[index] = replace(vessel, radii=vessel.radii * (1.0 - 0.01 * percent * bell))
        return Stenosis(vessel.name, _segment_at(vessel, centre), centre, length, percent)

    def suffer(self, disease: Disease) -> tuple[tuple[Stenosis, ...], Occlusion | None]:
        """Narrow and close what the disease says, in place of what would be drawn."""
        found = []
        for one in disease.narrowings:
            if (place := place_in(self.vessels, one.segment, one.at)) is not None:
                found.append(self._narrowed(*place, one.length_mm, one.diameter_stenosis_percent))
        closure = disease.closure
        place = None if closure is None else place_in(self.vessels, closure.segment, closure.at)
        if closure is None or place is None:
            return tuple(found), None
        name = self.vessels[place[0]].name
        return tuple(found), Occlusion(name, closure.segment, place[1], closure.collateral)

    def occlude(self) -> Occlusion | None:
        """Now and then a chronic total occlusion: no contrast beyond it but what collaterals bring."""
        if not self.spread or self.rng.random() >= _OCCLUDED_SHARE:
            return None
        names = ("LAD", "LCx", "R", "RP", "OM", "M1", "D1")
        vessel = self.vessels[int(self.rng.choice([i for i, v in enumerate(self.vessels) if v.name in names]))]
        arc_mm = float(self.rng.uniform(vessel.arc_mm[0] + 6.0, vessel.arc_mm[-1] - 6.0))
        collateral = float(self.rng.choice([0.0, 1.0]) * self.rng.uniform(0.1, 0.35))
        return Occlusion(vessel.name, _segment_at(vessel, arc_mm), arc_mm, collateral)

    def grow_branches(self) -> None:
        """The branches that no table lists: acute marginals of the right artery, then three generations on all."""
        if self.side == "right":
            for share in (0.06, 0.12, 0.4, 0.62, 0.75):
                if self.chance(0.75):
                    self._acute_marginal(share)
        parents = list(range(len(self.vessels)))
        for generation in GENERATIONS:
            first = len(self.vessels)
            self.vessels += grow(
                self.rng,
                self.vessels,
                parents,
                generation,
                richness=self.richness,
                tortuosity=self._tortuosity,
                calibre=self._calibre,
            )
            parents = [*(parents if generation is GENERATIONS[0] else []), *range(first, len(self.vessels))]

    def _acute_marginal(self, share: float) -> None:
        """Conus, sinus-node and marginal branches: forward over the right ventricle, or back over the atrium."""
        trunk = self.vessels[0]
        at = int(np.clip(share + self.rng.uniform(-0.04, 0.04), 0.03, 0.9) * len(trunk.points))
        start = trunk.points[at]
        reach = self.rng.uniform(28.0, 75.0)
        heading = (
            np.array([0.55, -0.35, 0.75]) if share > 0.3 or self.rng.random() < 0.6 else np.array([0.1, 0.8, -0.6])
        )
        outward = start / np.linalg.norm(start)
        heading = heading - 0.8 * (heading @ outward) * outward + 0.2 * self._normal(3)
        heading /= np.linalg.norm(heading)
        middle = start + 0.5 * reach * heading + 0.05 * reach * self._normal(3)
        controls = np.array([start, middle, start + reach * (heading + np.array([0.1, -0.15, 0.0]))])
        radii = self._calibre * self.rng.uniform(0.45, 0.95) * np.array([1.0, 0.8, 0.4])
        curve = catmull_rom(np.column_stack([controls, radii]), STEP_MM)
        points = self._wander(curve[:, :3], curve[:, 3])
        arc = trunk.arc_mm[at] + arc_length(points)
        none = np.zeros(len(points), dtype=np.int64)
        self.vessels.append(Vessel("A", points, np.clip(curve[:, 3], 0.2, 1.2), arc, none, 0, at))


def _segments(name: str, points: NDArray[np.float64], controls: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) SYNTAX segment of each point."""
    if name not in _SEGMENTS:
        return np.full(len(points), _SEGMENT_OF.get(name, 0), dtype=np.int64)
    at = [int(np.argmin(np.linalg.norm(points - control, axis=1))) for control in controls]
    place = np.interp(np.arange(len(points)), at, np.arange(len(controls)))
    segment = np.zeros(len(points), dtype=np.int64)
    for number, until in reversed(_SEGMENTS[name]):
        segment[place <= until] = number
    return segment


def _segment_at(vessel: Vessel, arc_mm: float) -> int:
    return int(vessel.segment[int(np.argmin(np.abs(vessel.arc_mm - arc_mm)))])

"""A coronary tree: named arteries after Dodge with anatomical spread, and the small branches grown on the heart's wall.

Patient axes, mm: x left, y cranial, z anterior, origin at the heart's centre, heart at end-diastole.
Not for: how the tree moves (motion.py) or fills (contrast.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.phantom import dodge
from cathrt.runtime.sources.phantom.curves import arc_length, catmull_rom
from cathrt.runtime.sources.phantom.tubes import TubeBundle

Side = Literal["left", "right"]
Dominance = Literal["right", "left"]

# Where the ostia and the apex lie from the heart's centre; the right ostium lies caudal and anterior of the left.
LEFT_OSTIUM_MM = np.array([-25.0, 35.0, -20.0])
RIGHT_OSTIUM_MM = np.array([-29.0, 14.0, 0.0])
APEX_MM = np.array([18.0, -45.0, 48.0])
STEP_MM = 1.3
_LEFT_DOMINANT_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Vessel:
    """One artery. name: Dodge's segment family ("LAD", "D1", "R", ...), or "twig" for a small grown branch.

    points: (N, 3) mm along the centreline. radii: (N,) mm. arc_mm: (N,) distance from the ostium along the lumen.
    """

    name: str
    points: NDArray[np.float64]
    radii: NDArray[np.float64]
    arc_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A narrowing: where its centre lies, how long it is, and the diameter lost at its worst."""

    vessel: str
    arc_mm: float
    length_mm: float
    diameter_stenosis_percent: float


@dataclass(frozen=True, slots=True, eq=False)
class CoronaryTree:
    """All arteries of one side. tubes lays the vessels end to end; arc_mm and named are per point of it."""

    side: Side
    dominance: Dominance
    ostium: NDArray[np.float64]
    vessels: tuple[Vessel, ...]
    stenoses: tuple[Stenosis, ...]
    tubes: TubeBundle
    arc_mm: NDArray[np.float64]
    named: NDArray[np.bool_]

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


def sample_tree(rng: np.random.Generator, side: Side, *, spread: float = 1.0) -> CoronaryTree:
    """Draw one tree. spread scales every departure from the published means; 0 gives the mean tree with its twigs."""
    dominance: Dominance = "left" if rng.random() < _LEFT_DOMINANT_SHARE * (spread > 0) else "right"
    builder = _Builder(rng, side, dominance, spread)
    if side == "left":
        _build_left(builder)
    else:
        _build_right(builder)
    stenoses = builder.narrow()
    builder.grow_twigs()
    vessels = tuple(builder.vessels)
    return CoronaryTree(
        side=side,
        dominance=dominance,
        ostium=builder.ostium,
        vessels=vessels,
        stenoses=stenoses,
        tubes=TubeBundle.from_polylines([v.points for v in vessels], [v.radii for v in vessels]),
        arc_mm=np.concatenate([v.arc_mm for v in vessels]),
        named=np.concatenate([np.full(len(v.points), v.name != "twig") for v in vessels]),
    )


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
        self._lay(name, diameter_names, np.array(controls) + self.ostium, start_arc_mm=0.0)

    def branch(self, name: str, parent: str, diameter_names: list[str], controls: list[NDArray[np.float64]]) -> None:
        """An artery whose first control is the end of its parent."""
        start = next(v for v in self.vessels if v.name == parent)
        self._lay(name, diameter_names, np.array(controls) + self.ostium, start_arc_mm=float(start.arc_mm[-1]))

    def side_branch(
        self, name: str, parent: str, *, points: tuple[str, ...] = (), towards: NDArray[np.float64] | None = None
    ) -> None:
        """A branch that leaves its parent where it comes nearest to the tabulated origin, and runs on past its middle.

        points: tabulated points after the origin (default p and m). towards: where it heads for after the last one;
        by default it goes on as it ran, along the wall of the heart.
        """
        points = points or (f"{name}p", f"{name}m")
        trunk = next(v for v in self.vessels if v.name == parent)
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
        self._lay(name, diameters, np.array(controls), start_arc_mm=float(trunk.arc_mm[joint]))

    def _lay(self, name: str, diameter_names: list[str], controls: NDArray[np.float64], *, start_arc_mm: float) -> None:
        calibre = self._calibre
        if self.dominance == "left":
            calibre *= {"R": dodge.LEFT_DOMINANT_RCA_FACTOR, "LCx": dodge.LEFT_DOMINANT_LCX_FACTOR}.get(name, 1.0)
        radii = np.array([0.5 * calibre * dodge.DIAMETER_MM[key] for key in diameter_names])
        if name not in ("LM", "R", "LAD", "LCx", "RP"):
            radii *= 1.0 + 0.1 * self._normal(1)[0]
            radii[-1] *= 0.55
        curve = catmull_rom(np.column_stack([controls, radii]), STEP_MM)
        points, radii = curve[:, :3], np.clip(curve[:, 3], 0.25, 3.2)
        points = self._wander(points, radii)
        if start_arc_mm == 0.0:  # the ostium is a funnel, not a flat cut
            radii[:2] *= [0.6, 0.9]
        self.vessels.append(Vessel(name, points, radii, start_arc_mm + arc_length(points)))

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
            off = (vessel.arc_mm - centre) / length
            bell = np.where(np.abs(off) < 0.5, np.cos(np.pi * np.clip(off, -0.5, 0.5)) ** 2, 0.0)
            radii = vessel.radii * (1.0 - 0.01 * percent * bell)
            self.vessels[index] = Vessel(vessel.name, vessel.points, radii, vessel.arc_mm)
            found.append(Stenosis(vessel.name, centre, length, percent))
        return tuple(found)

    def grow_twigs(self) -> None:
        """Small branches: two generations that creep along the heart's wall away from their parents.

        The right artery first gets its conus, sinus-node and acute marginal branches, which the tables do not have.
        """
        rng = self.rng
        parents = list(self.vessels)
        if self.side == "right":
            trunk = parents[0]
            for share, reach_mm, radius in ((0.06, 30, 0.55), (0.12, 35, 0.5), (0.4, 55, 0.8), (0.62, 55, 0.75)):
                if self.chance(0.8):
                    at = int(np.clip(share + rng.uniform(-0.04, 0.04), 0.03, 0.9) * len(trunk.points))
                    self._twig(trunk, at, reach_mm * rng.uniform(0.6, 1.3), radius * rng.uniform(0.7, 1.3), "A")
            parents = list(self.vessels)
        for generation, spacing_mm in enumerate((10.0, 20.0)):
            grown = []
            for parent in parents:
                first = len(self.vessels)
                reach = float(arc_length(parent.points)[-1])
                for _ in range(int(rng.poisson(reach / spacing_mm))):
                    at = int(rng.uniform(0.12, 0.97) * len(parent.points))
                    radius = float(np.clip(parent.radii[at] * rng.uniform(0.25, 0.6), 0.18, 0.6))
                    self._twig(parent, at, rng.uniform(9.0, 38.0) / (1 + generation), radius, "twig")
                grown += self.vessels[first:]
            parents = grown

    def _twig(self, parent: Vessel, at: int, reach_mm: float, radius: float, name: str) -> None:
        rng = self.rng
        at = min(max(at, 1), len(parent.points) - 2)
        position = parent.points[at]
        tangent = parent.points[at + 1] - parent.points[at - 1]
        tangent = tangent / np.linalg.norm(tangent)
        outward = position / np.linalg.norm(position)
        aside = np.cross(outward, tangent) * (1.0 if rng.random() < 0.5 else -1.0)
        if name == "A":  # acute marginals and conus run forward over the right ventricle
            aside = np.array([0.35, -0.1, 0.9])
        elif parent.name in ("LAD", "RD") and rng.random() < 0.35:  # septal perforators dive into the wall
            aside = -outward
        heading = 0.9 * aside + rng.uniform(0.2, 1.0) * tangent
        steps = max(4, round(reach_mm / STEP_MM))
        bend = np.cumsum(rng.standard_normal((steps, 3)), axis=0) * 0.05
        bend += 0.5 * np.sin(np.arange(steps)[:, None] * rng.uniform(0.25, 0.8, 3) + rng.uniform(0, 6.28, 3))
        headings = heading / np.linalg.norm(heading) + min(self._tortuosity + 0.4, 1.3) * bend
        drop = np.einsum("ij,j->i", headings, outward)
        if parent.name not in ("LAD", "RD"):
            headings -= 0.8 * drop[:, None] * outward
        headings /= np.linalg.norm(headings, axis=1, keepdims=True)
        points = position + np.concatenate([np.zeros((1, 3)), np.cumsum(headings * STEP_MM, axis=0)])
        # Curve it round the heart: hold the distance from the centre near the wall's.
        distance = np.linalg.norm(points, axis=1, keepdims=True)
        wall = distance[0] * (1.0 - 0.05 * np.linspace(0, 1, len(points)))[:, None]
        if aside @ outward > -0.5:
            points = points * (1.0 + 0.7 * (wall / distance - 1.0))
        radii = radius * self._calibre * np.linspace(1.0, 0.45, len(points))
        skip = min(int(0.8 * parent.radii[at] / STEP_MM), 2)
        self.vessels.append(Vessel(name, points[skip:], radii[skip:], parent.arc_mm[at] + arc_length(points)[skip:]))

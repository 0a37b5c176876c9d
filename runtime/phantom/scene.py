"""A scene: everything random about one run, drawn from one seed.

Each part of the scene has its own stream, so a part that later draws more does not change the others.
Not for: pixels (source.py) and what a reader would call them (labels.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.anatomy import CoronaryTree, Side, sample_tree
from cathrt.runtime.phantom.background import Chest, sample_chest
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.catheter import Catheter, sample_catheter
from cathrt.runtime.phantom.chambers import ChamberInjection, sample_chamber
from cathrt.runtime.phantom.contrast import Bolus, sample_bolus
from cathrt.runtime.phantom.detector import Detector, Display, sample_detector, sample_display
from cathrt.runtime.phantom.devices import Opaque, sample_implants, sample_metal, sample_skin_and_bone
from cathrt.runtime.phantom.field import Field, sample_field
from cathrt.runtime.phantom.hardship import (
    HARDSHIPS,
    OF_PATIENTS,
    SLOW_RATE_HZ,
    Hardship,
    as_video,
    darkened,
    draw_hardships,
    filtered_by_wedges,
    narrowed,
    side_with,
    steep_view,
    thinned,
    unharmonised,
)
from cathrt.runtime.phantom.motion import HeartMotion, sample_motion
from cathrt.runtime.phantom.other_vessels import OtherVessels, sample_other_vessels
from cathrt.runtime.phantom.overlay import Overlay, sample_overlay
from cathrt.runtime.phantom.views import sample_geometry

# Raised whenever the same seed would give other pixels or labels: part of the run's identity.
PHANTOM_VERSION = 5

SceneKind = Literal[
    "coronary",
    "no_contrast",
    "lv_gram",
    "aortogram",
    "other_vessels",
    "empty",
    "saturated",
    "closed_collimator",
    "panning",
]
_KIND_SHARE = (0.68, 0.08, 0.05, 0.04, 0.05, 0.03, 0.02, 0.02, 0.03)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One run before it is rendered.

    side: the artery engaged or filled, None where no coronary artery is. exposure_ms: X-ray pulse.
    overexposure: factor on the automatic exposure. table_mm: where the patient's origin lies from the isocentre.
    pan_mm: how far the table slides during the run. chest: None when nothing but air is in the beam.
    implants: what rides on the heart; outside: what does not. overlay: what the console burns into the picture.
    hardships: what makes it hard to read, in the order of hardship.HARDSHIPS.
    """

    seed: int
    kind: SceneKind
    side: Side | None
    hardships: tuple[Hardship, ...]
    carm: CArm
    frame_count: int
    frame_rate_hz: float
    exposure_ms: float
    fluoroscopy: bool
    tree: CoronaryTree | None
    motion: HeartMotion
    bolus: Bolus | None
    chamber: ChamberInjection | None
    other: OtherVessels | None
    catheter: Catheter | None
    implants: tuple[Opaque, ...]
    outside: tuple[Opaque, ...]
    chest: Chest | None
    field: Field
    detector: Detector
    display: Display
    overlay: Overlay | None
    overexposure: float
    table_mm: NDArray[np.float64]
    pan_mm: NDArray[np.float64]

    @property
    def duration_s(self) -> float:
        """From the first frame to one frame after the last."""
        return self.frame_count / self.frame_rate_hz

    def time_s(self, index: int) -> float:
        """When frame `index` is exposed."""
        return index / self.frame_rate_hz

    def table_at(self, time_s: float) -> NDArray[np.float64]:
        """The table's place, mm: it slides through the middle half of the run."""
        t = float(np.clip((time_s / self.duration_s - 0.1) / 0.8, 0.0, 1.0))
        return np.asarray(self.table_mm + self.pan_mm * t)


def sample_scene(
    seed: int,
    *,
    side: Side | None = None,
    kind: SceneKind | None = "coronary",
    matrix: int = 512,
    hardship: Hardship | None = None,
) -> Scene:
    """Draw the scene of this seed.

    seed: 0 <= seed < 2**63. side: None draws it. kind: None draws one, three tenths of them without coronary contrast.
    matrix: rows and columns, 64 to 2048. hardship: one that the scene has for certain; those of arteries and contrast
    need a coronary one. It may change the draws of what else makes the run hard. Raises ValueError on anything else,
    and where the scene cannot have that hardship.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed {seed}: expected 0 <= seed < 2**63; give a non-negative number")
    if kind is not None and kind not in get_args(SceneKind):
        raise ValueError(f"kind {kind!r}: expected None or one of {', '.join(get_args(SceneKind))}")
    if side not in (None, "left", "right"):
        raise ValueError(f"side {side!r}: expected 'left', 'right' or None")
    if not 64 <= matrix <= 2048:
        raise ValueError(f"matrix {matrix}: expected 64 to 2048 pixels")
    if hardship is not None and hardship not in HARDSHIPS:
        raise ValueError(f"hardship {hardship!r}: expected None or one of {', '.join(HARDSHIPS)}")

    choice = _stream(seed, 0)
    drawn_side: Side = "left" if choice.random() < 0.55 else "right"
    drawn_kind = get_args(SceneKind)[int(choice.choice(len(_KIND_SHARE), p=_KIND_SHARE))]
    side, kind = side or side_with(hardship) or drawn_side, kind or drawn_kind
    coronary = kind == "coronary"
    engaged = kind in ("coronary", "no_contrast", "saturated", "panning")

    hard = _stream(seed, 14)
    hardships = draw_hardships(hard, side, hardship, coronary=coronary, closed=kind == "closed_collimator")

    timing = _stream(seed, 1)
    fluoroscopy = bool(timing.random() < (0.1 if coronary else 0.4))
    frame_rate_hz = float(timing.choice([7.5, 15.0, 30.0], p=[0.15, 0.65, 0.2]))
    if "slow_rate" in hardships:
        frame_rate_hz = SLOW_RATE_HZ
    run_s = float(timing.uniform(3.6, 6.5))
    frame_count = int(np.clip(round(run_s * frame_rate_hz), 45, 110))
    exposure_ms = float(timing.uniform(3.0, 10.0))

    tree = sample_tree(
        _stream(seed, 2),
        side,
        large_circumflex="large_circumflex" in hardships,
        richness=float(hard.uniform(1.3, 2.0)) if "rich_right" in hardships else None,
    )
    other = sample_other_vessels(_stream(seed, 11)) if kind == "other_vessels" else None
    anatomy_centre = _middle(tree.tubes.points[tree.named]) if engaged else np.array([-8.0, 12.0, 0.0])
    if other is not None:
        anatomy_centre = _middle(other.tubes.points)
    carm, table_mm, pan_mm = sample_geometry(
        _stream(seed, 3), side, anatomy_centre, matrix, steep_view(hard, side, hardships)
    )
    devices = _stream(seed, 6)
    outside = sample_skin_and_bone(devices)
    if "metal" in hardships:
        outside += sample_metal(hard)
    tip = side if engaged else ("ventricle" if kind == "lv_gram" else "root")
    catheter = sample_catheter(devices, tip, tree.departure)
    bare = kind == "empty" and devices.random() < 0.5
    if bare and hardship in OF_PATIENTS:
        raise ValueError(f"hardship {hardship!r}: nobody is in the beam of seed {seed}: give another seed or kind")
    bolus_stream = _stream(seed, 5)
    console = _stream(seed, 10)
    run_s = frame_count / frame_rate_hz
    bolus = sample_bolus(bolus_stream, run_s, right=side == "right") if coronary or other is not None else None
    if bolus is not None and "pale_contrast" in hardships:
        bolus = thinned(bolus, hard)
    chamber = _sample_chamber(kind, bolus_stream, run_s)
    chest = sample_chest(_stream(seed, 7))
    field = sample_field(_stream(seed, 8), closed=kind == "closed_collimator")
    display = sample_display(console)
    if "dark_heart" in hardships:
        chest, display = darkened(chest, hard), unharmonised(display, hard)
    if "wedge" in hardships:
        field = filtered_by_wedges(field, hard)
    if "narrow_field" in hardships:
        field = narrowed(field, hard)
    if "video" in hardships:
        display = as_video(display, hard)
    no_catheter = kind in ("empty", "closed_collimator", "other_vessels")
    return Scene(
        seed=seed,
        kind=kind,
        side=side if engaged else None,
        hardships=tuple(name for name in HARDSHIPS if name in hardships and not (bare and name in OF_PATIENTS)),
        carm=carm,
        frame_count=frame_count,
        frame_rate_hz=frame_rate_hz,
        exposure_ms=exposure_ms,
        fluoroscopy=fluoroscopy,
        tree=tree if coronary else None,
        motion=sample_motion(_stream(seed, 4), right=side == "right"),
        bolus=bolus,
        chamber=chamber,
        other=other,
        catheter=None if no_catheter else catheter,
        implants=() if bare or other is not None else sample_implants(_stream(seed, 12), tree, engaged=engaged),
        outside=() if bare else outside,
        chest=None if bare else chest,
        field=field,
        detector=sample_detector(_stream(seed, 9), fluoroscopy=fluoroscopy),
        display=display,
        overlay=sample_overlay(_stream(seed, 13), carm.primary_angle_deg, carm.secondary_angle_deg),
        overexposure=float(console.uniform(1.6, 6.0)) if kind == "saturated" else 1.0,
        table_mm=table_mm,
        pan_mm=pan_mm if kind == "panning" else np.zeros(3),
    )


def _stream(seed: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, part])))


def _middle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (points.min(axis=0) + points.max(axis=0)))


def _sample_chamber(kind: SceneKind, rng: np.random.Generator, run_s: float) -> ChamberInjection | None:
    if kind == "lv_gram":
        return sample_chamber(rng, "ventricle", run_s)
    return sample_chamber(rng, "aorta", run_s) if kind == "aortogram" else None

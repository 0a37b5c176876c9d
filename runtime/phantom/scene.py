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
from cathrt.runtime.phantom.devices import Opaque, sample_implants, sample_skin_and_bone
from cathrt.runtime.phantom.field import Field, sample_field
from cathrt.runtime.phantom.motion import HeartMotion, sample_motion
from cathrt.runtime.phantom.other_vessels import OtherVessels, sample_other_vessels
from cathrt.runtime.phantom.overlay import Overlay, sample_overlay

# Raised whenever the same seed would give other pixels: part of the run's identity.
PHANTOM_VERSION = 3

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

# Working views (primary, secondary, share), degrees: LAO, CRA > 0. ARCADE's list and the usual four plus three.
_VIEWS: dict[Side, tuple[tuple[float, float, float], ...]] = {
    "left": (
        (45.0, -30.0, 0.17),
        (-25.0, -25.0, 0.21),
        (-10.0, -28.0, 0.08),
        (0.0, 38.0, 0.14),
        (-30.0, 28.0, 0.18),
        (40.0, 25.0, 0.12),
        (-35.0, 0.0, 0.05),
        (85.0, 0.0, 0.05),
    ),
    "right": (
        (45.0, 0.0, 0.35),
        (35.0, 22.0, 0.2),
        (0.0, 28.0, 0.17),
        (-32.0, 0.0, 0.17),
        (-28.0, 24.0, 0.06),
        (85.0, 0.0, 0.05),
    ),
}
_ANY_VIEW_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One run before it is rendered.

    side: the artery engaged or filled, None where no coronary artery is. exposure_ms: X-ray pulse.
    overexposure: factor on the automatic exposure. table_mm: where the patient's origin lies from the isocentre.
    pan_mm: how far the table slides during the run. chest: None when nothing but air is in the beam.
    implants: what rides on the heart; outside: what does not. overlay: what the console burns into the picture.
    """

    seed: int
    kind: SceneKind
    side: Side | None
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
    seed: int, *, side: Side | None = None, kind: SceneKind | None = "coronary", matrix: int = 512
) -> Scene:
    """Draw the scene of this seed.

    seed: 0 <= seed < 2**63. side: None draws it. kind: None draws one, three tenths of them without coronary contrast.
    matrix: rows and columns, 64 to 2048. Raises ValueError on anything else.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed {seed}: expected 0 <= seed < 2**63; give a non-negative number")
    if kind is not None and kind not in get_args(SceneKind):
        raise ValueError(f"kind {kind!r}: expected None or one of {', '.join(get_args(SceneKind))}")
    if side not in (None, "left", "right"):
        raise ValueError(f"side {side!r}: expected 'left', 'right' or None")
    if not 64 <= matrix <= 2048:
        raise ValueError(f"matrix {matrix}: expected 64 to 2048 pixels")

    choice = _stream(seed, 0)
    drawn_side: Side = "left" if choice.random() < 0.55 else "right"
    drawn_kind = get_args(SceneKind)[int(choice.choice(len(_KIND_SHARE), p=_KIND_SHARE))]
    side, kind = side or drawn_side, kind or drawn_kind
    coronary = kind == "coronary"
    engaged = kind in ("coronary", "no_contrast", "saturated", "panning")

    timing = _stream(seed, 1)
    fluoroscopy = bool(timing.random() < (0.1 if coronary else 0.4))
    frame_rate_hz = float(timing.choice([7.5, 15.0, 30.0], p=[0.15, 0.65, 0.2]))
    run_s = float(timing.uniform(3.6, 6.5))
    frame_count = int(np.clip(round(run_s * frame_rate_hz), 45, 110))
    exposure_ms = float(timing.uniform(3.0, 10.0))

    tree = sample_tree(_stream(seed, 2), side)
    other = sample_other_vessels(_stream(seed, 11)) if kind == "other_vessels" else None
    anatomy_centre = _middle(tree.tubes.points[tree.named]) if engaged else np.array([-8.0, 12.0, 0.0])
    if other is not None:
        anatomy_centre = _middle(other.tubes.points)
    carm, table_mm, pan_mm = _sample_geometry(_stream(seed, 3), side, anatomy_centre, matrix)
    devices = _stream(seed, 6)
    outside = sample_skin_and_bone(devices)
    tip = side if engaged else ("ventricle" if kind == "lv_gram" else "root")
    catheter = sample_catheter(devices, tip, tree.departure)
    bare = kind == "empty" and devices.random() < 0.5
    bolus_stream = _stream(seed, 5)
    console = _stream(seed, 10)
    run_s = frame_count / frame_rate_hz
    no_catheter = kind in ("empty", "closed_collimator", "other_vessels")
    return Scene(
        seed=seed,
        kind=kind,
        side=side if engaged else None,
        carm=carm,
        frame_count=frame_count,
        frame_rate_hz=frame_rate_hz,
        exposure_ms=exposure_ms,
        fluoroscopy=fluoroscopy,
        tree=tree if coronary else None,
        motion=sample_motion(_stream(seed, 4), right=side == "right"),
        bolus=sample_bolus(bolus_stream, run_s, right=side == "right") if coronary or other is not None else None,
        chamber=_sample_chamber(kind, bolus_stream, run_s),
        other=other,
        catheter=None if no_catheter else catheter,
        implants=() if bare or other is not None else sample_implants(_stream(seed, 12), tree, engaged=engaged),
        outside=() if bare else outside,
        chest=None if bare else sample_chest(_stream(seed, 7)),
        field=sample_field(_stream(seed, 8), closed=kind == "closed_collimator"),
        detector=sample_detector(_stream(seed, 9), fluoroscopy=fluoroscopy),
        display=sample_display(console),
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


def _sample_geometry(
    rng: np.random.Generator, side: Side, centre: NDArray[np.float64], matrix: int
) -> tuple[CArm, NDArray[np.float64], NDArray[np.float64]]:
    """A working view of this side, the table set so that the anatomy lies near the middle, and a slide of the table."""
    views = _VIEWS[side]
    share = np.array([view[2] for view in views])
    primary, secondary, _ = views[int(rng.choice(len(views), p=share / share.sum()))]
    primary += float(rng.normal(0.0, 7.0))
    secondary += float(rng.normal(0.0, 6.0))
    if rng.random() < _ANY_VIEW_SHARE:
        primary, secondary = float(rng.uniform(-50.0, 65.0)), float(rng.uniform(-35.0, 38.0))
    source_to_isocentre_mm = float(rng.uniform(720.0, 810.0))
    carm = CArm(
        primary_angle_deg=primary,
        secondary_angle_deg=secondary,
        source_to_isocentre_mm=source_to_isocentre_mm,
        source_to_detector_mm=float(np.clip(rng.normal(1060.0, 70.0), 900.0, 1200.0)),
        rows=matrix,
        columns=matrix,
        pixel_mm=float(rng.uniform(125.0, 205.0)) / matrix,
    )
    right, up, _ = carm.axes()
    off = np.clip(rng.normal(0.0, 9.0, 2), -18.0, 18.0)
    heading = rng.uniform(0.0, 2 * np.pi)
    pan = float(rng.uniform(18.0, 45.0)) * (np.cos(heading) * right + np.sin(heading) * up)
    return carm, -centre + off[0] * right + off[1] * up, pan

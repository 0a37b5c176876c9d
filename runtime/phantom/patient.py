"""A patient: both coronary trees with one dominance and known disease, and the runs of a study that all show them.

A run of sample_scene has a patient of its own; a study's runs share theirs, so that what one view hides another shows.
Not for: when runs come (study.py), or what a model is asked about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cathrt.runtime.phantom.anatomy import CoronaryTree, Dominance, Side, sample_tree
from cathrt.runtime.phantom.background import Chest, sample_chest
from cathrt.runtime.phantom.catheter import sample_catheter
from cathrt.runtime.phantom.contrast import sample_bolus
from cathrt.runtime.phantom.detector import Detector, Display, sample_detector, sample_display
from cathrt.runtime.phantom.devices import Opaque, calcium_in, sample_skin_and_bone
from cathrt.runtime.phantom.disease import Calcium, Closure, Disease, Narrowing
from cathrt.runtime.phantom.field import sample_field
from cathrt.runtime.phantom.motion import sample_motion
from cathrt.runtime.phantom.scene import Scene
from cathrt.runtime.phantom.views import geometry_at

SEGMENTS_OF: Mapping[Side, tuple[tuple[int, ...], ...]] = {"left": ((6, 7), (11, 13)), "right": ((1, 2),)}
"""By side, the segments of each of its arteries in which disease is drawn, proximal first (SYNTAX)."""

# Not how common disease is: how often a model must see it to learn it from a few hundred patients.
_LEFT_DOMINANT_SHARE = 0.3
_CLOSED_SHARE, _NARROWED_SHARE, _TIGHT_SHARE = 0.18, 0.24, 0.65
_CALCIFIED_SHARE = 0.2
_WITHIN = (0.2, 0.85)  # of a segment's length, where middles of lesions lie
_COLLATERAL_SHARE = 0.5
_FRAME_RATE_HZ = 15.0
_RUN_S = (3.0, 3.7)
_TURNED_DEG = 4.0  # SD about a working view
# (name, primary, secondary), degrees: LAO, CRA > 0. The first of each side is in every study.
VIEWS: Mapping[Side, tuple[tuple[str, float, float], ...]] = {
    "left": (
        ("RAO caudal", -25.0, -25.0),
        ("LAO caudal", 38.0, -28.0),
        ("RAO cranial", -28.0, 28.0),
        ("AP cranial", 0.0, 34.0),
    ),
    "right": (("LAO straight", 38.0, 0.0), ("RAO straight", -30.0, 0.0), ("AP cranial", 0.0, 28.0)),
}
_VIEWS_OF_A_STUDY: Mapping[Side, tuple[int, int]] = {"left": (3, 4), "right": (1, 3)}  # fewest, most


@dataclass(frozen=True, slots=True)
class SegmentTruth:
    """diameter_stenosis_percent: the worst in the segment, 0 without one, 100 where it is closed."""

    diameter_stenosis_percent: float
    occluded: bool
    calcified: bool


@dataclass(frozen=True, slots=True)
class StudyView:
    """One run of a study: which artery, from where. name: of the working view, without the turn drawn about it."""

    side: Side
    name: str
    primary_angle_deg: float
    secondary_angle_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """trees: by side. calcium: (segment, plaque) of both sides, which every run shows. truth: by segment.

    detector, display: of the system in the room.
    """

    seed: int
    dominance: Dominance
    trees: Mapping[Side, CoronaryTree]
    calcium: tuple[tuple[int, Opaque], ...]
    truth: Mapping[int, SegmentTruth]
    chest: Chest
    outside: tuple[Opaque, ...]
    detector: Detector
    display: Display


def sample_patient(seed: int, dominance: Dominance | None = None) -> Patient:
    """Draw a patient. seed: 0 <= seed < 2**63. dominance: None draws it. Raises ValueError for another seed."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed {seed}: expected 0 <= seed < 2**63; give a non-negative number")
    rng = _stream(seed, 0)
    drawn: Dominance = "left" if rng.random() < _LEFT_DOMINANT_SHARE else "right"
    dominance = dominance or drawn
    disease = {side: _sample_disease(rng, side) for side in SEGMENTS_OF}
    trees = {
        side: sample_tree(_stream(seed, number), side, dominance=dominance, disease=one)
        for number, (side, one) in enumerate(disease.items(), 1)
    }
    plaques = [(one.segment, calcium_in(trees[side], one)) for side in trees for one in disease[side].calcium]
    calcium = tuple((segment, opaque) for segment, opaque in plaques if opaque is not None)
    system = _stream(seed, 3)
    return Patient(
        seed=seed,
        dominance=dominance,
        trees=trees,
        calcium=calcium,
        truth={
            segment: _truth(trees[side], segment, {calcified for calcified, _ in calcium})
            for side, arteries in SEGMENTS_OF.items()
            for artery in arteries
            for segment in artery
        },
        chest=sample_chest(_stream(seed, 4)),
        outside=sample_skin_and_bone(_stream(seed, 5)),
        detector=sample_detector(system, fluoroscopy=False),
        display=replace(sample_display(system), relationship="DISP", bits_stored=8, jpeg_quality=None),
    )


def study_views(patient: Patient) -> tuple[StudyView, ...]:
    """Four to seven runs, the left artery's first."""
    rng = _stream(patient.seed, 6)
    found = []
    for side, views in VIEWS.items():
        fewest, most = _VIEWS_OF_A_STUDY[side]
        further = int(rng.integers(fewest, most + 1)) - 1
        chosen = [0, *sorted(int(one) for one in 1 + rng.permutation(len(views) - 1)[:further])]
        for name, primary, secondary in (views[one] for one in chosen):
            turned = rng.normal(0.0, _TURNED_DEG, 2)
            found.append(StudyView(side, name, primary + float(turned[0]), secondary + float(turned[1])))
    return tuple(found)


def scene_of(patient: Patient, number: int, view: StudyView, matrix: int = 512) -> Scene:
    """Run `number` of the patient's study as a scene. Its seed is drawn from the patient's and the number."""
    seed = int(np.random.SeedSequence([patient.seed, 3000, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    tree = patient.trees[view.side]
    timing, place, devices = (_stream(seed, part) for part in (20, 21, 22))
    frames = round(float(timing.uniform(*_RUN_S)) * _FRAME_RATE_HZ)
    named = tree.tubes.points[tree.named]
    centre = 0.5 * (named.min(axis=0) + named.max(axis=0))
    carm, table_mm = geometry_at(place, (view.primary_angle_deg, view.secondary_angle_deg), centre, matrix)
    return Scene(
        seed=seed,
        kind="coronary",
        side=view.side,
        hardships=(),
        carm=carm,
        frame_count=frames,
        frame_rate_hz=_FRAME_RATE_HZ,
        exposure_ms=float(timing.uniform(3.0, 8.0)),
        fluoroscopy=False,
        tree=tree,
        motion=sample_motion(_stream(seed, 23), right=view.side == "right"),
        bolus=sample_bolus(_stream(seed, 24), frames / _FRAME_RATE_HZ, right=view.side == "right"),
        chamber=None,
        other=None,
        catheter=sample_catheter(devices, view.side, tree.departure),
        implants=tuple(opaque for _, opaque in patient.calcium),
        outside=patient.outside,
        chest=patient.chest,
        field=replace(sample_field(_stream(seed, 25), closed=False), wedges=()),
        detector=patient.detector,
        display=patient.display,
        overlay=None,
        overexposure=1.0,
        table_mm=table_mm,
        pan_mm=np.zeros(3),
    )


def _sample_disease(rng: np.random.Generator, side: Side) -> Disease:
    """Each artery is closed, narrowed in some of its segments, or free; each segment may be calcified besides."""
    narrowings, calcium, closure = [], [], None
    for segments in SEGMENTS_OF[side]:
        if closure is None and rng.random() < _CLOSED_SHARE:
            collateral = float(rng.uniform(0.1, 0.35)) if rng.random() < _COLLATERAL_SHARE else 0.0
            closure = Closure(int(rng.choice(segments)), float(rng.uniform(*_WITHIN)), collateral)
        else:
            narrowings += [_narrowing(rng, segment) for segment in segments if rng.random() < _NARROWED_SHARE]
        calcium += [_plaque(rng, segment) for segment in segments if rng.random() < _CALCIFIED_SHARE]
    return Disease(tuple(narrowings), closure, tuple(calcium))


def _narrowing(rng: np.random.Generator, segment: int) -> Narrowing:
    percent = rng.uniform(72.0, 95.0) if rng.random() < _TIGHT_SHARE else rng.uniform(25.0, 65.0)
    return Narrowing(segment, float(rng.uniform(*_WITHIN)), float(rng.uniform(8.0, 20.0)), float(percent))


def _plaque(rng: np.random.Generator, segment: int) -> Calcium:
    return Calcium(
        segment,
        at=float(rng.uniform(*_WITHIN)),
        length_mm=float(rng.uniform(10.0, 24.0)),
        rods=int(rng.integers(2, 5)),
        turn=float(rng.uniform(0.0, 2 * np.pi)),
        radius_mm=float(rng.uniform(0.4, 0.8)),
        per_mm=float(rng.uniform(0.04, 0.09)),
    )


def _truth(tree: CoronaryTree, segment: int, calcified: set[int]) -> SegmentTruth:
    occluded = tree.occlusion is not None and tree.occlusion.segment == segment
    percents = [one.diameter_stenosis_percent for one in tree.stenoses if one.segment == segment]
    return SegmentTruth(100.0 if occluded else max(percents, default=0.0), occluded, segment in calcified)


def _stream(seed: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2500, part])))

"""Contrast where it is not in a coronary artery: the left ventricle of a ventriculogram, the aorta of an aortogram.

These make the negatives that look most like a run with contrast. Not for: the coronary bolus (contrast.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.background import chord_through_ellipsoid
from cathrt.runtime.phantom.branches import APEX_MM
from cathrt.runtime.phantom.carm import CArm
from cathrt.runtime.phantom.catheter import AORTA_MM, ROOT_MM
from cathrt.runtime.phantom.curves import catmull_rom
from cathrt.runtime.phantom.motion import HeartMotion
from cathrt.runtime.phantom.tubes import TubeBundle, chord_map


@dataclass(frozen=True, slots=True)
class ChamberInjection:
    """A power injection. dilution: iodine in the chamber on the plateau, as a share of 350 mg/ml.

    long_mm, short_mm: the ventricle's semi-axes at end-diastole. aorta_radius_mm: of the ascending aorta.
    """

    chamber: Literal["ventricle", "aorta"]
    start_s: float
    duration_s: float
    washout_s: float
    dilution: float
    long_mm: float
    short_mm: float
    aorta_radius_mm: float

    def concentration(self, time_s: float) -> float:
        """Share of 350 mg iodine per ml in the chamber."""
        since = time_s - self.start_s
        late = max(since - self.duration_s, 0.0)
        return self.dilution * float(1.0 - np.exp(-max(since, 0.0) / 0.35)) * float(np.exp(-late / self.washout_s))


def chamber_path(
    injection: ChamberInjection, carm: CArm, motion: HeartMotion, table_mm: NDArray[np.float64], time_s: float
) -> NDArray[np.float32]:
    """Iodine path at 350 mg/ml, mm, (rows, columns), through the opacified chamber at this moment."""
    share = np.float32(injection.concentration(time_s))
    if share < 1e-3:
        return np.zeros((carm.rows, carm.columns), dtype=np.float32)
    squeeze = motion.contraction(time_s)
    shift = table_mm + motion.breath(time_s)
    if injection.chamber == "aorta":
        centreline = catmull_rom(AORTA_MM, 6.0)
        taper = np.linspace(1.0, 0.75, len(centreline)) * (1.0 + 0.03 * squeeze)
        taper[:3] *= [0.5, 0.8, 0.95]
        # It streams on with the blood: the far end fills later and thinner.
        reach = np.clip((time_s - injection.start_s) * 260.0 - 6.0 * np.arange(len(centreline)), 0.0, 60.0) / 60.0
        tube = TubeBundle.from_polylines([centreline + shift], [injection.aorta_radius_mm * taper])
        path = chord_map(carm, tube, weight=reach)
        sinus = chord_through_ellipsoid(carm, ROOT_MM + shift - [0.0, 4.0, 0.0], np.array([17.0, 13.0, 17.0]), None)
        return np.asarray(share * np.maximum(path, sinus))
    axis = APEX_MM - ROOT_MM
    axis = axis / np.linalg.norm(axis)
    second = np.cross(axis, [0.0, 0.0, 1.0])
    second /= np.linalg.norm(second)
    frame = np.stack([axis, second, np.cross(axis, second)])
    long_mm, short_mm = injection.long_mm * (1 - 0.17 * squeeze), injection.short_mm * (1 - 0.33 * squeeze)
    centre = ROOT_MM + axis * (injection.long_mm + 8.0 + 6.0 * squeeze)
    body = chord_through_ellipsoid(carm, centre + shift, np.array([long_mm, short_mm, short_mm]), frame)
    # The inferior wall bulges at its base, so the outline is no ellipse.
    bulge = centre - 0.42 * long_mm * axis - 0.3 * short_mm * np.array([0.0, 0.8, 0.6])
    base = chord_through_ellipsoid(
        carm, bulge + shift, np.array([0.5 * long_mm, 0.9 * short_mm, 0.8 * short_mm]), frame
    )
    ring = centre - 0.75 * long_mm * axis
    centreline = catmull_rom(np.array([ring, ROOT_MM, AORTA_MM[1], AORTA_MM[2]]) + shift, 4.0)
    radii = np.interp(np.linspace(0, 1, len(centreline)), [0, 0.2, 0.35, 1], [0.7, 0.75, 1.05, 0.9])
    outflow = TubeBundle.from_polylines([centreline], [injection.aorta_radius_mm * radii])
    streamed = chord_map(carm, outflow, weight=np.linspace(0.9, 0.2, len(centreline)))
    return np.asarray(share * np.maximum(np.maximum(body, base), streamed))


def sample_chamber(rng: np.random.Generator, chamber: Literal["ventricle", "aorta"], run_s: float) -> ChamberInjection:
    """Draw a power injection of 30 to 40 ml."""
    return ChamberInjection(
        chamber=chamber,
        start_s=float(rng.uniform(0.1, 0.3)) * min(run_s, 5.0),
        duration_s=float(rng.uniform(1.5, 3.0)),
        washout_s=float(rng.uniform(0.6, 1.6)),
        dilution=float(rng.uniform(0.1, 0.3)),
        long_mm=float(rng.uniform(38.0, 50.0)),
        short_mm=float(rng.uniform(20.0, 28.0)),
        aorta_radius_mm=float(rng.uniform(13.0, 18.0)),
    )

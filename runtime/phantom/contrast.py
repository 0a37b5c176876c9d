"""The bolus: how much iodine is where and when, and what the beam loses in it.

In-flow by arc length at the pace of the corrected TIMI count (21 frames at 30 fps to the distal landmark, LAD 1.7
times that), plateau while the syringe lasts, exponential wash-out.
Not for: geometry (anatomy.py, tubes.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom._projector import transmit

FULL_IODINE_MG_ML = 350.0
# Attenuation that iodine at 370 mg/ml adds, per mm, at 50, 60 and 70 keV, and each bin's share of the beam behind
# some 20 cm of water (mean 58 keV).
_DELTA_MU_370_PER_MM = np.array([0.46, 0.28, 0.19])
_SHARE = np.array([0.42, 0.36, 0.22])


def pass_iodine(primary: NDArray[np.float32], path_mm: NDArray[np.float32]) -> None:
    """Weaken the primary beam, in place, by path_mm of contrast medium at 350 mg iodine per ml: Beer-Lambert in three
    bins. Both (rows, columns)."""
    transmit(primary, path_mm, _DELTA_MU_370_PER_MM * (FULL_IODINE_MG_ML / 370.0), _SHARE)


@dataclass(frozen=True, slots=True)
class Bolus:
    """One injection. Times in seconds from the run's first frame.

    front_mm_s: how fast contrast runs down the artery. fill_s: rise time at the ostium; dispersion doubles it some
    150 mm down. peak: concentration on the plateau as a share of 350 mg iodine per ml.
    reflux_mm: iodine path of the cloud that spills into the aortic root.
    """

    start_s: float
    duration_s: float
    front_mm_s: float
    fill_s: float
    washout_s: float
    peak: float
    reflux_mm: float

    def share_of_peak(self, arc_mm: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
        """(N,) concentration at each distance from the ostium, 0 to 1 of the plateau's."""
        since = time_s - self.start_s - arc_mm / self.front_mm_s
        rise = self.fill_s * (1.0 + arc_mm / 150.0)
        filled = 1.0 - np.exp(-np.square(np.maximum(since, 0.0) / rise))
        late = np.maximum(since - self.duration_s, 0.0)
        return np.asarray(filled * np.exp(-late / self.washout_s))

    def in_catheter(self, time_s: float) -> float:
        """Concentration in the catheter's lumen, 0 to 1: it fills just before the artery and stays filled a while."""
        since = time_s - self.start_s + 0.12
        late = max(since - self.duration_s - 0.3, 0.0)
        return float(1.0 - np.exp(-((max(since, 0.0) / 0.08) ** 2))) * float(np.exp(-late / 2.0))

    def reflux(self, time_s: float) -> float:
        """Iodine path, mm, at the middle of the cloud in the aortic root."""
        since = time_s - self.start_s - 0.25
        late = max(since - self.duration_s + 0.2, 0.0)
        return self.reflux_mm * float(1.0 - np.exp(-max(since, 0.0) / 0.3)) * float(np.exp(-late / 0.35))


def sample_bolus(rng: np.random.Generator, run_s: float, *, right: bool) -> Bolus:
    """Draw an injection that mostly begins and ends within the run. LCA 8 ml at 4 ml/s, RCA 6 at 3."""
    slow = rng.random() < 0.08
    return Bolus(
        start_s=float(rng.uniform(0.12, 0.32)) * min(run_s, 5.0),
        duration_s=float(np.clip(rng.normal(2.0, 0.4), 1.2, 3.2)) * min(1.0, run_s / 3.5),
        front_mm_s=float(rng.uniform(40.0, 80.0) if slow else rng.uniform(120.0, 260.0) * (0.85 if right else 1.0)),
        fill_s=float(rng.uniform(0.08, 0.22)),
        washout_s=float(rng.uniform(0.5, 1.2)),
        peak=float(rng.uniform(0.2, 0.5) if rng.random() < 0.1 else rng.uniform(0.5, 1.0)),
        reflux_mm=float(rng.choice([0.0, 1.0, 3.0], p=[0.35, 0.4, 0.25]) * rng.uniform(0.5, 1.3)),
    )

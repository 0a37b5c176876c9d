"""How the heart moves: the beat as shortening, thickening and twist about its long axis, and breathing on top.

Speeds: 22-109 mm/s by artery, most in the first fifth of the cycle, least at end-systole and in diastasis (Mao 2000,
Shechter 2005). Breathing: caudal 4.9 +- 1.9 mm, anterior 1.3 mm (Shechter 2004).
Not for: the table, which moves the whole patient (scene.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.phantom.branches import APEX_MM

BASE_MM = np.array([-22.0, 28.0, -24.0])  # centre of the atrioventricular plane
_INSPIRATION = np.array([0.0, -1.0, 1.3 / 4.9])


@dataclass(frozen=True, slots=True)
class HeartMotion:
    """One run's beat and breath.

    phase_at_start: of the RR interval, 0 is the R wave. shortening_mm: what the valve plane travels towards the apex.
    thickening: share by which the wall moves towards the long axis. breath_mm: peak to peak, 0 for a held breath.
    """

    heart_rate_bpm: float
    phase_at_start: float
    shortening_mm: float
    thickening: float
    twist_deg: float
    breath_mm: float
    breath_period_s: float
    breath_phase: float

    def phase(self, time_s: float) -> float:
        """Share of the RR interval gone by, 0 <= phase < 1."""
        return (self.phase_at_start + time_s * self.heart_rate_bpm / 60.0) % 1.0

    def contraction(self, time_s: float) -> float:
        """0 at end-diastole to 1 at end-systole: systole, fast filling, diastasis, atrial kick."""
        phase = self.phase(time_s)
        end_systole = float(np.clip(0.34 * np.sqrt(self.heart_rate_bpm / 70.0), 0.28, 0.46))
        knots = (0.0, end_systole, end_systole + 0.06, end_systole + 0.26, 0.9, 1.0)
        values = (0.0, 1.0, 0.97, 0.16, 0.12, 0.0)
        piece = max(index for index in range(5) if knots[index] <= phase)
        t = (phase - knots[piece]) / (knots[piece + 1] - knots[piece])
        smooth = t * t * (3.0 - 2.0 * t)
        return values[piece] + (values[piece + 1] - values[piece]) * smooth

    def breath(self, time_s: float) -> NDArray[np.float64]:
        """Shift of heart and diaphragm, mm, from the end of expiration."""
        swing = 0.5 - 0.5 * np.cos(2 * np.pi * (time_s / self.breath_period_s + self.breath_phase))
        return np.asarray(self.breath_mm * swing * _INSPIRATION)

    def displace(self, points: NDArray[np.float64], freedom: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
        """Where (N, 3) end-diastolic points are at time_s. freedom: (N,) how far each follows the wall (the aortic
        root holds the ostia back)."""
        axis = APEX_MM - BASE_MM
        reach = float(np.linalg.norm(axis))
        axis = axis / reach
        relative = points - BASE_MM
        along = relative @ axis
        height = np.clip(along / reach, -0.3, 1.2)
        squeeze = self.contraction(time_s) * freedom
        radial = relative - along[:, None] * axis
        turned = np.cross(axis, radial)
        angle = np.radians(self.twist_deg) * (height - 0.3) * squeeze
        shrink = 1.0 - self.thickening * squeeze
        moved = radial * (shrink * np.cos(angle))[:, None] + turned * (shrink * np.sin(angle))[:, None]
        travel = along + self.shortening_mm * squeeze * (1.0 - height)
        return np.asarray(BASE_MM + moved + travel[:, None] * axis + self.breath(time_s))

    def velocity_mm_s(
        self, points: NDArray[np.float64], freedom: NDArray[np.float64], time_s: float
    ) -> NDArray[np.float64]:
        """(N, 3) velocity, from the central difference over 10 ms."""
        ahead = self.displace(points, freedom, time_s + 0.005)
        return (ahead - self.displace(points, freedom, time_s - 0.005)) / 0.01


def freedom_by_arc(arc_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a point follows the wall, by its distance from the ostium: 0.4 there, 1 beyond some 60 mm."""
    return np.asarray(1.0 - 0.6 * np.exp(-np.maximum(arc_mm, 0.0) / 20.0))


def sample_motion(rng: np.random.Generator, *, right: bool) -> HeartMotion:
    """Draw a beat and a breath. The right artery rides on the tricuspid ring, which travels further."""
    held = rng.random() < 0.6
    return HeartMotion(
        heart_rate_bpm=float(np.clip(rng.normal(73.0, 13.0), 50.0, 110.0)),
        phase_at_start=float(rng.random()),
        shortening_mm=float(rng.uniform(9.0, 16.0)) * (1.35 if right else 1.0),
        thickening=float(rng.uniform(0.07, 0.16)),
        twist_deg=float(rng.uniform(3.0, 11.0)),
        breath_mm=float(np.clip(rng.normal(4.9, 1.9), 2.4, 8.0)) * (0.08 if held else 1.0),
        breath_period_s=float(rng.uniform(2.8, 5.0)),
        breath_phase=float(rng.random()),
    )

"""The C-arm: where source and detector stand, and where a point of the patient falls on the detector.

Patient axes, mm: x to the patient's left, y cranial, z anterior, origin at the isocentre. Primary angle LAO > 0 > RAO,
secondary CRA > 0 > CAU, as DICOM (0018,1510/1511). Display: the patient's left on the image's right, cranial up.
Not for: what the rays meet on their way (tubes.py, background.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CArm:
    """Geometry of one run. pixel_mm: detector pixel pitch of the stored matrix (0018,1164)."""

    primary_angle_deg: float
    secondary_angle_deg: float
    source_to_isocentre_mm: float
    source_to_detector_mm: float
    rows: int
    columns: int
    pixel_mm: float

    @property
    def magnification(self) -> float:
        """Of an object at the isocentre."""
        return self.source_to_detector_mm / self.source_to_isocentre_mm

    def axes(self) -> NDArray[np.float64]:
        """(3, 3): rows are the image's right, the image's up, and the direction from source to detector."""
        theta, phi = np.radians([self.primary_angle_deg, self.secondary_angle_deg])
        return np.array(
            [
                [np.cos(theta), 0.0, -np.sin(theta)],
                [-np.sin(phi) * np.sin(theta), np.cos(phi), -np.sin(phi) * np.cos(theta)],
                [np.cos(phi) * np.sin(theta), np.sin(phi), np.cos(phi) * np.cos(theta)],
            ]
        )

    def project(self, points_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cone-beam projection of (..., 3) points: (..., 2) pixel (column, row) and pixels per mm at each point."""
        right, up, depth = np.moveaxis(points_mm @ self.axes().T, -1, 0)
        pixels_per_mm = self.source_to_detector_mm / (self.source_to_isocentre_mm + depth) / self.pixel_mm
        column = (self.columns - 1) / 2 + right * pixels_per_mm
        row = (self.rows - 1) / 2 - up * pixels_per_mm
        return np.stack([column, row], axis=-1), pixels_per_mm

    def rays(
        self, columns: NDArray[np.float64], rows: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Source position (3,) and unit directions (rows, columns, 3) of the rays through a grid of pixel centres."""
        right, up, depth = self.axes()
        u = (columns - (self.columns - 1) / 2) * self.pixel_mm
        v = ((self.rows - 1) / 2 - rows) * self.pixel_mm
        towards = (
            u[None, :, None] * right
            + v[:, None, None] * up
            + np.asarray(self.source_to_detector_mm * depth)[None, None]
        )
        towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
        return -self.source_to_isocentre_mm * depth, towards

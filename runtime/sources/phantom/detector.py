"""From primary fluence to stored values: scatter, blur, quantum and electronic noise, then the vendor's processing.

Figures: scatter to primary behind the grid 0.5-1 as a low-pass of 2-4 cm; 30,000 photons per mm² and µGy at RQA5;
cine 0.1-0.2, fluoroscopy 0.02-0.04 µGy an image at the detector.
Not for: what attenuates the beam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PHOTONS_PER_MM2_UGY = 30_000.0
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Detector:
    """dose_ugy: air kerma per image at the detector under automatic exposure. electronic: noise SD as a share of the
    mean signal. blur: weight of each neighbour in the detector's three-tap blur, pixel."""

    dose_ugy: float
    quantum_efficiency: float
    scatter_to_primary: float
    scatter_sigma_mm: float
    blur: float
    electronic: float

    def photons_per_pixel(self, pixel_mm: float) -> float:
        """Detected photons in a pixel of the mean grey level."""
        return self.dose_ugy * PHOTONS_PER_MM2_UGY * pixel_mm**2 * self.quantum_efficiency


@dataclass(frozen=True, slots=True)
class Display:
    """What the vendor makes of the signal before storing it.

    relationship: (0028,1040) LIN stores the signal, LOG its logarithm, DISP a picture ready to look at.
    harmonisation: share of the low frequencies taken out (dynamic range). edge: strength of the unsharp mask.
    noise_share: SD of the noise that the vendor's motion-compensated temporal filter leaves; its lag is not modelled.
    gamma: the picture is signal ** gamma. low, high percentile: of the run's reference picture, stored near 0 and
    full scale.
    """

    relationship: Literal["LIN", "LOG", "DISP"]
    bits_stored: int
    harmonisation: float
    edge: float
    noise_share: float
    gamma: float
    low_percentile: float
    high_percentile: float


class LowPass:
    """Gaussian low-pass of a whole image through its 16-pixel block means: cheap, and fine enough for scatter."""

    def __init__(self, rows: int, columns: int, sigma_pixels: float) -> None:
        self._shape = (-(-rows // _BLOCK), -(-columns // _BLOCK))
        self._pad = (self._shape[0] * _BLOCK - rows, self._shape[1] * _BLOCK - columns)
        self._rows = _spread_matrix(rows, self._shape[0], sigma_pixels)
        self._columns = _spread_matrix(columns, self._shape[1], sigma_pixels)

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        if any(self._pad):
            image = np.pad(image, ((0, self._pad[0]), (0, self._pad[1])), mode="edge")
        high, wide = self._shape
        across = image.reshape(high * _BLOCK, wide, _BLOCK).mean(axis=2)
        blocks = across.reshape(high, _BLOCK, wide).mean(axis=1)
        return np.asarray(self._rows @ blocks @ self._columns.T)


def _spread_matrix(pixels: int, blocks: int, sigma: float) -> NDArray[np.float32]:
    """(pixels, blocks) Gaussian weights of every block at every pixel, each row summing to one."""
    centre = (np.arange(blocks) + 0.5) * _BLOCK - 0.5
    distance = (np.arange(pixels)[:, None] - centre[None, :]) / max(sigma, 0.6 * _BLOCK)
    weight = np.exp(-0.5 * distance**2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def smooth(image: NDArray[np.float32], neighbour: float, reach: int = 1) -> NDArray[np.float32]:
    """Separable three-tap blur: weight `neighbour` for the pixels `reach` away on each side; edges repeat."""
    for axis in (0, 1):
        view = image if axis == 0 else image.T
        out = np.empty_like(image)
        target = out if axis == 0 else out.T
        np.multiply(view, np.float32(1.0 - 2.0 * neighbour), out=target)
        side = np.float32(neighbour) * view
        target[reach:] += side[:-reach]
        target[:-reach] += side[reach:]
        target[:reach] += side[:1]
        target[-reach:] += side[-1:]
        image = out
    return image


def expose(
    primary: NDArray[np.float32],
    detector: Detector,
    scatter: LowPass,
    pixel_mm: float,
    gain: float,
    noise_share: float,
    rng: np.random.Generator | None,
) -> NDArray[np.float32]:
    """The detector's signal: primary plus scatter, times `gain` so that the measuring field means 1, noisy, blurred.

    Quantum noise has the Poisson variance and is drawn as Gaussian, which at the 10 photons and more of an exposed
    pixel differs little; the scintillator blurs it with the signal. Without an rng the expectation is returned.
    """
    signal = primary + np.float32(detector.scatter_to_primary) * scatter(primary)
    signal *= np.float32(gain)
    if rng is not None:
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        per_photon = np.float32(1.0 / detector.photons_per_pixel(pixel_mm))
        noise *= np.sqrt(signal * per_photon + np.float32(detector.electronic**2)) * np.float32(noise_share)
        signal += noise
    return np.maximum(smooth(signal, detector.blur), np.float32(1e-4))


def develop(signal: NDArray[np.float32], display: Display, glare: LowPass) -> NDArray[np.float32]:
    """The vendor's processed picture, not yet scaled to stored values; brighter where more X-rays arrived."""
    if display.relationship == "LIN":
        return signal
    picture = np.log(signal)
    if display.relationship == "LOG":
        return picture
    picture *= np.float32(display.gamma)
    np.exp(picture, out=picture)
    if display.harmonisation:
        slow = glare(picture)
        picture -= np.float32(display.harmonisation) * (slow - slow.mean())
    if display.edge:
        soft = smooth(smooth(picture, 0.25), 0.25, reach=2)
        picture += np.float32(display.edge) * (picture - soft)
    return picture


def store(picture: NDArray[np.float32], bits_stored: int, low: float, high: float) -> NDArray[np.uint8 | np.uint16]:
    """Stored values: low becomes 0, high full scale, what lies beyond is clipped. uint8 up to 8 bits, else uint16."""
    full = (1 << bits_stored) - 1
    scaled = (picture - np.float32(low)) * np.float32(full / (high - low))
    np.clip(scaled, 0.0, full, out=scaled)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8 if bits_stored <= 8 else np.uint16)


def sample_detector(rng: np.random.Generator, *, fluoroscopy: bool) -> Detector:
    """Draw a dose and a detector."""
    low, high = (0.02, 0.05) if fluoroscopy else (0.07, 0.25)
    return Detector(
        dose_ugy=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        quantum_efficiency=0.7,
        scatter_to_primary=float(rng.uniform(0.4, 1.0)),
        scatter_sigma_mm=float(rng.uniform(20.0, 40.0)),
        blur=float(rng.uniform(0.06, 0.24)),
        electronic=0.004,
    )


def sample_display(rng: np.random.Generator) -> Display:
    """Draw a vendor: two thirds store an 8-bit picture, the rest 10 or 12 bits as LIN, LOG or DISP."""
    relationship: Literal["LIN", "LOG", "DISP"] = "DISP"
    bits = 8
    if rng.random() < 0.34:
        relationship = ("LIN", "LOG", "DISP")[int(rng.integers(3))]
        bits = int(rng.choice([10, 12]))
    return Display(
        relationship=relationship,
        bits_stored=bits,
        harmonisation=float(rng.choice([0.0, 1.0], p=[0.15, 0.85]) * rng.uniform(0.35, 0.85)),
        edge=float(rng.choice([0.0, 1.0], p=[0.25, 0.75]) * rng.uniform(0.3, 1.6)),
        noise_share=float(rng.uniform(0.2, 0.85)),
        gamma=float(rng.uniform(0.25, 0.85)),
        low_percentile=float(rng.uniform(0.05, 1.0)),
        high_percentile=float(100.0 - np.exp(rng.uniform(np.log(0.1), np.log(12.0)))),
    )

"""From primary fluence to stored values: scatter, blur, quantum and electronic noise, then the vendor's processing.

Figures: scatter to primary behind the grid 0.5-1 as a low-pass of 2-4 cm; 30,000 photons per mm² and µGy at RQA5;
cine 0.1-0.2, fluoroscopy 0.02-0.04 µGy an image at the detector.
Not for: what attenuates the beam.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cathrt.runtime.phantom._projector import add_noise, low_pass, separable_blur3

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
    harmonisation: share of the low frequencies taken out (dynamic range), those wider than harmonisation_sigma, a share
    of the width. edge: strength of the unsharp mask. jpeg_quality: 1 to 100 where pictures were stored with loss.
    noise_share: SD of the noise that the vendor's motion-compensated temporal filter leaves; its lag is not modelled.
    gamma: the picture is signal ** gamma. low, high percentile: of the run's reference picture, and how far below and
    above them black and white lie, in units of the drop that a 4 mm artery makes. resampled: size of the smaller
    picture that a screen recording went through, as a share; None where there was none.
    """

    relationship: Literal["LIN", "LOG", "DISP"]
    bits_stored: int
    harmonisation: float
    harmonisation_sigma: float
    edge: float
    noise_share: float
    gamma: float
    low_percentile: float
    high_percentile: float
    room_below: float
    room_above: float
    jpeg_quality: int | None
    resampled: float | None = None


class LowPass:
    """Gaussian low-pass of a whole image through its 16-pixel block means: cheap, and fine enough for scatter."""

    def __init__(self, rows: int, columns: int, sigma_pixels: float) -> None:
        self._rows = _spread_matrix(rows, -(-rows // _BLOCK), sigma_pixels)
        self._columns = np.ascontiguousarray(_spread_matrix(columns, -(-columns // _BLOCK), sigma_pixels).T)

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return low_pass(image, self._rows, self._columns, _BLOCK)


def _spread_matrix(pixels: int, blocks: int, sigma: float) -> NDArray[np.float32]:
    """(pixels, blocks) Gaussian weights of every block at every pixel, each row summing to one."""
    centre = (np.arange(blocks) + 0.5) * _BLOCK - 0.5
    distance = (np.arange(pixels)[:, None] - centre[None, :]) / max(sigma, 0.6 * _BLOCK)
    weight = np.exp(-0.5 * distance**2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def expose(
    primary: NDArray[np.float32],
    detector: Detector,
    scatter: LowPass,
    pixel_mm: float,
    gain: float,
    noise_share: float,
    seed: int | None,
) -> NDArray[np.float32]:
    """The detector's signal: primary plus scatter, times `gain` so that the measuring field means 1, noisy, blurred.

    Quantum noise has the Poisson variance and is drawn as Gaussian, which at the 10 photons and more of an exposed
    pixel differs little; the scintillator blurs it with the signal. Without a seed the expectation is returned.
    """
    signal = primary + np.float32(detector.scatter_to_primary) * scatter(primary)
    signal *= np.float32(gain)
    if seed is not None:
        per_photon = 1.0 / detector.photons_per_pixel(pixel_mm)
        add_noise(signal, per_photon, detector.electronic**2, noise_share, seed)
    return np.maximum(separable_blur3(signal, detector.blur, 1), np.float32(1e-4))


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
        soft = separable_blur3(separable_blur3(picture, 0.25, 1), 0.25, 2)
        picture += np.float32(display.edge) * (picture - soft)
    return picture


def store(picture: NDArray[np.float32], bits_stored: int, low: float, high: float) -> NDArray[np.uint8 | np.uint16]:
    """Stored values: low becomes 0, high full scale, what lies beyond is clipped. uint8 up to 8 bits, else uint16."""
    full = (1 << bits_stored) - 1
    scaled = (picture - np.float32(low)) * np.float32(full / (high - low))
    np.clip(scaled, 0.0, full, out=scaled)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8 if bits_stored <= 8 else np.uint16)


def stored_with_loss(stored: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """An 8-bit picture after JPEG at this quality (1 to 100) and back."""
    held = io.BytesIO()
    Image.fromarray(stored).save(held, "JPEG", quality=quality)
    return np.array(Image.open(held))


def resampled(stored: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """An 8-bit picture made smaller to this share of its size and back, as a screen recording does."""
    rows, columns = stored.shape
    picture = Image.fromarray(stored)
    smaller = picture.resize((max(8, round(columns * share)), max(8, round(rows * share))), Image.Resampling.BILINEAR)
    return np.array(smaller.resize((columns, rows), Image.Resampling.BICUBIC))


def sample_detector(rng: np.random.Generator, *, fluoroscopy: bool) -> Detector:
    """Draw a dose and a detector."""
    low, high = (0.02, 0.05) if fluoroscopy else (0.07, 0.25)
    return Detector(
        dose_ugy=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        quantum_efficiency=0.7,
        scatter_to_primary=float(rng.uniform(0.4, 1.2)),
        scatter_sigma_mm=float(rng.uniform(16.0, 40.0)),
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
        harmonisation=float(rng.choice([0.0, 1.0], p=[0.12, 0.88]) * rng.uniform(0.4, 0.95)),
        harmonisation_sigma=float(np.exp(rng.uniform(np.log(0.035), np.log(0.12)))),
        edge=float(rng.choice([0.0, 1.0], p=[0.25, 0.75]) * rng.uniform(0.3, 1.6)),
        noise_share=float(rng.uniform(0.25, 0.8)),
        gamma=float(rng.uniform(0.25, 0.85)),
        low_percentile=float(rng.uniform(0.05, 2.0)),
        high_percentile=float(100.0 - np.exp(rng.uniform(np.log(0.1), np.log(8.0)))),
        room_below=float(rng.uniform(0.7, 1.9)),
        room_above=float(rng.uniform(0.0, 1.2)),
        jpeg_quality=int(rng.integers(45, 96)) if bits == 8 and rng.random() < 0.45 else None,
    )

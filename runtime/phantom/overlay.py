"""What a console burns into the picture: angles and counters as text, an ECG trace, a mark. Synthetic, no patient's.

Not for: DICOM overlay planes, which never reach the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Corner = Literal["top left", "top right", "bottom left", "bottom right"]
_CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True, slots=True)
class Overlay:
    """texts: what stands in which corner. size: height of a letter as a share of the rows. shade: grey of full scale.

    ecg: how high up its trace runs, as a share of the rows from the top, or None. counter: the frame's number is shown.
    """

    texts: tuple[tuple[Corner, str], ...]
    size: float
    shade: float
    ecg: float | None
    counter: bool

    def burn(self, stored: NDArray[Any], full: int, index: int, phase: float) -> None:
        """Draw into stored values of full scale `full`, in place. phase: of the RR interval, moves the ECG's cursor."""
        rows, columns = stored.shape
        canvas = Image.new("L", (columns, rows), 0)
        draw = ImageDraw.Draw(canvas)
        height = max(7, round(self.size * rows))
        font = ImageFont.load_default(size=height)
        texts = [*self.texts, *([("bottom right", f"F {index + 1:03d}")] if self.counter else [])]
        for corner, text in texts:
            left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
            x = 4 if "left" in corner else columns - 4 - (right - left)
            y = 3 if "top" in corner else rows - 6 - (bottom - top)
            draw.multiline_text((x, y), text, fill=255, font=font)
        if self.ecg is not None:
            draw.line(_trace(rows, columns, self.ecg, phase), fill=255, width=max(1, rows // 512))
        ink = np.asarray(canvas) > 127
        stored[ink] = round(self.shade * full)


def _trace(rows: int, columns: int, height: float, phase: float) -> list[tuple[float, float]]:
    """P, QRS and T as bumps, three beats across the picture, running with the heart."""
    across = np.linspace(0.0, 1.0, max(32, columns // 3))
    beat = (3.0 * across + phase) % 1.0
    bumps = ((0.18, 0.025, 0.12), (0.28, 0.008, -0.15), (0.3, 0.009, 1.0), (0.33, 0.01, -0.25), (0.55, 0.05, 0.25))
    wave = sum(size * np.exp(-0.5 * ((beat - at) / wide) ** 2) for at, wide, size in bumps)
    return list(zip(across * (columns - 1), rows * (height - 0.05 * np.asarray(wave)), strict=True))


def sample_overlay(rng: np.random.Generator, primary_deg: float, secondary_deg: float) -> Overlay | None:
    """Draw what is burnt in; mostly nothing."""
    if rng.random() >= 0.22:
        return None
    primary, secondary = "LAO" if primary_deg >= 0 else "RAO", "CRA" if secondary_deg >= 0 else "CAU"
    lines = (
        f"{primary} {abs(primary_deg):.0f}\n{secondary} {abs(secondary_deg):.0f}",
        f"PHANTOM\nSYNTHETIC {int(rng.integers(1000)):03d}",
        f"{int(rng.integers(60, 125))} kV\n{int(rng.integers(50, 900))} mA",
        f"Run {int(rng.integers(1, 20))}  Zoom {rng.uniform(0.8, 2.0):.1f}",
    )
    count = int(rng.integers(1, 4))
    corners = [_CORNERS[k] for k in rng.permutation(4)[:count]]
    return Overlay(
        texts=tuple((corner, lines[int(rng.integers(len(lines)))]) for corner in corners),
        size=float(rng.uniform(0.018, 0.035)),
        shade=float(rng.choice([0.0, 1.0, rng.uniform(0.6, 1.0)])),
        ecg=float(rng.choice([rng.uniform(0.08, 0.12), rng.uniform(0.88, 0.97)])) if rng.random() < 0.4 else None,
        counter=bool(rng.random() < 0.5),
    )

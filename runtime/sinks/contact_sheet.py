"""The key frames of some runs as one picture: what a person looks at first.

Not for: anything that leaves as DICOM. Grey values are stretched for the eye; nothing is measured on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.outside.plain_text import shown_lines

if TYPE_CHECKING:
    from PIL.Image import Image

TILE = 256
_MARGIN = 8
_CAPTION = 34
_BANNER = "RESEARCH USE ONLY - NOT A CLINICAL FINDING"


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """pixels: (rows, columns), any integer type; caption: at most two short lines of Latin text."""

    pixels: NDArray[Any]
    caption: str


def contact_sheet(tiles: Sequence[Tile], columns: int = 4) -> Image:
    """Lay the tiles out in rows under a banner. With no tiles the sheet says that there are none."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(13)
    rows = max(1, -(-len(tiles) // columns))
    columns = max(1, min(columns, len(tiles) or 2))
    sheet = Image.new(
        "L",
        (columns * (TILE + _MARGIN) + _MARGIN, _CAPTION + rows * (TILE + _CAPTION + _MARGIN) + _MARGIN),
        color=16,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), _BANNER, fill=230, font=font)
    if not tiles:
        draw.text((_MARGIN, _CAPTION + TILE // 2), "no key frame in these runs", fill=200, font=font)
    for number, tile in enumerate(tiles):
        left = _MARGIN + (number % columns) * (TILE + _MARGIN)
        top = _CAPTION + (number // columns) * (TILE + _CAPTION + _MARGIN)
        picture = Image.fromarray(display_grey(tile.pixels)).resize((TILE, TILE), Image.Resampling.BOX)
        sheet.paste(picture, (left, top))
        draw.multiline_text((left, top + TILE + 2), shown_lines(tile.caption), fill=220, font=font, spacing=1)
    return sheet


def display_grey(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch the middle 99 % of the grey values over 0..255. Returns (rows, columns) uint8."""
    low, high = np.percentile(pixels, [0.5, 99.5])
    scaled = (pixels.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey

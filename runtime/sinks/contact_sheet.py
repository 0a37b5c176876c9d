"""The key frames of some runs as one picture: what a person looks at first.

Not for: anything that leaves as DICOM. Grey values are stretched for the eye; nothing is measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.outside.plain_text import shown_lines
from cathrt.runtime.sinks.page_frame import japanese_font

if TYPE_CHECKING:
    from PIL.Image import Image

TILE = 256
_MARGIN = 8
_CAPTION = 34
_LINE = 18


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """pixels: (rows, columns), any integer type; caption: at most two short lines of Latin-1 and Japanese."""

    pixels: NDArray[Any]
    caption: str


def contact_sheet(tiles: Sequence[Tile], columns: int = 4, notice: str = NOTICE) -> Image:
    """Lay the tiles out in rows under the notice. With no tiles the sheet says that there are none."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(japanese_font()), 14)
    rows = max(1, -(-len(tiles) // columns))
    columns = max(1, min(columns, len(tiles) or 2))
    width = max(columns, 2) * (TILE + _MARGIN) + _MARGIN
    banner = _in_lines(notice, width - 2 * _MARGIN, font.getlength)
    above = 2 * _MARGIN + _LINE * len(banner)
    sheet = Image.new("L", (width, above + rows * (TILE + _CAPTION + _MARGIN)), color=16)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(banner):
        draw.text((_MARGIN, _MARGIN + _LINE * number), line, fill=230, font=font)
    if not tiles:
        draw.text((_MARGIN, above + TILE // 2), "no key frame in these runs", fill=200, font=font)
    for number, tile in enumerate(tiles):
        left = _MARGIN + (number % columns) * (TILE + _MARGIN)
        top = above + (number // columns) * (TILE + _CAPTION + _MARGIN)
        picture = Image.fromarray(display_grey(tile.pixels)).resize((TILE, TILE), Image.Resampling.BOX)
        sheet.paste(picture, (left, top))
        draw.multiline_text((left, top + TILE + 2), shown_lines(tile.caption), fill=220, font=font, spacing=1)
    return sheet


def _in_lines(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Broken between words so that each line fits, in pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and length(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def display_grey(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch the middle 99 % of the grey values over 0..255. Returns (rows, columns) uint8."""
    low, high = np.percentile(pixels, [0.5, 99.5])
    scaled = (pixels.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    grey: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey

"""Pictures of a run for a page: the marked frames, and a strip of small ones that the page plays.

Grey values are stretched for the eye and stored as JPEG: nothing is measured on them. Not for: layout (run_section.py).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.ports import Source
from cathrt.runtime.sinks.contact_sheet import display_grey

MOST_BYTES = 24 << 20  # of all pictures of a page, as base64: what a browser opens at once
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """How large pictures are, longest side in pixels, and how many a strip has; tiles 0: no strip."""

    key_px: int
    tile_px: int
    tiles: int


# For at most so many runs on a page; beyond the last row, its sizes.
_PLANS = ((12, PicturePlan(512, 192, 48)), (100, PicturePlan(384, 128, 24)), (1000, PicturePlan(192, 0, 0)))


def plan_for(runs: int) -> PicturePlan:
    """The sizes for a page of so many runs: about 500 kB a run on a small page, 20 kB on one of hundreds."""
    return next((plan for most, plan in _PLANS if runs <= most), _PLANS[-1][1])


@dataclass(frozen=True, slots=True)
class Picture:
    """A grey JPEG. uri: as a page holds it."""

    width: int
    height: int
    uri: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames side by side in one picture, each as wide as the other. frames: their indices."""

    picture: Picture
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunPictures:
    """marked: by frame index; a frame that could not be read again is not there. strip: None where none was asked."""

    marked: Mapping[int, Picture]
    strip: Strip | None

    @property
    def size_bytes(self) -> int:
        """What they take of a page."""
        return sum(len(one.uri) for one in self.marked.values()) + (len(self.strip.picture.uri) if self.strip else 0)


def pictures_of(source: Source, marked: Sequence[int], plan: PicturePlan) -> RunPictures:
    """Read a run once more, as far as it takes. The source stays the caller's to close. Raises SourceError."""
    run = source.run
    every = max(1, -(-(run.frame_count or 1) // plan.tiles)) if plan.tiles else 0
    last = max([*marked, (run.frame_count or 0) - 1 if plan.tiles else -1])
    found: dict[int, Picture] = {}
    tiles: list[tuple[int, NDArray[np.float32]]] = []
    for item in source.frames():
        if item.index > last:
            break
        if not isinstance(item, Frame):
            continue
        if item.index in marked:
            found[item.index] = _jpeg(display_grey(_bright(item, run, plan.key_px)))
        if every and item.index % every == 0:
            tiles.append((item.index, _bright(item, run, plan.tile_px)))
    return RunPictures(found, _strip(tiles) if tiles else None)


def _strip(tiles: Sequence[tuple[int, NDArray[np.float32]]]) -> Strip:
    """Square tiles; one stretch for all, so that the picture does not flicker."""
    grey = display_grey(np.hstack([tile for _, tile in tiles]))
    squares = np.hstack([_square(tile) for tile in np.hsplit(grey, len(tiles))])
    return Strip(_jpeg(squares), tuple(index for index, _ in tiles))


def _square(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = grey.shape
    side = max(rows, columns)
    above, left = (side - rows) // 2, (side - columns) // 2
    return np.pad(grey, ((above, side - rows - above), (left, side - columns - left)))


def _bright(frame: Frame, run: Run, longest: int) -> NDArray[np.float32]:
    """(rows, columns) averaged down until the longest side fits, high values bright."""
    from PIL import Image

    rows, columns = frame.pixels.shape
    scale = min(1.0, longest / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    stored = Image.fromarray(np.asarray(frame.pixels, np.float32))
    small = np.asarray(stored.resize(size, Image.Resampling.BOX), np.float32)
    grayscale = run.grayscales[frame.grayscale]
    return float((1 << grayscale.bits_stored) - 1) - small if grayscale.inverted else small


def _jpeg(grey: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=_QUALITY)
    rows, columns = grey.shape
    uri = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Picture(columns, rows, uri)

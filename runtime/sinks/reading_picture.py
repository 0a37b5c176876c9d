"""How much each run counted in the reading of its study, as one picture: a frame of each, with a bar below it.

Not for: anything that leaves as DICOM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import RunRead, StudyFindings
from cathrt.runtime.sinks.console import WHY_RUN
from cathrt.runtime.sinks.contact_sheet import TILE, Tile, contact_sheet, display_grey

if TYPE_CHECKING:
    from PIL.Image import Image

_BAR = 16  # of TILE pixels: height of the bar
_LONGEST_NAME = 30


def reading_picture(record: StudyFindings, frames: Sequence[tuple[str, NDArray[Any] | None]]) -> Image:
    """record.runs in their order. frames: of each what a person calls it, and the stored values of one frame."""
    tiles = [
        Tile(_with_bar(pixels, run.counted or 0.0), _caption(run, name))
        for run, (name, pixels) in zip(record.runs, frames, strict=True)
    ]
    return contact_sheet(tiles, notice=record.notice)


def _with_bar(pixels: NDArray[Any] | None, share: float) -> NDArray[np.uint8]:
    """The frame, and below it a bar as long as its share of the widest."""
    whole = np.full((TILE, TILE), 32, np.uint8) if pixels is None else display_grey(pixels)
    rows, columns = whole.shape
    height = max(1, rows * _BAR // TILE)
    bar = np.zeros((height, columns), np.uint8)
    bar[height // 4 :, : round(columns * share)] = 255
    return np.concatenate([whole, bar])


def _caption(run: RunRead, name: str) -> str:
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    if run.place is None:
        return f"{name}\n{WHY_RUN[run.why]}"
    return f"{run.place}. {name}\n" + ("not read" if run.counted is None else f"counted {run.counted:.0%}")

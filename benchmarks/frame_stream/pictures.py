"""The pictures of a stream: a phantom's, rendered once, in memory that every process maps.

Played to and fro while the table moves on: no picture is like the one before it, and none like one of an earlier run.
Not for: when they arrive (generator.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame, Grayscale, Run, Timing
from cathrt.runtime.phantom import PhantomSource, sample_scene

_TABLE_COLUMNS = 3  # that the table moves from picture to picture
_PIXELS, _MEANING = "pictures.npy", "pictures.json"


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """pixels: (pictures, rows, columns). Not to be changed."""

    pixels: NDArray[Any]
    grayscale: Grayscale

    def taken(self, number: int) -> NDArray[Any]:
        """A copy of the picture of that number, as a capture card's driver leaves one in a buffer."""
        last = len(self.pixels) - 1
        turn, place = divmod(number, last)
        still = self.pixels[place if turn % 2 == 0 else last - place]
        picture: NDArray[Any] = np.roll(still, _TABLE_COLUMNS * number, axis=1)
        picture.flags.writeable = False
        return picture

    def run(self, name: str, rate_hz: float, count: int | None = None) -> Run:
        """A run of them, for whoever prepares a network's input."""
        _, rows, columns = self.pixels.shape
        return Run("00000000-0000-5000-8000-000000000000", name, count, rows, columns, self.grayscale,
                   Timing(rate_hz, "given"))  # fmt: skip


def write_pictures(folder: Path, count: int) -> None:
    """Render the first `count` pictures of the phantom into the folder; at least two."""
    phantom = PhantomSource(sample_scene(11, side="left"))
    frames: list[Frame] = []
    for item in phantom.frames():
        if len(frames) == count:
            break
        assert isinstance(item, Frame)
        frames.append(item)
    np.save(folder / _PIXELS, np.stack([frame.pixels for frame in frames]))
    meant = phantom.run.grayscale
    meaning = {
        "bits_stored": meant.bits_stored,
        "photometric_interpretation": meant.photometric_interpretation,
    }
    (folder / _MEANING).write_text(json.dumps(meaning), encoding="utf-8")


def open_pictures(folder: Path) -> Pictures:
    """What write_pictures left there, mapped."""
    meaning = json.loads((folder / _MEANING).read_text(encoding="utf-8"))
    return Pictures(np.load(folder / _PIXELS, mmap_mode="r"), Grayscale(**meaning))

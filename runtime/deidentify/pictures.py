"""Text burned into pictures: found over all frames of a run at once, since it stands still while the picture moves, and
painted over.

With the package rapidocr-onnxruntime its text detector looks; without it a rule looks for strokes that stand still: at
the border they are painted over, anywhere else the file is refused. Not for: elements (data_set.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import SourceError

_MARGIN = 6  # pixels around a box that are painted over too
_SURE = 0.2  # of 1, that what was read in a box is text
_TALLEST = 0.15  # of the rows, of a box that counts as text though nothing could be read in it; taller ones are vessels
_LOOKS = 3  # at the same pictures, painted over after each
_BORDER = 0.15  # of the rows and columns: where systems write
_STROKE = 60  # grey levels of 255 between a stroke and its surroundings
_SPECKS = 12  # pixels of strokes in a place that are noise still
_TILE = 16  # pixels
_WIDTH = 5  # of a stroke, pixels


class BurnedInTextError(SourceError):
    """There is text in the pictures, or there may be."""


@dataclass(frozen=True, slots=True)
class Box:
    """Rows and columns, the last ones not included."""

    top: int
    left: int
    bottom: int
    right: int


Detector = Callable[[NDArray[np.uint8]], list[Box]]


class Stills:
    """What stands still in a run: its frames' mean, lightest and darkest values, as pictures of 8 bits."""

    def __init__(self, bits_stored: int) -> None:
        self._shift, self._count = max(0, bits_stored - 8), 0
        self._sum: NDArray[Any] | None = None
        self._least: NDArray[Any] | None = None
        self._most: NDArray[Any] | None = None

    def add(self, pixels: NDArray[Any]) -> None:
        """One frame."""
        if self._sum is None or self._least is None or self._most is None:
            self._sum, self._least, self._most = pixels.astype(np.float64), pixels.copy(), pixels.copy()
        else:
            self._sum += pixels
            np.minimum(self._least, pixels, out=self._least)
            np.maximum(self._most, pixels, out=self._most)
        self._count += 1

    def pictures(self) -> list[NDArray[np.uint8]]:
        """Mean, lightest and darkest; none where there was no frame."""
        if self._sum is None or self._least is None or self._most is None:
            return []
        return [_in_8_bits(one, self._shift) for one in (self._sum / self._count, self._most, self._least)]


def text_detector() -> Detector | None:
    """The detector of rapidocr-onnxruntime; None where it is not installed."""
    if find_spec("rapidocr_onnxruntime") is None:
        return None
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR(text_score=0.0, intra_op_num_threads=1, inter_op_num_threads=1)

    def detect(picture: NDArray[np.uint8]) -> list[Box]:
        found, _ = engine(np.repeat(picture[:, :, None], 3, axis=2), use_det=True, use_cls=False, use_rec=True)
        boxes = [
            (_around(np.asarray(corners), picture.shape), str(read), float(sure)) for corners, read, sure in found or ()
        ]
        tallest = picture.shape[0] * _TALLEST
        return [box for box, read, sure in boxes if box.bottom - box.top <= tallest or _is_read(read, sure)]

    return detect


def _is_read(text: str, sure: float) -> bool:
    return sure >= _SURE and any(map(str.isalnum, text))


def text_in(pictures: Sequence[NDArray[np.uint8]], detect: Detector | None) -> list[Box]:
    """Where text is. Raises BurnedInTextError where that cannot be told: without a detector, strokes off the border."""
    if detect is None:
        return _by_the_border(pictures)
    found: list[Box] = []
    for picture in pictures:
        seen = picture.copy()
        for _ in range(_LOOKS):
            boxes = detect(seen)
            found += boxes
            if not boxes:
                break
            paint(seen, boxes)
        else:
            raise BurnedInTextError(f"text is still found after {_LOOKS} looks: a person has to look at it")
    return found


def paint(pixels: NDArray[Any], boxes: Iterable[Box]) -> None:
    """Fill the boxes with the darkest value of the picture."""
    for box in boxes:
        pixels[box.top : box.bottom, box.left : box.right] = 0


def _by_the_border(pictures: Sequence[NDArray[np.uint8]]) -> list[Box]:
    """Boxes over whole border strips in which strokes stand still."""
    boxes: dict[Box, None] = {}
    for picture in pictures:
        rows, columns = picture.shape
        band_rows, band_columns = int(rows * _BORDER), int(columns * _BORDER)
        for tile_row, tile_column in zip(*np.nonzero(_busy_tiles(picture)), strict=True):
            row, column = (tile_row + 0.5) * _TILE, (tile_column + 0.5) * _TILE
            if row < band_rows:
                boxes[Box(0, 0, band_rows, columns)] = None
            elif row >= rows - band_rows:
                boxes[Box(rows - band_rows, 0, rows, columns)] = None
            elif column < band_columns:
                boxes[Box(0, 0, rows, band_columns)] = None
            elif column >= columns - band_columns:
                boxes[Box(0, columns - band_columns, rows, columns)] = None
            else:
                raise BurnedInTextError(
                    "strokes that stand still away from the border may be text: install 'cathrt[deidentify]' to have "
                    "it looked for, or have a person look"
                )
    return list(boxes)


def _busy_tiles(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tiles with thin strokes much lighter or darker than what lies on both sides of them."""
    grey = picture.astype(np.int16)
    strokes = np.zeros(grey.shape, np.bool_)
    for axis in (0, 1):
        before, after = np.roll(grey, _WIDTH, axis), np.roll(grey, -_WIDTH, axis)
        lighter = (grey - before > _STROKE) & (grey - after > _STROKE)
        darker = (before - grey > _STROKE) & (after - grey > _STROKE)
        strokes |= lighter | darker
    strokes[:_WIDTH] = strokes[-_WIDTH:] = False
    strokes[:, :_WIDTH] = strokes[:, -_WIDTH:] = False
    rows, columns = (size // _TILE for size in grey.shape)
    tiles = strokes[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE)
    return np.asarray(tiles.sum(axis=(1, 3)) > _SPECKS)


def _around(corners: NDArray[Any], shape: tuple[int, ...]) -> Box:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return Box(
        max(0, int(top) - _MARGIN), max(0, int(left) - _MARGIN),
        min(shape[0], int(bottom) + _MARGIN + 1), min(shape[1], int(right) + _MARGIN + 1),
    )  # fmt: skip


def _in_8_bits(picture: NDArray[Any], shift: int) -> NDArray[np.uint8]:
    return np.clip(picture / (1 << shift), 0, 255).astype(np.uint8)

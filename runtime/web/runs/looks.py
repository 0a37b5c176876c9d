"""How a person wants to see a run's frames: window, mask subtraction, noise filter, local contrast. Viewing aids alone.

What is judged, measured or sent anywhere never passes here. The kernels are those of docs/kernels.md. Not for: which
frames (frame_store.py), the message (batch.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import Clahe, MaskSubtraction, SubtractionSettings, TemporalFilter, TemporalSettings
from cathrt.runtime.frame import Grayscale, LookupTable, Run, VoiWindow
from cathrt.runtime.pictures.grey import greys, is_usable, modality_values, table_of
from cathrt.runtime.web.runs.run_facts import RunFacts

MOST_MASKS = 16
DEEP_BITS = 12  # of differences, and of greys before local contrast
TILES = (8, 8)
_DEEP = 1 << DEEP_BITS
_DIFFERENCE = Grayscale(DEEP_BITS)
_LOG_RANGE = 1.0  # natural logarithms: a difference of so much is black or white; a vessel makes some tenths
_WIDTHS = {"LIN": _DEEP / 2.0, "LOG": _DEEP / 4.0}  # of the window on a difference, where none is asked for
# The noise filter begins anew with each block of frames, so that no frame needs a whole run before it; and _LEAD frames
# before the block, so that this is not seen.
_BLOCK, _LEAD = 64, 32


@dataclass(frozen=True, slots=True)
class Look:
    """center, width: of the window, in the units of what is shown; None: the object's own, or a stretch.

    masks: frames whose mean is subtracted; () for none. shift: of the mask, rows and columns, in pixels. noise:
    strength of the noise filter, 0 (off) to 1. clahe: clip limit of local contrast, 0: off. max_side: longest side in
    pixels, 0: as stored.
    """

    center: float | None = None
    width: float | None = None
    masks: Sequence[int] = ()
    shift: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    clahe: float = 0.0
    max_side: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Frames that are shown, and from which frame on they pass the noise filter."""

    begin: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """What became of the window. of: "asked", "object", "stretch" or "difference". least, most: of the shown values."""

    center: float | None
    width: float | None
    function: str
    of: str
    least: float
    most: float


def spans(first: int, last: int, look: Look) -> list[Span]:
    """Frames first..last, in spans that pass the noise filter alike whatever is asked for."""
    if not look.noise:
        return [Span(first, first, last)]
    blocks = range(first // _BLOCK * _BLOCK, last + 1, _BLOCK)
    return [Span(max(0, block - _LEAD), max(first, block), min(last, block + _BLOCK - 1)) for block in blocks]


def temporal_settings(noise: float, strength: float) -> TemporalSettings:
    """Of the noise filter. noise: standard deviation, stored values."""
    return TemporalSettings(
        noise_offset=noise * noise,
        noise_gain=0.0,
        still=1.0 - 0.8 * strength,
        threshold=0.8,
        slope=0.4,
        ghosting_limit=5.0,
    )


def subtraction_settings(run: Run) -> SubtractionSettings:
    """A difference of nothing is the middle of DEEP_BITS."""
    relationship = relationship_of(run) or "LOG"
    gain = _DEEP / (2.0 * _LOG_RANGE) if relationship == "LIN" else _DEEP / float(1 << run.grayscale.bits_stored)
    return SubtractionSettings(relationship, gain, _DEEP / 2.0, DEEP_BITS)


def relationship_of(run: Run) -> str | None:
    """LIN or LOG. None where the object says neither: then values are subtracted as they are, and that is said."""
    said = run.grayscale.pixel_intensity_relationship
    return said if said in ("LIN", "LOG") else None


class LookMaker:
    """Frames of one run as one look wants them. For one thread, frames in order.

    assumed: what the object does not say and was taken for granted.
    """

    def __init__(self, facts: RunFacts, look: Look, masks: Sequence[NDArray[Any]]) -> None:
        """masks: pixels of look.masks, as far as they are not lost; at least one where there are any."""
        run = facts.run
        self.assumed: list[str] = []
        self._run, self._look, self._stretch = run, look, facts.stretch
        self._shape, bits = (run.rows, run.columns), run.grayscale.bits_stored
        self._filter: TemporalFilter | None = None
        if look.noise:
            self._filter = TemporalFilter(self._shape, bits, temporal_settings(facts.noise, look.noise))
        self._subtraction: MaskSubtraction | None = None
        if look.masks:
            self._subtraction = MaskSubtraction(self._shape, bits, subtraction_settings(run))
            for mask in masks:
                self._subtraction.add_mask_frame(mask)
            if relationship_of(run) is None:
                self.assumed.append("pixel_intensity_relationship")
        self._clahe = Clahe(self._shape, DEEP_BITS, TILES, look.clahe) if look.clahe else None
        self._tables: dict[int, NDArray[Any]] = {}

    def begin(self) -> None:
        """The next frame is the first of a span."""
        if self._filter is not None:
            self._filter.reset()

    def filtered(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stored values with less noise. Every frame from the beginning of a span on has to pass."""
        if self._filter is None:
            return pixels
        out = np.empty_like(pixels)
        self._filter(pixels, out)
        return out

    def grey(self, pixels: NDArray[Any], grayscale: int) -> NDArray[np.uint8]:
        """8 bits, high values bright. pixels: as filtered() returns them."""
        values = pixels
        if self._subtraction is not None:
            values = np.empty(self._shape, np.uint16)
            self._subtraction(pixels, values, self._look.shift)
        grey = greys(values, self._table(grayscale))
        if self._clahe is not None:
            self._clahe(grey, grey)
            grey = (grey >> (DEEP_BITS - 8)).astype(np.uint8)
        return smaller(grey, self._look.max_side)

    def window(self) -> ShownWindow:
        """Of the run's first grey scale."""
        grayscale, look = self._run.grayscale, self._look
        window = self._window(grayscale)
        units = modality_values(_DIFFERENCE if self._subtraction is not None else grayscale)
        least, most = float(units.min()), float(units.max())
        if look.center is not None:
            of = "asked"
        elif self._subtraction is not None:
            of = "difference"
        else:
            of = "stretch" if window is self._stretch else "object"
        if isinstance(window, LookupTable):
            return ShownWindow(None, None, "TABLE", of, least, most)
        return ShownWindow(window.center, window.width, window.function, of, least, most)

    def _window(self, grayscale: Grayscale) -> VoiWindow | LookupTable:
        look = self._look
        if look.center is not None and look.width is not None:
            return VoiWindow(look.center, look.width, "LINEAR_EXACT")
        if self._subtraction is not None:
            return VoiWindow(_DEEP / 2.0, _WIDTHS[relationship_of(self._run) or "LOG"], "LINEAR_EXACT")
        return grayscale.voi if grayscale.voi is not None and is_usable(grayscale.voi) else self._stretch

    def _table(self, number: int) -> NDArray[Any]:
        """The grey of each value: 8 bits, or DEEP_BITS of them where local contrast follows."""
        if number not in self._tables:
            grayscale = self._run.grayscales[number]
            window = self._window(grayscale)
            if self._subtraction is not None:
                grayscale = Grayscale(DEEP_BITS, "MONOCHROME1" if grayscale.inverted else "MONOCHROME2")
            self._tables[number] = table_of(grayscale, window, 8 if self._clahe is None else DEEP_BITS)
        return self._tables[number]


def smaller(grey: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Averaged down by a whole number until the longest side fits; 0: as it is. What is left at edges is cut off."""
    by = -(-max(grey.shape) // max_side) if max_side else 1
    if by == 1:
        return grey
    rows, columns = (side // by for side in grey.shape)
    if not rows or not columns:
        return np.ascontiguousarray(grey[::by, ::by])
    blocks = grey[: rows * by, : columns * by].reshape(rows, by, columns, by)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return (means + 0.5).astype(np.uint8)

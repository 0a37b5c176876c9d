"""What fused ingest needs on the device to look at frames in one way or another: exposed areas, windows, one memory.

All of it is uploaded with the plan of a run, before its first frame. Not for: the launch (ingest.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TensorLayout, Window
from cathrt.kernels.cuda.exposure import Exposure
from cathrt.kernels.cuda.histogram import DeviceHistogram, DevicePercentileWindow
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.cuda.tables import QUANTITIES, uploaded
from cathrt.kernels.reference.ingest import exposed_mask, resize

_NOWHERE = DeviceMemory(0, 0)
_EMPTY = -1.0  # what a pixel of which no frame was seen remembers (kEmpty in kernels/src/ingest.cu)


@dataclass(frozen=True, slots=True)
class ExposedArea:
    """channels: slope and intercept of each.   covered: share of each pixel of the tensor that is not exposed, of a run
    with a history whose views differ in it; else nowhere."""

    exposure: Exposure
    channels: DeviceMemory
    covered: DeviceMemory


@dataclass(frozen=True, slots=True)
class DeviceView:
    """How some frames of the run are looked at. line: of the window, found by `percentiles` from each frame if there
    are any.   history: the kernel's last arguments, none where nothing is remembered."""

    exposed: ExposedArea
    table: DeviceMemory
    line: DeviceMemory
    percentiles: DevicePercentileWindow | None
    history: Sequence[DeviceMemory | Scalar]


class DeviceViews:
    """The views of one run and the memory that they share. views: (exposed, window) of each; what is the same object in
    several is uploaded once. Raises ValueError where they do not fit."""

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        bits_stored: int,
        views: Sequence[tuple[NDArray[np.int32] | None, Window]],
        tensor: TensorLayout,
    ) -> None:
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._tensor = tensor
        by_id = {id(spans): spans for spans, _ in views}
        exposed = {key: self._exposed(spans, changes=len(by_id) > 1) for key, spans in by_id.items()}
        tables = {id(window): self._table(window) for _, window in views}
        self._empty = np.full((tensor.height, tensor.width, 2), _EMPTY, dtype=np.float32)
        self._memory: DeviceMemory | None = None
        self._remembered: list[DeviceMemory | Scalar] = []
        if tensor.history is not None and any(area.exposure.pixels > 0 for area in exposed.values()):
            self._memory = uploaded(stream, self._empty)
            self._remembered = [
                uploaded(stream, np.array([QUANTITIES[name] for name in tensor.history.channels], dtype=np.int32)),
                np.float32(tensor.history.rise),
                np.float32(tensor.history.fall),
                np.float32(tensor.history.recent),
            ]
        self._covered_before = _NOWHERE
        if self._memory is not None and len(by_id) > 1:
            self._covered_before = stream.allocate(4 * tensor.height * tensor.width)
            stream.zero(self._covered_before)
        self._views = [self._view(exposed[id(spans)], window, tables[id(window)]) for spans, window in views]

    def __getitem__(self, view: int) -> DeviceView:
        """Raises ValueError where there is no such view."""
        if not 0 <= view < len(self._views):
            raise ValueError(f"view is {view}: expected one of the {len(self._views)} that this plan was made for")
        return self._views[view]

    def forget(self) -> None:
        """Empty the memory, if there is one."""
        if self._memory is not None:
            self._stream.upload(self._empty, self._memory)

    def _exposed(self, spans: NDArray[np.int32] | None, *, changes: bool) -> ExposedArea:
        """changes: other views cover other pixels."""
        exposure, tensor = Exposure(self._stream, spans, self._shape), self._tensor
        covered = _NOWHERE
        if changes and tensor.history is not None:
            masked = ~exposed_mask(spans, self._shape)
            share = resize(masked.astype(np.float64), tensor.height, tensor.width)
            covered = uploaded(self._stream, share.astype(np.float32))
        channels = uploaded(self._stream, _channels(tensor, shown=exposure.pixels > 0))
        return ExposedArea(exposure, channels, covered)

    def _table(self, window: Window) -> DeviceMemory:
        entries, expected = window.entries, 1 << self._bits_stored
        if entries is not None and entries.shape != (expected,):
            raise ValueError(
                f"the window's table has {len(entries)} entries: expected {expected}, one per stored value"
            )
        return _NOWHERE if entries is None else uploaded(self._stream, entries)

    def _view(self, exposed: ExposedArea, window: Window, table: DeviceMemory) -> DeviceView:
        percentiles: DevicePercentileWindow | None = None
        if window.percentiles is not None and exposed.exposure.pixels > 0:
            percentiles = DevicePercentileWindow(
                self._stream,
                DeviceHistogram(self._stream, exposed.exposure, self._bits_stored),
                window.percentiles,
                modality=window.entries,
                descending=window.descending,
                invert=window.invert,
            )
            line = percentiles.window
        else:
            line = uploaded(self._stream, np.array(_line(window), dtype=np.float32))
        history: list[DeviceMemory | Scalar] = []
        if self._memory is not None and exposed.exposure.pixels > 0:
            history = [self._memory, exposed.covered, self._covered_before, *self._remembered]
        return DeviceView(exposed, table, line, percentiles, history)


def _line(window: Window) -> tuple[float, float, float]:
    """(origin, slope, intercept) after inversion; any where nothing is exposed."""
    origin, slope, intercept = window.line or (0.0, 0.0, 0.0)
    return (origin, -slope, 1.0 - intercept) if window.invert else (origin, slope, intercept)


def _channels(tensor: TensorLayout, *, shown: bool) -> NDArray[np.float32]:
    """(3, 2): slope and intercept from its quantity to each channel, in the engine's quantisation steps if it has any.

    shown: whether any pixel is exposed; where none is, every difference is 0, whatever grey is.
    """
    step = np.array(tensor.std, dtype=np.float64) * tensor.scale
    lines = np.stack([1.0 / step, -np.array(tensor.mean) / step], axis=1).astype(np.float32)
    if tensor.history is not None and not shown:
        lines[[quantity != "grey" for quantity in tensor.history.channels], 0] = 0.0
    return lines

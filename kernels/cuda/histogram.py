"""Launches of the histogram and of the percentile window found from it (kernels/src/histogram.cu), all on the device.

Not for: what a percentile is (kernels/reference/ingest.py) or mapping pixels to grey (ingest.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.exposure import Exposure
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame
from cathrt.kernels.cuda.stream import Stream
from cathrt.kernels.cuda.tables import uploaded
from cathrt.kernels.reference.ingest import nearest_rank

_THREADS = 512
_WARPS = _THREADS // 32
# Enough blocks to fill a card; few enough that adding up their tables costs less than counting.
_MAX_BLOCKS = 128
_MAX_SHARED_BITS = 12  # a deeper table does not fit into shared memory
_SCAN_THREADS = 1024


class DeviceHistogram:
    """Counts per stored value of the exposed pixels of each frame; allocates once, a call only launches.

    counts: uint32 (1 << bits_stored,) on the device, of the last frame.
    """

    def __init__(self, stream: Stream, exposure: Exposure, bits_stored: int) -> None:
        if not 1 <= bits_stored <= 16:
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")
        self._stream = stream
        self.exposure = exposure
        self.bits_stored = bits_stored
        self.counts = stream.allocate(4 << bits_stored)

    def __call__(self, frame: DeviceFrame) -> None:
        """Count `frame`. Raises ValueError where it is not of the exposure's shape, or too narrow for the depth."""
        check_frame(frame, self.exposure.shape, self.bits_stored)
        self._stream.zero(self.counts)
        self._stream.launch(
            self._kernel(frame),
            (min(_MAX_BLOCKS, -(-frame.rows // _WARPS)), 1, 1),
            (_THREADS, 1, 1),
            frame.memory,
            np.int64(frame.pitch),
            self.exposure.spans,
            np.int32(frame.rows),
            np.int32(self.bits_stored),
            self.counts,
        )

    def _kernel(self, frame: DeviceFrame) -> str:
        if frame.dtype == np.uint8:
            return "count_values_u8_kernel"
        return "count_values_u16_kernel" if self.bits_stored <= _MAX_SHARED_BITS else "count_deep_values_u16_kernel"


class DevicePercentileWindow:
    """The window whose 0 and 1 are two percentiles of each frame, found on the device without asking the host.

    modality: value of every stored value, (1 << bits_stored,) float32; None: the stored value itself.   descending:
    modality values fall as stored values rise; unused with a table.   invert: 1 - grey.
    window: float32 (origin, slope, intercept) on the device, of the last frame.
    Raises ValueError unless 0 <= low < high <= 100, or where no pixel is exposed: there is nothing to rank.
    """

    def __init__(
        self,
        stream: Stream,
        histogram: DeviceHistogram,
        percentiles: tuple[float, float],
        *,
        modality: NDArray[np.float32] | None,
        descending: bool,
        invert: bool,
    ) -> None:
        low, high = percentiles
        count = histogram.exposure.pixels
        entries = 1 << histogram.bits_stored
        if not 0.0 <= low < high <= 100.0:
            raise ValueError(f"percentiles are ({low}, {high}): expected 0 <= low < high <= 100")
        if count == 0:
            raise ValueError("no pixel is exposed: expected some to rank")
        if modality is not None and (modality.dtype != np.float32 or modality.shape != (entries,)):
            raise ValueError(f"modality is {modality.dtype} {modality.shape}: expected float32 ({entries},)")
        self._stream = stream
        self._histogram = histogram
        self._invert = np.int32(invert)
        # The exposed pixels are the same in every frame of a run, and so are the ranks.
        ranks = [nearest_rank(p, count) for p in percentiles]
        if modality is None and descending:
            ranks = [count + 1 - rank for rank in ranks]
        self._ranks = [np.uint32(rank) for rank in ranks]
        values = np.arange(entries, dtype=np.float32) if modality is None else modality
        self._values = uploaded(stream, values)
        self._order = uploaded(stream, np.argsort(values, kind="stable").astype(np.uint16))
        self.window = stream.allocate(12)

    def __call__(self, frame: DeviceFrame) -> None:
        """Count `frame` and find its window."""
        self._histogram(frame)
        self._stream.launch(
            "find_percentile_window_kernel",
            (1, 1, 1),
            (_SCAN_THREADS, 1, 1),
            self._histogram.counts,
            self._order,
            self._values,
            np.int32(1 << self._histogram.bits_stored),
            *self._ranks,
            self._invert,
            self.window,
        )

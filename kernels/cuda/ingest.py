"""Launches of fused ingest (kernels/src/ingest.cu): a frame in device memory to the engine's input tensor.

No host round trip: what is launched depends on the run alone, never on what a frame shows, so that a CUDA graph can
hold it. Not for: choosing windows (runtime/preprocess.py) or the CPU (kernels/src/ingest.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TensorLayout, Window
from cathrt.kernels.cuda.exposure import Exposure
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame
from cathrt.kernels.cuda.histogram import DeviceHistogram, DevicePercentileWindow
from cathrt.kernels.cuda.resize import ResizeAxis, resize_axis
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.cuda.tables import ELEMENTS, QUANTITIES, uploaded

SHARED_BYTES = 48 * 1024  # what every GPU gives a block without being asked
_THREADS = 256
_TILE = (8, 32)  # a warp writes a row of it; 1024 x 1024 to 224 x 224 reads 1.22 pixels for each of the frame
_QUAD_BYTES = 16  # four neighbouring pixels of grey in float32
_CHUNK_ROWS = 8  # fewer rows at once would keep a block waiting for memory
_NOWHERE = DeviceMemory(0, 0)
_EMPTY = -1.0  # what a pixel of which no frame was seen remembers (kEmpty in kernels/src/ingest.cu)


@dataclass(frozen=True, slots=True)
class Tile:
    """What one block makes: height x width of the tensor, from chunk_rows rows of the frame at a time.

    quads: groups of four columns under the widest tile.
    """

    height: int
    width: int
    chunk_rows: int
    quads: int

    @property
    def shared_bytes(self) -> int:
        return (self.chunk_rows + self.height) * self.quads * _QUAD_BYTES


def tile_of(vertical: ResizeAxis, horizontal: ResizeAxis, shared_bytes: int = SHARED_BYTES) -> Tile:
    """The largest tile, at most 8 x 32, under which eight rows of the frame, or all it needs, fit into shared memory.

    Raises ValueError where not even one row under one output does: the frame is too wide for so small a tensor.
    """
    height, width = min(_TILE[0], vertical.outputs), min(_TILE[1], horizontal.outputs)
    while True:
        quads = _widest(horizontal, width)
        rows = _tallest(vertical, height)
        fitting = shared_bytes // (quads * _QUAD_BYTES) - height
        smallest = height == width == 1
        if fitting >= min(rows, 1 if smallest else _CHUNK_ROWS):
            return Tile(height, width, min(rows, fitting), quads)
        if smallest:
            raise ValueError(
                f"a row of {quads * 4} columns under one column of the tensor needs {2 * quads * _QUAD_BYTES} bytes of "
                f"shared memory: expected at most {shared_bytes}; crop the frame or take a wider tensor"
            )
        if width > 1:
            width = (width + 1) // 2
        else:
            height = (height + 1) // 2


class DeviceIngest:
    """The plan of one run on one stream: uploads its tables once, allocates nothing later. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.Ingest.   shared_bytes: what a block may use.
    Raises ValueError where they do not fit together, or the tensor is too small for so wide a frame.
    """

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        bits_stored: int,
        exposed: NDArray[np.int32] | None,
        window: Window,
        tensor: TensorLayout,
        *,
        shared_bytes: int = SHARED_BYTES,
    ) -> None:
        if not 1 <= bits_stored <= 16:
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")
        if not 1 <= shared_bytes <= SHARED_BYTES:
            raise ValueError(f"shared_bytes is {shared_bytes}: expected 1 to {SHARED_BYTES}")
        self._stream = stream
        self._exposure = Exposure(stream, exposed, shape)
        self._bits_stored = bits_stored
        entries = window.entries
        if entries is not None and entries.shape != (1 << bits_stored,):
            raise ValueError(
                f"the window's table has {len(entries)} entries: expected {1 << bits_stored}, one per stored value"
            )
        self._table = _NOWHERE if entries is None else uploaded(stream, entries)
        self._percentiles: DevicePercentileWindow | None = None
        if window.percentiles is not None and self._exposure.pixels > 0:
            self._percentiles = DevicePercentileWindow(
                stream,
                DeviceHistogram(stream, self._exposure, bits_stored),
                window.percentiles,
                modality=entries,
                descending=window.descending,
                invert=window.invert,
            )
            self._window = self._percentiles.window
        else:
            self._window = uploaded(stream, np.array(_line(window), dtype=np.float32))
        vertical, horizontal = resize_axis(shape[0], tensor.height), resize_axis(shape[1], tensor.width)
        self._tile = tile_of(vertical, horizontal, shared_bytes)
        # Neighbouring threads make neighbouring columns: their weights of the same tap lie side by side.
        self._axes: list[DeviceMemory | Scalar] = [
            uploaded(stream, vertical.first),
            uploaded(stream, vertical.weights),
            np.int32(vertical.taps),
            uploaded(stream, horizontal.first),
            uploaded(stream, horizontal.weights.T),
            np.int32(horizontal.taps),
        ]
        self._channels = uploaded(stream, _channels(tensor, shown=self._exposure.pixels > 0))
        self._memory: DeviceMemory | None = None
        self._history: list[DeviceMemory | Scalar] = []
        if tensor.history is not None and self._exposure.pixels > 0:
            self._empty = np.full((tensor.height, tensor.width, 2), _EMPTY, dtype=np.float32)
            self._memory = uploaded(stream, self._empty)
            self._history = [
                self._memory,
                uploaded(stream, np.array([QUANTITIES[name] for name in tensor.history.channels], dtype=np.int32)),
                np.float32(tensor.history.rise),
                np.float32(tensor.history.fall),
                np.float32(tensor.history.recent),
            ]
        self._tensor = tensor
        self._out_bytes = 3 * tensor.height * tensor.width * np.dtype(tensor.element).itemsize

    def __call__(self, frame: DeviceFrame, out: DeviceMemory) -> bool:
        """Launch what fills `out`, the engine's input tensor, from `frame`. Returns before it is done.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        Returns False where no pixel of the run is exposed and everything becomes masked_value.
        Raises ValueError where frame or out are not what the plan was made for.
        """
        check_frame(frame, self._exposure.shape, self._bits_stored)
        tensor, tile = self._tensor, self._tile
        if out.nbytes != self._out_bytes:
            raise ValueError(
                f"out has {out.nbytes} bytes: expected {self._out_bytes}, {tensor.element} (1, 3, {tensor.height}, "
                f"{tensor.width}) or the same with channels last"
            )
        if self._percentiles is not None:
            self._percentiles(frame)
        self._stream.launch(
            f"ingest_{'history_' if self._history else ''}{'u8' if frame.dtype == np.uint8 else 'u16'}_kernel",
            (-(-tensor.width // tile.width), -(-tensor.height // tile.height), 1),
            (_THREADS, 1, 1),
            frame.memory,
            np.int64(frame.pitch),
            self._exposure.spans,
            self._table,
            self._window,
            np.int32(self._bits_stored),
            np.float32(tensor.masked_value),
            *self._axes,
            np.int32(tensor.height),
            np.int32(tensor.width),
            np.int32(tile.height),
            np.int32(tile.width),
            np.int32(tile.chunk_rows),
            self._channels,
            np.int32(ELEMENTS[tensor.element]),
            np.int32(tensor.channels_last),
            out,
            *self._history,
            shared_bytes=tile.shared_bytes,
        )
        return self._exposure.pixels > 0

    def reset(self) -> None:
        """Forget the frames so far: the next one is the first of a run. Not to be recorded in a CUDA graph.

        Graphs that hold a call stay valid. Does nothing where the tensor has no history.
        """
        if self._memory is not None:
            self._stream.upload(self._empty, self._memory)


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


def _widest(horizontal: ResizeAxis, width: int) -> int:
    """Quads of columns under the widest tile; tiles begin at a multiple of four."""
    begins = range(0, horizontal.outputs, width)
    reaches = [horizontal.reach(begin, min(begin + width, horizontal.outputs)) for begin in begins]
    return max((last - first // 4 * 4 + 3) // 4 for first, last in reaches)


def _tallest(vertical: ResizeAxis, height: int) -> int:
    """Rows of the frame under the tallest tile."""
    begins = range(0, vertical.outputs, height)
    return max(last - first for first, last in (vertical.reach(b, min(b + height, vertical.outputs)) for b in begins))

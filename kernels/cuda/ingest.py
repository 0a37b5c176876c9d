"""Launches of fused ingest (kernels/src/ingest.cu): a frame in device memory to the engine's input tensor.

No host round trip: what is launched depends on the run alone, never on what a frame shows, so that a CUDA graph can
hold it. Not for: choosing windows (runtime/preprocess.py) or the CPU (kernels/src/ingest.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TensorLayout, Window
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame
from cathrt.kernels.cuda.resize import resize_axis
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.cuda.tables import ELEMENTS, uploaded
from cathrt.kernels.cuda.tiles import SHARED_BYTES, tile_of
from cathrt.kernels.cuda.views import DeviceViews

_THREADS = 256


class DeviceIngest:
    """The plan of one run on one stream: uploads its tables once, allocates nothing later. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.Ingest: of the views, what is the same object in several
    is uploaded once.   shared_bytes: what a block may use.
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
        others: Sequence[tuple[NDArray[np.int32] | None, Window]] = (),
        *,
        shared_bytes: int = SHARED_BYTES,
    ) -> None:
        if not 1 <= bits_stored <= 16:
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")
        if not 1 <= shared_bytes <= SHARED_BYTES:
            raise ValueError(f"shared_bytes is {shared_bytes}: expected 1 to {SHARED_BYTES}")
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
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
        self._tensor = tensor
        self._out_bytes = 3 * tensor.height * tensor.width * np.dtype(tensor.element).itemsize
        self._views = DeviceViews(stream, shape, bits_stored, [(exposed, window), *others], tensor)

    def __call__(self, frame: DeviceFrame, out: DeviceMemory, view: int = 0) -> bool:
        """Launch what fills `out`, the engine's input tensor, from `frame`. Returns before it is done.

        frame: kept by the caller until it is done; where it has a ready_after, the caller has had our stream wait.
        Returns False where the view has no exposed pixel and everything becomes masked_value.
        Raises ValueError where frame, out or view are not what the plan was made for.
        """
        check_frame(frame, self._shape, self._bits_stored)
        seen = self._views[view]
        tensor, tile = self._tensor, self._tile
        if out.nbytes != self._out_bytes:
            raise ValueError(
                f"out has {out.nbytes} bytes: expected {self._out_bytes}, {tensor.element} (1, 3, {tensor.height}, "
                f"{tensor.width}) or the same with channels last"
            )
        if seen.percentiles is not None:
            seen.percentiles(frame)
        self._stream.launch(
            f"ingest_{'history_' if seen.history else ''}{'u8' if frame.dtype == np.uint8 else 'u16'}_kernel",
            (-(-tensor.width // tile.width), -(-tensor.height // tile.height), 1),
            (_THREADS, 1, 1),
            frame.memory,
            np.int64(frame.pitch),
            seen.exposed.exposure.spans,
            seen.table,
            seen.line,
            np.int32(self._bits_stored),
            np.float32(tensor.masked_value),
            *self._axes,
            np.int32(tensor.height),
            np.int32(tensor.width),
            np.int32(tile.height),
            np.int32(tile.width),
            np.int32(tile.chunk_rows),
            seen.exposed.channels,
            np.int32(ELEMENTS[tensor.element]),
            np.int32(tensor.channels_last),
            out,
            *seen.history,
            shared_bytes=tile.shared_bytes,
        )
        return seen.exposed.exposure.pixels > 0

    def reset(self) -> None:
        """Forget the frames so far: the next one is the first of a run. Not to be recorded in a CUDA graph.

        Graphs that hold a call stay valid. Does nothing where the tensor has no history.
        """
        self._views.forget()

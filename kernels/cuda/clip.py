"""Launch of the clip assembler (kernels/src/clip.cu): frames on the device in, one clip of a batch on the device out.

Not for: which frames of a run are sampled (kernels/reference/clip.py), or keeping frames on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TensorLayout, Window
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.reference.ingest import resize_weights

_ROWS_A_BLOCK = 8  # a warp each
_COLUMNS_A_BLOCK = 32
_QUAD = 4  # pixels a lane loads at once
_SHARED_BYTES = 48 * 1024
_ELEMENTS = {"float32": 0, "float16": 1, "int8": 2}
_NOWHERE = DeviceMemory(0, 0)


class AssembleClip:
    """The plan of one run's clips: uploads its tables once, allocates nothing later. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.Clip.   wide: uint16 stored values, else uint8.
    Raises ValueError where they do not fit together, or the clip is too small for so wide a frame.
    """

    def __init__(
        self,
        stream: Stream,
        shape: tuple[int, int],
        bits_stored: int,
        window: Window,
        frames: int,
        tensor: TensorLayout,
        *,
        wide: bool,
    ) -> None:
        if not (1 <= shape[0] <= 65535 and 1 <= shape[1] <= 65535):
            raise ValueError(f"shape is {shape}: expected sides of 1 to 65535")
        if not 1 <= bits_stored <= (16 if wide else 8):
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to {16 if wide else 8}, as wide is {wide}")
        if not 1 <= frames <= 65535:
            raise ValueError(f"frames is {frames}: expected 1 to 65535")
        if window.line is None:
            raise ValueError("the window is found from each frame: expected Window.linear or Window.table")
        entries = window.entries
        if entries is not None and entries.shape != (1 << bits_stored,):
            raise ValueError(f"the window's table has {len(entries)} entries: expected {1 << bits_stored}")
        self._stream = stream
        self._shape = shape
        self._itemsize = 2 if wide else 1
        self._frames = frames
        self._kernel = "assemble_clip_u16_kernel" if wide else "assemble_clip_u8_kernel"
        rows, columns = _taps(shape[0], tensor.height), _taps(shape[1], tensor.width)
        span = _span(*columns)
        self._shared_bytes = _ROWS_A_BLOCK * span * 4
        if self._shared_bytes > _SHARED_BYTES:
            raise ValueError(
                f"{shape[1]} columns on {tensor.width} need {self._shared_bytes} bytes of shared memory: expected at "
                f"most {_SHARED_BYTES}; take a wider clip or crop the frames"
            )
        self._grid = (-(-tensor.width // _COLUMNS_A_BLOCK), -(-tensor.height // _ROWS_A_BLOCK), frames)
        origin, slope, intercept = window.line
        if window.invert:
            slope, intercept = -slope, 1.0 - intercept
        self._before_axes: tuple[DeviceMemory | Scalar, ...] = (
            np.int32(shape[1]),
            np.uint32((1 << bits_stored) - 1),
            _NOWHERE if entries is None else self._uploaded(entries),
            np.float32(origin),
            np.float32(slope),
            np.float32(intercept),
        )
        self._after: tuple[DeviceMemory | Scalar, ...] = (
            *self._axis(*rows),
            *self._axis(*columns),
            np.int32(tensor.height),
            np.int32(tensor.width),
            np.int32(span),
            self._uploaded(_channels(tensor)),
            np.int32(tensor.channels_last),
            np.int32(_ELEMENTS[tensor.element]),
        )
        self._out_bytes = 3 * frames * tensor.height * tensor.width * np.dtype(tensor.element).itemsize
        stream.synchronise()

    def addresses(self, sampled: Sequence[DeviceMemory], pitch: int) -> NDArray[np.uint64]:
        """The table to upload for a call: where each frame of the clip begins. One may come several times.

        Raises ValueError unless there are as many as the clip has, each holding a frame of this pitch.
        """
        if len(sampled) != self._frames:
            raise ValueError(f"there are {len(sampled)} frames: expected {self._frames}, as sample_frames picks them")
        row = self._shape[1] * self._itemsize
        needed = pitch * (self._shape[0] - 1) + row
        for number, memory in enumerate(sampled):
            if pitch < row or memory.nbytes < needed:
                raise ValueError(
                    f"frame {number} has {memory.nbytes} bytes and a pitch of {pitch}: expected a pitch of at least "
                    f"{row} and {needed} bytes"
                )
            if memory.address % self._itemsize or pitch % self._itemsize:
                raise ValueError(f"frame {number} is at {memory.address:#x}, pitch {pitch}: expected even numbers")
        return np.array([memory.address for memory in sampled], dtype=np.uint64)

    def __call__(self, addresses: DeviceMemory, pitch: int, out: DeviceMemory) -> None:
        """Launch what fills `out`, one clip of the batch. addresses: `addresses()` uploaded; pitch: as there.

        Raises ValueError where addresses or out have the wrong size.
        """
        if addresses.nbytes != 8 * self._frames or out.nbytes != self._out_bytes:
            raise ValueError(
                f"addresses have {addresses.nbytes} bytes and out {out.nbytes}: expected {8 * self._frames} and "
                f"{self._out_bytes}; take part() of larger memory"
            )
        self._stream.launch(
            self._kernel,
            self._grid,
            (_COLUMNS_A_BLOCK, _ROWS_A_BLOCK, 1),
            addresses,
            np.int64(pitch),
            *self._before_axes,
            *self._after,
            out,
            shared_bytes=self._shared_bytes,
        )

    def _axis(self, first: NDArray[np.int32], weights: NDArray[np.float32]) -> tuple[DeviceMemory | Scalar, ...]:
        return self._uploaded(first), self._uploaded(weights), np.int32(weights.shape[1])

    def _uploaded(self, table: NDArray[Any]) -> DeviceMemory:
        contiguous = np.ascontiguousarray(table)
        memory = self._stream.allocate(contiguous.nbytes)
        self._stream.upload(contiguous, memory)
        return memory


def _taps(size_in: int, size_out: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(first (outputs,), weights (outputs, taps)): output i sums weights[i, t] * input[first[i] + t]."""
    dense = resize_weights(size_in, size_out)
    taps = int((dense > 0).sum(axis=1).max())
    first = np.minimum((dense > 0).argmax(axis=1), size_in - taps)
    return first.astype(np.int32), np.take_along_axis(dense, first[:, None] + np.arange(taps), axis=1).astype(
        np.float32
    )


def _span(first: NDArray[np.int32], weights: NDArray[np.float32]) -> int:
    """Columns of input under the widest block, from a multiple of 4 to a multiple of 4."""
    starts = first[::_COLUMNS_A_BLOCK] // _QUAD * _QUAD
    ends = first[np.minimum(np.arange(len(starts)) * _COLUMNS_A_BLOCK + _COLUMNS_A_BLOCK, len(first)) - 1]
    return int((-(-(ends + weights.shape[1] - starts) // _QUAD) * _QUAD).max())


def _channels(tensor: TensorLayout) -> NDArray[np.float32]:
    """Slope of the three channels, then their intercepts: from grey to the engine's steps."""
    step = np.array(tensor.std) * tensor.scale
    return np.concatenate([1.0 / step, -np.array(tensor.mean) / step]).astype(np.float32)

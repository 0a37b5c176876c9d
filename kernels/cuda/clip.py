"""Launch of the clip assembler (kernels/src/clip.cu): frames on the device in, one clip of a batch on the device out.

Not for: which frames of a run are sampled (kernels/reference/clip.py), or keeping frames on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels._kernels import TensorLayout, Window
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame
from cathrt.kernels.cuda.resize import ResizeAxis, resize_axis
from cathrt.kernels.cuda.stream import DeviceMemory, Scalar, Stream
from cathrt.kernels.cuda.tables import ELEMENTS, uploaded

_ROWS_A_BLOCK = 8  # a warp each
_COLUMNS_A_BLOCK = 32
_QUAD = 4  # pixels a lane loads at once
_SHARED_BYTES = 48 * 1024
_MAX_FRAMES = 65535  # a grid's extent in z
_NOWHERE = DeviceMemory(0, 0)


class DeviceClip:
    """The plan of one run's clips: uploads its tables once, allocates nothing later. Not thread-safe.

    Arguments as those of the CPU twin, cathrt.kernels._kernels.Clip.
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
    ) -> None:
        if not 1 <= bits_stored <= 16:
            raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")
        if not 1 <= frames <= _MAX_FRAMES:
            raise ValueError(f"frames is {frames}: expected 1 to {_MAX_FRAMES}")
        if window.line is None:
            raise ValueError(
                "the window is found from each frame, so that the clip would flicker: expected Window.linear or "
                "Window.table"
            )
        if tensor.history is not None:
            raise ValueError(
                "the layout has a history, which a clip has not: expected three grey channels; leave history out"
            )
        entries = window.entries
        if entries is not None and entries.shape != (1 << bits_stored,):
            raise ValueError(
                f"the window's table has {len(entries)} entries: expected {1 << bits_stored}, one per stored value"
            )
        vertical, horizontal = resize_axis(shape[0], tensor.height), resize_axis(shape[1], tensor.width)
        span = _span(horizontal)
        self._shared_bytes = _ROWS_A_BLOCK * span * 4
        if self._shared_bytes > _SHARED_BYTES:
            raise ValueError(
                f"{shape[1]} columns on {tensor.width} need {self._shared_bytes} bytes of shared memory: expected at "
                f"most {_SHARED_BYTES}; crop the frames or take a wider clip"
            )
        origin, slope, intercept = window.line
        if window.invert:
            slope, intercept = -slope, 1.0 - intercept
        self._stream = stream
        self._shape = shape
        self._bits_stored = bits_stored
        self._frames = frames
        self._grid = (-(-tensor.width // _COLUMNS_A_BLOCK), -(-tensor.height // _ROWS_A_BLOCK), frames)
        self._arguments: tuple[DeviceMemory | Scalar, ...] = (
            np.int32(shape[1]),
            np.uint32((1 << bits_stored) - 1),
            _NOWHERE if entries is None else uploaded(stream, entries),
            np.float32(origin),
            np.float32(slope),
            np.float32(intercept),
            uploaded(stream, vertical.first),
            uploaded(stream, vertical.weights),
            np.int32(vertical.taps),
            uploaded(stream, horizontal.first),
            uploaded(stream, horizontal.weights),
            np.int32(horizontal.taps),
            np.int32(tensor.height),
            np.int32(tensor.width),
            np.int32(span),
            uploaded(stream, _channels(tensor)),
            np.int32(tensor.channels_last),
            np.int32(ELEMENTS[tensor.element]),
        )
        self._out_bytes = 3 * frames * tensor.height * tensor.width * np.dtype(tensor.element).itemsize

    def addresses(self, sampled: Sequence[DeviceFrame]) -> NDArray[np.uint64]:
        """The table to upload for a call: where each frame of the clip begins. One may come several times.

        Raises ValueError unless there are as many as the clip has, all of the plan's shape and of one type and pitch.
        """
        if len(sampled) != self._frames:
            raise ValueError(f"there are {len(sampled)} frames: expected {self._frames}, as sample_frames picks them")
        for frame in sampled:
            check_frame(frame, self._shape, self._bits_stored)
            if (frame.dtype, frame.pitch) != (sampled[0].dtype, sampled[0].pitch):
                raise ValueError(
                    f"a frame is {frame.dtype} with a pitch of {frame.pitch}, the first {sampled[0].dtype} with "
                    f"{sampled[0].pitch}: expected one type and pitch"
                )
        return np.array([frame.address for frame in sampled], dtype=np.uint64)

    def __call__(self, addresses: DeviceMemory, like: DeviceFrame, out: DeviceMemory) -> None:
        """Launch what fills `out`, one clip of the batch. Returns before it is done; the caller keeps the frames.

        addresses: the table, uploaded.   like: any of its frames, for type and pitch.
        Raises ValueError where one of them does not fit the plan.
        """
        check_frame(like, self._shape, self._bits_stored)
        if addresses.nbytes != 8 * self._frames or out.nbytes != self._out_bytes:
            raise ValueError(
                f"addresses have {addresses.nbytes} bytes and out {out.nbytes}: expected {8 * self._frames} and "
                f"{self._out_bytes}; take part() of larger memory"
            )
        self._stream.launch(
            "assemble_clip_u8_kernel" if like.dtype == np.uint8 else "assemble_clip_u16_kernel",
            self._grid,
            (_COLUMNS_A_BLOCK, _ROWS_A_BLOCK, 1),
            addresses,
            np.int64(like.pitch),
            *self._arguments,
            out,
            shared_bytes=self._shared_bytes,
        )


def _span(axis: ResizeAxis) -> int:
    """Columns of input under the widest block, from a multiple of 4 to a multiple of 4."""
    spans = []
    for begin in range(0, axis.outputs, _COLUMNS_A_BLOCK):
        first, last = axis.reach(begin, min(begin + _COLUMNS_A_BLOCK, axis.outputs))
        spans.append(-(-last // _QUAD) * _QUAD - first // _QUAD * _QUAD)
    return max(spans)


def _channels(tensor: TensorLayout) -> NDArray[np.float32]:
    """Slope of the three channels, then their intercepts: from grey to the engine's steps."""
    step = np.array(tensor.std) * tensor.scale
    return np.concatenate([1.0 / step, -np.array(tensor.mean) / step]).astype(np.float32)

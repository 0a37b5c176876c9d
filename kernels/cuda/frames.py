"""Frames that live in device memory: uploaded by us, or lent by a decoder, CuPy, numba or torch without a copy.

Not for: frames in host memory (upload them through kernels/cuda/stream.py) or what the stored values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from cathrt.kernels.cuda.dlpack import is_on_device, tensor_of
from cathrt.kernels.cuda.stream import DeviceMemory

MAX_SIDE = 65535  # Rows and Columns are US in DICOM
_LEGACY_DEFAULT_STREAM = 1


@dataclass(frozen=True, slots=True)
class DeviceFrame:
    """Stored values (rows, columns) in device memory. Pixels of a row are adjacent.

    address: of the first pixel of row 0, aligned to dtype.   pitch: bytes from one row to the next, of any sign.
    dtype: uint8 or uint16.   owner: whatever keeps the memory; alive as long as this is.
    ready_after: handle of the stream whose work on the memory must be done before ours; None: nothing to wait for.
    writeable: whether it may be an op's `out`. Frames are only ever read, so that any frame may be one that is not.
    """

    address: int
    rows: int
    columns: int
    pitch: int
    dtype: np.dtype[Any]
    owner: object
    ready_after: int | None = None
    writeable: bool = True

    def __post_init__(self) -> None:
        if self.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise ValueError(f"pixels are {self.dtype.str}: expected uint8 or uint16 stored values")
        for name, side in (("rows", self.rows), ("columns", self.columns)):
            if not 1 <= side <= MAX_SIDE:
                raise ValueError(f"{name} is {side}: expected 1 to {MAX_SIDE}")
        if self.address == 0:
            raise ValueError("the frame's address is null: expected device memory")
        itemsize = self.dtype.itemsize
        if self.address % itemsize or (self.rows > 1 and self.pitch % itemsize):
            raise ValueError(
                f"uint16 rows start at {self.address:#x}, {self.pitch} bytes apart: expected even numbers; "
                "give an aligned copy"
            )

    @property
    def memory(self) -> DeviceMemory:
        """From the first pixel of row 0 to the end of the last row; of row 0 alone where rows come bottom up."""
        row = self.columns * self.dtype.itemsize
        return DeviceMemory(self.address, max(0, self.pitch) * (self.rows - 1) + row)


def frame_in(memory: DeviceMemory, shape: tuple[int, int], dtype: DTypeLike, pitch: int | None = None) -> DeviceFrame:
    """The frame of `shape` at the start of our own `memory`; pitch: bytes, by default rows without a gap.

    Raises ValueError where the frame does not fit into the memory.
    """
    kind = np.dtype(dtype)
    row = shape[1] * kind.itemsize
    frame = DeviceFrame(memory.address, *shape, row if pitch is None else pitch, kind, memory)
    if frame.pitch < 0 or frame.memory.nbytes > memory.nbytes:
        raise ValueError(
            f"{kind.name} {shape} with rows {frame.pitch} bytes apart needs {frame.memory.nbytes} bytes from the start "
            f"of memory that has {memory.nbytes}"
        )
    return frame


def check_frame(frame: DeviceFrame, shape: tuple[int, int], bits_stored: int) -> None:
    """Raise ValueError unless the frame is one of a run of `shape` (rows, columns) and depth."""
    if (frame.rows, frame.columns) != shape:
        raise ValueError(f"the frame is ({frame.rows}, {frame.columns}): this plan was made for {shape}")
    if frame.dtype == np.uint8 and bits_stored > 8:
        raise ValueError(f"pixels are uint8 but bits_stored is {bits_stored}: give uint16 for more than 8 bits")


def check_out(out: DeviceFrame, frame: DeviceFrame, dtype: DTypeLike) -> None:
    """Raise ValueError unless out may be written, has the frame's shape and this type, and shares no byte with it.

    Pixels are read again after others of out were written.
    """
    if not out.writeable:
        raise ValueError("out is read-only, or a copy that its lender would never see: give memory of its own")
    if (out.rows, out.columns, out.dtype) != (frame.rows, frame.columns, np.dtype(dtype)):
        raise ValueError(
            f"out is {out.dtype.name} ({out.rows}, {out.columns}): expected {np.dtype(dtype).name} "
            f"({frame.rows}, {frame.columns})"
        )
    row = out.columns * out.dtype.itemsize
    if out.rows > 1 and abs(out.pitch) < row:
        raise ValueError(f"rows of out are {out.pitch} bytes apart: expected at least {row}, so that none overlap")
    (begin, end), (out_begin, out_end) = _extent(frame), _extent(out)
    if begin < out_end and out_begin < end:
        raise ValueError("out shares memory with the frame: give memory of its own")


def _extent(frame: DeviceFrame) -> tuple[int, int]:
    """Addresses of the frame's first byte and of the one after its last, whichever way its rows lie."""
    span = frame.pitch * (frame.rows - 1)
    row = frame.columns * frame.dtype.itemsize
    return frame.address + min(0, span), frame.address + max(0, span) + row


def check_plan(shape: tuple[int, int], bits_stored: int) -> None:
    """Raise ValueError unless a plan can be made for frames of `shape` (rows, columns) and depth."""
    for name, side in zip(("rows", "columns"), shape, strict=True):
        if not 1 <= side <= MAX_SIDE:
            raise ValueError(f"{name} is {side}: expected 1 to {MAX_SIDE}")
    if not 1 <= bits_stored <= 16:
        raise ValueError(f"bits_stored is {bits_stored}: expected 1 to 16")


def device_frame(pixels: object, stream: int = _LEGACY_DEFAULT_STREAM, ordinal: int = 0) -> DeviceFrame:
    """Borrow `pixels` (rows, columns) of uint8 or uint16 from whoever holds them on the device; nothing is copied.

    pixels: offers DLPack (taken first: its producer itself makes `stream` wait) or __cuda_array_interface__ version 3
    (ready_after then says what to wait for).   stream: handle of the CUDA stream that will read them.
    ordinal: of its device; __cuda_array_interface__ cannot say whose memory it is. A read-only mark is no obstacle to
    reading; it is kept as `writeable`.
    Raises TypeError where neither is offered, ValueError where the pixels are not on that device or are no frame.
    Source: DLPack 1.0 Python specification; CUDA Array Interface version 3, as numba documents it.
    """
    if hasattr(pixels, "__dlpack__") and hasattr(pixels, "__dlpack_device__"):
        return _from_dlpack(pixels, stream, ordinal)
    interface = getattr(pixels, "__cuda_array_interface__", None)
    if interface is not None:
        return _from_array_interface(interface, pixels)
    raise TypeError(
        f"{_kind(pixels)} offers neither __dlpack__ nor __cuda_array_interface__: expected an array on a CUDA device; "
        "upload host pixels through a Stream and give frame_in(memory, shape, dtype)"
    )


def _from_dlpack(pixels: Any, stream: int, ordinal: int) -> DeviceFrame:
    device_type, device = (int(part) for part in pixels.__dlpack_device__())
    if not is_on_device(device_type):
        raise ValueError(
            f"{_kind(pixels)} is on device ({device_type}, {device}): expected kDLCUDA (2) or kDLCUDAManaged (13); "
            "upload host pixels through a Stream and give frame_in(memory, shape, dtype)"
        )
    if device != ordinal:
        raise ValueError(
            f"{_kind(pixels)} is on CUDA device {device}: expected {ordinal}, where it will be read; copy it there"
        )
    tensor = tensor_of(pixels, stream)
    strides = tensor.strides and tuple(stride * tensor.dtype.itemsize for stride in tensor.strides)
    frame = _frame(tensor.address, tensor.shape, strides, tensor.dtype)
    return replace(frame, owner=tensor, writeable=tensor.writeable)


def _from_array_interface(interface: Mapping[str, Any], owner: object) -> DeviceFrame:
    version = interface.get("version", 0)
    if version < 3:
        raise ValueError(
            f"__cuda_array_interface__ is version {version}: expected 3, which says which stream to wait for; "
            "offer __dlpack__"
        )
    if interface.get("mask") is not None:
        raise ValueError("__cuda_array_interface__ has a mask: expected none; pass the exposed spans instead")
    ready_after = interface.get("stream")
    if ready_after == 0:
        raise ValueError(
            "__cuda_array_interface__ names stream 0: expected None, 1, 2 or a handle (version 3 forbids 0)"
        )
    address, read_only = interface["data"]
    frame = _frame(address, interface["shape"], interface.get("strides"), np.dtype(interface["typestr"]))
    return replace(frame, owner=owner, ready_after=ready_after, writeable=not read_only)


def _frame(
    address: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: np.dtype[Any],
) -> DeviceFrame:
    """A frame without an owner yet. strides: in bytes; None where rows follow each other without a gap."""
    if len(shape) != 2:
        raise ValueError(f"pixels have shape {tuple(shape)}: expected one frame (rows, columns)")
    rows, columns = shape
    row_stride, column_stride = (columns * dtype.itemsize, dtype.itemsize) if strides is None else strides
    if columns > 1 and column_stride != dtype.itemsize:
        raise ValueError(
            f"pixels of a row are {column_stride} bytes apart: expected {dtype.itemsize} (rows may have any stride); "
            "give a contiguous copy"
        )
    return DeviceFrame(address, rows, columns, row_stride, dtype, None)


def _kind(pixels: object) -> str:
    return f"{type(pixels).__module__}.{type(pixels).__qualname__}"

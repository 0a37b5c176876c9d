"""Frames that live in device memory: uploaded by us, or lent by a decoder, CuPy, numba or torch without a copy.

Not for: frames in host memory (upload them through kernels/cuda/stream.py) or what the stored values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    """

    address: int
    rows: int
    columns: int
    pitch: int
    dtype: np.dtype[Any]
    owner: object
    ready_after: int | None = None

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
                "hand over an aligned copy"
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
        raise ValueError(f"pixels are uint8 but bits_stored is {bits_stored}: hand over uint16 for more than 8 bits")


def device_frame(pixels: object, stream: int = _LEGACY_DEFAULT_STREAM, ordinal: int = 0) -> DeviceFrame:
    """Borrow `pixels` (rows, columns) of uint8 or uint16 from whoever holds them on the device; nothing is copied.

    pixels: offers DLPack (taken first: its producer itself makes `stream` wait) or __cuda_array_interface__ version 3
    (ready_after then says what to wait for).   stream: handle of the CUDA stream that will read them.
    ordinal: of its device; __cuda_array_interface__ cannot say whose memory it is.
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
        "upload host pixels through a Stream and hand over frame_in(memory, shape, dtype)"
    )


def _from_dlpack(pixels: Any, stream: int, ordinal: int) -> DeviceFrame:
    device_type, device = (int(part) for part in pixels.__dlpack_device__())
    if not is_on_device(device_type):
        raise ValueError(
            f"{_kind(pixels)} is on device ({device_type}, {device}): expected kDLCUDA (2) or kDLCUDAManaged (13); "
            "upload host pixels through a Stream and hand over frame_in(memory, shape, dtype)"
        )
    if device != ordinal:
        raise ValueError(
            f"{_kind(pixels)} is on CUDA device {device}: expected {ordinal}, where it will be read; copy it there"
        )
    tensor = tensor_of(pixels, stream)
    strides = tensor.strides and tuple(stride * tensor.dtype.itemsize for stride in tensor.strides)
    return _frame(tensor.address, tensor.shape, strides, tensor.dtype, tensor, None)


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
    dtype = np.dtype(interface["typestr"])
    return _frame(interface["data"][0], interface["shape"], interface.get("strides"), dtype, owner, ready_after)


def _frame(
    address: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: np.dtype[Any],
    owner: object,
    ready_after: int | None,
) -> DeviceFrame:
    """strides: in bytes; None where rows follow each other without a gap."""
    if len(shape) != 2:
        raise ValueError(f"pixels have shape {tuple(shape)}: expected one frame (rows, columns)")
    rows, columns = shape
    row_stride, column_stride = (columns * dtype.itemsize, dtype.itemsize) if strides is None else strides
    if columns > 1 and column_stride != dtype.itemsize:
        raise ValueError(
            f"pixels of a row are {column_stride} bytes apart: expected {dtype.itemsize} (rows may have any stride); "
            "hand over a contiguous copy"
        )
    return DeviceFrame(address, rows, columns, row_stride, dtype, owner, ready_after)


def _kind(pixels: object) -> str:
    return f"{type(pixels).__module__}.{type(pixels).__qualname__}"

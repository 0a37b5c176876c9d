"""Frames lent by other libraries, without a GPU: objects that offer the two protocols and say that they are on one.

The DLPack capsules are NumPy's own, so that their layout is a real producer's; only the device is pretended.
"""

from __future__ import annotations

import ctypes
import gc
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.kernels._kernels import SubtractionSettings, TemporalSettings
from cathrt.kernels.cuda.clahe import DeviceClahe
from cathrt.kernels.cuda.frames import DeviceFrame, check_frame, check_out, device_frame, frame_in
from cathrt.kernels.cuda.stream import DeviceMemory
from cathrt.kernels.cuda.subtraction import DeviceMaskSubtraction
from cathrt.kernels.cuda.temporal import DeviceTemporalFilter
from tests.engines.fake_device import HostMemory
from tests.engines.pycuda_array import GPUArray

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13


class Lent:
    """An array that offers DLPack 1.0 and pretends to be on `device`."""

    def __init__(self, array: NDArray[Any], device: int = CUDA) -> None:
        self.array = array
        self.device = device
        self.streams: list[object] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, *, stream: object = None, max_version: tuple[int, int] | None = None) -> object:
        self.streams.append(stream)
        return self.array.__dlpack__(max_version=max_version)


class LentByOldProducer(Lent):
    """As before DLPack 1.0: knows no max_version, gives the capsule without a version."""

    def __dlpack__(self, *, stream: object = None) -> object:  # type: ignore[override]
        self.streams.append(stream)
        return self.array.__dlpack__()


class Interface:
    """Offers __cuda_array_interface__; entries override those of a valid version 3."""

    def __init__(self, array: NDArray[Any], **entries: object) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "version": 3,
            "strides": array.strides,
            "stream": None,
        } | entries


def read_only(dtype: Any = np.uint16) -> NDArray[Any]:
    array = pixels(dtype)
    array.flags.writeable = False
    return array


class Copied(Lent):
    """A producer that lends a copy and says so."""

    def __dlpack__(self, *, stream: object = None, max_version: tuple[int, int] | None = None) -> object:
        return self.array.__dlpack__(max_version=max_version, copy=True)


READ_ONLY = {
    "dlpack": lambda: Lent(read_only()),
    "copy": lambda: Copied(pixels()),
    "array interface": lambda: Interface(pixels(), data=(0x1000, True)),
}


@pytest.mark.parametrize("lent", READ_ONLY)
def test_a_read_only_frame_is_read_like_any_other(lent: str) -> None:
    frame = device_frame(READ_ONLY[lent]())
    assert not frame.writeable
    check_frame(frame, (6, 8), 16)


@pytest.mark.parametrize("lent", READ_ONLY)
def test_nothing_is_written_to_what_is_lent_read_only(lent: str) -> None:
    ours = frame_in(DeviceMemory(0x10, 96), (6, 8), np.uint16)
    with pytest.raises(ValueError, match="out is read-only, or a copy that its lender would never see"):
        check_out(device_frame(READ_ONLY[lent]()), ours, np.uint16)


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer, Interface])
def test_what_is_lent_without_such_a_mark_may_be_written(producer: Any) -> None:
    frame = device_frame(producer(pixels()))
    assert frame.writeable
    check_out(frame, frame_in(DeviceMemory(0x10, 96), (6, 8), np.uint16), np.uint16)


OUT_OF = {
    "clahe": lambda: DeviceClahe(HostMemory(), (6, 8), 16, (1, 1), 0.0),
    "temporal": lambda: DeviceTemporalFilter(HostMemory(), (6, 8), 16, TemporalSettings(1.0, 0.0, 0.5, 1.0, 1.0, 1.0)),
    "subtraction": lambda: DeviceMaskSubtraction(
        HostMemory(), (6, 8), 16, SubtractionSettings("LIN", gain=1.0, offset=0.0, bits_out=16)
    ),
}


@pytest.mark.parametrize("op", OUT_OF)
def test_an_op_that_writes_a_frame_refuses_a_read_only_one_before_any_launch(op: str) -> None:
    frame = frame_in(DeviceMemory(0x10, 96), (6, 8), np.uint16)
    with pytest.raises(ValueError, match="out is read-only"):
        OUT_OF[op]()(frame, device_frame(Lent(read_only())))


KERNELS = sorted((Path(__file__).resolve().parents[2] / "kernels" / "src").glob("*.cu"))


def test_no_kernel_has_a_frame_by_a_pointer_that_it_could_write_by() -> None:
    taken = 0
    for path in KERNELS:
        text = path.read_text(encoding="utf-8")
        assert "const_cast" not in text, path
        for parameters in re.findall(r"_kernel\(([^)]*)\)", text.replace("\n", " ")):
            frames = [one for one in parameters.split(",") if re.search(r"\b(pixels|previous|current|frames)$", one)]
            assert all(one.strip().startswith("const ") for one in frames), (path, frames)
            taken += len(frames)
    assert taken > 15
    # A table of addresses: what they point to is what must be const.
    clip = (KERNELS[0].parent / "clip.cu").read_text(encoding="utf-8")
    assert re.findall(r"reinterpret_cast<([^>]*)>\(__ldg\(frames", clip) == ["const unsigned char*"]


class Watched(np.ndarray[Any, Any]):
    """An array whose end can be seen: plain ones take no weak references."""


def pixels(dtype: Any = np.uint16) -> NDArray[Any]:
    return np.arange(6 * 8).astype(dtype).reshape(6, 8)


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer, Interface])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_frame_is_taken_where_it_lies(producer: Any, dtype: Any) -> None:
    array = pixels(dtype)
    frame = device_frame(producer(array))
    assert (frame.address, frame.rows, frame.columns, frame.pitch, frame.dtype) == (
        array.ctypes.data,
        6,
        8,
        8 * array.itemsize,
        array.dtype,
    )
    assert frame.memory == DeviceMemory(array.ctypes.data, array.nbytes)


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer, Interface])
@pytest.mark.parametrize(
    ("view", "pitch"),
    [(np.s_[1:5, 2:7], 16), (np.s_[::2], 32), (np.s_[::-1], -16), (np.s_[:1], 16), (np.s_[:, 3:4], 16)],
    ids=str,
)
def test_rows_may_have_any_stride(producer: Any, view: Any, pitch: int) -> None:
    part = pixels()[view]
    frame = device_frame(producer(part))
    assert (frame.address, frame.rows, frame.columns) == (part.ctypes.data, *part.shape)
    assert frame.rows == 1 or frame.pitch == pitch


def test_an_array_interface_without_strides_is_contiguous() -> None:
    assert device_frame(Interface(pixels(), strides=None)).pitch == 16


def test_managed_memory_is_on_the_device_too() -> None:
    assert device_frame(Lent(pixels(), CUDA_MANAGED)).columns == 8


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer])
def test_the_producer_is_told_which_stream_will_read(producer: Any) -> None:
    lent = producer(pixels())
    frame = device_frame(lent, stream=0x5EED)
    assert lent.streams[-1] == 0x5EED
    assert frame.ready_after is None


@pytest.mark.parametrize("stream", [None, 1, 2, 0x5EED])
def test_the_producers_stream_is_handed_on(stream: int | None) -> None:
    assert device_frame(Interface(pixels(), stream=stream)).ready_after == stream


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer, Interface])
def test_the_owner_lives_as_long_as_the_frame_and_no_longer(producer: Any) -> None:
    array = pixels().view(Watched)
    alive = weakref.ref(array)
    frame: DeviceFrame | None = device_frame(producer(array))
    del array
    gc.collect()
    assert alive() is not None
    assert frame is not None
    frame = None
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("producer", [Lent, LentByOldProducer])
def test_a_refused_tensor_is_given_back(producer: Any) -> None:
    array = pixels(np.float32).view(Watched)
    alive = weakref.ref(array)
    with pytest.raises(ValueError, match="expected uint8 or uint16"):
        device_frame(producer(array))
    del array
    gc.collect()
    assert alive() is None


def test_a_capsule_used_before_is_refused() -> None:
    class Reuses(Lent):
        capsule: object = None

        def __dlpack__(self, **_: object) -> object:
            self.capsule = self.capsule or self.array.__dlpack__()
            return self.capsule

    lent = Reuses(pixels())
    device_frame(lent)
    with pytest.raises(ValueError, match="expected an unused capsule"):
        device_frame(lent)


def test_a_capsule_of_a_newer_major_version_is_refused_and_left_to_its_producer() -> None:
    class FromTheFuture(Lent):
        def __dlpack__(self, **_: object) -> object:
            capsule = self.array.__dlpack__(max_version=(1, 0))
            get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
                ("PyCapsule_GetPointer", ctypes.pythonapi)
            )
            ctypes.c_uint32.from_address(get(capsule, b"dltensor_versioned")).value = 2
            return capsule

    array = pixels().view(Watched)
    alive = weakref.ref(array)
    with pytest.raises(ValueError, match=r"version 2\.\d+: expected 1"):
        device_frame(FromTheFuture(array))
    del array
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "host", [pixels(), torch.zeros((6, 8), dtype=torch.uint16), Lent(pixels(), CUDA_HOST)], ids=type
)
def test_host_arrays_are_refused_with_what_to_do(host: object) -> None:
    with pytest.raises(ValueError, match=r"expected kDLCUDA.*upload host pixels through a Stream"):
        device_frame(host)


def test_a_frame_on_another_device_is_refused() -> None:
    assert device_frame(Lent(pixels()), ordinal=0).columns == 8
    with pytest.raises(ValueError, match="is on CUDA device 0: expected 1, where it will be read; copy it there"):
        device_frame(Lent(pixels()), ordinal=1)


def test_what_is_no_array_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"builtins\.bytes offers neither __dlpack__ nor __cuda_array_interface__"):
        device_frame(b"pixels")


@pytest.mark.parametrize("producer", [Lent, Interface])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pixels(np.int16), "expected uint8 or uint16"),
        (pixels(np.float32), "expected uint8 or uint16"),
        (pixels()[None], r"shape \(1, 6, 8\): expected one frame"),
        (pixels().ravel(), r"shape \(48,\): expected one frame"),
        (pixels()[:, ::2], "pixels of a row are 4 bytes apart: expected 2"),
        (pixels().T, "pixels of a row are 16 bytes apart: expected 2"),
        (pixels()[:0], "rows is 0: expected 1 to 65535"),
        (np.zeros((1, 65536), dtype=np.uint8), "columns is 65536: expected 1 to 65535"),
    ],
    ids=str,
)
def test_what_is_no_frame_is_refused(producer: Any, array: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_frame(producer(array))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"version": 2}, "version 2: expected 3.*offer __dlpack__"),
        ({"mask": pixels()}, "has a mask: expected none"),
        ({"stream": 0}, "names stream 0: expected None, 1, 2 or a handle"),
        ({"typestr": ">u2"}, ">u2: expected uint8 or uint16"),
        ({"typestr": "|b1", "strides": (8, 1)}, r"\|b1: expected uint8 or uint16"),
        ({"data": (0, False)}, "address is null"),
        ({"data": (0x1001, False)}, "uint16 rows start at 0x1001"),
        ({"strides": (17, 2)}, "17 bytes apart: expected even numbers"),
    ],
    ids=str,
)
def test_an_array_interface_that_cannot_be_used_is_refused(entries: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_frame(Interface(pixels(), **entries))


@pytest.mark.parametrize("element", [np.complex64, np.bool_, np.uint32, np.int8], ids=str)
def test_dlpack_types_without_a_place_here_are_refused(element: Any) -> None:
    with pytest.raises(
        ValueError, match=r"elements are DLPack type \d+ of \d+ bits, 1 lanes: expected uint8 or uint16"
    ):
        device_frame(Lent(pixels(element)))


def test_a_frame_in_our_own_memory() -> None:
    frame = frame_in(DeviceMemory(0x1000, 5 * 20 + 16), (6, 8), np.uint16, pitch=20)
    assert (frame.address, frame.pitch, frame.memory.nbytes) == (0x1000, 20, 116)
    assert frame_in(DeviceMemory(0x1000, 96), (6, 8), "uint16").pitch == 16


@pytest.mark.parametrize(("nbytes", "pitch"), [(95, None), (115, 20), (96, -16)], ids=str)
def test_a_frame_beyond_our_own_memory_is_refused(nbytes: int, pitch: int | None) -> None:
    with pytest.raises(ValueError, match=f"of memory that has {nbytes}"):
        frame_in(DeviceMemory(0x1000, nbytes), (6, 8), np.uint16, pitch)


def test_a_frame_of_another_run_is_refused() -> None:
    frame = frame_in(DeviceMemory(0x1000, 48), (6, 8), np.uint8)
    check_frame(frame, (6, 8), 8)
    with pytest.raises(ValueError, match=r"frame is \(6, 8\): this plan was made for \(8, 6\)"):
        check_frame(frame, (8, 6), 8)
    with pytest.raises(ValueError, match="uint8 but bits_stored is 12: give uint16"):
        check_frame(frame, (6, 8), 12)


def test_an_array_of_pycuda_is_read_where_it_lies_and_kept_alive() -> None:
    array = GPUArray((6, 8), np.uint16, 0x1000, strides=(512, 2))  # as pycuda.driver.mem_alloc_pitch gives rows
    frame = device_frame(array)
    assert (frame.address, frame.rows, frame.columns, frame.pitch) == (0x1000, 6, 8, 512)
    assert (frame.dtype, frame.writeable, frame.ready_after) == (np.dtype(np.uint16), True, None)
    alive = weakref.ref(array)
    del array
    gc.collect()
    assert alive() is not None
    del frame
    assert alive() is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (GPUArray((6, 8), np.float32, 0x1000), "pixels are <f4: expected uint8 or uint16"),
        (GPUArray((6, 8), np.uint16, 0x1000, order="F"), "pixels of a row are 12 bytes apart: expected 2"),
        (GPUArray((6, 8), np.uint16, 0x1001), "uint16 rows start at 0x1001"),
        (GPUArray((1, 6, 8), np.uint8, 0x1000), r"shape \(1, 6, 8\): expected one frame"),
        (GPUArray((0, 8), np.uint8, None, strides=(8, 1)), "rows is 0: expected 1 to 65535"),
        (GPUArray((6, 8), np.uint8, None), "address is null"),
    ],
    ids=["type", "column-major", "unaligned", "volume", "empty", "freed"],
)
def test_an_array_of_pycuda_that_is_no_frame_is_refused(array: GPUArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_frame(array)

"""Launches every kernel of samples/clean.cu and checks what it computes, in the form an op's exercise has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import DeviceMemory, Stream


def small(stream: Stream) -> None:
    """Raises AssertionError where a result is wrong."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 1 << 20, 1001, dtype=np.uint32)
    count = np.int32(len(values))
    on_device = uploaded(stream, values)

    total = uploaded(stream, np.zeros(1, np.uint32))
    stream.launch("block_sum_kernel", (8, 1, 1), (128, 1, 1), on_device, count, total)
    assert downloaded(stream, total, np.uint32) == [values.sum(dtype=np.uint32)]

    counts = stream.allocate(64)
    stream.launch("count_kernel", (1, 1, 1), (64, 1, 1), on_device, count, counts)
    np.testing.assert_array_equal(downloaded(stream, counts, np.uint32), np.bincount(values & 15, minlength=16))

    picture = rng.integers(0, 1 << 16, (7, 19), dtype=np.uint16)
    copy = stream.allocate(7 * 13 * 2)
    arguments = (uploaded(stream, picture), np.int64(38), np.int32(13), np.int32(7), copy)
    stream.launch("copy_2d_kernel", (2, 1, 1), (8, 8, 1), *arguments)
    np.testing.assert_array_equal(downloaded(stream, copy, np.uint16).reshape(7, 13), picture[:, :13])

    line = np.arange(5 * 48, dtype=np.float32)
    turned = uploaded(stream, line)
    stream.launch("reverse_kernel", (5, 1, 1), (48, 1, 1), turned, shared_bytes=48 * 4)
    np.testing.assert_array_equal(downloaded(stream, turned, np.float32), line.reshape(5, 48)[:, ::-1].ravel())

    lanes = uploaded(stream, np.arange(96, dtype=np.uint32))
    stream.launch("rotate_kernel", (3, 1, 1), (32, 1, 1), lanes)
    rotated = np.roll(np.arange(96).reshape(3, 32), -1, axis=1).ravel()
    np.testing.assert_array_equal(downloaded(stream, lanes, np.uint32), rotated)

    parts, arrived = stream.allocate(9 * 4), uploaded(stream, np.zeros(1, np.uint32))
    stream.launch("last_block_kernel", (9, 1, 1), (1, 1, 1), parts, arrived, total)
    assert downloaded(stream, total, np.uint32) == [45]

    votes = stream.allocate(9 * 4)
    stream.launch("votes_kernel", (1, 1, 1), (40, 1, 1), votes)
    np.testing.assert_array_equal(downloaded(stream, votes, np.uint32), [1, 0, 20, 0xAAAAAAAA, 1, 0, 10, 12, 10])

    numbers = stream.allocate(8 * 4)
    stream.launch("arithmetic_kernel", (1, 1, 1), (1, 1, 1), np.float32(2.5), numbers)
    expected = [2, 2**31 - 1, 0x4100, 0x7C00, 8 + 400 + 310000, 1, 1250, -4 + 5 + 2]
    np.testing.assert_array_equal(downloaded(stream, numbers, np.int32), expected)

    words = uploaded(stream, np.array([0, 1000, 0, 1000, 0xFFFFFFFF, 0, 0, 0], np.uint32))
    halves = uploaded(stream, np.zeros(1, np.float32))
    stream.launch("atomics_kernel", (1, 1, 1), (40, 1, 1), words, halves)
    expected = [780, 920, 39, 7, 0xFFF00000, 0xFFFFF, 0, 120]
    np.testing.assert_array_equal(downloaded(stream, words, np.uint32), expected)
    assert downloaded(stream, halves, np.float32) == [20]


def uploaded(stream: Stream, array: NDArray[Any]) -> DeviceMemory:
    """A copy of the array in memory of exactly its size."""
    memory = stream.allocate(array.nbytes)
    stream.upload(array, memory)
    return memory


def downloaded(stream: Stream, memory: DeviceMemory, dtype: Any) -> NDArray[Any]:
    """All of the memory, once everything is done."""
    array = np.zeros(memory.nbytes // np.dtype(dtype).itemsize, dtype)
    stream.download(memory, array)
    stream.synchronise()
    return array

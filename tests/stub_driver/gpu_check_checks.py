"""The parts of gpu_check with an op of one kernel: pytest runs this file in a child process on the stub.

tests/benchmarks/test_gpu_check.py starts it. What is timed here is the stub; that it is timed, told and judged is what
counts.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu_parts
from cathrt.kernels.cuda.driver import open_stream
from cathrt.kernels.cuda.stream import Stream
from tests.emulation.ops import Op
from tests.stub_driver.control import Fault, Stub

SIDES = (512, 1024)


def increment(stream: Stream, side: int, expected_step: int = 1) -> None:
    """A square frame of 8 bits through the stub's kernel."""
    given = (np.arange(side * side) % 199).astype(np.uint8)
    source, target, result = stream.allocate(given.nbytes), stream.allocate(given.nbytes), np.zeros_like(given)
    stream.upload(given, source)
    stream.zero(target)
    stream.launch("stub_increment_kernel", (4, 1, 1), (256, 1, 1), source, target, np.int32(given.nbytes))
    stream.download(target, result)
    stream.synchronise()
    np.testing.assert_array_equal(result, given + expected_step)


def op(small: Any, full_frame: Any) -> Op:
    return Op(SimpleNamespace(small=small, full_frame=full_frame), ("stub.cu",))  # type: ignore[arg-type]


def full_frame(stream: Stream) -> None:
    for side in SIDES:
        increment(stream, side)


@pytest.fixture(autouse=True)
def streams_on_the_stub(monkeypatch: pytest.MonkeyPatch, fatbin: Path) -> None:
    monkeypatch.setattr(gpu_parts, "open_stream", partial(open_stream, fatbin=fatbin))


def test_an_op_that_is_right_is_timed_at_both_sizes(stub: Stub) -> None:
    rows = list(gpu_parts.op_rows("made_up", op(lambda stream: increment(stream, 3), full_frame), rounds=5))
    assert [row["case"] for row in rows] == [
        "made_up small", "made_up full_frame", "made_up 512x512", "made_up 1024x1024"
    ]  # fmt: skip
    assert all(row["ok"] for row in rows)
    for row, side in zip(rows[2:], SIDES, strict=True):
        assert row["kernels"] == ["stub_increment_kernel"]
        assert (row["n"], row["nbytes"]) == (5, 2 * side * side)
        assert 0.0 < row["min_ms"] <= row["median_ms"] <= row["p99_ms"] < 1000.0
        assert row["gb_per_s"] == pytest.approx(row["nbytes"] / row["median_ms"] / 1e6, abs=0.1, rel=0.01)
    assert stub.report().live["memory"] == 0


def test_a_wrong_result_is_told_and_not_timed(stub: Stub) -> None:
    wrong = op(lambda stream: increment(stream, 3, 2), lambda stream: increment(stream, 5, 2))
    rows = list(gpu_parts.op_rows("made_up", wrong, rounds=5))
    assert [(row["case"], row["ok"]) for row in rows] == [("made_up small", False), ("made_up full_frame", False)]
    assert "Arrays are not equal" in rows[0]["why"]


def test_a_lost_device_is_told(stub: Stub) -> None:
    stub.reset(Fault("cuLaunchKernelEx", 1, 700, sticky=True, later=True))
    rows = list(gpu_parts.op_rows("made_up", op(lambda stream: increment(stream, 3), full_frame), rounds=5))
    assert [row["ok"] for row in rows] == [False, False]
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in rows[0]["why"]

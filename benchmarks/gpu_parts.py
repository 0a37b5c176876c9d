"""One part of gpu_check, in a process of its own: an op's kernels, or an engine. Prints a JSON row a line.

`python -m benchmarks.gpu_parts PART ROUNDS`. A kernel that goes wrong spoils the device for its whole process, and
TensorRT may take the process down; so neither is blamed for another. Not for: deciding what is run (gpu_check.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_engine
from benchmarks.gpu_timing import LoggedStream, Work, device_ms, sized
from cathrt.kernels.cuda.driver import DriverStream, open_stream
from cathrt.kernels.cuda.stream import CudaError
from cathrt.runtime.errors import CathrtError
from tests.emulation.ops import OPS, Op

PARTS = (*OPS, *gpu_engine.MODULES)

Row = dict[str, Any]


def part_rows(part: str, rounds: int) -> Iterator[Row]:
    """The rows of one of PARTS. Each has `case` and `ok`, and `why` where it is not."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r}: expected one of {PARTS}")
    if part in OPS:
        yield from op_rows(part, OPS[part], rounds)
    else:
        yield engine_row(part, rounds)


def op_rows(name: str, op: Op, rounds: int) -> Iterator[Row]:
    """Parity of an op on the device, then the time of what it launched for whole frames."""
    with open_stream(priority="high") as stream:
        yield parity(f"{name} small", lambda: op.exercise.small(stream))
        log = LoggedStream(stream)
        full = parity(f"{name} full_frame", lambda: op.exercise.full_frame(log))
        yield full
        if full["ok"]:
            for size, work in sized(log):
                yield timing(f"{name} {size}", stream, work, rounds)


def parity(case: str, exercise: Callable[[], object]) -> Row:
    """Run an exercise: a difference, a refused launch or a lost device is a failure with its text."""
    try:
        exercise()
    except (AssertionError, ValueError, CudaError) as exc:
        traceback.print_exc()
        return {"case": case, "ok": False, "why": str(exc).strip()[:500]}
    return {"case": case, "ok": True}


def timing(case: str, stream: DriverStream, work: Work, rounds: int) -> Row:
    """gb_per_s: the memory its kernels are given, each once, over the median."""
    taken = device_ms(stream, work, rounds)
    median, p99 = (float(np.quantile(taken, q, method="higher")) for q in (0.5, 0.99))
    return {
        "case": case,
        "ok": True,
        "kernels": work.kernels,
        "n": rounds,
        "min_ms": round(float(taken.min()), 5),
        "median_ms": round(median, 5),
        "p99_ms": round(p99, 5),
        "nbytes": work.nbytes,
        "gb_per_s": round(work.nbytes / median / 1e6, 1),
    }


def engine_row(target: Any, rounds: int) -> Row:
    """A target that is not here is no failure, but says so."""
    case = f"engine {target}"
    if (why := gpu_engine.absent(target)) is not None:
        return {"case": case, "ok": True, "skipped": why}
    with open_stream() as stream:
        sm = stream.sm
    with tempfile.TemporaryDirectory(prefix="cathrt-gpu-check-") as folder:
        try:
            return gpu_engine.check(target, sm, Path(folder) / "bundle", rounds)
        except CathrtError as exc:
            return {"case": case, "ok": False, "why": str(exc)}


if __name__ == "__main__":
    for row in part_rows(sys.argv[1], int(sys.argv[2])):
        print(json.dumps(row), flush=True)

"""The memory limit of a network: its weights at the pace at which all threads together read memory here.

For: benchmarks/report.py, which times these reads in turns with the engines. As a program it is the process that the
reads live in: `python -m benchmarks.bandwidth_limit MIB`. Not for: multiplications (compute_limit.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from benchmarks.compute_limit import THREADS
from benchmarks.turns import serve, take_stdout

READS = ("largest", "sum")  # ways to read; the faster one is the limit


def read_call(buffer: NDArray[np.float32], way: str, pool: ThreadPoolExecutor) -> Callable[[], float]:
    """Reads all of the buffer once, a part a thread: NumPy's reductions give up the interpreter lock."""
    parts = np.array_split(buffer, THREADS)
    reduce = {"largest": np.maximum.reduce, "sum": np.add.reduce}[way]

    def read() -> float:
        done = [pool.submit(reduce, part) for part in parts]
        wait(done)
        return float(sum(one.result() for one in done))

    return read


def _serve(mebibytes: int) -> None:
    answers = take_stdout()
    buffer = np.ones(mebibytes << 18, np.float32)
    pool = ThreadPoolExecutor(THREADS)
    calls = {way: read_call(buffer, way, pool) for way in READS}
    if abs(calls["sum"]() / buffer.size - 1.0) > 1e-3 or calls["largest"]() != THREADS:
        raise SystemExit("the sum of ones is not their number: it is not this buffer that would be read")
    serve(answers, {"bytes": buffer.nbytes}, calls, lambda _: None)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

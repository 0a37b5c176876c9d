"""Runs with a start and a summary, and waiting for a writer that prunes: for the tests of pruning and retention."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from cathrt.runtime.alert import Record
from tests.passes import rows, start, summary, verdict

FRAMES = 20
PASS_ROWS = FRAMES + 2
PATIENCE_S = 120.0  # on a busy machine


def of_run(name: str, frames: int = FRAMES) -> list[Record]:
    """All records of a run, from the start of its pass to its summary."""
    verdicts = [verdict(index, name) for index in range(frames)]
    return [start(name), *verdicts, summary(verdicts, name)]


def until(done: Callable[[], bool]) -> None:
    """Wait for the writer's thread."""
    ends = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < ends, "it does not come to its end"
        threading.Event().wait(0.005)


def first_row(path: Path) -> int:
    """Number of the oldest row that is there."""
    return rows(path)[0][0]

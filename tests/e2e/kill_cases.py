"""Kills the whole line (kill -9) at a fail point, starts it again on the same journal, and says what each start showed.

Run as `python -m tests.e2e.kill_cases FOLDER`: one JSON object a line, one per case. Every start is a fork of this
single-threaded process, so that a case costs milliseconds. Not for: judging the outcome (test_kill_line.py does).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.runtime.config import JournalConfig
from cathrt.runtime.errors import EngineError
from cathrt.runtime.failpoints import JOURNAL_POINTS, LINE_POINTS, arm, kill
from cathrt.runtime.frame import LostFrame
from cathrt.runtime.journal.records import prepare_records
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.models import record_parts
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.lines import ArraySource, Tensors, brightness, line, picture

FROZEN = picture(0.15)
# Two stretches worth a key frame, repeats of judged pictures before, across and after frames that are lost or broken:
# every kind of record, and every outcome that a pass at full speed can have.
ITEMS: list[float | np.ndarray | LostFrame | None] = [
    *[0.1, 0.2, 0.6, 0.9, 0.7, 0.2, 0.1, FROZEN, FROZEN, None, FROZEN, FROZEN],
    *[LostFrame(12, 0, "broken", failed=True), FROZEN, 0.15, *[picture(0.1)] * 6],
    *[0.8, 0.85, 0.3, 0.1, 0.95, picture(0.2), picture(0.2)],
]
POINTS = LINE_POINTS + JOURNAL_POINTS
AFTER = (0, 1, 4, 11)
CASES = [f"{point}+{after}" for point, after in product(POINTS, AFTER)]
# The same in the second attempt, which judges again what the engine failed in the first.
AGAIN = "again "
CASES_AGAIN = [f"{AGAIN}{point}+{after}" for point, after in product(POINTS, (0, 5))]
FAILS_ON = 3  # index of the frame


def failing(inputs: Tensors, outputs: Tensors) -> None:
    """An engine that does not take the brightest frame of the first stretch."""
    if 0.88 < inputs["image"].mean() < 0.92:
        raise EngineError("the device was busy")
    brightness(inputs, outputs)


def start(folder: Path, shown: str, kill_at: str | None, compute: Any = brightness) -> int:
    """Fork, run the line in the child, return the child's wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    status = 1
    try:
        if kill_at is not None:
            point, _, after = kill_at.rpartition("+")
            arm(point, kill, int(after))
        with (folder / shown).open("wb") as stream:
            journal = Journal(folder / "journal.db", JournalConfig(group_commit_ms=5.0), [JsonlSink(stream)])
            watch(ArraySource(ITEMS), line(compute), journal)
            journal.close()
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    root = Path(sys.argv[1])
    logging.disable()
    prepare_records(record_parts())  # here, so that no fork has to
    for case in (*CASES, *CASES_AGAIN):
        folder = root / case
        folder.mkdir()
        if case.startswith(AGAIN):
            start(folder, "zeroth.jsonl", None, failing)
        first = start(folder, "first.jsonl", case.removeprefix(AGAIN))
        second = start(folder, "second.jsonl", None)
        killed = os.WIFSIGNALED(first) and os.WTERMSIG(first) == 9
        print(json.dumps({"case": case, "killed": killed, "first": first, "second": second}), flush=True)


if __name__ == "__main__":
    main()

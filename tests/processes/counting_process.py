"""A process that counts pictures as a live one does and is killed at a given line of Python: for test_counts_file.py.

Beside the counts it keeps the truth in files of one byte an event: what it began, what it did, what is durable.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from cathrt.runtime.counts import VERDICT_COUNTS, Count
from cathrt.runtime.processes import counts_file
from cathrt.runtime.processes.counts_file import CountsFile

SOURCE = "A"
_IN_HAND = 3


def count_on(folder: str, pictures: int, kill_at_line: int) -> None:
    """Take up the counts where they are and count some pictures; be killed when so many lines have been run.

    kill_at_line: lines of this file and of counts_file.py; 0 for never. At the end of all, nothing is in hand.
    """
    place = Path(folder)
    if kill_at_line:
        sys.settrace(_killer(kill_at_line))
    counts = CountsFile(place / "counts", SOURCE)
    newly_lost = counts.settle(durable(place))
    _mark(place / "lost", b"l" * newly_lost)
    waiting: deque[int] = deque()
    for number in range(pictures):
        _mark(place / "received.begun", b"r")
        counts.add("received")
        _mark(place / "received.done", b"r")
        if number % 4 == 0:
            counts.add("held")
            _mark(place / "held.done", b"h")
            continue
        counts.add("frames")
        waiting.append(number)
        if len(waiting) >= _IN_HAND:
            _judge(place, counts, waiting.popleft())
    while waiting:
        _judge(place, counts, waiting.popleft())
    counts.close()


def durable(place: Path) -> Mapping[Count, int]:
    """The verdicts of the journal that this play has: a byte each."""
    journal = place / "journal"
    found = Counter(journal.read_bytes() if journal.exists() else b"")
    return {count: found[number] for number, count in enumerate(VERDICT_COUNTS)}


def _judge(place: Path, counts: CountsFile, number: int) -> None:
    outcome = number % len(VERDICT_COUNTS)
    _mark(place / "journal", bytes((outcome,)))
    counts.add(VERDICT_COUNTS[outcome])
    counts.note("verdict_ns", number + 1)


def _mark(path: Path, what: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, what)
    os.close(descriptor)


def _killer(lines: int) -> Any:
    left = lines
    traced = {__file__, counts_file.__file__}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in traced:
            return None
        if event == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def count_pairs(path: str, pairs: int) -> None:
    """Count a picture and that it is held, again and again, for a reader in another process."""
    counts = CountsFile(Path(path), SOURCE)
    counts.settle({})
    for _ in range(pairs):
        counts.add("received")
        counts.add("held")
    counts.close()

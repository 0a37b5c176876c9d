"""What is counted of a live source, from the picture that came to the verdict that is durable.

Every picture that came is held or a frame; every frame ends as a verdict, or is lost where the process was killed, or
refused with its whole run. But for those still in hand:
received = held + frames, frames = met + late + dropped + failed + duplicate + lost + refused.
Not for: where counts are kept so that they outlive the process (processes/).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Literal, Protocol, get_args

# received: pictures that came, broken and overrun ones too. held: outside any run. frames: given to the line.
# lost: frames of a process that was killed before their verdicts were durable. refused: frames of runs that the line
# could not take. opened: times that the source was opened. hung: calls into the source that never returned.
Count = Literal[
    "received", "held", "frames", "met", "late", "dropped", "failed", "duplicate", "lost", "refused", "runs", "opened",
    "hung",
]  # fmt: skip
# Readings of the monotonic clock, ns: of the newest picture, durable verdict, and durable verdict with an inference.
Moment = Literal["picture_ns", "verdict_ns", "inference_ns"]
COUNTS: tuple[Count, ...] = get_args(Count)
MOMENTS: tuple[Moment, ...] = get_args(Moment)
VERDICT_COUNTS: tuple[Count, ...] = ("met", "late", "dropped", "failed", "duplicate")
FRAME_ENDS: tuple[Count, ...] = (*VERDICT_COUNTS, "lost", "refused")


class Counts(Protocol):
    """The counts of one source. May be called from any thread; returns at once."""

    def add(self, count: Count, by: int = 1) -> None: ...
    def note(self, moment: Moment, at_ns: int) -> None: ...
    def value(self, name: Count | Moment) -> int: ...
    def all_counted(self, seq: int) -> None:
        """Every verdict up to that row of the journal is counted here, and no run goes on behind it."""


class CountsInMemory:
    """Counts that end with the process."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, count: Count, by: int = 1) -> None:
        with self._lock:
            self._values[count] += by

    def note(self, moment: Moment, at_ns: int) -> None:
        with self._lock:
            self._values[moment] = at_ns

    def value(self, name: Count | Moment) -> int:
        with self._lock:
            return self._values[name]

    def all_counted(self, seq: int) -> None:
        """Nobody counts on from here."""


def waiting(value: Callable[[Count], int]) -> int:
    """Pictures of which it is not decided yet whether they belong to a run. Never less than 0."""
    return value("received") - value("held") - value("frames")


def unjudged(value: Callable[[Count], int]) -> int:
    """Frames that have no end yet. Never less than 0."""
    return value("frames") - sum(map(value, FRAME_ENDS))

"""What a kind of model says of two sides' answers: shares with their intervals, and the frames that differ most.

Not for: any single kind (models/<kind>/agreement.py), or times, which are the same for all kinds (latency.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.export.qualify.intervals import Share


@dataclass(frozen=True, slots=True)
class Common:
    """Where A and B answer alike. name: in JSON; text: for a reader. share: None where there was nothing to count."""

    name: str
    text: str
    share: Share | None


@dataclass(frozen=True, slots=True)
class AgainstTruth:
    """How often each side is right, counted over the same frames or runs."""

    name: str
    text: str
    a: Share | None
    b: Share | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A frame that A and B answer differently, or nearly so. a, b: their answers in words.

    number: of the run's input. run_id: of the run in it. flip: the answers are others, and not only their scores.
    amount: how far the scores lie apart, 0 to 1. scores: by name, A's and B's.
    """

    number: int
    run_id: str
    source: str
    frame_index: int
    a: str
    b: str
    flip: bool
    amount: float
    scores: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """All that one kind compares. differences: flips first, then by amount; every flip, and some other frames.

    frames: judged by both. by_one: judged by one side only: the other's verdict was FAILED.
    """

    frames: int
    by_one: int
    common: tuple[Common, ...]
    against_truth: tuple[AgainstTruth, ...]
    differences: tuple[Difference, ...]

    @property
    def flips(self) -> tuple[Difference, ...]:
        return tuple(difference for difference in self.differences if difference.flip)

"""What an implementation says of each picture when it is done with it: the file between its process and the parent.

Not for: figures (figures.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cathrt.runtime.alert import JUDGED

HELD = "HELD"  # outside any run: seen and not to be judged
JUDGED_OUTCOMES = frozenset(str(outcome) for outcome in JUDGED)


@dataclass(frozen=True, slots=True)
class End:
    """How one picture ended. Times are readings of the monotonic clock, 0 where there was no such moment.

    outcome: as a verdict's, or HELD. taken_ns: when the one that judges had it. verdict_ns: when the answer was known.
    shown_ns: when a reader had it; for us, when it was durable and a sink had it.
    """

    source: int
    number: int
    outcome: str
    reason: str | None = None
    captured_ns: int = 0
    taken_ns: int = 0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0
    verdict_ns: int = 0
    shown_ns: int = 0

    @property
    def judged(self) -> bool:
        return self.outcome in JUDGED_OUTCOMES


def write_ends(ends: Iterable[End], path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for end in ends:
            stream.write(json.dumps(asdict(end)) + "\n")


def read_ends(path: Path) -> list[End]:
    return [End(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]

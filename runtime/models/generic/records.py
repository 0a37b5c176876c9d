"""What an image classifier puts into records: the likeliest label of a frame, the label that a run has most.

Not for: how they come about (run.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import Finding, RunResult, Score


@dataclass(frozen=True, slots=True)
class GenericFinding(Finding):
    """label: the likeliest one, by its name in the manifest. score: its softmax probability."""

    kind: Literal["generic"] = field(default="generic", kw_only=True)
    label: str


@dataclass(frozen=True, slots=True)
class GenericResult(RunResult):
    """label: the one that most judged frames have; of equals, the one of the higher scores. None where no frame was
    judged. label_share: the share of judged frames that have it. The marked frames are those with its best scores."""

    kind: Literal["generic"] = field(default="generic", kw_only=True)
    label: str | None
    label_share: Score

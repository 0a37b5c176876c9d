"""How far an engine's logits are from its reference's. Not for: how far they may be (each kind's gate).

N frames of a run, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.criteria import FrameName


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """Both networks' logits of one run. number, name, frames: of the run, (N,) 0-based. reference, engine: (N, C)."""

    number: int
    name: str
    frames: NDArray[np.int64]
    reference: NDArray[np.float64]
    engine: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogitError:
    """|engine - reference| over frames with finite logits. largest_logit: of the reference, in magnitude."""

    largest: float
    mean: float
    at: FrameName
    largest_logit: float

    @property
    def relative(self) -> float:
        """The largest error as a share of the largest reference logit."""
        return self.largest / self.largest_logit if self.largest_logit else math.inf if self.largest else 0.0


def logit_error(runs: Sequence[Logits]) -> LogitError | None:
    """The error over all runs; None where the engine is finite on no frame."""
    largest, total, count, at = -1.0, 0.0, 0, None
    for run in runs:
        finite = np.isfinite(run.engine).all(axis=1)
        if not finite.any():
            continue
        errors = np.abs(run.engine[finite] - run.reference[finite])
        total, count = total + float(errors.sum()), count + errors.size
        if errors.max() > largest:
            largest = float(errors.max())
            at = FrameName(run.number, run.name, int(run.frames[finite][errors.max(axis=1).argmax()]))
    if at is None:
        return None
    return LogitError(largest, total / count, at, max(float(np.abs(run.reference).max(initial=0.0)) for run in runs))

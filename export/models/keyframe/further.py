"""What differs in the further outputs of two networks: how readable a frame is, and whether it is an angiogram.

On findings, as the runtime reads either's outputs; docs/export.md defines every figure. Not for: the classes
(comparison.py), or how much may differ (gate.py).
N frames of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.differences import DomainChange, ReadabilityError
from cathrt.export.models.keyframe.findings import RunFindings
from cathrt.export.qualify.criteria import FrameName
from cathrt.export.qualify.intervals import Share

TOLD_APART = 0.05  # of readability: nearer frames have no order to keep


def readability_error(runs: Sequence[RunFindings]) -> ReadabilityError | None:
    """Of a bundle whose scores are readabilities; None where the engine is finite on no frame."""
    errors: list[float] = []
    frames: list[FrameName] = []
    kept = apart = 0
    for run in runs:
        answers = zip(run.frames, run.reference, run.engine, strict=True)
        pairs = [(where, old, new) for where, old, new in answers if new is not None]
        before = np.array([old.score for _, old, _ in pairs], np.float64)
        after = np.array([new.score for _, _, new in pairs], np.float64)
        errors += np.abs(after - before).tolist()
        frames += [where for where, _, _ in pairs]
        same, of = _same_order(before, after)
        kept, apart = kept + same, apart + of
    if not errors:
        return None
    largest = int(np.argmax(errors))
    return ReadabilityError(
        largest=errors[largest],
        mean=float(np.mean(errors)),
        at=frames[largest],
        same_order=kept / apart if apart else None,
    )


def domain_changes(runs: Sequence[RunFindings]) -> tuple[Share, tuple[DomainChange, ...]]:
    """Share of frames with the same verdict on the domain, and the others. Where not finite, there is no verdict."""
    changes: list[DomainChange] = []
    frames = unlike = 0
    for run in runs:
        for where, old, new in zip(run.frames, run.reference, run.engine, strict=True):
            frames += 1
            if new is None:
                unlike += 1
            elif old.outside != new.outside:
                unlike += 1
                changes.append(DomainChange(where, old.outside, new.outside))
    return Share(frames - unlike, frames), tuple(changes)


def _same_order(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[int, int]:
    """Of the pairs of frames that `before` tells apart: how many `after` has in the same order, and how many there are.

    before, after: (N,)
    """
    kept = apart = 0
    for first in range(len(before) - 1):
        difference = before[first + 1 :] - before[first]
        told = np.abs(difference) >= TOLD_APART
        apart += int(told.sum())
        kept += int((told & (difference * (after[first + 1 :] - after[first]) > 0.0)).sum())
    return kept, apart

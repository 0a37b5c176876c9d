"""An image classifier's logits as the likeliest label and its score. Not for: what a run amounts to (run.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.generic.records import GenericFinding
from cathrt.runtime.models.generic.section import GenericSection


def finding_of(section: GenericSection, outputs: Mapping[str, NDArray[Any]], engine: str) -> GenericFinding:
    """Read one frame's outputs, (1, labels), float32 or float16. engine: the one that computed them.

    Raises EngineError where a number is not finite: such a frame has no result.
    """
    logits = outputs[section.output].reshape(-1).astype(np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(logits)))
    if wrong:
        raise EngineError(
            f"output {section.output!r}: {wrong} of {logits.size} numbers are not finite, expected finite logits: "
            "check the bundle"
        )
    scores = softmax(logits)
    top = int(scores.argmax())
    return GenericFinding(engine=engine, score=min(float(scores[top]), 1.0), label=section.labels[top])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis."""
    scores: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores

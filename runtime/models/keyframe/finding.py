"""The keyframe model (CAG-VLM stage 1): six classes, {left, right} coronary x {better, bad, others}.

A bundle may have two further outputs: readability, which is then the frame's score, and domain, which tells pictures
that are no angiograms. What the numbers mean comes from the manifest: no order, label or threshold stands here. Not
for: deciding over time (announce.py, ranking.py, side.py). Sums per side and P(better) as key-frame score are our
reading of arXiv 2505.04964, which leaves both open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality
from cathrt.runtime.models.keyframe.section import DomainOutput, KeyframeSection


class KeyframeModel:
    """Turns the engine's outputs into a KeyframeFinding. Built once per bundle."""

    def __init__(self, semantics: KeyframeSection) -> None:
        self._output = semantics.output
        self._left = np.array([label.laterality == "left" for label in semantics.labels])
        self._better = np.array([label.quality == "better" for label in semantics.labels])
        self._visible = np.array([label.quality != "others" for label in semantics.labels])
        self._laterality_threshold = semantics.laterality_threshold
        self._visible_threshold = semantics.visible_threshold
        self._readability = semantics.readability
        self._domain = semantics.domain

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str) -> KeyframeFinding:
        """Read one frame's outputs, each (1, columns), float32 or float16. engine: the one that computed them.

        Laterality is asked only of frames that show an artery: outside the domain, with P(better) + P(bad) under the
        visible threshold, or neither side above the laterality threshold, the answer is "unknown".
        Raises EngineError where a number is not finite: such a frame has no result, which is not "nothing found".
        """
        scores = _softmax(_finite(outputs, self._output))
        left = float(scores[self._left].sum())
        side: Laterality = "left" if left >= 0.5 else "right"
        side_score = max(left, 1.0 - left)
        visible = float(scores[self._visible].sum()) >= self._visible_threshold
        outside = _outside(outputs, self._domain) if self._domain is not None else None
        score = float(scores[self._better].sum())
        if self._readability is not None:
            score = _sigmoid(float(_finite(outputs, self._readability.output)[0]))
        seen = outside is None and visible and side_score >= self._laterality_threshold
        return KeyframeFinding(
            engine=engine,
            score=min(score, 1.0),
            laterality=side if seen else "unknown",
            laterality_score=min(side_score, 1.0),
            class_scores=tuple(float(value) for value in scores),
            outside=outside,
        )

    def better(self, finding: KeyframeFinding) -> float:
        """P(better), both sides together, in [0, 1]: the score of a bundle without a readability output."""
        return min(float(np.asarray(finding.class_scores)[self._better].sum()), 1.0)

    def visibility(self, finding: KeyframeFinding) -> float:
        """P(better) + P(bad): how sure the model is that an opacified artery is in the picture, in [0, 1]."""
        return float(np.asarray(finding.class_scores)[self._visible].sum())

    def may_be_key_frame(self, finding: KeyframeFinding) -> bool:
        """Whether an alert may be about the frame: it names a side, or shows an artery."""
        return finding.laterality != "unknown" or self.visibility(finding) >= self._visible_threshold

    def left_score(self, finding: KeyframeFinding) -> float:
        """Score of the left side, whatever the frame's answer was, in [0, 1]."""
        return float(np.asarray(finding.class_scores)[self._left].sum())


def _outside(outputs: Mapping[str, NDArray[Any]], domain: DomainOutput) -> str | None:
    """The likeliest reason's name where the frame is too little of an angiogram."""
    angiogram, *reasons = _softmax(_finite(outputs, domain.output))
    return None if angiogram >= domain.threshold else domain.reasons[int(np.argmax(reasons))].name


def _finite(outputs: Mapping[str, NDArray[Any]], output: str) -> NDArray[np.float64]:
    """The numbers of one output, shape (columns,)."""
    numbers = outputs[output].reshape(-1).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise EngineError(f"output {output!r} holds {numbers.tolist()}, expected finite logits: check the bundle")
    return numbers


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = np.exp(logits - logits.max())
    scores /= scores.sum()
    return scores


def _sigmoid(log_odds: float) -> float:
    """Without overflow, whatever the sign."""
    smaller = float(np.exp(-abs(log_odds)))
    return (1.0 if log_odds >= 0.0 else smaller) / (1.0 + smaller)

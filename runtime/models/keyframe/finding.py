"""The keyframe model (CAG-VLM stage 1): six classes, {left, right} coronary x {better, bad, others}.

What the logits mean comes from the manifest: no order, label or threshold stands here. Not for: deciding over time
(policy.py). Sums per side and P(better) as key-frame score are our reading of arXiv 2505.04964, which leaves both open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.records import KeyframeFinding, Laterality
from cathrt.runtime.models.keyframe.section import KeyframeSection


class KeyframeModel:
    """Turns the engine's output into a KeyframeFinding. Built once per bundle."""

    def __init__(self, semantics: KeyframeSection) -> None:
        self._output = semantics.output
        self._left = np.array([label.laterality == "left" for label in semantics.labels])
        self._better = np.array([label.quality == "better" for label in semantics.labels])
        self._visible = np.array([label.quality != "others" for label in semantics.labels])
        self._laterality_threshold = semantics.laterality_threshold
        self._visible_threshold = semantics.visible_threshold

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str) -> KeyframeFinding:
        """Read one frame's logits, shape (1, labels), float32 or float16. engine: the one that computed them.

        Laterality is asked only of frames that show an artery: with P(better) + P(bad) under the visible threshold,
        or neither side above the laterality threshold, the answer is "unknown".
        Raises EngineError where a logit is not finite: such a frame has no result, which is not "nothing found".
        """
        logits = outputs[self._output].reshape(-1).astype(np.float64)
        if not np.isfinite(logits).all():
            found = logits.tolist()
            raise EngineError(f"output {self._output!r} holds {found}, expected finite logits: check the bundle")
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        left = float(scores[self._left].sum())
        side: Laterality = "left" if left >= 0.5 else "right"
        score = max(left, 1.0 - left)
        seen = float(scores[self._visible].sum()) >= self._visible_threshold and score >= self._laterality_threshold
        return KeyframeFinding(
            engine=engine,
            score=min(float(scores[self._better].sum()), 1.0),
            laterality=side if seen else "unknown",
            laterality_score=min(score, 1.0),
            class_scores=tuple(float(value) for value in scores),
        )

    def visibility(self, finding: KeyframeFinding) -> float:
        """P(better) + P(bad): how sure the model is that an opacified artery is in the picture, in [0, 1]."""
        return float(np.asarray(finding.class_scores)[self._visible].sum())

    def left_score(self, finding: KeyframeFinding) -> float:
        """Score of the left side, whatever the frame's answer was, in [0, 1]."""
        return float(np.asarray(finding.class_scores)[self._left].sum())

"""The keyframe model's part in the line: findings a frame, key-frame news while a run goes on, its result at the end.

Not for: what the logits mean (finding.py), when a frame is announced and how a side is voted (policy.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Policy
from cathrt.runtime.frame import Run
from cathrt.runtime.model_kind import Judged, Raised
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import (
    KeyFramePolicy,
    KeyframePolicyConfig,
    laterality_mismatch,
    rank_key_frames,
    vote_laterality,
)
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult, Laterality
from cathrt.runtime.models.keyframe.section import section_of

_SIDE = {"left": "left coronary", "right": "right coronary", "unknown": "side unknown"}
_SIDE_JA = {"left": "左冠動脈", "right": "右冠動脈", "unknown": "左右不明"}


class KeyframeOnFrames:
    """A keyframe bundle under a policy: fits models.kind.FrameModel."""

    def __init__(self, bundle: Bundle, policy: Policy | None) -> None:
        """Raises ManifestError for a bundle of another kind."""
        self.bundle = bundle
        self.section = section_of(bundle.manifest)
        self.reader = KeyframeModel(self.section)
        self.policy = policy if isinstance(policy, KeyframePolicyConfig) else KeyframePolicyConfig()

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        policy = self.policy
        return {
            "release_ratio": float(policy.release_ratio),
            "confirm_frames": policy.confirm_frames,
            "min_gap_s": float(policy.min_gap_s),
            "refractory_s": float(policy.refractory_s),
            "max_per_run": policy.max_per_run,
            "min_visible_frames": policy.min_visible_frames,
            "run_laterality_threshold": float(policy.run_laterality_threshold),
        }

    def begin(self, run: Run) -> KeyframeRun:
        return KeyframeRun(self, run)


class KeyframeRun:
    """One run: fits models.kind.ModelRun. Memory is a few dozen bytes a frame."""

    def __init__(self, model: KeyframeOnFrames, run: Run) -> None:
        self._model = model
        self._geometry = run.geometry
        self._policy = KeyFramePolicy(model.section.key_frame_threshold, model.policy)
        self._judged: list[Judged] = []
        self._votes: list[tuple[float, float]] = []

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str) -> KeyframeFinding:
        return self._model.reader.finding(outputs, engine)

    def observe(self, judged: Judged) -> Sequence[Raised]:
        finding = _keyframe(judged)
        self._judged.append(judged)
        if finding.laterality != "unknown":
            self._votes.append((self._model.reader.left_score(finding), self._model.reader.visibility(finding)))
        return _raised(self._policy.observe(judged))

    def finish(self) -> Sequence[Raised]:
        return _raised(self._policy.finish())

    def result(self, engine: str) -> KeyframeResult:
        side, score = vote_laterality(self._votes, self._model.policy)
        ranked = rank_key_frames(self._judged, self._model.section.key_frame_threshold, self._model.policy)
        frames = tuple(judged.index for judged in ranked)
        scores = tuple(judged.finding.score for judged in ranked)
        listed = ", ".join(f"{index} ({value:.2f})" for index, value in zip(frames, scores, strict=True))
        primary, secondary = self._geometry.positioner_primary_angle_deg, self._geometry.positioner_secondary_angle_deg
        mismatch = laterality_mismatch(side, primary, secondary)
        unusual = "; C-arm angle unusual for this side" if mismatch else ""
        unusual_ja = "、Cアーム角度はこの側では通常と異なる" if mismatch else ""
        return KeyframeResult(
            bundle=self._model.bundle.manifest.name,
            manifest_sha256=self._model.bundle.manifest_sha256,
            engine=engine,
            marked_frames=frames,
            marked_scores=scores,
            text=f"{_SIDE[side]}, score {score:.2f}; key frames, best first: {listed or 'none'}{unusual}",
            text_ja=f"{_SIDE_JA[side]}、スコア {score:.2f}、キーフレーム {listed or 'なし'}{unusual_ja}",
            laterality=side,
            laterality_score=score,
            laterality_mismatch=mismatch,
        )


def _keyframe(judged: Judged) -> KeyframeFinding:
    assert isinstance(judged.finding, KeyframeFinding)
    return judged.finding


def _raised(key: Judged | None) -> Sequence[Raised]:
    if key is None:
        return ()
    finding = _keyframe(key)
    side: Laterality = finding.laterality
    news = KeyFrameNews(
        score=finding.score,
        text=f"key frame, {_SIDE[side]}, score {finding.score:.2f}",
        text_ja=f"キーフレーム、{_SIDE_JA[side]}、スコア {finding.score:.2f}",
        laterality=side,
    )
    return (Raised(key, news),)

"""The keyframe model's part in the line: findings a frame, key-frame news while a run goes on, its result at the end.

Not for: what the outputs mean (finding.py), when a frame is announced (announce.py), which frames are ranked
(ranking.py), how a side is voted (side.py), in which words (words.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Policy
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.model_kind import Judged, Raised
from cathrt.runtime.models.keyframe.announce import KeyFrameAnnouncer
from cathrt.runtime.models.keyframe.cross_check import VesselFilter, preferred_frame
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.motion import Motion
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.ranking import rank_key_frames
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyFrameNews, KeyframeResult, keyframe_of
from cathrt.runtime.models.keyframe.section import KeyframeSection, section_of
from cathrt.runtime.models.keyframe.side import RunSide, run_outside, run_side
from cathrt.runtime.models.keyframe.words import NOTHING_JUDGED, key_frame_words, outside_words, run_words


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
        """Every number of the policy; those of the section are in the manifest, which is identified by its hash."""
        policy = self.policy
        return {
            "smoothing_s": float(policy.smoothing_s),
            "relative_floor": float(policy.relative_floor),
            "min_rise": float(policy.min_rise),
            "baseline_s": float(policy.baseline_s),
            "release_ratio": float(policy.release_ratio),
            "confirm_s": float(policy.confirm_s),
            "min_gap_s": float(policy.min_gap_s),
            "refractory_s": float(policy.refractory_s),
            "max_per_run": policy.max_per_run,
            "beat_s": float(policy.beat_s),
            "other_beat_ratio": float(policy.other_beat_ratio),
            "min_visible_frames": policy.min_visible_frames,
            "run_laterality_threshold": float(policy.run_laterality_threshold),
            "overwhelming": float(policy.overwhelming),
            "ranking_smoothing_s": float(policy.ranking_smoothing_s),
            "vessel_filter": float(policy.vessel_filter),
            "stillness": float(policy.stillness),
        }

    @property
    def score_threshold(self) -> float | None:
        return self.section.key_frame_threshold

    def begin(self, run: Run) -> KeyframeRun:
        return KeyframeRun(self, run)


class KeyframeRun:
    """One run: fits models.kind.ModelRun. Memory is a few hundred bytes a frame."""

    def __init__(self, model: KeyframeOnFrames, run: Run) -> None:
        self._model = model
        self._geometry = run.geometry
        section = model.section
        self._announcer = KeyFrameAnnouncer(section.key_frame_threshold, model.policy, section.run_evidence)
        self._judged: list[Judged] = []
        self._filter = VesselFilter(run) if model.policy.vessel_filter else None
        self._motion = Motion(run) if model.policy.stillness > 0.0 else None

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str, frame: Frame) -> KeyframeFinding:
        finding = self._model.reader.finding(outputs, engine)
        if self._filter is not None:
            finding = replace(finding, vesselness=self._filter(frame.pixels, frame.grayscale))
        return finding if self._motion is None else replace(finding, change=self._motion(frame.pixels, frame.grayscale))

    def remember(self, frame: Frame) -> None:
        if self._motion is not None:
            self._motion(frame.pixels, frame.grayscale)

    def observe(self, judged: Judged) -> Sequence[Raised]:
        finding, model = keyframe_of(judged), self._model
        self._judged.append(judged)
        return _raised(self._announcer.observe(judged, eligible=model.reader.may_be_key_frame(finding)))

    def finish(self) -> Sequence[Raised]:
        return _raised(self._announcer.finish())

    def result(self, engine: str) -> KeyframeResult:
        model, section = self._model, self._model.section
        findings = [keyframe_of(judged) for judged in self._judged]
        if not findings:
            return self._nothing(engine, NOTHING_JUDGED)
        if (outside := run_outside(findings)) is not None:
            return self._nothing(engine, outside_words(outside, section), outside)
        side = run_side(self._judged, model.reader, section, model.policy, self._geometry)
        ranked = key_frames_of_run(self._judged, side, section, model.policy)
        key_frames = [(judged.index, judged.finding.score) for judged in ranked]
        readability = section.readability
        poor_below = section.key_frame_threshold if readability is None else readability.poor_below
        poor = bool(key_frames) and key_frames[0][1] < poor_below
        prefers = preferred_frame(self._judged, key_frames[0][0], model.policy) if key_frames else None
        text, text_ja = run_words(side, key_frames, poor=poor, filter_prefers=prefers)
        return KeyframeResult(
            bundle=model.bundle.manifest.name,
            manifest_sha256=model.bundle.manifest_sha256,
            engine=engine,
            marked_frames=tuple(index for index, _ in key_frames),
            marked_scores=tuple(score for _, score in key_frames),
            text=text,
            text_ja=text_ja,
            laterality=side.laterality,
            laterality_score=side.score,
            laterality_mismatch=side.mismatch,
            best_readability=key_frames[0][1] if key_frames and readability is not None else None,
            best_is_poor=poor,
            filter_prefers=prefers,
        )

    def _nothing(self, engine: str, words: tuple[str, str], outside: str | None = None) -> KeyframeResult:
        """The result of a run that no frame says anything about."""
        return KeyframeResult(
            bundle=self._model.bundle.manifest.name,
            manifest_sha256=self._model.bundle.manifest_sha256,
            engine=engine,
            marked_frames=(),
            marked_scores=(),
            text=words[0],
            text_ja=words[1],
            laterality="unknown",
            laterality_score=0.0,
            laterality_mismatch=None,
            outside=outside,
        )


def key_frames_of_run(
    frames: Sequence[Judged], side: RunSide, section: KeyframeSection, policy: KeyframePolicyConfig
) -> list[Judged]:
    """The run's key frames, best first: none where it shows no artery, at least one where its pictures name a side."""
    if not side.shows_artery:
        return []
    at_least_one = side.voted != "unknown"
    return rank_key_frames(frames, section.key_frame_threshold, policy, at_least_one=at_least_one)


def _raised(key: Judged | None) -> Sequence[Raised]:
    if key is None:
        return ()
    finding = keyframe_of(key)
    text, text_ja = key_frame_words(finding)
    return (Raised(key, KeyFrameNews(finding.laterality, score=finding.score, text=text, text_ja=text_ja)),)

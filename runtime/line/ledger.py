"""The books of one run: every frame's verdict counted, every judged frame remembered, and the summary they add up to.

Not for: making verdicts (pipeline.py). Memory is a few dozen bytes a frame, never pixels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from cathrt.runtime.alert import KeyframeFinding, Outcome, Percentiles, RunSummary, StageTimes, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import PolicyConfig
from cathrt.runtime.errors import JournalError
from cathrt.runtime.frame import Run
from cathrt.runtime.identity import record_id
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import Scored, laterality_mismatch, rank_key_frames, vote_laterality
from cathrt.runtime.models.keyframe.section import section_of


class Ledger:
    """Counts verdicts and remembers what the summary needs."""

    def __init__(self, run: Run, model: KeyframeModel) -> None:
        self._run = run
        self._model = model
        self._counts: Counter[Outcome] = Counter()
        self._scored: list[Scored] = []
        self._votes: list[tuple[float, float]] = []
        self._engines: dict[str, None] = {}  # in the order in which they judged
        self._latencies: dict[str, list[float]] = {stage.name: [] for stage in fields(StageTimes)}

    @property
    def frames(self) -> int:
        """Verdicts so far."""
        return self._counts.total()

    @property
    def last_scored(self) -> Scored | None:
        """The newest judged frame."""
        return self._scored[-1] if self._scored else None

    def enter(self, verdict: Verdict[KeyframeFinding], due_ns: int | None) -> Scored | None:
        """Book one verdict; returns the frame as the policy sees it if it was judged. due_ns: as Scored has it."""
        self._counts[verdict.outcome] += 1
        if verdict.finding is None or verdict.engine is None:
            return None
        self._engines[verdict.engine] = None
        for stage, values in self._latencies.items():
            values.append(getattr(verdict.latency_ms, stage))
        scored = Scored(
            index=verdict.frame_index,
            due_ms=self._run.timing.due_ms(verdict.frame_index),
            key_frame_score=verdict.finding.key_frame_score,
            laterality=verdict.finding.laterality,
            verdict_id=verdict.id,
            engine=verdict.engine,
            due_ns=due_ns,
        )
        self._scored.append(scored)
        if scored.laterality != "unknown":
            self._votes.append((self._model.left_score(verdict.finding), self._model.visibility(verdict.finding)))
        return scored

    def summary(self, pass_id: str, bundle: Bundle, engine: str, config: PolicyConfig) -> RunSummary:
        """Close the books. engine: for a run of which no frame was judged.

        Raises JournalError if they do not balance: that is a bug of ours and must not pass.
        """
        run = self._run
        if run.frame_count is not None and self.frames != run.frame_count:
            raise JournalError(f"{run.source}: {self.frames} verdicts for {run.frame_count} frames: report this bug")
        laterality, laterality_score = vote_laterality(self._votes, config)
        ranked = rank_key_frames(self._scored, section_of(bundle.manifest).key_frame_threshold, config)
        primary = run.geometry.positioner_primary_angle_deg
        secondary = run.geometry.positioner_secondary_angle_deg
        return RunSummary(
            id=record_id(pass_id, "run", ""),
            pass_id=pass_id,
            run_id=run.run_id,
            source=run.source,
            frames=self.frames,
            verdicts={outcome.value: self._counts[outcome] for outcome in Outcome},
            laterality=laterality,
            laterality_score=laterality_score,
            key_frames=tuple(frame.index for frame in ranked),
            key_frame_scores=tuple(frame.key_frame_score for frame in ranked),
            positioner_primary_angle_deg=primary,
            positioner_secondary_angle_deg=secondary,
            laterality_mismatch=laterality_mismatch(laterality, primary, secondary),
            latency_ms={stage: Percentiles.over(values) for stage, values in self._latencies.items() if values},
            frame_rate_hz=run.timing.frame_rate_hz,
            frame_rate_origin=run.timing.origin,
            flags=run.flags,
            bundle=bundle.manifest.name,
            manifest_sha256=bundle.manifest_sha256,
            engine=", ".join(self._engines) or engine,
        )

"""Counts the verdicts of one run, keeps the times of judged frames, and makes the run's summary.

Not for: making verdicts (judge.py), or what a run amounts to for a model (models/). A few dozen bytes a frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from cathrt.runtime.alert import JUDGED, NOTICE, Outcome, Percentiles, RunResult, RunSummary, StageTimes, Verdict
from cathrt.runtime.errors import JournalError
from cathrt.runtime.frame import Run
from cathrt.runtime.identity import record_id


class Ledger:
    """Counts verdicts and remembers what the summary needs."""

    def __init__(self) -> None:
        self._counts: Counter[Outcome] = Counter()
        self._engines: dict[str, dict[str, None]] = {}  # by kind of model, in the order in which they computed
        self._latencies: dict[str, list[float]] = {stage.name: [] for stage in fields(StageTimes)}

    @property
    def frames(self) -> int:
        """Verdicts so far."""
        return self._counts.total()

    def enter(self, verdict: Verdict) -> None:
        """Book one verdict."""
        self._counts[verdict.outcome] += 1
        for finding in verdict.findings:
            self._engines.setdefault(finding.kind, {})[finding.engine] = None
        if verdict.outcome in JUDGED:
            for stage, values in self._latencies.items():
                values.append(getattr(verdict.latency_ms, stage))

    def engines(self, kind: str, in_force: str) -> str:
        """Whatever computed the findings of that kind, in turn; `in_force` where there are none."""
        return ", ".join(self._engines.get(kind, ())) or in_force

    def summary(self, pass_id: str, run: Run, results: Sequence[RunResult], *, notice: str = NOTICE) -> RunSummary:
        """Close the books. run: as known at its end.

        Raises JournalError if they do not balance: that is a bug of ours and must not pass.
        """
        if run.frame_count is not None and self.frames != run.frame_count:
            raise JournalError(f"{run.source}: {self.frames} verdicts for {run.frame_count} frames: report this bug")
        return RunSummary(
            id=record_id(pass_id, "run", ""),
            pass_id=pass_id,
            run_id=run.run_id,
            source=run.source,
            frames=self.frames,
            verdicts={outcome.value: self._counts[outcome] for outcome in Outcome},
            positioner_primary_angle_deg=run.geometry.positioner_primary_angle_deg,
            positioner_secondary_angle_deg=run.geometry.positioner_secondary_angle_deg,
            latency_ms={stage: Percentiles.over(values) for stage, values in self._latencies.items() if values},
            frame_rate_hz=run.timing.frame_rate_hz,
            frame_rate_origin=run.timing.origin,
            flags=run.flags,
            results=tuple(results),
            notice=notice,
        )

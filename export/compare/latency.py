"""How long each side took for a frame, stage by stage, over the frames that it judged. Not for: a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cathrt.export.compare.pairs import Answers, RunPair
from cathrt.runtime.alert import Percentiles

STAGES = ("preprocess", "infer")


@dataclass(frozen=True, slots=True)
class StageLatency:
    """One stage on both sides. frames_a, frames_b: judged. a, b: None without any.

    b_over_a: B's median time divided by A's, of each run; the median over the runs. What slows the machine for longer
    than a run cancels out of it.
    """

    stage: str
    frames_a: int
    frames_b: int
    a: Percentiles | None
    b: Percentiles | None
    b_over_a: float | None


def latencies(pairs: Sequence[RunPair]) -> tuple[StageLatency, ...]:
    """Of each of STAGES."""
    return tuple(_of_stage(pairs, stage) for stage in STAGES)


def _of_stage(pairs: Sequence[RunPair], stage: str) -> StageLatency:
    by_run = [(_times(pair.a, stage), _times(pair.b, stage)) for pair in pairs]
    ratios = [float(np.median(b) / np.median(a)) for a, b in by_run if a and b]
    all_a, all_b = ([took for both in by_run for took in both[side]] for side in (0, 1))
    return StageLatency(
        stage,
        len(all_a),
        len(all_b),
        Percentiles.over(all_a) if all_a else None,
        Percentiles.over(all_b) if all_b else None,
        float(np.median(ratios)) if ratios else None,
    )


def _times(answers: Answers, stage: str) -> list[float]:
    return [getattr(verdict.latency_ms, stage) for verdict in answers.verdicts if verdict.findings]

"""Which runs of a study count, in which order, and why the others do not: the rule of [policy.study].

Not for: what a model finds in them (reader.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cathrt.runtime.alert import RunRead, WhyRun
from cathrt.runtime.model_kind import RunFacts
from cathrt.runtime.models.study.policy import StudyPolicy


def chosen_runs(runs: Sequence[RunFacts], policy: StudyPolicy, most: int) -> tuple[RunRead, ...]:
    """Those that count, in their order; then those that come after as many as count; then the others, as they came.

    most: clips that the bundle takes.
    """
    most = min(most, policy.most_runs) if policy.most_runs else most
    inside = sorted((run for run in runs if why_not(run, policy) is None), key=lambda run: _place(run, policy))
    counting = [
        RunRead(run_id=run.run_id, pass_id=run.pass_id, place=place, why="counts")
        for place, run in enumerate(inside[:most], 1)
    ]
    beyond = [RunRead(run_id=run.run_id, pass_id=run.pass_id, place=None, why="beyond") for run in inside[most:]]
    outside = [
        RunRead(run_id=run.run_id, pass_id=run.pass_id, place=None, why=why)
        for run in sorted(runs, key=lambda run: run.arrival)
        if (why := why_not(run, policy)) is not None
    ]
    return (*counting, *beyond, *outside)


def why_not(run: RunFacts, policy: StudyPolicy) -> WhyRun | None:
    """Why a run does not count, whatever other runs there are; None where it may."""
    if run.modality not in policy.modalities:
        return "modality"
    if run.radiation_setting == "SC" and not policy.fluoroscopy:
        return "fluoroscopy"
    if run.frames < policy.min_frames:
        return "still"
    if run.side is None and policy.known_side:
        return "no_side"
    return None


def _place(run: RunFacts, policy: StudyPolicy) -> tuple[float, float, int]:
    """What has no time stands behind what has one, as in the published pipeline."""
    if policy.order == "arrival":
        return 0.0, 0.0, run.arrival
    series_s, acquisition_s = run.taken_at.series_s, run.taken_at.acquisition_s
    return (
        math.inf if series_s is None else series_s,
        math.inf if acquisition_s is None else acquisition_s,
        run.arrival,
    )

"""How good chosen key frames are: hits, regret and silence of every method over the same runs, group by group.

docs/status.md defines every measure. Not for: choosing frames (keyframe_baselines.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures import Figures
from benchmarks.keyframe_baselines import Choices
from cathrt.export.models.keyframe.demo.evaluate import BEST_SHARE, HIT_FRAMES, NOTHING_TO_READ
from cathrt.runtime.frame import Geometry
from cathrt.runtime.phantom import FrameLabel

WITHIN_FRAMES = (1, 2, 3, 5)
HALF_A_BEAT_MS = 400.0  # at 75 beats a minute
STRAIGHT_DEG = 10.0  # up to here a view is AP, or neither cranial nor caudal

METHODS = (
    "ours", "ours3", "frangi", "frangi3", "vesselness", "vesselness3", "least_mean", "least_mean3", "half", "share_06",
    "p_better", "p_better3", "darkening", "darkening3",
)  # fmt: skip
GROUP_METHODS = ("ours", "ours3", "frangi", "frangi3", "vesselness", "darkening")  # of views and hardships
EVERY_METHOD_IN = ("all", "natural", "hardship")


@dataclass(frozen=True, slots=True)
class KeyframeTruth:
    """What is known of one run. best: frames that a reader would keep, () where that is not known.

    filled: frames in which the artery is filled, () where there is none or that is not known.
    readability: of each frame, or () where it is not known.
    """

    best: frozenset[int]
    filled: frozenset[int]
    readability: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenRun:
    """One run with something to find. due_ms: of each frame. groups: what it is counted under."""

    truth: KeyframeTruth
    choices: Choices
    due_ms: tuple[float, ...]
    groups: tuple[str, ...]


def phantom_truth(labels: Sequence[FrameLabel]) -> KeyframeTruth | None:
    """The truth of a phantom run; None where it has nothing to find."""
    readability = tuple(label.readability for label in labels)
    most = max(readability)
    if most < NOTHING_TO_READ:
        return None
    return KeyframeTruth(
        best=frozenset(index for index, value in enumerate(readability) if value >= BEST_SHARE * most),
        filled=frozenset(index for index, label in enumerate(labels) if label.contrast_phase == "full"),
        readability=readability,
    )


def view_of(geometry: Geometry) -> str:
    """The group of a view by its positioner angles, "LAO caudal"; "unknown view" where the run tells none."""
    primary, secondary = geometry.positioner_primary_angle_deg, geometry.positioner_secondary_angle_deg
    if primary is None or secondary is None:
        return "unknown view"
    across = "LAO" if primary > STRAIGHT_DEG else "RAO" if primary < -STRAIGHT_DEG else "AP"
    along = "cranial" if secondary > STRAIGHT_DEG else "caudal" if secondary < -STRAIGHT_DEG else "straight"
    return f"{across} {along}"


def hit(run: ChosenRun, method: str, within: int) -> bool:
    """Whether any frame that the method keeps lies within so many frames of a best one."""
    return any(abs(frame - best) <= within for frame in run.choices[method] for best in run.truth.best)


def in_beat(run: ChosenRun, method: str) -> bool:
    """Whether any frame that it keeps lies within half a beat of a best one."""
    due = run.due_ms
    return any(
        abs(due[frame] - due[best]) <= HALF_A_BEAT_MS + 1e-6 for frame in run.choices[method] for best in run.truth.best
    )


def regret(run: ChosenRun, method: str) -> float:
    """1 - R(kept) / greatest R of the run, R being readability, of the best frame that the method keeps; 1 for none."""
    readability = run.truth.readability
    return 1.0 - max((readability[frame] for frame in run.choices[method]), default=0.0) / max(readability)


def measures(runs: Sequence[ChosenRun], method: str) -> dict[str, float]:
    """Every measure of a method over runs, those left out that the truth of no run allows; for a row."""
    with_best = [run for run in runs if run.truth.best]
    filled = [run for run in runs if run.truth.filled]
    readable = [run for run in runs if run.truth.readability]
    found: dict[str, Sequence[float]] = {
        f"hit{within}": [hit(run, method, within) for run in with_best] for within in WITHIN_FRAMES
    }
    found["in_beat"] = [in_beat(run, method) for run in with_best]
    found["inside"] = [not run.truth.filled.isdisjoint(run.choices[method]) for run in filled]
    found["regret"] = [regret(run, method) for run in readable]
    found["without"] = [not run.choices[method] for run in runs]
    return {name: round(float(np.mean(values)), 4) for name, values in found.items() if values}


def keyframe_rows(runs: Sequence[ChosenRun], of: str) -> list[dict[str, Any]]:
    """One row per group and method. of: "phantom" or "real"."""
    groups = list(dict.fromkeys(group for run in runs for group in run.groups))
    rows = []
    for group in sorted(groups, key=lambda name: (EVERY_METHOD_IN.index(name) if name in EVERY_METHOD_IN else 9, name)):
        of_group = [run for run in runs if group in run.groups]
        for method in METHODS if group in EVERY_METHOD_IN else GROUP_METHODS:
            row: dict[str, Any] = {"bench": "accuracy", "case": f"{of} key frames", "impl": method}
            rows.append(row | {"group": group, "n": len(of_group)} | measures(of_group, method))
    return rows


def headline(runs: Sequence[ChosenRun], figures: Figures) -> None:
    """The phantom's headline figures, over all runs with something to find; of no run there is none."""
    if not runs:
        return
    figures.rate("phantom_keyframe_hit3", [hit(run, "ours", HIT_FRAMES) for run in runs])
    figures.rate("phantom_frangi_hit3", [hit(run, "frangi", HIT_FRAMES) for run in runs])
    figures.rate("phantom_frangi3_hit3", [hit(run, "frangi3", HIT_FRAMES) for run in runs])
    figures.rate("phantom_vesselness_hit3", [hit(run, "vesselness", HIT_FRAMES) for run in runs])
    figures.rate("phantom_darkening_hit3", [hit(run, "darkening", HIT_FRAMES) for run in runs])
    figures.mean("phantom_regret", [regret(run, "ours") for run in runs])
    figures.rate("phantom_runs_without", [not run.choices["ours"] for run in runs])

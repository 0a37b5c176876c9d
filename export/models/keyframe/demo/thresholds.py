"""Temperature and thresholds, set on whole validation runs: each by a rule of its own, none by a real angiogram.

Not for: counting how good they turn out (evaluate.py). N frames; rows (N, 6 + 1 + 1 + reasons), see evaluate.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cathrt.export.models.keyframe.demo.dataset import LABELS, PhantomFrames, rate_of
from cathrt.export.models.keyframe.demo.evaluate import (
    POOR_BELOW,
    Rows,
    findings_of,
    judged_run,
    semantics,
    share_of,
    softmax,
    truth,
)
from cathrt.export.models.keyframe.demo.network import ROWS, kept_rows
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import KeyframeSection

GRID = (*(round(0.02 * step, 2) for step in range(1, 50)), 0.99, 0.995)
NAMED_WHEN_EMPTY = 0.1
LATERALITY_PRECISION = 0.98
NAMED_RUNS, FALSE_KEY_FRAME_RUNS = 0.01, 0.01
REFUSED_FRAMES = 0.003
DOMAIN_GRID = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)

DOMAIN_ROWS = slice(len(LABELS) + 1, None)

Runs = Sequence[tuple[PhantomFrames, Rows]]


def calibrated(
    averaged: Mapping[str, Tensor], arch: str, runs: Sequence[PhantomFrames], policy: KeyframePolicyConfig, folder: Path
) -> tuple[dict[str, Tensor], KeyframeSection, float]:
    """The weights that ship (temperature folded into the rows of the classes, then rounded to half floats), and their
    thresholds. folder: where the network's rows are kept."""
    state = {key: value.half().float() for key, value in averaged.items()}
    rows = kept_rows(state, arch, runs, folder)
    classes = slice(None, ROWS.classes)
    temperature = fit_temperature(
        np.concatenate([found[:, classes] for found in rows]), np.concatenate([run.targets for run in runs])
    )
    for found in rows:
        found[:, classes] /= temperature
    for key in ("head.fc.weight", "head.fc.bias"):
        state[key][classes] = (averaged[key][classes] / temperature).half().float()
    return state, choose_thresholds(list(zip(runs, rows, strict=True)), policy), temperature


def fit_temperature(logits: Rows, targets: NDArray[np.float32]) -> float:
    """The divisor of the logits, 0.3 to 3, that makes the targets likeliest (Guo et al. 2017)."""
    candidates = np.geomspace(0.3, 3.0, 231)
    return float(candidates[np.argmin([_cross_entropy(logits / divisor, targets) for divisor in candidates])])


def choose_thresholds(runs: Runs, policy: KeyframePolicyConfig) -> KeyframeSection:
    """Thresholds from whole runs, each in its turn.

    visible: the lowest that at most NAMED_WHEN_EMPTY of the frames without an opacified artery reach; a side too many
    before contrast costs a run's vote little, since votes weigh by visibility. laterality: the lowest from 0.5 at which
    LATERALITY_PRECISION of the named sides are right. domain: the highest of DOMAIN_GRID under which at most
    REFUSED_FRAMES of the frames of coronary runs fall; what shows no artery may look like no angiogram. key frame: what
    is not poor, POOR_BELOW. run_evidence, which keeps quiet: the lowest at which at most NAMED_RUNS of the runs without
    coronaries get a side, and at most FALSE_KEY_FRAME_RUNS a key frame, announced or ranked.
    """
    rows = np.concatenate([found for _, found in runs])
    scores = softmax(rows[:, : len(LABELS)])
    side, quality = truth(np.concatenate([frames.targets for frames, _ in runs]))
    opacified = (quality != "others") & (side != "none")
    visible_score = scores[:, [label.quality != "others" for label in LABELS]].sum(axis=1)
    visible = next((t for t in GRID if share_of(visible_score[~opacified] >= t) <= NAMED_WHEN_EMPTY), GRID[-1])

    left = scores[:, [label.laterality == "left" for label in LABELS]].sum(axis=1)
    named = opacified & (visible_score >= visible)
    right_side = np.where(left >= 0.5, "left", "right") == side
    side_score = np.maximum(left, 1.0 - left)
    sides = [t for t in GRID if t >= 0.5 and share_of(right_side[named & (side_score >= t)]) >= LATERALITY_PRECISION]

    angiogram = softmax(np.concatenate([found for frames, found in runs if frames.coronary.any()])[:, DOMAIN_ROWS])[
        :, 0
    ]
    domain = next((t for t in DOMAIN_GRID if share_of(angiogram < t) <= REFUSED_FRAMES), DOMAIN_GRID[-1])
    meaning = semantics(sides[0] if sides else GRID[-1], visible, POOR_BELOW, GRID[-1], domain)
    # The threshold that is still to be set changes nothing that is found on a frame.
    others = [(findings_of(found, meaning), rate_of(frames)) for frames, found in runs if not frames.coronary.any()]

    def quiet(tried: KeyframeSection) -> bool:
        judged = [judged_run(found, rate, tried, policy) for found, rate in others]
        named = share_of([run.side != "unknown" for run in judged])
        false_key_frames = share_of([bool(run.announced or run.ranked) for run in judged])
        return named <= NAMED_RUNS and false_key_frames <= FALSE_KEY_FRAME_RUNS

    return next((tried for t in GRID if quiet(tried := replace(meaning, run_evidence=t))), meaning)


def _cross_entropy(logits: Rows, targets: NDArray[np.float32]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(targets * log_scores).sum(axis=1).mean())

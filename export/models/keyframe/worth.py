"""What a keyframe network is worth: the sides and key frames of whole runs beside the commonest answer and a lottery.

The answers are the reference's, read as the runtime reads them: the network's own, before any engine rounds them and
without the vessel filter that ranks beside it. Not for: whether an engine gives the same answers (comparison.py), or
the accuracy of the finished line (benchmarks.accuracy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cathrt.export.models.keyframe.comparison import RunLogits, run_findings
from cathrt.export.models.keyframe.demo.evaluate import HIT_FRAMES
from cathrt.export.models.keyframe.key_frames import first_ranked, judged
from cathrt.export.models.keyframe.scores import SIDES
from cathrt.export.models.keyframe.truth import Side
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.worth import Worth, WorthFigure
from cathrt.runtime.frame import Geometry
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.records import Laterality
from cathrt.runtime.models.keyframe.section import KeyframeSection
from cathrt.runtime.models.keyframe.side import run_side

LATERALITY, KEY_FRAME = "laterality", "key frame"
GENERATED, GIVEN = "generated runs", "given runs"


@dataclass(frozen=True, slots=True)
class _Judged:
    """A run of at least one frame. true, found: its side, None where not known. near: whether each frame lies near one
    worth keeping, () where there is none or that is not known. hit: whether the first-ranked key frame does."""

    generated: bool
    true: Side | None
    found: Laterality
    near: tuple[bool, ...]
    hit: bool


def worth_of(runs: Sequence[RunLogits], section: KeyframeSection, policy: KeyframePolicyConfig) -> Worth:
    """Of the generated runs, and of the given ones where there are any. Nothing says which frames of given runs are
    worth keeping."""
    found = [_judged(run, section, policy) for run in runs if len(run.frames)]
    generated, given = ([run for run in found if run.generated is drawn] for drawn in (True, False))
    figures = (_laterality(generated, GENERATED), _key_frame(generated, GENERATED))
    return Worth((*figures, _laterality(given, GIVEN)) if given else figures)


def _laterality(runs: Sequence[_Judged], on: str) -> WorthFigure:
    """Of the runs that show one known coronary. An unknown side is wrong."""
    known = [run for run in runs if run.true is not None]
    right = Share(sum(run.found == run.true for run in known), len(known)) if known else None
    commonest = max(sum(run.true == side for run in known) for side in SIDES) / len(known) if known else 0.5
    return WorthFigure(LATERALITY, on, right, commonest, "the commonest side")


def _key_frame(runs: Sequence[_Judged], on: str) -> WorthFigure:
    """Of the runs with frames worth keeping: the first-ranked key frame lies near one of them. None is wrong."""
    known = [run for run in runs if run.near]
    right = Share(sum(run.hit for run in known), len(known)) if known else None
    chance = float(np.mean([np.mean(run.near) for run in known])) if known else 0.0
    return WorthFigure(KEY_FRAME, on, right, chance, "a frame at random")


def _judged(run: RunLogits, section: KeyframeSection, policy: KeyframePolicyConfig) -> _Judged:
    model = KeyframeModel(section)
    findings = run_findings(0, run, model, section.output)
    frames = judged(findings, findings.reference)
    sides = {side for side in run.sides if side is not None}
    near = tuple(_near(int(frame), run.wanted) for frame in run.frames) if run.wanted else ()
    chosen = first_ranked(frames, section, policy)
    return _Judged(
        generated=run.generated,
        true=sides.pop() if len(sides) == 1 else None,
        found=run_side(frames, model, section, policy, Geometry()).laterality,
        near=near,
        hit=chosen is not None and _near(chosen, run.wanted),
    )


def _near(frame: int, wanted: frozenset[int] | None) -> bool:
    return wanted is not None and any(abs(frame - one) <= HIT_FRAMES for one in wanted)

"""What is confirmed of a study before anything is written.

Numbers, sides and identities of ours alone: nothing that a file or its sender calls itself or the patient. Not for:
which pictures a model is shown, and the words of a prompt (prompt.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from cathrt.runtime.alert import StudyFinding
from cathrt.runtime.model_kind import StudyRun
from cathrt.runtime.models.report.confirmed import facts_from_readings
from cathrt.runtime.models.report.facts import Findings, KeyFrame, Side

_SIDES: tuple[Side, ...] = ("left", "right")


def findings_from_runs(runs: Sequence[StudyRun], readings: Sequence[Sequence[StudyFinding]] = ()) -> Findings:
    """Key frames of all runs, best first, the sides that any run shows, and what models that read the study found.

    The first one of each run comes before all second ones: a run's order rests on more than the scores (ranking.py).
    """
    ranked = sorted(
        (rank, -score, number, KeyFrame(number, run.run_id, run.pass_id, frame, run.side, score))
        for number, run in enumerate(runs, 1)
        for rank, (frame, score) in enumerate(zip(run.key_frames, run.scores, strict=True))
    )
    sides = tuple(side for side in _SIDES if any(run.side == side for run in runs))
    known = facts_from_readings(readings, sides)
    return Findings(len(runs), tuple(key_frame for _, _, _, key_frame in ranked), known)


def findings_sha256(findings: Findings) -> str:
    """Their identity: the same findings have the same one, on every machine."""
    document = json.dumps(asdict(findings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(document.encode()).hexdigest()

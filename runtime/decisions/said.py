"""What a model has said of the thing that a person decides about, and whether the decision fits it.

Not for: who may decide, and whether it was replaced meanwhile (desk.py).
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from cathrt.runtime.alert import Correction, ModelSaid, RunResult, RunSummary, StudyFinding, Thing
from cathrt.runtime.decisions.confirmed import StudyNow, side_score, side_told, told_result
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.journal.lookups import verdict_of


class UnfitError(CathrtError):
    """A decision does not fit what it is about."""


def model_said(journal: Path, now: StudyNow, thing: Thing, correction: Correction | None) -> ModelSaid | None:
    """What the model had said; None of the results of a study. Raises UnfitError, JournalError.

    journal: study.journal, for scores of frames that are not key frames.
    """
    if thing.kind == "results":
        return None
    if thing.kind == "finding":
        return _of_finding(now, thing, correction)
    run = now.run(thing.run_id)
    result = None if run is None else told_result(run)
    if run is None or result is None:
        raise UnfitError("found no such run with a result in this study, expected one of its runs: load it again")
    said = ModelSaid(
        bundle=result.bundle,
        manifest_sha256=result.manifest_sha256,
        engine=result.engine,
        side=side_told(result),
        score=side_score(result),
    )
    return said if thing.kind == "side" else _of_frame(journal, run, result, thing, correction, said)


def _of_frame(
    journal: Path, run: RunSummary, result: RunResult, thing: Thing, correction: Correction | None, said: ModelSaid
) -> ModelSaid:
    assert thing.frame_index is not None
    marked, instead = thing.frame_index in result.marked_frames, None
    added = correction is not None and correction.added is not None
    if added and marked:
        raise UnfitError(f"frame {thing.frame_index} is a key frame of the model already: accept it")
    if correction is not None and correction.frame_index is not None:
        if correction.frame_index in (thing.frame_index, *result.marked_frames):
            raise UnfitError(f"frame {correction.frame_index} is a key frame already, expected another one of the run")
        instead = _score_of(journal, run, result, correction.frame_index)
    score = _score_of(journal, run, result, thing.frame_index)
    return replace(said, marked=marked, score=score, score_instead=instead)


def _score_of(journal: Path, run: RunSummary, result: RunResult, frame_index: int) -> float:
    """What the model gave one frame."""
    if frame_index in result.marked_frames:
        return result.marked_scores[result.marked_frames.index(frame_index)]
    if frame_index >= run.frames:
        raise UnfitError(f"found frame {frame_index}, expected one of the run's {run.frames}, counted from 0")
    row = verdict_of(journal, run.pass_id, frame_index)
    findings = [] if row is None else json.loads(row.body)["findings"]
    scores = [float(one["score"]) for one in findings if one["kind"] == result.kind]
    if not scores:
        why = "it was dropped, failed, or is the same as the one before it"
        raise UnfitError(f"frame {frame_index} has no score of the model ({why}): take another one")
    return scores[0]


def _of_finding(now: StudyNow, thing: Thing, correction: Correction | None) -> ModelSaid:
    reading = now.reading(thing.bundle)
    found = None if reading is None else finding_named(reading.reading.findings, thing.finding)
    if reading is None or found is None:
        raise UnfitError("found no such finding in this study, expected one that its readings have: load it again")
    expected = {"amount": "value", "probability": "positive", "category": "label"}[found.form]
    if correction is not None and getattr(correction, expected) is None:
        raise UnfitError(f"correction: expected `{expected}` for a finding that is a {found.form}")
    if correction is not None and correction.value is not None and not math.isfinite(correction.value):
        raise UnfitError(f"correction.value: found {correction.value}, expected a number")
    by = reading.reading
    label = found.label or None
    return ModelSaid(by.bundle, by.manifest_sha256, by.engine, value=found.value, positive=found.positive, label=label)


def finding_named(findings: tuple[StudyFinding, ...], name: str | None) -> StudyFinding | None:
    """The finding of that name."""
    return next((one for one in findings if one.name == name), None)

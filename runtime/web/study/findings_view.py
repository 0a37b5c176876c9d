"""The findings table for the page: what models found in each run, and what they read in the study as a whole, each with
what a person says of it.

Not for: drafts (draft_view.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cathrt.runtime.alert import RunResult, RunSummary, StudyFinding, StudyFindings, Thing
from cathrt.runtime.decisions.confirmed import side_score, side_told, told_result
from cathrt.runtime.objects.reviewed import corrected_finding
from cathrt.runtime.web.study.decided_view import StudyDecided

_MOST_FRAMES = 3  # of the runs that counted most in a reading


def run_view(study: StudyDecided, run: RunSummary, number: int, received_at: str | None) -> dict[str, Any]:
    """One run. Of a run without any model's result there is nothing to decide about."""
    result = told_result(run)
    end = study.now.end
    return {
        "number": number,
        "run_id": run.run_id,
        "record_id": run.id,
        "sop_instance_uid": run.source if study.now.study_instance_uid is not None else None,
        "in_revision": end is not None and run.run_id in end.run_ids,
        "frames": run.frames,
        "frame_rate_hz": run.frame_rate_hz,
        "received_at": received_at,
        "primary_deg": run.positioner_primary_angle_deg,
        "secondary_deg": run.positioner_secondary_angle_deg,
        "flags": run.flags,
        "verdicts": run.verdicts,
        "notice": run.notice,
        **({} if result is None else _told(result)),
        "side": None if result is None else _side(study, run, result),
        "key_frames": [] if result is None else list(_key_frames(study, run, result)),
        "add": {"shown": [run.id]},
    }


def _told(result: RunResult) -> dict[str, Any]:
    return {
        "text": result.text,
        "text_ja": result.text_ja,
        "bundle": result.bundle,
        "manifest_sha256": result.manifest_sha256,
        "engine": result.engine,
    }


def _side(study: StudyDecided, run: RunSummary, result: RunResult) -> dict[str, Any]:
    thing = Thing("side", run_id=run.run_id)
    model, counting = side_told(result), study.counting(thing)
    now: str | None = model
    if counting is not None and counting.what == "rejected":
        now = "unknown"
    elif counting is not None and counting.correction is not None:
        now = counting.correction.side
    return {**study.of_thing(thing), "model": model, "score": side_score(result), "now": now}


def _key_frames(study: StudyDecided, run: RunSummary, result: RunResult) -> Iterator[dict[str, Any]]:
    """Those of the model, best first, then frames that people have added."""
    for rank, (frame, given) in enumerate(zip(result.marked_frames, result.marked_scores, strict=True), 1):
        yield {**_key_frame(study, run, frame), "rank": rank, "score": given, "by": "model"}
    things = {one.thing: one for one in study.decided.all_standing() if one.thing.run_id == run.run_id}
    for thing, decision in things.items():
        if thing.kind == "key_frame" and thing.frame_index not in result.marked_frames:
            assert thing.frame_index is not None
            score = None if decision.said is None else decision.said.score
            yield {**_key_frame(study, run, thing.frame_index), "rank": None, "score": score, "by": "person"}


def _key_frame(study: StudyDecided, run: RunSummary, frame: int) -> dict[str, Any]:
    thing = Thing("key_frame", run_id=run.run_id, frame_index=frame)
    told, counting = study.of_thing(thing), study.counting(thing)
    now: int | None = frame
    if counting is not None and counting.what == "rejected":
        now = None
    elif counting is not None and counting.correction is not None:
        added = counting.correction.added is not None
        now = frame if added else counting.correction.frame_index
        told["state"] = "added" if added else "corrected"
    return {**told, "frame_index": frame, "now": now}


def finding_rows(study: StudyDecided) -> Iterator[dict[str, Any]]:
    """A row for each answer of each reading."""
    for record in study.now.readings:
        frames = list(_frames_of(study, record))
        for finding in record.reading.findings:
            yield {**_finding(study, record, finding), "frames": frames, "linked_by": "runs that counted most"}


def _finding(study: StudyDecided, record: StudyFindings, finding: StudyFinding) -> dict[str, Any]:
    reading = record.reading
    thing = Thing("finding", bundle=reading.bundle, finding=finding.name)
    counting = study.counting(thing)
    now: StudyFinding | None = finding
    if counting is not None and counting.what == "rejected":
        now = None
    elif counting is not None and counting.correction is not None:
        now = corrected_finding(finding, counting.correction)
    told = ("value", "positive", "label", "label_ja")
    return {
        **study.of_thing(thing),
        **asdict(finding),
        "record_id": record.id,
        "bundle": reading.bundle,
        "manifest_sha256": reading.manifest_sha256,
        "now": None if now is None else {key: getattr(now, key) for key in told},
    }


def _frames_of(study: StudyDecided, record: StudyFindings) -> Iterator[dict[str, Any]]:
    """The best key frame of the runs that counted most."""
    counted = sorted((run for run in record.runs if run.counted), key=lambda run: -(run.counted or 0.0))
    for one in counted[:_MOST_FRAMES]:
        run = study.now.run(one.run_id)
        result = None if run is None else told_result(run)
        if result is not None and result.marked_frames:
            yield {"run_id": one.run_id, "frame_index": result.marked_frames[0]}


def reading_view(record: StudyFindings) -> dict[str, Any]:
    """One reading without its findings."""
    reading = record.reading
    return {
        "record_id": record.id,
        "bundle": reading.bundle,
        "manifest_sha256": reading.manifest_sha256,
        "engine": reading.engine,
        "provisional": record.provisional,
        "withheld": reading.withheld,
        "text": reading.text,
        "text_ja": reading.text_ja,
        "runs": [asdict(run) for run in record.runs],
        "notice": record.notice,
    }

"""One run in full: the score of every frame, how each ended, alerts, and the frames to look at.

Not for: pixels (frame_store.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cathrt.runtime.alert import JUDGED, Outcome, StoredRecord
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.web.journals.dates import Dates, since_this_boot
from cathrt.runtime.web.journals.rows import SEARCHED_ROWS, JournalRows, rows_of
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.runs.listing import Listed, run_document

MOST_FRAMES = 20_000  # of one answer
_MOST_ALERTS = 1000
_MOST_REASONS = 500
_LOOKS = 3  # times SEARCHED_ROWS, newest first: a day of one source
LETTER = {"MET": "M", "LATE": "L", "DROPPED": "D", "FAILED": "F", "DUPLICATE": "U"}
_NONE = "."


def detailed(context: PageContext, run_id: str, pass_id: str, journals: Sequence[str]) -> Listed | None:
    """A judging of a run: that pass, or the newest where pass_id is "", in the first of these journals that has one.

    None: none has; a run that is older than the newest rows is found by its pass alone. Waits for files. Raises
    JournalError, StoreError.
    """
    found: Listed | None = None
    passes: list[dict[str, str]] = []
    for journal in journals:
        with rows_of(context.box.journals[journal]) as rows:
            if rows is None:
                continue
            starts = _starts(rows, run_id, pass_id)
            for start in starts:
                passes.append({"journal": journal, "pass_id": json.loads(start.body)["pass_id"]})
            if starts and found is None:
                found = _detailed(context, journal, rows, starts[0])
    if found is not None:
        found.document["passes"] = passes
    return found


def located(context: PageContext, run_id: str, pass_id: str) -> Listed | None:
    """As detailed(), without its frames: of a run that was received. None: there is none."""
    for journal in ("study", "live"):
        with rows_of(context.box.journals[journal]) as rows:
            starts = [] if rows is None else _starts(rows, run_id, pass_id)
            if rows is not None and starts:
                return run_document(
                    journal, rows.pass_of(starts[0]), _dates(context, rows), is_newest=False,
                    store=StoreReader(context.box.store),
                )  # fmt: skip
    return None


def _detailed(context: PageContext, journal: str, rows: JournalRows, start: StoredRecord) -> Listed:
    found = rows.pass_of(start)
    pass_id = found.start["pass_id"]
    newest = rows.newest(("pass",), rows.last_seq() + 1, 1)
    is_newest = bool(newest) and newest[0].seq == start.seq
    run = run_document(journal, found, _dates(context, rows), is_newest=is_newest, store=StoreReader(context.box.store))
    verdicts = [json.loads(row.body) for row in rows.of_pass(pass_id, "verdict", MOST_FRAMES + 1)]
    alerts = [as_shown(row, context.now_ns()) for row in rows.of_pass(pass_id, "alert", _MOST_ALERTS)]
    run.document.update(_frames_told(verdicts))
    run.document["alert_records"] = [{"seq": row.seq, "record": json.loads(row.body)} for row in alerts]
    run.document["marked"] = [
        {"kind": result["kind"], "rank": rank, "frame_index": index, "score": score}
        for result in run.document["results"]
        for rank, (index, score) in enumerate(zip(result["marked_frames"], result["marked_scores"], strict=True), 1)
    ]
    return run


def _frames_told(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An entry for each frame, by its index."""
    count = min(max((verdict["frame_index"] + 1 for verdict in verdicts), default=0), MOST_FRAMES)
    kept = [verdict for verdict in verdicts if verdict["frame_index"] < count]
    outcomes, took_ms = [_NONE] * count, [None] * count
    columns: dict[str, dict[str, list[Any]]] = {}
    for verdict in kept:
        index = verdict["frame_index"]
        outcomes[index] = LETTER[verdict["outcome"]]
        took_ms[index] = verdict["latency_ms"]["end_to_end"]
        for finding in verdict["findings"]:
            of_kind = columns.setdefault(finding["kind"], {})
            for name, value in finding.items():
                if name != "kind" and not isinstance(value, list | dict):
                    of_kind.setdefault(name, [None] * count)[index] = value
    not_judged = [verdict for verdict in kept if Outcome(verdict["outcome"]) not in (*JUDGED, Outcome.DUPLICATE)]
    return {
        "first_frame": 0,
        "outcomes": "".join(outcomes),
        "end_to_end_ms": took_ms,
        "models": [{"kind": kind, "columns": of_kind} for kind, of_kind in columns.items()],
        "not_judged": [
            {"frame_index": one["frame_index"], "outcome": one["outcome"], "reason": one["reason"]}
            for one in not_judged[:_MOST_REASONS]
        ],
        "truncated": len(kept) < len(verdicts) or len(not_judged) > _MOST_REASONS,
    }


def _starts(rows: JournalRows, run_id: str, pass_id: str) -> list[StoredRecord]:
    """The start of that pass, if it is of the run; without one those of the run among the newest rows, newest first."""
    if pass_id:
        start = rows.start_of(pass_id)
        return [start] if start is not None and json.loads(start.body)["run_id"] == run_id else []
    before = rows.last_seq() + 1
    for _ in range(_LOOKS):
        if found := rows.starts_of(run_id, before):
            return found
        before -= SEARCHED_ROWS
        if before <= 1:
            break
    return []


def _dates(context: PageContext, rows: JournalRows) -> Dates:
    since = since_this_boot(rows, context.now_ns(), context.wall_s())
    return Dates(rows, since, context.now_ns, context.wall_s)

"""What GET /api/live answers: every live source with what judges it, what it last showed and what was said of it.

Made of health, reports, rings and the journal, so that it is the same after any restart. Not for: health itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.journal.lateness import as_shown
from cathrt.runtime.pictures.layout import About
from cathrt.runtime.web.journals.dates import Dates, iso, since_this_boot
from cathrt.runtime.web.journals.rows import rows_of
from cathrt.runtime.web.live.source_names import source_of_run
from cathrt.runtime.web.part.context import PageContext

MOST_ALERTS = 24  # of each source
_WITHIN_ROWS = 50_000  # newest, in which alerts and runs are looked for: an hour of one source
_MOST_RECORDS = 4000
_NEAR_ROWS = 1000  # before an alert, in which its verdict is


@dataclass(slots=True)
class Told:
    """What the journal says of one source, the newest of each. run: a pass and its summary, if it has one."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] | None = None


def told_of(context: PageContext, journal: Path) -> dict[str, Told]:
    """By source. Waits for the file. Raises JournalError."""
    names = [source.name for source in context.config.sources]
    found: dict[str, Told] = defaultdict(Told)
    with rows_of(journal) as rows:
        if rows is None:
            return found
        last = rows.last_seq()
        since = since_this_boot(rows, context.now_ns(), context.wall_s())
        dates = Dates(rows, since, context.now_ns, context.wall_s)
        newest = rows.newest(("pass", "alert", "run"), last + 1, _MOST_RECORDS, _WITHIN_ROWS)
        sources = _sources_of(newest, names)
        for record in newest:
            body = json.loads(record.body)
            source = sources.get(body["pass_id"])
            if source is None and body["pass_id"] not in sources:
                source = sources[body["pass_id"]] = source_of_run(rows.source_of_pass(body["pass_id"]) or "", names)
            if source is None:
                continue
            told = found[source]
            if record.type == "alert" and len(told.alerts) < MOST_ALERTS and record.seq > dates.since_seq:
                shown = as_shown(record, context.now_ns())
                told.alerts.insert(0, {"seq": record.seq, "at": _at(record, dates), "record": json.loads(shown.body)})
            elif record.type != "alert" and told.run is None:
                ended = record.type == "run"
                counted = rows.pass_of(record).outcomes if not ended else body["verdicts"]
                told.run = {
                    "run_id": body["run_id"],
                    "pass_id": body["pass_id"],
                    "source": body["source"],
                    "frames": sum(counted.values()),
                    "ended": ended,
                }
    return found


def source_document(
    source: SourceConfig,
    health: Mapping[str, Any],
    engines: Mapping[str, Any],
    about: About | None,
    told: Told,
    now_ns: int,
) -> dict[str, Any]:
    """engines: of this source, by kind of model. about: its newest picture, as far as one was put."""
    own: Mapping[str, Any] = next((one for one in health.get("sources", ()) if one["name"] == source.name), {})
    judging = [
        {"kind": kind, **engine, "since_s": max(0.0, (now_ns - engine["since_ns"]) / 1e9)}
        for kind, engine in engines.items()
    ]
    live_ai = bool(judging) and all(engine["live_ai"] for engine in judging)
    state = _state(source, health, own, live_ai=live_ai)
    text, text_ja = _WORDS[state]
    return {
        "name": source.name,
        "kind": source.kind,
        "rate_hz": source.rate_hz,
        "budget_ms": source.frame_budget_ms,
        "live_ai": live_ai and state != "not_running",
        "state": state,
        "text": text,
        "text_ja": text_ja,
        "picture": None if about is None else _picture(about),
        "picture_age_s": own.get("picture_age_s"),
        "verdict_age_s": own.get("verdict_age_s"),
        "inference_age_s": own.get("inference_age_s"),
        "counts": own.get("counts", {}),
        "engines": judging,
        "run": told.run,
        "alerts": told.alerts,
    }


_WORDS = {
    "not_running": ("The live process does not run: NO LIVE AI", "ライブ処理が動いていません：AI判定なし"),
    "no_ai": ("NO LIVE AI: frames are not judged", "AI判定なし：フレームは判定されていません"),
    "no_signal": ("No signal from this source", "映像信号がありません"),
    "no_picture": ("No picture yet", "まだ映像がありません"),
    "picture": ("Live: every frame is judged", "ライブ：全フレームを判定中"),
}


def _state(source: SourceConfig, health: Mapping[str, Any], own: Mapping[str, Any], *, live_ai: bool) -> str:
    """The worst that holds."""
    live = next((process for process in health.get("processes", ()) if process["name"] == "live"), None)
    if live is None or live["reasons"] or not own:
        return "not_running"
    if not live_ai:
        return "no_ai"
    age_s = own.get("picture_age_s")
    if age_s is None:
        return "no_picture"
    return "no_signal" if age_s > source.no_signal_s else "picture"


def _picture(about: About) -> dict[str, Any]:
    return {
        "number": about.number,
        "rows": about.rows,
        "columns": about.columns,
        "step": about.step,
        "captured_ns": about.captured_ns,
        "primary_deg": about.positioner_primary_angle_deg,
        "secondary_deg": about.positioner_secondary_angle_deg,
    }


def _sources_of(records: Sequence[StoredRecord], names: Sequence[str]) -> dict[str, str | None]:
    """By pass, as far as these records say it."""
    said = (json.loads(record.body) for record in records if record.type != "alert")
    return {body["pass_id"]: source_of_run(body["source"], names) for body in said}


def _at(record: StoredRecord, dates: Dates) -> str | None:
    """About when an alert was stored: its frame's own time stands in the verdict, which is one row away or a few."""
    verdicts = dates.rows.newest(("verdict",), record.seq, 1, _NEAR_ROWS)
    acquired_ns = json.loads(verdicts[0].body).get("acquired_ns") if verdicts else None
    return iso(dates.at(record.seq, acquired_ns))

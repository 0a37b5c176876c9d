"""Runs as the page lists them: of both journals, the newest first.

Not for: one run in full (detail.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import NOTICE, Outcome, RunSummary
from cathrt.runtime.journal.records import body_with, record_from_body
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import MODELS, record_parts
from cathrt.runtime.web.journals.dates import Dates, iso, since_this_boot
from cathrt.runtime.web.journals.rows import SEARCHED_ROWS, JournalRows, Pass, rows_of
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.runs.run_pixels import RunPixels, pixels_of

RESULT_OF = {"live": "live", "study": "confirmed"}  # by journal
OTHER_VERSION = "written_by_another_version"  # instead of cautions
_MOST_OLDER = 1 << 62


@dataclass(frozen=True, slots=True)
class Listed:
    """seq: of its pass's start. at_s: when it began, by the wall clock."""

    journal: str
    seq: int
    at_s: float | None
    document: dict[str, Any]
    pixels: RunPixels


@dataclass(frozen=True, slots=True)
class Page:
    """next: where the next page begins, by journal; None where there are no more runs."""

    runs: Sequence[Listed]
    next: str | None


def listed(context: PageContext, journals: Sequence[str], before: str, most: int) -> Page:
    """The newest runs before a place, of these journals. Waits for files.

    Raises JournalError, StoreError; ValueError for a place that is none.
    """
    places = _places(before, journals)
    found: list[Listed] = []
    ends: dict[str, int] = {}
    for journal in journals:
        runs, ends[journal] = _of_journal(context, journal, places.get(journal, _MOST_OLDER), most)
        found += runs
    found.sort(key=lambda run: (run.at_s or 0.0, run.seq), reverse=True)
    shown = found[:most]
    left = {run.journal: max(one.seq for one in found[most:] if one.journal == run.journal) + 1 for run in found[most:]}
    following = ends | left
    more = {journal: seq for journal, seq in following.items() if seq > 0}
    return Page(shown, ",".join(f"{journal}:{seq}" for journal, seq in more.items()) or None)


def run_document(journal: str, found: Pass, dates: Dates, *, is_newest: bool, store: StoreReader) -> Listed:
    """One run, without its frames. is_newest: whether no later pass has begun. Raises StoreError."""
    start, summary = found.start, found.summary
    at_s = dates.at(found.seq, found.begun_ns)
    pixels = pixels_of(journal, start["source"], store)
    results = [] if summary is None else _results(summary)
    document = {
        "run_id": start["run_id"],
        "pass_id": start["pass_id"],
        "journal": journal,
        "result": RESULT_OF[journal],
        "source": start["source"],
        "attempt": start["attempt"],
        "rate": start["rate"],
        "seq": found.seq,
        "state": "complete" if summary is not None else "judging" if is_newest else "cut_short",
        "began_at": iso(at_s),
        "frames": sum(found.outcomes.values()) if summary is None else summary["frames"],
        "verdicts": {outcome.value: found.outcomes.get(outcome.value, 0) for outcome in Outcome},
        "alerts": found.alerts,
        "results": results,
        "view": None if summary is None else view_of(summary),
        "frame_rate_hz": None if summary is None else summary["frame_rate_hz"],
        "frame_rate_origin": None if summary is None else summary["frame_rate_origin"],
        "flags": [] if summary is None else summary["flags"],
        "latency_ms": {} if summary is None else summary["latency_ms"],
        "models": start["models"],
        "study_uid": pixels.study_uid,
        "pixels": {"stored": pixels.stored, "why": pixels.why, "why_ja": pixels.why_ja},
        "notice": (summary or start).get("notice", NOTICE),
    }
    return Listed(journal, found.seq, at_s, document, pixels)


def view_of(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the C-arm stood, in numbers and as cardiologists say it; None where nothing says so."""
    primary, secondary = summary["positioner_primary_angle_deg"], summary["positioner_secondary_angle_deg"]
    if primary is None and secondary is None:
        return None
    words = []
    if primary is not None:
        words.append(f"{'LAO' if primary >= 0 else 'RAO'} {abs(primary):.0f}°")
    if secondary is not None:
        words.append(f"{'CRA' if secondary >= 0 else 'CAU'} {abs(secondary):.0f}°")
    return {"primary_deg": primary, "secondary_deg": secondary, "text": " ".join(words)}


def _of_journal(context: PageContext, journal: str, before: int, most: int) -> tuple[list[Listed], int]:
    """The newest runs before row `before`, and the row before which older ones are; 0 where there are none."""
    path: Path = context.box.journals[journal]
    store = StoreReader(context.box.store)
    with rows_of(path) as rows:
        if rows is None:
            return [], 0
        last = rows.last_seq()
        before = min(before, last + 1)
        dates = Dates(rows, since_this_boot(rows, context.now_ns(), context.wall_s()), context.now_ns, context.wall_s)
        starts = rows.newest(("pass",), before, most)
        newest_seq = _newest_pass(rows, last)
        seen: set[str] = set()
        found = []
        for start in starts:
            pass_ = rows.pass_of(start)
            if pass_.start["run_id"] not in seen:  # an earlier judging of the same run
                seen.add(pass_.start["run_id"])
                found.append(run_document(journal, pass_, dates, is_newest=start.seq == newest_seq, store=store))
        searched = starts[-1].seq if len(starts) == most else max(1, before - SEARCHED_ROWS)
        return found, searched if searched > rows.first_seq() else 0


def _newest_pass(rows: JournalRows, last: int) -> int | None:
    newest = rows.newest(("pass",), last + 1, 1)
    return newest[0].seq if newest else None


def _results(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As in the record, each with what its model warns of."""
    try:
        record = record_from_body(body_with(b"{}", **summary), record_parts())
    except ValueError:  # of a model that this version does not know: what it warns of is not known either
        return [{**result, "cautions": [OTHER_VERSION]} for result in summary["results"]]
    assert isinstance(record, RunSummary)
    told = []
    for result in record.results:
        row = MODELS[result.kind]
        cautions = row.cautions(result) if row.cautions is not None else ()
        readable = row.tells_readability is not None and row.tells_readability(result)
        told.append({**asdict(result), "cautions": list(cautions), "scores_are_readability": readable})
    return told


def _places(before: str, journals: Sequence[str]) -> dict[str, int]:
    """Raises ValueError."""
    if not before:
        return {}
    found = {}
    for part in before.split(","):
        name, colon, seq = part.partition(":")
        if not colon or not seq.isascii() or not seq.isdecimal() or len(seq) > 18:
            raise ValueError(
                f"found {before[:60]!r} as `before`, expected `next` of the page before: give it unchanged"
            )
        found[name] = int(seq)
    return {name: found.get(name, 0) for name in journals}

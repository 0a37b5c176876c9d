"""The latency strip of one live source: how long each of its newest frames took from capture to verdict.

Read from the journal. Not for: histograms since the start (processes/times_file.py, /metrics of the feed).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.runtime.alert import JUDGED, Outcome
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.web.journals.dates import since_this_boot
from cathrt.runtime.web.journals.rows import rows_of
from cathrt.runtime.web.live.source_names import source_of_run
from cathrt.runtime.web.part.context import PageContext

MOST_POINTS = 20_000
_MOST_HZ = 70  # verdicts of one source, in a second


def latency_of(context: PageContext, journal: Path, source: SourceConfig, seconds: float) -> dict[str, Any]:
    """The frames of the last so many seconds, oldest first. Waits for the file. Raises JournalError."""
    now_ns = context.now_ns()
    points = _points(context, journal, source.name, now_ns, seconds)
    counted = Counter(outcome for _, _, outcome, _ in points)
    judged_ms = [took_ms for _, took_ms, outcome, _ in points if outcome in JUDGED]
    p50_ms, p99_ms = np.percentile(judged_ms, [50.0, 99.0]) if judged_ms else (None, None)
    return {
        "source": source.name,
        "now_ns": now_ns,
        "seconds": seconds,
        "budget_ms": source.frame_budget_ms,
        "points": points,
        "judged": len(judged_ms),
        "late": counted[Outcome.LATE],
        "dropped": counted[Outcome.DROPPED],
        "failed": counted[Outcome.FAILED],
        "p50_ms": None if p50_ms is None else float(p50_ms),
        "p99_ms": None if p99_ms is None else float(p99_ms),
    }


def _points(
    context: PageContext, journal: Path, source: str, now_ns: int, seconds: float
) -> list[tuple[int, float, str, int]]:
    names = [each.name for each in context.config.sources]
    most, after_ns = min(MOST_POINTS, round(seconds * _MOST_HZ * len(names))), now_ns - round(seconds * 1e9)
    with rows_of(journal) as rows:
        if rows is None:
            return []
        sources: dict[str, str | None] = {}
        points = []
        for found in rows.latencies(since_this_boot(rows, now_ns, context.wall_s()), most):
            if found.acquired_ns < after_ns:
                break
            if found.pass_id not in sources:
                sources[found.pass_id] = source_of_run(rows.source_of_pass(found.pass_id) or "", names)
            if sources[found.pass_id] == source and found.outcome != Outcome.DUPLICATE:
                points.append((found.acquired_ns, found.end_to_end_ms, found.outcome, found.frame_index))
    return points[::-1]

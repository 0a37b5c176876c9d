"""Collects what a command shows and makes a page of it at the end; shared by `cathrt demo` and `cathrt replay`.

Pictures are read from the runs once more after all are judged, so that no frame waits for them. Not for: what a page
looks like (sinks/summary_page.py).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cathrt.runtime.alert import Alert, Refusal, RunSummary, StoredRecord, Verdict
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.outside.output_files import output_folder, whole_file
from cathrt.runtime.ports import Opening, Source
from cathrt.runtime.sinks.pictures import PicturePlan, RunPictures, pictures_of, plan_for
from cathrt.runtime.sinks.run_section import JudgedRun
from cathrt.runtime.sinks.summary_page import PageHead, summary_page

_log = logging.getLogger(__name__)


class PageSink:
    """Keeps the records that are shown and how each run was opened; page() makes the page of them."""

    def __init__(self, folder: Path, option: str, parts: RecordParts) -> None:
        """folder: for summary.html; made if it is not there. option: that named it, for errors.

        parts: the classes that models put into records. Raises SinkError where it cannot be written.
        """
        output_folder(folder, option)
        self.path = folder / "summary.html"
        self._option = option
        self._parts = parts
        self._openings: dict[str, Opening] = {}
        self._verdicts: dict[str, list[Verdict]] = defaultdict(list)
        self._alerts: dict[str, list[Alert]] = defaultdict(list)
        self._summaries: list[RunSummary] = []
        self._refusals: list[Refusal] = []

    def noting(self, openings: Iterable[Opening]) -> Iterator[Opening]:
        """The same openings; which run each one is will be remembered."""
        return each_opened(openings, self._note)

    def emit(self, stored: StoredRecord) -> None:
        match record_from_body(stored.body, self._parts):
            case Verdict() as verdict:
                self._verdicts[verdict.pass_id].append(verdict)
            case Alert() as alert:
                self._alerts[alert.pass_id].append(alert)
            case RunSummary() as summary:
                self._summaries.append(summary)
            case Refusal() as refusal:
                self._refusals.append(refusal)

    def close(self) -> None:
        """Nothing is owned."""

    def judged_runs(self) -> list[JudgedRun]:
        """What was shown, with pictures. A run that cannot be read again has none, which is logged."""
        plan = plan_for(len(self._summaries))
        return [
            JudgedRun(
                summary=summary,
                verdicts=self._verdicts[summary.pass_id],
                alerts=self._alerts[summary.pass_id],
                pictures=self._pictures(summary, plan),
            )
            for summary in self._summaries
        ]

    def write(self, title: str, line: Line, runs: list[JudgedRun], *, seed: int | None = None) -> None:
        """Write the page, whole or not at all. Raises SinkError."""
        bundles = ", ".join(served.bundle.manifest.name for served in line.models)
        engines = "; ".join(dict.fromkeys(result.engine for run in runs for result in run.summary.results))
        pace = "at real time" if line.rate == "realtime" else "at full speed"
        thresholds = {served.kind: served.model.score_threshold for served in line.models}
        head = PageHead(
            notice=line.notice,
            title=title,
            subtitle=f"{bundles} {pace}{f' on {engines}' if engines else ''}",
            made_at=datetime.now(UTC),
            version=version("cathrt"),
            seed=seed,
            budget_ms=line.config.line.budget_ms if line.rate == "realtime" else None,
            thresholds={kind: score for kind, score in thresholds.items() if score is not None},
        )
        with whole_file(self.path, self._option) as part:
            part.write_text(summary_page(head, runs, self._refusals), encoding="utf-8")

    def _note(self, opening: Opening, source: Source) -> Source:
        self._openings[source.run.run_id] = opening
        return source

    def _pictures(self, summary: RunSummary, plan: PicturePlan) -> RunPictures | None:
        marked = [index for result in summary.results for index in result.marked_frames]
        try:
            with closing(self._openings[summary.run_id].open()) as source:
                return pictures_of(source, marked, plan)
        except CathrtError as exc:
            _log.warning("%s: no pictures on the page, it cannot be read again: %s", summary.source, exc)
            return None

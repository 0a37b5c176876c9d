"""A draft of recorded runs, taken as one study: what `cathrt report` and `cathrt demo` share.

Not for: studies that are received (drafting.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from cathrt.runtime.alert import RunSummary, StudyDraft
from cathrt.runtime.errors import SourceError
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.lookups import stored_record
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.line.replay import Replayed
from cathrt.runtime.model_kind import StudyRun, Writer
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening, Source
from cathrt.runtime.study.study_runs import frame_of, gravest_notice, study_run, without_frame

_log = logging.getLogger(__name__)


class RecordedStudy:
    """The runs of one study: how each was opened, so that its key frames can be read again."""

    def __init__(self, name: str) -> None:
        """name: what the draft calls the study."""
        self.name = name
        self._openings: dict[str, Opening] = {}

    def noting(self, openings: Iterable[Opening]) -> Iterator[Opening]:
        """The same openings; which run each one is will be remembered."""
        return each_opened(openings, self._note)

    def draft(
        self,
        writer: Writer,
        done: Replayed,
        journal: Journal,
        told: Callable[[], None] = lambda: None,
    ) -> StudyDraft:
        """Write the draft into the journal, which shows it. One that the journal holds of the same passes and bundle is
        shown again instead. told: comes with each token. Raises EngineError, ManifestError, JournalError, SinkError.
        """
        summaries = list({summary.run_id: summary for summary in done.summaries}.values())
        manifest_sha256 = writer.bundle.manifest_sha256
        id_ = record_id(self.name, "draft", "|".join([manifest_sha256, *(one.pass_id for one in summaries)]))
        journal.sync()
        before = stored_record(journal.path, id_)
        record = record_from_body(before.body, record_parts()) if before is not None else None
        if not isinstance(record, StudyDraft):
            record = replace(self._written(id_, writer, summaries, told), unjudged=len(done.refusals))
        journal.append(record)
        journal.sync()
        return record

    def _written(
        self, id_: str, writer: Writer, summaries: Sequence[RunSummary], told: Callable[[], None]
    ) -> StudyDraft:
        runs = [study_run(summary) for summary in summaries]
        while wanted := writer.lacks(runs):
            try:
                run, frame = frame_of(self._openings[wanted[0].run_id], wanted[0].frame_index)
                writer.see(wanted[0], run, frame)
            except SourceError as exc:
                _log.warning("the draft goes without a key frame: %s", exc)
                runs = _without(runs, wanted[0].run_id, wanted[0].frame_index)
        draft = writer.write(self.name, runs, threading.Event(), told)
        assert draft is not None, "nobody has stopped it"
        return StudyDraft(
            id=id_,
            study=self.name,
            revision=1,
            run_ids=tuple(run.run_id for run in runs),
            unjudged=0,
            after_study_s=None,
            draft=draft,
            notice=gravest_notice(writer, summaries),
        )

    def _note(self, opening: Opening, source: Source) -> Source:
        self._openings[source.run.run_id] = opening
        return source


def _without(runs: Sequence[StudyRun], run_id: str, frame_index: int) -> list[StudyRun]:
    return [without_frame(run, frame_index) if run.run_id == run_id else run for run in runs]

"""Recorded runs, taken as one study and read: what `cathrt study` shows.

Not for: studies that are received (reading.py), drafts of recorded runs (recorded_study.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.alert import RunSummary, StudyFindings
from cathrt.runtime.frame import Run
from cathrt.runtime.journal.lookups import stored_record
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.openings import each_opened
from cathrt.runtime.line.replay import Replayed
from cathrt.runtime.model_kind import Features, Reader, RunFacts
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening, Source
from cathrt.runtime.study.clips_read import (
    Asked,
    Clips,
    clip_frames,
    clips_of,
    facts_of,
    reading_id,
    reading_of,
    rests_on,
)
from cathrt.runtime.study.feature_store import FeatureStore, pixels_sha256


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run as a page or a picture shows it. middle: the stored values of the middle frame of its clip; None for a run
    whose clip was not read in this process."""

    summary: RunSummary
    middle: NDArray[Any] | None


class RecordedReading:
    """The runs of one study: how each was opened, so that its clip can be read. Not thread-safe."""

    def __init__(self, name: str, features: FeatureStore, told: Callable[[], None] = lambda: None) -> None:
        """name: what the record calls the study. told: comes before each clip is encoded."""
        self.name = name
        self._features, self._told = features, told
        self._openings: dict[str, Opening] = {}
        self._runs: dict[str, Run] = {}
        self._middles: dict[str, NDArray[Any]] = {}

    def noting(self, openings: Iterable[Opening]) -> Iterator[Opening]:
        """The same openings; which run each one is will be remembered."""
        return each_opened(openings, self._note)

    def read(self, reader: Reader, done: Replayed, journal: Journal) -> StudyFindings:
        """Read the study into the journal, which shows it. A reading that the journal holds of the same runs and bundle
        is shown again instead. Raises EngineError, ManifestError, FeatureStoreError, JournalError, SinkError.
        """
        summaries = {summary.run_id: summary for summary in done.summaries}
        known = [
            facts_of(self._runs[run_id], summary, arrival)
            for arrival, (run_id, summary) in enumerate(summaries.items(), 1)
        ]
        asked = Asked(self.name, provisional=False, unjudged=len(done.refusals))
        clips = clips_of(reader, known, partial(self._clip, reader))
        journal.sync()
        record = self._before(reader, asked, clips, journal)
        if isinstance(record, int):
            record = reading_of(reader, asked, clips, record, [one.notice for one in known], None)
        journal.append(record)
        journal.sync()
        return record

    def runs(self, record: StudyFindings, done: Replayed) -> list[ReadRun]:
        """The runs of a reading, in its order."""
        summaries = {summary.run_id: summary for summary in done.summaries}
        return [ReadRun(summaries[run.run_id], self._middles.get(run.run_id)) for run in record.runs]

    def _before(self, reader: Reader, asked: Asked, clips: Clips, journal: Journal) -> StudyFindings | int:
        """The same reading, if the journal has it; else the revision that is next."""
        same, revision = rests_on(reader, asked, clips.runs), 1
        while (stored := stored_record(journal.path, reading_id(reader, self.name, revision))) is not None:
            record = record_from_body(stored.body, record_parts())
            if isinstance(record, StudyFindings) and record.rests_on == same:
                return record
            revision += 1
        return revision

    def _clip(self, reader: Reader, of_run: RunFacts) -> Features:
        """A clip is read for the picture even where its features are kept."""
        run, frames = clip_frames(self._openings[of_run.run_id], reader)
        self._middles[of_run.run_id] = frames[len(frames) // 2]
        pixels = pixels_sha256(run, frames)
        found = self._features.of_pixels(pixels, reader.encoder)
        if found is None:
            self._told()
            found = reader.encode(run, frames, threading.Event())
            assert found is not None, "nobody has stopped it"
            self._features.keep(of_run.run_id, pixels, reader.encoder, found)
        return found

    def _note(self, opening: Opening, source: Source) -> Source:
        self._openings[source.run.run_id] = opening
        self._runs[source.run.run_id] = source.run
        return source

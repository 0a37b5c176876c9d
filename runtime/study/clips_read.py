"""A study as one reader sees it: which of its runs count, what each was encoded to, and the record of what was read.

The rule that a run which cannot be read again makes place for the next one is here. Not for: when a study is read
(reading.py, recorded_reading.py), or where features are kept (feature_store.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.alert import NOTICES, RunRead, RunSummary, StudyFindings
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.identity import record_id
from cathrt.runtime.model_kind import Features, Reader, RunFacts
from cathrt.runtime.ports import Opening
from cathrt.runtime.sources.decoder.process import NotStartedError
from cathrt.runtime.sources.decoder.run_reply import KilledError, SilentError
from cathrt.runtime.study.study_runs import study_run

_log = logging.getLogger(__name__)

_TRY_AGAIN = (KilledError, NotStartedError, SilentError)  # the run may be whole


@dataclass(frozen=True, slots=True)
class Clips:
    """A study's runs, those that count first, in their order; and the facts and features of these."""

    runs: tuple[RunRead, ...]
    facts: tuple[RunFacts, ...]
    features: tuple[Features, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read, beside the runs. provisional, ended, unjudged: as StudyFindings'. withheld: why nothing is."""

    study: str
    provisional: bool
    ended: int | None = None
    unjudged: int = 0
    withheld: str | None = None


def facts_of(run: Run, summary: RunSummary, arrival: int) -> RunFacts:
    """What decides whether a confirmed run counts."""
    return RunFacts(
        run_id=summary.run_id,
        pass_id=summary.pass_id,
        arrival=arrival,
        side=study_run(summary).side,
        modality=run.modality,
        radiation_setting=run.radiation_setting,
        frames=summary.frames,
        taken_at=run.taken_at,
        positioner_primary_angle_deg=run.geometry.positioner_primary_angle_deg,
        positioner_secondary_angle_deg=run.geometry.positioner_secondary_angle_deg,
        notice=summary.notice,
    )


def clips_of(reader: Reader, known: Sequence[RunFacts], features_of: Callable[[RunFacts], Features]) -> Clips:
    """Those of the runs that count. features_of: raises SourceError for a run that cannot be read again; then the next
    one counts in its place. What else it raises passes through, errors of ours that another try may spare too."""
    lost: set[str] = set()
    found: dict[str, Features] = {}
    while True:
        runs = reader.chosen([one for one in known if one.run_id not in lost])
        counting = [run for run in runs if run.place is not None]
        missing = next((run.run_id for run in counting if run.run_id not in found), None)
        if missing is None:
            break
        try:
            found[missing] = features_of(next(one for one in known if one.run_id == missing))
        except _TRY_AGAIN:
            raise
        except SourceError as exc:
            _log.warning("a study is read without a run: %s", exc)
            lost.add(missing)
    by_id = {one.run_id: one for one in known}
    left_out = [
        RunRead(run_id=one.run_id, pass_id=one.pass_id, place=None, why="unreadable")
        for one in known
        if one.run_id in lost
    ]
    return Clips(
        runs=(*runs, *left_out),
        facts=tuple(by_id[run.run_id] for run in counting),
        features=tuple(found[run.run_id] for run in counting),
    )


def rests_on(reader: Reader, asked: Asked, runs: Sequence[RunRead]) -> str:
    """A hash of all that a reading's answers rest on, by which the same reading is known again."""
    document = {
        "manifest_sha256": reader.bundle.manifest_sha256,
        "encoder": reader.encoder,
        "study": asked.study,
        "provisional": asked.provisional,
        "ended": asked.ended,
        "unjudged": asked.unjudged,
        "withheld": asked.withheld,
        "runs": [[run.run_id, run.pass_id, run.place, run.why] for run in runs],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def reading_id(reader: Reader, study: str, revision: int) -> str:
    """Of the record: one for each study, model and revision."""
    return record_id(study, "reading", f"{reader.bundle.manifest_sha256}|{revision}")


def reading_of(
    reader: Reader, asked: Asked, clips: Clips, revision: int, notices: Sequence[str], after_study_s: float | None
) -> StudyFindings:
    """Read the study. Nothing is read, and the record says why, where asked.withheld does, or where no run counts.

    notices: what the summaries of its runs say. Raises EngineError, ManifestError.
    """
    runs = clips.runs
    if asked.withheld is not None:
        reading = reader.withheld(asked.withheld)
    elif not clips.facts:
        reading = reader.withheld("no run of it counts")
    else:
        read = reader.read(clips.facts, clips.features)
        reading = read.reading
        counted = iter(read.counted)
        runs = tuple(run if run.place is None else replace(run, counted=next(counted)) for run in runs)
    return StudyFindings(
        id=reading_id(reader, asked.study, revision),
        study=asked.study,
        revision=revision,
        provisional=asked.provisional,
        ended=asked.ended,
        runs=runs,
        unjudged=asked.unjudged,
        after_study_s=after_study_s,
        rests_on=rests_on(reader, asked, clips.runs),
        reading=reading,
        notice=max((reader.bundle.manifest.notice, *notices), key=NOTICES.index),
    )


def clip_frames(
    opening: Opening, reader: Reader, each: Callable[[], None] = lambda: None
) -> tuple[Run, list[NDArray[Any]]]:
    """Read a run once more, and keep the frames that its clip is made of. each: comes before every frame.

    Raises SourceError; one of ours where another try may help.
    """
    with closing(opening.open()) as source:
        wanted = reader.wanted(source.run)
        kept: dict[int, NDArray[Any]] = {}
        for item in source.frames():
            each()
            if item.index in wanted:
                kept[item.index] = _pixels(opening, item)
            if item.index >= wanted[-1]:
                break
        run = source.run
    missing = [index for index in wanted if index not in kept]
    if missing:
        raise SourceError(f"{opening.name}: frame {missing[0]} is not there any more, though it was judged")
    return run, [kept[index] for index in wanted]


def _pixels(opening: Opening, item: Frame | LostFrame) -> NDArray[Any]:
    if isinstance(item, Frame):
        return item.pixels.copy()
    lost = KilledError if item.ours else SourceError
    raise lost(f"{opening.name}: frame {item.index} cannot be read again: {item.reason}")

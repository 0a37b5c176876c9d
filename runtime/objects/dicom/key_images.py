"""Key Object Selection documents (TID 2010): the frames to look at, by frame number.

Never with a title that rejects images: archives hide what such a document names (PS3.4 KK, IHE IOCM).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from cathrt.runtime.objects.codes import Code
from cathrt.runtime.objects.dicom.content_items import (
    ENGLISH,
    LANGUAGE,
    code_item,
    fill_root,
    image_item,
    observer_items,
    text_item,
)
from cathrt.runtime.objects.dicom.kinds import KEY_IMAGES
from cathrt.runtime.objects.dicom.new_object import date_of, new_object, status_words, time_of
from cathrt.runtime.objects.dicom.references import evidence_sequence
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.objects.results import RunEvidence, StudyResults
from cathrt.runtime.objects.said import is_rejected

OF_INTEREST = Code("113000", "DCM", "Of Interest")
BEST_IN_SET = Code("113013", "DCM", "Best In Set")
_MODIFIER = Code("113011", "DCM", "Document Title Modifier")
_OF_STUDY = Code("113014", "DCM", "Study")
_OF_SERIES = Code("113015", "DCM", "Series")
_DESCRIPTION = Code("113012", "DCM", "Key Object Description")

Frames = Sequence[tuple[RunEvidence, Sequence[int]]]  # runs, and which of their frames, 1-based


def key_images(results: StudyResults, *, best_of_series: bool) -> tuple[Dataset, ...]:
    """One of all key frames; one of the study's best frame, or one for each series. () where there is no key frame, or
    a person has rejected the results."""
    runs = [run for run in results.evidence if run.key_frames and not is_rejected(results)]
    if not runs:
        return ()
    all_ = [(run, sorted(one.frame_number for one in run.key_frames)) for run in runs]
    made = [_document(results, 1, OF_INTEREST, None, all_, "of interest")]
    if not best_of_series:
        made.append(_document(results, 2, BEST_IN_SET, _OF_STUDY, [_best(runs)], "best of study"))
        return tuple(made)
    by_series: dict[str, list[RunEvidence]] = {}
    for run in runs:
        by_series.setdefault(run.series_instance_uid, []).append(run)
    for number, (series, of_series) in enumerate(by_series.items(), start=2):
        best = [_best(of_series)]
        made.append(_document(results, number, BEST_IN_SET, _OF_SERIES, best, "best of series", series))
    return tuple(made)


def _best(runs: Sequence[RunEvidence]) -> tuple[RunEvidence, Sequence[int]]:
    run = max(runs, key=lambda one: one.key_frames[0].score)  # of equals the first
    return run, (run.key_frames[0].frame_number,)


def _document(
    results: StudyResults, number: int, title: Code, modifier: Code | None, frames: Frames, *which: str
) -> Dataset:
    made = new_object(results, KEY_IMAGES, number, *which)
    made.ContentDate, made.ContentTime = date_of(results.made_at), time_of(results.made_at)
    made.ReferencedPerformedProcedureStepSequence = []
    made.CurrentRequestedProcedureEvidenceSequence = evidence_sequence(results, (run for run, _ in frames))
    items = [] if modifier is None else [code_item("HAS CONCEPT MOD", _MODIFIER, modifier)]
    items.append(code_item("HAS CONCEPT MOD", LANGUAGE, ENGLISH))
    items += observer_items(results, uid_for("device", results.made_by.name))
    items.append(text_item("CONTAINS", _DESCRIPTION, "\n".join(status_words(results))))
    items += [image_item("CONTAINS", run, numbers) for run, numbers in frames]
    fill_root(made, title, "2010", items)
    return made

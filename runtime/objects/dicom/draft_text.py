"""The report draft as a Basic Text SR: the watermark, both languages, what was struck out, what it rests on.

Not for: a draft that is withheld; of that there is no document.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from cathrt.runtime.alert import StudyDraft
from cathrt.runtime.objects.codes import REPORT, Code
from cathrt.runtime.objects.dicom.content_items import (
    COMMENT,
    ENGLISH,
    JAPANESE,
    LANGUAGE,
    code_item,
    container,
    fill_root,
    image_item,
    observer_items,
    text_item,
)
from cathrt.runtime.objects.dicom.kinds import DRAFT_TEXT
from cathrt.runtime.objects.dicom.new_object import new_object, status_words
from cathrt.runtime.objects.dicom.report_status import fill_status
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.objects.results import StudyResults

_FINDINGS = Code("121070", "DCM", "Findings")
_FINDING = Code("121071", "DCM", "Finding")
_KEY_IMAGES = Code("121180", "DCM", "Key Images")


def draft_text(results: StudyResults, draft: StudyDraft) -> Dataset:
    """Its text must be there: draft.draft.withheld is None."""
    made = new_object(results, DRAFT_TEXT, 1, draft.id)
    fill_status(made, results, DRAFT_TEXT, results.evidence, results.draft_before)
    items = [code_item("HAS CONCEPT MOD", LANGUAGE, ENGLISH)]
    items += observer_items(results, uid_for("device", results.made_by.name))
    items.append(
        _section(ENGLISH, draft.draft.text or "", (draft.watermark, *status_words(results), *_left_out(draft)))
    )
    items.append(_section(JAPANESE, draft.draft.text_ja or "", (draft.watermark_ja, results.notice)))
    keyed = [run for run in results.evidence if run.key_frames]
    if keyed:
        images = [image_item("CONTAINS", run, sorted(one.frame_number for one in run.key_frames)) for run in keyed]
        items.append(container("CONTAINS", _KEY_IMAGES, images))
    fill_root(made, REPORT, "2000", items)
    return made


def _section(language: Code, text: str, notes: tuple[str, ...]) -> Dataset:
    """The watermark comes before the text, whatever of it a viewer shows."""
    first, *others = notes
    items = [
        code_item("HAS CONCEPT MOD", LANGUAGE, language),
        text_item("CONTAINS", COMMENT, first),
        text_item("CONTAINS", _FINDING, text),
    ]
    items += [text_item("CONTAINS", COMMENT, note) for note in others]
    return container("CONTAINS", _FINDINGS, items)


def _left_out(draft: StudyDraft) -> tuple[str, ...]:
    """What a reader of the text has to know of it."""
    lines = []
    if draft.draft.struck:
        lines.append(f"{len(draft.draft.struck)} sentences were taken out by the check of the draft.")
    if draft.draft.omitted:
        lines.append(f"Left out, though the facts have it: {'; '.join(draft.draft.omitted)}")
    return tuple(lines)

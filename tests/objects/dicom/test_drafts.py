"""Report drafts as Basic Text SR and as PDF: the watermark first, both languages, what was taken out, the font."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cathrt.runtime.alert import WATERMARK, WATERMARK_JA, StudyDraft
from cathrt.runtime.objects.dicom.draft_document import draft_document, pdf_of
from cathrt.runtime.objects.dicom.draft_text import draft_text
from cathrt.runtime.objects.dicom.study_objects import objects_of
from cathrt.runtime.objects.results import Decision, StudyResults, results_from
from tests.objects.dicom.generated_studies import CHARACTER_SETS, PlainFrames, generated_study
from tests.passes import draft as made_draft


@pytest.fixture
def results(tmp_path: Path) -> StudyResults:
    return generated_study(tmp_path, 4, "drafted", CHARACTER_SETS[4]).results


@pytest.fixture
def draft(results: StudyResults) -> StudyDraft:
    assert results.draft is not None
    return results.draft


def texts_of(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if item.get("ValueType") == "TEXT" else []
    return own + [text for inner in item.get("ContentSequence", ()) for text in texts_of(inner)]


def test_each_language_is_a_section_that_begins_with_its_watermark(results: StudyResults, draft: StudyDraft) -> None:
    made = draft_text(results, draft)
    english, japanese, _ = [item for item in made.ContentSequence if item.ValueType == "CONTAINER"]
    assert texts_of(english)[:2] == [WATERMARK, draft.draft.text]
    assert texts_of(japanese)[:2] == [WATERMARK_JA, draft.draft.text_ja]
    languages = [one.ContentSequence[0].ConceptCodeSequence[0].CodeValue for one in (english, japanese)]
    assert languages == ["en", "ja"]


def test_what_the_check_took_out_or_the_text_left_out_is_told(results: StudyResults, draft: StudyDraft) -> None:
    told = texts_of(draft_text(results, draft))
    assert "1 sentences were taken out by the check of the draft." in told
    assert "Left out, though the facts have it: ja: dominance right" in told
    assert "The RCA is occluded." not in " ".join(told)  # a struck sentence is never shown


def test_a_draft_is_partial_preliminary_and_unverified(results: StudyResults, draft: StudyDraft) -> None:
    made = draft_text(results, draft)
    status = (made.CompletionFlag, made.PreliminaryFlag, made.VerificationFlag)
    assert status == ("PARTIAL", "PRELIMINARY", "UNVERIFIED")
    assert draft_document(results, draft).DocumentTitle.startswith("DRAFT / 下書き")
    assert draft_document(results, draft).VerificationFlag == "UNVERIFIED"


def test_a_draft_that_is_withheld_makes_no_document(results: StudyResults) -> None:
    withheld = made_draft(1, withheld="the runs are of two patients")
    kinds = {str(one.Modality) for one in objects_of(replace(results, draft=withheld), PlainFrames())}
    assert "DOC" not in kinds
    assert (
        len([one for one in objects_of(replace(results, draft=withheld), PlainFrames()) if one.Modality == "SR"]) == 1
    )


def test_the_pdf_embeds_its_only_font_and_is_the_same_each_time(results: StudyResults, draft: StudyDraft) -> None:
    octets = pdf_of(results, draft)
    assert octets == pdf_of(results, draft)
    assert octets.startswith(b"%PDF-")
    fonts = re.findall(rb"/BaseFont /([^\s/]+)", octets)
    assert fonts
    assert all(b"cathrt-Document" in font for font in fonts)
    assert b"/FontFile2" in octets
    made = draft_document(results, draft)
    assert bytes(made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]) == octets
    assert len(made.EncapsulatedDocument) % 2 == 0


def test_a_long_draft_has_the_watermark_on_every_page(results: StudyResults, draft: StudyDraft) -> None:
    long = replace(draft, draft=replace(draft.draft, text="word " * 2000, text_ja="左前下行枝に狭窄。" * 300))
    octets = pdf_of(results, long)
    pages = len(re.findall(rb"/Type /Page\b[^s]", octets))
    assert pages >= 3
    shown = [zlib.decompress(body) for body in _streams(octets) if body[:1] == b"x"]
    assert sum(b"PRELIMINARY DRAFT" in page for page in shown) == pages


def test_documents_of_a_later_revision_name_those_of_the_draft_before(tmp_path: Path) -> None:
    study = generated_study(tmp_path, 6, "drafted again", CHARACTER_SETS[4])
    first = next(record for record in study.records if isinstance(record, StudyDraft))
    until_first = study.records[: study.records.index(first) + 1]
    before = results_from(until_first, study.store)
    for made, earlier in zip(_documents(study.results), _documents(before), strict=True):
        assert made.SOPInstanceUID != earlier.SOPInstanceUID
        assert named_by(made) == [earlier.SOPInstanceUID]
        assert "PredecessorDocumentsSequence" not in earlier


def test_documents_name_none_where_the_draft_before_was_withheld_or_not_made(
    tmp_path: Path, results: StudyResults
) -> None:
    study = generated_study(tmp_path / "again", 6, "drafted again", CHARACTER_SETS[4])
    first = next(record for record in study.records if isinstance(record, StudyDraft))
    withheld = replace(first, draft=made_draft(1, withheld="no GPU").draft)
    for others in ([withheld], []):
        records = [*others, *(record for record in study.records if record is not first)]
        for made in _documents(results_from(records, study.store)):
            assert "PredecessorDocumentsSequence" not in made
    decided = replace(results, draft=None).decided(Decision("accepted", "Dr. A", datetime(2026, 12, 1, tzinfo=UTC)))
    assert decided.draft_before is None


def test_documents_of_a_decision_name_the_undecided_ones(results: StudyResults) -> None:
    decided = results.decided(Decision("rejected", "Dr. A", datetime(2026, 12, 1, tzinfo=UTC)))
    for made, earlier in zip(_documents(decided), _documents(results), strict=True):
        assert named_by(made) == [earlier.SOPInstanceUID]


def named_by(made: Dataset) -> list[str]:
    return [
        one.ReferencedSOPInstanceUID
        for study in made.PredecessorDocumentsSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]


def _documents(results: StudyResults) -> tuple[Dataset, Dataset]:
    assert results.draft is not None
    return draft_text(results, results.draft), draft_document(results, results.draft)


def _streams(octets: bytes) -> list[bytes]:
    import base64

    found = re.findall(rb"/Filter \[ /ASCII85Decode /FlateDecode \].*?stream\r?\n(.*?)endstream", octets, re.DOTALL)
    return [base64.a85decode(body.strip().removesuffix(b"~>")) for body in found]

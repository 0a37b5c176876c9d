"""The report draft as an encapsulated PDF: for people whose system shows documents and no structured reports.

The font is embedded, so it looks the same everywhere. Not for: a draft that is withheld.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from pydicom.dataset import Dataset

from cathrt.runtime.alert import StudyDraft
from cathrt.runtime.objects.codes import REPORT
from cathrt.runtime.objects.dicom.content_items import code_sequence
from cathrt.runtime.objects.dicom.document_font import FONT, shown_with_font
from cathrt.runtime.objects.dicom.kinds import DRAFT_DOCUMENT
from cathrt.runtime.objects.dicom.new_object import date_of, new_object, status_words, time_of
from cathrt.runtime.objects.dicom.references import fill_predecessor, run_reference
from cathrt.runtime.objects.results import StudyResults

_FONT_NAME = "cathrt-document"
_SIZE, _LEADING, _MARGIN = 10, 15, 54  # points
_PIECES = re.compile(r"[!-~\u00A1-\u00FF]+ *|.", re.DOTALL)  # a word of Latin, or one character of Japanese


def draft_document(results: StudyResults, draft: StudyDraft) -> Dataset:
    """Its text must be there: draft.draft.withheld is None."""
    made = new_object(results, DRAFT_DOCUMENT, 1, draft.id)
    made.ContentDate, made.ContentTime = date_of(results.made_at), time_of(results.made_at)
    made.AcquisitionDateTime = None
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.DocumentTitle = "DRAFT / 下書き: AI report draft, research use only"
    made.ConceptNameCodeSequence = code_sequence(REPORT)
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = [run_reference(run) for run in results.evidence]
    fill_predecessor(made, results, DRAFT_DOCUMENT, results.draft_before)
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    octets = pdf_of(results, draft)
    made.EncapsulatedDocumentLength = len(octets)
    made.EncapsulatedDocument = octets + b"\0" * (len(octets) % 2)
    return made


def pdf_of(results: StudyResults, draft: StudyDraft) -> bytes:
    """The pages. The same draft gives the same bytes."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    if _FONT_NAME not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(_FONT_NAME, str(FONT)))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1, pageCompression=1, initialFontName=_FONT_NAME)
    canvas.setTitle("DRAFT: AI report draft, research use only")
    canvas.setCreator(f"{results.made_by.name} {results.made_by.version}")
    width, height = A4
    lines = [
        line
        for paragraph in _paragraphs(results, draft)
        for line in _broken(
            paragraph, width - 2 * _MARGIN, lambda text: pdfmetrics.stringWidth(text, _FONT_NAME, _SIZE)
        )
    ]
    fit = int((height - 2 * _MARGIN) // _LEADING) - 4
    pages = [lines[start : start + fit] for start in range(0, len(lines), fit)]
    for number, page in enumerate(pages, 1):
        canvas.setFont(_FONT_NAME, _SIZE)
        banner = (draft.watermark, draft.watermark_ja)
        for row, line in enumerate([*banner, "", *page]):
            canvas.drawString(_MARGIN, height - _MARGIN - row * _LEADING, line)
        canvas.drawString(_MARGIN, _MARGIN - _LEADING, draft.watermark_ja)
        canvas.drawString(_MARGIN, _MARGIN - 2 * _LEADING, f"{draft.watermark}  {number}/{len(pages)}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _paragraphs(results: StudyResults, draft: StudyDraft) -> list[str]:
    header = results.evidence[-1].header
    said = [
        f"Patient / 患者: {_name(results)}   ID: {results.patient.get('PatientID', '-')}",
        f"Study / 検査: {header.get('StudyDate') or '-'}  {header.get('StudyDescription') or ''}",
        "",
        "DRAFT OF THE FINDINGS",
        draft.draft.text or "",
        "",
        "所見の下書き",
        draft.draft.text_ja or "",
        "",
        f"Key frames / キーフレーム ({len(results.evidence)} runs):",
        *(f"{number}. {run.text} / {run.text_ja}" for number, run in enumerate(results.evidence, 1)),
        "",
        *(f"Left out / 記載なし: {what}" for what in draft.draft.omitted),
        *status_words(results),
    ]
    return [shown_with_font(paragraph) for paragraph in "\n".join(said).split("\n")]


def _name(results: StudyResults) -> str:
    """As people write it: parts apart, the ways of writing it side by side."""
    return results.patient.get("PatientName", "-").replace("^", " ").replace("=", " / ")


def _broken(paragraph: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Lines that fit: Latin breaks between words, Japanese anywhere; a word longer than a line breaks too."""
    lines = [""]
    for piece in _PIECES.findall(paragraph):
        for part in [piece] if length(piece) <= width else list(piece):
            if lines[-1] and length(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return [line.rstrip() for line in lines]

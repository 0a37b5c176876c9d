"""Secondary Captures: each key frame as a plain picture between two banners, for viewers that show nothing else.

The banners are burned in, above and below the frame, so that they cover nothing. Not for: reading frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cathrt.runtime.objects.codes import Code
from cathrt.runtime.objects.dicom.content_items import code_sequence
from cathrt.runtime.objects.dicom.document_font import FONT, shown_with_font
from cathrt.runtime.objects.dicom.kinds import PICTURES
from cathrt.runtime.objects.dicom.new_object import date_of, new_object, time_of
from cathrt.runtime.objects.dicom.references import run_reference
from cathrt.runtime.objects.results import KeyFrame, RunEvidence, StudyResults
from cathrt.runtime.objects.run_words import chosen_by

BANNER = "RESEARCH USE ONLY - NOT FOR CLINICAL USE"
BANNER_JA = "研究用・臨床使用不可"
_LEAST_COLUMNS = 384  # what a readable banner needs
_MARGIN = 6
_SIDES = {"left": "left coronary artery / 左冠動脈", "right": "right coronary artery / 右冠動脈"}
_SOURCE = Code("121322", "DCM", "Source image for image processing operation")


def picture(
    results: StudyResults, run: RunEvidence, key: KeyFrame, rank: int, number: int, grey: NDArray[np.uint8]
) -> Dataset:
    """rank: of the frame in its run, 1 for the best. number: of the picture in its series. grey: (rows, columns)."""
    made = new_object(results, PICTURES, number, run.sop_instance_uid, str(key.frame_number))
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.ContentDate, made.ContentTime = date_of(results.made_at), time_of(results.made_at)
    made.ConversionType = "WSD"
    made.BodyPartExamined = run.header.get("BodyPartExamined") or "HEART"
    made.PatientOrientation = None
    made.BurnedInAnnotation = "YES"
    made.DerivationDescription = f"Key frame {key.frame_number}, grey values stretched, banner burned in"
    source = run_reference(run, (key.frame_number,))
    source.PurposeOfReferenceCodeSequence = code_sequence(_SOURCE)
    made.SourceImageSequence = [source]
    made.ImageComments = results.notice
    _copy_compression(made, run.header)
    _fill_pixels(made, bannered(grey, _lines(results, run, key, rank)))
    return made


def bannered(grey: NDArray[np.uint8], lines: tuple[str, ...]) -> NDArray[np.uint8]:
    """The frame between two bands: lines above it, the notice below it too. Narrow frames get black sides."""
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = grey.shape
    width = max(columns, _LEAST_COLUMNS)
    font = _fitting(ImageFont.truetype, [*lines, f"{BANNER}  {BANNER_JA}"], width - 2 * _MARGIN)
    height = int(font.size * 1.4)
    above, below = height * len(lines) + _MARGIN, height + _MARGIN
    sheet = Image.new("L", (width, above + rows + below), color=0)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN // 2 + number * height), line, fill=255, font=font)
    sheet.paste(Image.fromarray(grey), ((width - columns) // 2, above))
    draw.text((_MARGIN, above + rows + _MARGIN // 2), f"{BANNER}  {BANNER_JA}", fill=255, font=font)
    return np.asarray(sheet)


def _fitting(truetype: Any, lines: list[str], width: int) -> Any:
    """The largest font, up to a thirtieth of the width, in which every line fits."""
    for size in range(max(12, width // 30), 7, -1):
        font = truetype(str(FONT), size)
        if all(font.getlength(line) <= width for line in lines):
            return font
    return truetype(str(FONT), 8)


def _lines(results: StudyResults, run: RunEvidence, key: KeyFrame, rank: int) -> tuple[str, ...]:
    word = "score" if key.readability is None else "readability"
    decided = "" if results.decision is None else f"  {results.decision.what.upper()}"
    lines = [
        f"{BANNER}  {BANNER_JA}",
        f"{chosen_by(person=key.by_person)} {rank}/{len(run.key_frames)}: "
        f"frame {key.frame_number} of {run.number_of_frames}, {word} {key.score:.2f}",
        f"{_SIDES.get(run.laterality, 'artery unknown / 不明')}  unverified / 未確認{decided}",
    ]
    return tuple(shown_with_font(line) for line in lines)


def _copy_compression(made: Dataset, header: Dataset) -> None:
    """Whether the frame has lost anything on its way here: once it has, that never ends (PS3.3 C.7.6.1.1.5)."""
    made.LossyImageCompression = header.get("LossyImageCompression") or "00"
    if made.LossyImageCompression == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:
                made[keyword] = header[keyword]


def _fill_pixels(made: Dataset, pixels: NDArray[np.uint8]) -> None:
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    octets = pixels.tobytes()
    made.add_new("PixelData", "OB", octets + b"\0" * (len(octets) % 2))

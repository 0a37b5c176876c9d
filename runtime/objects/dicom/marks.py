"""Grayscale Softcopy Presentation States: each run as it is, with a mark and a line of text on its key frames.

Written here and not by highdicom, which takes no classic XA (PS3.3 A.33.1). Not for: changing how a run is shown.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from cathrt.runtime.objects.dicom.kinds import MARKS
from cathrt.runtime.objects.dicom.new_object import date_of, new_object, time_of
from cathrt.runtime.objects.dicom.references import referenced_series, run_reference
from cathrt.runtime.objects.results import KeyFrame, RunEvidence, StudyResults
from cathrt.runtime.objects.run_words import chosen_by

_LAYER = "AI_KEY_FRAMES"
_WINDOW = ("WindowCenter", "WindowWidth", "VOILUTFunction")


def marks(results: StudyResults, run: RunEvidence, number: int) -> Dataset:
    """Of a run that has key frames. number: of the state in its series."""
    made = new_object(results, MARKS, number, run.sop_instance_uid)
    made.BodyPartExamined = run.header.get("BodyPartExamined") or "HEART"
    made.ContentLabel = "AI_KEY_FRAMES"
    made.ContentDescription = "AI key frames. Research use only"
    made.ContentCreatorName = f"{results.made_by.name}^software"
    made.PresentationCreationDate, made.PresentationCreationTime = date_of(results.made_at), time_of(results.made_at)
    made.ReferencedSeriesSequence = [referenced_series(run)]
    made.DisplayedAreaSelectionSequence = [_whole_area(run)]
    made.GraphicLayerSequence = [_layer()]
    made.GraphicAnnotationSequence = [_mark(results, run, key, rank) for rank, key in enumerate(run.key_frames, 1)]
    _copy_window(made, run)
    inverted = run.header.get("PhotometricInterpretation") == "MONOCHROME1"
    made.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    return made


def _whole_area(run: RunEvidence) -> Dataset:
    made = Dataset()
    made.DisplayedAreaTopLeftHandCorner = [1, 1]
    made.DisplayedAreaBottomRightHandCorner = [run.columns, run.rows]
    made.PresentationSizeMode = "SCALE TO FIT"
    made.PresentationPixelAspectRatio = [1, 1]
    return made


def _layer() -> Dataset:
    made = Dataset()
    made.GraphicLayer = _LAYER
    made.GraphicLayerOrder = 1
    made.GraphicLayerDescription = "AI key frames. Research use only"
    return made


def _mark(results: StudyResults, run: RunEvidence, key: KeyFrame, rank: int) -> Dataset:
    """A frame along the picture's edge, where it hides no vessel, and two lines of text in its corner."""
    made = Dataset()
    made.ReferencedImageSequence = [run_reference(run, (key.frame_number,))]
    made.GraphicLayer = _LAYER
    decided = "" if results.decision is None else f"\r\n{results.decision.what.upper()}"
    made.TextObjectSequence = [
        _text(
            f"{chosen_by(person=key.by_person)} {rank} of {len(run.key_frames)}, score {key.score:.2f}"
            f"\r\nRESEARCH USE ONLY{decided}"
        )
    ]
    made.GraphicObjectSequence = [_edge(run)]
    return made


def _text(text: str) -> Dataset:
    made = Dataset()
    made.BoundingBoxAnnotationUnits = "DISPLAY"
    made.UnformattedTextValue = text
    made.BoundingBoxTopLeftHandCorner = [0.02, 0.02]
    made.BoundingBoxBottomRightHandCorner = [0.6, 0.12]
    made.BoundingBoxTextHorizontalJustification = "LEFT"
    return made


def _edge(run: RunEvidence) -> Dataset:
    made = Dataset()
    made.GraphicAnnotationUnits = "PIXEL"
    made.GraphicDimensions = 2
    right, bottom = max(1.0, run.columns - 1.0), max(1.0, run.rows - 1.0)
    points = [1.0, 1.0, right, 1.0, right, bottom, 1.0, bottom, 1.0, 1.0]
    made.NumberOfGraphicPoints = len(points) // 2
    made.GraphicData = points
    made.GraphicType = "POLYLINE"
    made.GraphicFilled = "N"
    return made


def _copy_window(made: Dataset, run: RunEvidence) -> None:
    """The run's own window; a presentation state without one would show all stored values."""
    if not run.header.get("WindowCenter") or not run.header.get("WindowWidth"):
        return
    window = Dataset()
    for keyword in _WINDOW:
        if keyword in run.header:
            window[keyword] = run.header[keyword]
    made.SoftcopyVOILUTSequence = [window]

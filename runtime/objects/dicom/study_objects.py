"""All DICOM objects of a study's results, in the order in which they are best sent.

Not for: sending them (outlets/), writing files (commands/objects.py).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.objects.results import RunEvidence, StudyResults

MeasurementReport = Literal["3d", "comprehensive"]


class Frames(Protocol):
    """Reads key frames again (frame_reader.py)."""

    def pictures(self, run: RunEvidence, frame_numbers: Collection[int]) -> Mapping[int, NDArray[np.uint8]]: ...


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What an archive or its viewers need.

    report: SOP class of measurement reports; some archives take Comprehensive SR alone. best_of_series: the best frame
    of each series instead of the study's. pictures: key frames as Secondary Captures. character_set: "utf-8", or
    "japanese" for archives that know ISO 2022 alone.
    """

    report: MeasurementReport = "3d"
    best_of_series: bool = False
    pictures: bool = True
    character_set: Literal["utf-8", "japanese"] = "utf-8"


def objects_of(
    results: StudyResults,
    frames: Frames,
    options: ObjectOptions = ObjectOptions(),
) -> tuple[Dataset, ...]:
    """Each with its file meta information. Raises ConfigError without the extra, SourceError for a frame that is gone.

    The same results and options give the same objects, byte for byte.
    """
    try:
        import highdicom  # noqa: F401
        import reportlab  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f"DICOM objects need {exc.name}: pip install '.[objects]' in a clone of cathrt") from exc
    from cathrt.runtime.objects.dicom.character_sets import with_character_set

    return tuple(with_character_set(made, options.character_set) for made in _made(results, frames, options))


def bytes_of(made: Dataset) -> bytes:
    """A file (PS3.10)."""
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _made(results: StudyResults, frames: Frames, options: ObjectOptions) -> Iterator[Dataset]:
    from cathrt.runtime.objects.dicom import kinds
    from cathrt.runtime.objects.dicom.draft_document import draft_document
    from cathrt.runtime.objects.dicom.draft_text import draft_text
    from cathrt.runtime.objects.dicom.key_images import key_images
    from cathrt.runtime.objects.dicom.marks import marks
    from cathrt.runtime.objects.dicom.measurements import measurements
    from cathrt.runtime.objects.dicom.pictures import picture
    from cathrt.runtime.objects.dicom.reading import reading

    in_3d = options.report == "3d"
    yield from key_images(results, best_of_series=options.best_of_series)
    yield measurements(results, kinds.MEASUREMENTS_3D if in_3d else kinds.MEASUREMENTS)
    for found in results.readings:
        yield reading(results, found, kinds.READING_3D if in_3d else kinds.READING)
    keyed = [run for run in results.evidence if run.key_frames]
    for number, run in enumerate(keyed, 1):
        yield marks(results, run, number)
    if options.pictures:
        number = 0
        for run in keyed:
            read = frames.pictures(run, [key.frame_number for key in run.key_frames])
            for rank, key in enumerate(run.key_frames, 1):
                number += 1
                yield picture(results, run, key, rank, number, read[key.frame_number])
    draft = results.draft
    if draft is not None and draft.draft.withheld is None:
        yield draft_text(results, draft)
        yield draft_document(results, draft)

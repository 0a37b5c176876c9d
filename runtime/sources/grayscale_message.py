"""A run's grey scales as the decoder process tells them to its parent, which checks every field.

Not for: the other fields of a run (messages.py).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from cathrt.runtime.frame import (
    Grayscale,
    LookupTable,
    PhotometricInterpretation,
    PresentationLutShape,
    Rescale,
    VoiWindow,
)
from cathrt.runtime.sources.reply_error import require

_T = TypeVar("_T", Rescale, VoiWindow)

MAX_GRAYSCALES = 256  # of one run: its line prepares for each before the first frame
MAX_NUMBERS = 1 << 19  # in their tables and exposed areas: two 65,536-entry tables and 65,535 rows fit


@dataclass(frozen=True, slots=True)
class _Table:
    first_input: int
    values: list[float]
    bits: Annotated[int, Ge(1), Le(16)]


@dataclass(frozen=True, slots=True)
class GrayscaleMessage:
    """Grayscale as it crosses the pipe. exposed: [rows, start, stop] for as many rows on end as have the same span."""

    photometric_interpretation: PhotometricInterpretation
    presentation_lut_shape: PresentationLutShape | None
    modality_transform: Rescale | _Table | None
    voi: VoiWindow | _Table | None
    exposed: list[tuple[Annotated[int, Ge(1)], int, int]] | None
    pixel_intensity_relationship: str | None


def numbers_of(grayscale: Grayscale) -> int:
    """How many numbers its tables and its exposed area take on the way; a reply holds MAX_NUMBERS at most."""
    tables = (part for part in (grayscale.modality, grayscale.voi) if isinstance(part, LookupTable))
    return sum(table.values.size for table in tables) + 3 * len(_spans_by_rows(grayscale.exposed) or ())


def message_from_grayscale(grayscale: Grayscale) -> dict[str, Any]:
    """The child's side of grayscale_from_message."""
    return {
        "photometric_interpretation": grayscale.photometric_interpretation,
        "presentation_lut_shape": grayscale.presentation_lut_shape,
        "modality_transform": _document_from_transform(grayscale.modality),
        "voi": _document_from_transform(grayscale.voi),
        "exposed": _spans_by_rows(grayscale.exposed),
        "pixel_intensity_relationship": grayscale.pixel_intensity_relationship,
    }


def grayscale_from_message(message: GrayscaleMessage, bits_stored: int, shape: tuple[int, int]) -> Grayscale:
    """Check a grey scale of frames of `shape` (rows, columns) and build it. Raises ReplyError."""
    return Grayscale(
        bits_stored=bits_stored,
        photometric_interpretation=message.photometric_interpretation,
        modality=_transform(message.modality_transform),
        voi=_transform(message.voi),
        exposed=_spans(message.exposed, *shape),
        pixel_intensity_relationship=message.pixel_intensity_relationship,
        presentation_lut_shape=message.presentation_lut_shape,
    )


def _document_from_transform(transform: Rescale | VoiWindow | LookupTable | None) -> dict[str, Any] | None:
    if isinstance(transform, LookupTable):
        return {"first_input": transform.first_input, "values": transform.values.tolist(), "bits": transform.bits}
    return None if transform is None else asdict(transform)


def _transform(reply: _T | _Table | None) -> _T | LookupTable | None:
    if isinstance(reply, _Table):
        values = np.asarray(reply.values, dtype=np.float32)
        require(0 < values.size <= 65536 and bool(np.isfinite(values).all()), "a lookup table is not finite")
        values.flags.writeable = False
        return LookupTable(reply.first_input, values, reply.bits)
    if isinstance(reply, Rescale):
        require(math.isfinite(reply.slope) and math.isfinite(reply.intercept), "rescale is not finite")
    elif isinstance(reply, VoiWindow):
        require(math.isfinite(reply.center) and math.isfinite(reply.width), "the window is not finite")
    return reply


def _spans_by_rows(exposed: NDArray[np.int32] | None) -> list[list[int]] | None:
    """(rows, 2) spans as [rows, start, stop] of rows on end."""
    if exposed is None:
        return None
    begins = np.flatnonzero(np.r_[True, (exposed[1:] != exposed[:-1]).any(axis=1)])
    counts = np.diff(np.r_[begins, len(exposed)])
    by_rows: list[list[int]] = np.column_stack([counts, exposed[begins]]).tolist()
    return by_rows


def _spans(by_rows: list[tuple[int, int, int]] | None, rows: int, columns: int) -> NDArray[np.int32] | None:
    if by_rows is None:
        return None
    require(sum(count for count, _, _ in by_rows) == rows, "exposed has not one span a row")
    require(all(0 <= start <= stop <= columns for _, start, stop in by_rows), "a span leaves the frame")
    counts = [count for count, _, _ in by_rows]
    spans = np.repeat(np.array([span for _, *span in by_rows], dtype=np.int32), counts, axis=0)
    spans.flags.writeable = False
    return spans

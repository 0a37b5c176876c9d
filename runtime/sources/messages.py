"""What the decoder process and its parent say to each other: one JSON document per line, pixels apart (see ring).

The parent believes none of it: every field is checked here for type and range. Not for: starting the process
(sources/decoder/process.py) and for the order of messages (sandbox.py).

Request (parent to child, once):  kind, name, paths, limits, first_frame.
Replies (child to parent):        {"run": ..., "walls": {"seccomp": bool, "landlock": number}} first; then
                                  {"frame": index, "angles": [primary, secondary]} with the pixels in the next slot of
                                  the ring, or {"lost": index, "reason": text, "failed": bool, "ours": bool}; or, at
                                  any point and then last, {"refused": text, "ours": bool}. "ours" is LostFrame.ours;
                                  left out, it is false.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import (
    DicomIdentity,
    Geometry,
    Grayscale,
    LookupTable,
    PhotometricInterpretation,
    RadiationSetting,
    Rescale,
    Run,
    Timing,
    VoiWindow,
)
from cathrt.runtime.outside.validation import faults_of
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.syntax import is_code_string, is_flag, is_uid, is_uuid

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_T = TypeVar("_T", Rescale, VoiWindow)

RING_SLOTS = 4
MAX_RUN_LINE = 8 << 20  # bytes: two 65,536-entry tables and the spans of 65,535 rows fit
MAX_FRAME_LINE = 4096
WALLS = ("seccomp", "landlock")  # what a kernel may lack of a decoder's confinement


class ReplyError(Exception):
    """The decoder process said something that no honest decoder says; it is stopped."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the child is asked to read. paths are absolute; None is a still missing from its sequence.

    first_frame: the first one that is wanted; those before it were delivered by another decoder of the same run.
    """

    kind: InputKind
    name: str
    paths: tuple[str | None, ...]
    limits: LimitsConfig
    first_frame: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    first_input: int
    values: list[float]
    bits: Annotated[int, Ge(1), Le(16)]


@dataclass(frozen=True, slots=True)
class _RunReply:
    """Run as it crosses the pipe: arrays as lists, the name left out (the parent knows it)."""

    run_id: str
    frame_count: Annotated[int, Ge(1)]
    rows: Annotated[int, Ge(1)]
    columns: Annotated[int, Ge(1)]
    bits_stored: Annotated[int, Ge(8), Le(16)]
    photometric_interpretation: PhotometricInterpretation
    modality_transform: Rescale | _Table | None
    voi: VoiWindow | _Table | None
    exposed: list[tuple[int, int]] | None
    pixel_intensity_relationship: str | None
    timing: Timing
    geometry: Geometry
    dicom: DicomIdentity | None
    modality: str | None
    radiation_setting: RadiationSetting | None
    flags: list[str]


def pixel_dtype(bits_stored: int) -> np.dtype[Any]:
    """The one array type of a run's frames."""
    return np.dtype(np.uint8 if bits_stored <= 8 else np.uint16)


def text_from_request(request: Request) -> str:
    """The request as JSON."""
    return json.dumps(asdict(request))


def request_from_text(text: str) -> Request:
    """The child's side; its parent is trusted."""
    document = json.loads(text)
    return Request(
        kind=document["kind"],
        name=document["name"],
        paths=tuple(document["paths"]),
        limits=LimitsConfig(**document["limits"]),
        first_frame=document["first_frame"],
    )


def document_from_run(run: Run) -> dict[str, Any]:
    """The child's side of run_from_document."""
    grayscale = run.grayscale
    return {
        "run_id": run.run_id,
        "frame_count": run.frame_count,
        "rows": run.rows,
        "columns": run.columns,
        "bits_stored": grayscale.bits_stored,
        "photometric_interpretation": grayscale.photometric_interpretation,
        "modality_transform": _document_from_transform(grayscale.modality),
        "voi": _document_from_transform(grayscale.voi),
        "exposed": None if grayscale.exposed is None else grayscale.exposed.tolist(),
        "pixel_intensity_relationship": grayscale.pixel_intensity_relationship,
        "timing": asdict(run.timing),
        "geometry": asdict(run.geometry),
        "dicom": None if run.dicom is None else asdict(run.dicom),
        "modality": run.modality,
        "radiation_setting": run.radiation_setting,
        "flags": list(run.flags),
    }


def run_from_document(document: Any, name: str, limits: LimitsConfig) -> Run:
    """Check the child's description of a run and build it. Raises ReplyError."""
    from pydantic import ValidationError

    try:
        reply = _adapter().validate_python(document)
    except ValidationError as exc:
        raise ReplyError(f"run.{faults_of(exc)[0]}") from exc
    _require(is_uuid(reply.run_id), "run_id is no uuid")
    _require(reply.rows <= limits.max_rows and reply.columns <= limits.max_columns, "rows, columns beyond the limits")
    _require(reply.frame_count <= limits.max_frames, "frame_count beyond the limit")
    _require(all(map(is_flag, reply.flags)) and len(reply.flags) <= 64, "flags are no flags")
    for code in (reply.modality, reply.pixel_intensity_relationship):
        _require(code is None or is_code_string(code), "a code string is none")
    if reply.dicom is not None:
        _require(all(map(is_uid, asdict(reply.dicom).values())), "a UID is none")
    _require_timing(reply.timing, reply.frame_count)
    for value in asdict(reply.geometry).values():
        for number in value if isinstance(value, tuple) else (value,):
            _require(number is None or math.isfinite(number), "geometry is not finite")
    return Run(
        run_id=reply.run_id,
        source=name,
        frame_count=reply.frame_count,
        rows=reply.rows,
        columns=reply.columns,
        grayscale=Grayscale(
            bits_stored=reply.bits_stored,
            photometric_interpretation=reply.photometric_interpretation,
            modality=_transform(reply.modality_transform),
            voi=_transform(reply.voi),
            exposed=_spans(reply.exposed, reply.rows, reply.columns),
            pixel_intensity_relationship=reply.pixel_intensity_relationship,
        ),
        timing=reply.timing,
        geometry=reply.geometry,
        dicom=reply.dicom,
        modality=reply.modality,
        radiation_setting=reply.radiation_setting,
        flags=tuple(sorted(set(reply.flags))),
    )


def angles_from_document(angles: Any) -> tuple[float | None, float | None]:
    """Check a frame's [primary, secondary] positioner angles. Raises ReplyError."""
    _require(isinstance(angles, list) and len(angles) == 2, "angles are no pair")
    for angle in angles:
        _require(angle is None or (isinstance(angle, int | float) and abs(angle) <= 360.0), "an angle is none")
    return angles[0], angles[1]


@cache
def _adapter() -> TypeAdapter[_RunReply]:
    from pydantic import TypeAdapter

    return TypeAdapter(_RunReply)


def _document_from_transform(transform: Rescale | VoiWindow | LookupTable | None) -> dict[str, Any] | None:
    if isinstance(transform, LookupTable):
        return {"first_input": transform.first_input, "values": transform.values.tolist(), "bits": transform.bits}
    return None if transform is None else asdict(transform)


def _transform(reply: _T | _Table | None) -> _T | LookupTable | None:
    if isinstance(reply, _Table):
        values = np.asarray(reply.values, dtype=np.float32)
        _require(0 < values.size <= 65536 and bool(np.isfinite(values).all()), "a lookup table is not finite")
        values.flags.writeable = False
        return LookupTable(reply.first_input, values, reply.bits)
    if isinstance(reply, Rescale):
        _require(math.isfinite(reply.slope) and math.isfinite(reply.intercept), "rescale is not finite")
    elif isinstance(reply, VoiWindow):
        _require(math.isfinite(reply.center) and math.isfinite(reply.width), "the window is not finite")
    return reply


def _spans(exposed: list[tuple[int, int]] | None, rows: int, columns: int) -> NDArray[np.int32] | None:
    if exposed is None:
        return None
    _require(len(exposed) == rows, "exposed has not one span a row")
    _require(all(0 <= start <= stop <= columns for start, stop in exposed), "a span leaves the frame")
    spans = np.asarray(exposed, dtype=np.int32)
    spans.flags.writeable = False
    return spans


def _require_timing(timing: Timing, frame_count: int) -> None:
    _require(math.isfinite(timing.frame_rate_hz) and timing.frame_rate_hz > 0.0, "frame_rate_hz is no rate")
    if (vector := timing.frame_time_vector_ms) is not None:
        _require(len(vector) == frame_count and vector[0] == 0.0, "the frame time vector does not fit the frames")
        _require(all(math.isfinite(step) and step >= 0.0 for step in vector), "a frame time is none")


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ReplyError(complaint)

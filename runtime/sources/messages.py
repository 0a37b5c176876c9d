"""What the decoder process and its parent say to each other: one JSON document per line, pixels apart (see ring).

The parent believes none of it: every field is checked here for type and range. Not for: starting the process
(sources/decoder/process.py) and for the order of messages (sandbox.py).

Request (parent to child, once):  kind, name, paths, limits, first_frame, guessed.
Replies (child to parent):        {"run": ..., "walls": {"seccomp": bool, "landlock": number}} first; then
                                  {"frame": index, "angles": [primary, secondary], "grayscale": place} with the pixels
                                  in the next slot of the ring, or
                                  {"lost": index, "reason": text, "failed": bool, "ours": bool}; or, at any point and
                                  then last, {"refused": text, "ours": bool, "unlike": bool}. "ours" is LostFrame.ours;
                                  "unlike": guessed stills are no run. Left out, they are false.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le, Len

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import (
    DicomIdentity,
    Geometry,
    RadiationSetting,
    Run,
    TakenAt,
    Timing,
)
from cathrt.runtime.outside.validation import faults_of
from cathrt.runtime.sources.discover import InputKind
from cathrt.runtime.sources.grayscale_message import (
    MAX_GRAYSCALES,
    GrayscaleMessage,
    grayscale_from_message,
    message_from_grayscale,
)
from cathrt.runtime.sources.reply_error import ReplyError, require
from cathrt.runtime.sources.syntax import is_code_string, is_flag, is_uid, is_uuid

if TYPE_CHECKING:
    from pydantic import TypeAdapter

RING_SLOTS = 4
MAX_RUN_LINE = 8 << 20  # bytes: MAX_NUMBERS fit
MAX_FRAME_LINE = 4096
WALLS = ("seccomp", "landlock")  # what a kernel may lack of a decoder's confinement


@dataclass(frozen=True, slots=True)
class Request:
    """What the child is asked to read. paths are absolute; None is a still missing from its sequence.

    first_frame: the first one that is wanted; those before it were delivered by another decoder of the same run.
    guessed: stills that are a run only if they are alike.
    """

    kind: InputKind
    name: str
    paths: tuple[str | None, ...]
    limits: LimitsConfig
    first_frame: int = 0
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class _RunReply:
    """Run as it crosses the pipe: arrays as lists, the name left out (the parent knows it)."""

    run_id: str
    frame_count: Annotated[int, Ge(1)]
    rows: Annotated[int, Ge(1)]
    columns: Annotated[int, Ge(1)]
    bits_stored: Annotated[int, Ge(8), Le(16)]
    grayscales: Annotated[list[GrayscaleMessage], Len(1, MAX_GRAYSCALES)]
    timing: Timing
    geometry: Geometry
    dicom: DicomIdentity | None
    modality: str | None
    radiation_setting: RadiationSetting | None
    flags: list[str]
    taken_at: TakenAt


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
        guessed=document["guessed"],
    )


def document_from_run(run: Run) -> dict[str, Any]:
    """The child's side of run_from_document."""
    return {
        "run_id": run.run_id,
        "frame_count": run.frame_count,
        "rows": run.rows,
        "columns": run.columns,
        "bits_stored": run.grayscale.bits_stored,
        "grayscales": [message_from_grayscale(grayscale) for grayscale in run.grayscales],
        "timing": asdict(run.timing),
        "geometry": asdict(run.geometry),
        "dicom": None if run.dicom is None else asdict(run.dicom),
        "modality": run.modality,
        "radiation_setting": run.radiation_setting,
        "flags": list(run.flags),
        "taken_at": asdict(run.taken_at),
    }


def run_from_document(document: Any, name: str, limits: LimitsConfig) -> Run:
    """Check the child's description of a run and build it. Raises ReplyError."""
    from pydantic import ValidationError

    try:
        reply = _adapter().validate_python(document)
    except ValidationError as exc:
        raise ReplyError(f"run.{faults_of(exc)[0]}") from exc
    require(is_uuid(reply.run_id), "run_id is no uuid")
    require(reply.rows <= limits.max_rows and reply.columns <= limits.max_columns, "rows, columns beyond the limits")
    require(reply.frame_count <= limits.max_frames, "frame_count beyond the limit")
    require(all(map(is_flag, reply.flags)) and len(reply.flags) <= 64, "flags are no flags")
    for code in (reply.modality, *(grayscale.pixel_intensity_relationship for grayscale in reply.grayscales)):
        require(code is None or is_code_string(code), "a code string is none")
    if reply.dicom is not None:
        require(all(map(is_uid, asdict(reply.dicom).values())), "a UID is none")
    _require_timing(reply.timing, reply.frame_count)
    for value in asdict(reply.geometry).values():
        for number in value if isinstance(value, tuple) else (value,):
            require(number is None or math.isfinite(number), "geometry is not finite")
    for moment in asdict(reply.taken_at).values():
        require(moment is None or math.isfinite(moment), "taken_at is not finite")
    shape = reply.rows, reply.columns
    grayscale, *others = (grayscale_from_message(one, reply.bits_stored, shape) for one in reply.grayscales)
    return Run(
        run_id=reply.run_id,
        source=name,
        frame_count=reply.frame_count,
        rows=reply.rows,
        columns=reply.columns,
        grayscale=grayscale,
        timing=reply.timing,
        geometry=reply.geometry,
        dicom=reply.dicom,
        modality=reply.modality,
        radiation_setting=reply.radiation_setting,
        flags=tuple(sorted(set(reply.flags))),
        other_grayscales=tuple(others),
        taken_at=reply.taken_at,
    )


def grayscale_from_document(place: Any, run: Run) -> int:
    """Check a frame's place in run.grayscales. Raises ReplyError."""
    require(type(place) is int and 0 <= place < len(run.grayscales), "grayscale is none of the run's")
    return int(place)


def angles_from_document(angles: Any) -> tuple[float | None, float | None]:
    """Check a frame's [primary, secondary] positioner angles. Raises ReplyError."""
    require(isinstance(angles, list) and len(angles) == 2, "angles are no pair")
    for angle in angles:
        require(angle is None or (isinstance(angle, int | float) and abs(angle) <= 360.0), "an angle is none")
    return angles[0], angles[1]


@cache
def _adapter() -> TypeAdapter[_RunReply]:
    from pydantic import TypeAdapter

    return TypeAdapter(_RunReply)


def _require_timing(timing: Timing, frame_count: int) -> None:
    require(math.isfinite(timing.frame_rate_hz) and timing.frame_rate_hz > 0.0, "frame_rate_hz is no rate")
    if (vector := timing.frame_time_vector_ms) is not None:
        require(len(vector) == frame_count and vector[0] == 0.0, "the frame time vector does not fit the frames")
        require(all(math.isfinite(step) and step >= 0.0 for step in vector), "a frame time is none")

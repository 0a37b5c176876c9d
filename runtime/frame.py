"""Frame and Run: what a source delivers. Plain data with the standard's own names; no pixel is touched here.

Not for: results (alert.py) and how grey values become a tensor (preprocess.py).
Tag numbers are those of DICOM PS3.6; semantics of PS3.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PhotometricInterpretation = Literal["MONOCHROME1", "MONOCHROME2"]
VoiLutFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
RadiationSetting = Literal["SC", "GR"]
FrameRateOrigin = Literal[
    "FrameTimeVector", "FrameTime", "CineRate", "RecommendedDisplayFrameRate", "container", "default"
]


@dataclass(frozen=True, slots=True)
class Rescale:
    """Modality rescale: output = slope * stored + intercept. (0028,1053), (0028,1052)."""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True, eq=False)
class LookupTable:
    """A Modality or VOI LUT (0028,3000 / 0028,3010). Inputs outside the table take its first or last entry.

    first_input: stored value (Modality LUT) or modality value (VOI LUT) that maps to values[0].
    values: (entries,) float32, finite.
    bits: bits per entry as declared; a VOI LUT's output range is 0 .. 2**bits - 1.
    """

    first_input: int
    values: NDArray[np.float32]
    bits: int


@dataclass(frozen=True, slots=True)
class VoiWindow:
    """VOI window (0028,1050), (0028,1051), (0028,1056); formulae of PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    center: float
    width: float
    function: VoiLutFunction = "LINEAR"


@dataclass(frozen=True, slots=True, eq=False)
class Grayscale:
    """How the stored values of one run are meant to be read.

    bits_stored: 8..16; every stored value is < 2**bits_stored (the source has masked the unused high bits, and counts
        signed pixels from the lowest; `modality` makes pixel values of them).
    modality, voi: as the object carries them; None where it carries none.
    exposed: (rows, 2) int32, columns [start, stop) of each row inside shutter and collimator; None = the whole frame.
        What lies outside takes no part in statistics and becomes a constant in the tensor.
    pixel_intensity_relationship: (0028,1040) as stored: LIN, LOG, DISP, DRM ... or None.
    """

    bits_stored: int
    photometric_interpretation: PhotometricInterpretation = "MONOCHROME2"
    modality: Rescale | LookupTable | None = None
    voi: VoiWindow | LookupTable | None = None
    exposed: NDArray[np.int32] | None = None
    pixel_intensity_relationship: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When each frame of a run is due, counted from the run's first frame.

    frame_rate_hz: nominal rate. origin: which attribute it came from; "default" means none was usable.
    frame_time_vector_ms: increment before each frame, [0] == 0 (0018,1065), or None for an even cadence.
    """

    frame_rate_hz: float
    origin: FrameRateOrigin
    frame_time_vector_ms: tuple[float, ...] | None = None

    def due_ms(self, index: int) -> float:
        """Milliseconds from the run's first frame to frame `index` (0-based)."""
        if self.frame_time_vector_ms is None:
            return index * 1000.0 / self.frame_rate_hz
        return float(sum(self.frame_time_vector_ms[: index + 1]))


@dataclass(frozen=True, slots=True)
class DicomIdentity:
    """The UIDs by which a DICOM run is known. Data only: no path is ever made from them."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Geometry:
    """C-arm geometry of a run where the object tells it; angles of a moving C-arm are on each Frame."""

    positioner_primary_angle_deg: float | None = None  # (0018,1510), LAO > 0 > RAO
    positioner_secondary_angle_deg: float | None = None  # (0018,1511), CRA > 0 > CAU
    imager_pixel_spacing_mm: tuple[float, float] | None = None  # (0018,1164) row, column, at the detector
    distance_source_to_detector_mm: float | None = None  # (0018,1110)
    distance_source_to_patient_mm: float | None = None  # (0018,1111)


@dataclass(frozen=True, slots=True)
class Run:
    """One pedal press, as its source describes it before any frame is looked at.

    run_id: uuid text; same content, same id (see identity.py).
    source: what a person would call it (a file name, "phantom seed 7"); shown, never used as a path.
    frame_count: frames the source declares or holds, whichever is more, or None for a live tap that cannot know.
    flags: what the source had to assume or noticed, e.g. "frame_rate_default". Sorted, each once.
    """

    run_id: str
    source: str
    frame_count: int | None
    rows: int
    columns: int
    grayscale: Grayscale
    timing: Timing
    geometry: Geometry = field(default_factory=Geometry)
    dicom: DicomIdentity | None = None
    modality: str | None = None  # (0008,0060)
    radiation_setting: RadiationSetting | None = None  # (0018,1155) SC fluoroscopy, GR cine
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One X-ray frame as acquired. `pixels` is read-only; copy what you change.

    pixels: (rows, columns) uint8 or uint16 stored values, C-contiguous, each < 2**bits_stored. For an engine that takes
        frames on its device (frame_step.FrameEngine) also whatever lends them there; such frames are never DUPLICATE.
    index: 0-based within the run. A source that skips an index yields a LostFrame for it.
    acquired_ns: clock reading when the frame was due (paced) or handed over (unpaced); monotonic, never wall clock.
    """

    pixels: NDArray[Any]
    index: int
    acquired_ns: int
    positioner_primary_angle_deg: float | None = None  # (0018,1510) + increments (0018,1520)
    positioner_secondary_angle_deg: float | None = None  # (0018,1511) + increments (0018,1521)


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A frame that exists by its index but cannot be judged; it still ends as a verdict.

    failed: True if it arrived broken (ends FAILED), False if it never arrived or was overrun (ends DROPPED).
    ours: True where the frame may be whole and a part of ours failed it (the decoder was killed, stalled or ran into
        our limits). Only of frames that failed.
    """

    index: int
    acquired_ns: int
    reason: str
    failed: bool
    ours: bool = False

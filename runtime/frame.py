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
PresentationLutShape = Literal["IDENTITY", "INVERSE"]
VoiLutFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
RadiationSetting = Literal["SC", "GR"]
FrameRateOrigin = Literal[
    "FrameTimeVector",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "FrameTime",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "AcquisitionDuration",
    "FrameDisplaySequence",
    "container",
    "measured",
    "given",
    "default",
]
DEFAULT_RATE_HZ = 15.0  # the usual cine rate; Am J Cardiol 2016;118:195
# What an angiography system can mean. Slower is a series of stills, faster a unit mistaken (s for ms, say).
MIN_RATE_HZ, MAX_RATE_HZ = 0.2, 250.0


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
    bits: a VOI LUT's output range is 0 .. 2**bits - 1.
    """

    first_input: int
    values: NDArray[np.float32]
    bits: int

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for tables of equal content."""
        return self.first_input, self.bits, self.values.tobytes()


@dataclass(frozen=True, slots=True)
class VoiWindow:
    """VOI window (0028,1050), (0028,1051), (0028,1056); formulae of PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    center: float
    width: float
    function: VoiLutFunction = "LINEAR"


@dataclass(frozen=True, slots=True, eq=False)
class Grayscale:
    """How stored values are meant to be looked at: the steps of the display that apply, in their order.

    bits_stored: 8..16; every stored value is < 2**bits_stored (the source has masked the unused high bits, and counts
        signed pixels from the lowest; `modality` makes pixel values of them).
    modality, voi: None where there is no such step. X-ray objects have no modality step but that of signed pixels.
    presentation_lut_shape: (2050,0020), the last step; None: the photometric interpretation alone says the polarity.
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
    presentation_lut_shape: PresentationLutShape | None = None

    @property
    def inverted(self) -> bool:
        """Whether high values are dark. A presentation LUT shape decides alone, as in DCMTK."""
        if self.presentation_lut_shape is not None:
            return self.presentation_lut_shape == "INVERSE"
        return self.photometric_interpretation == "MONOCHROME1"

    @property
    def exposed_key(self) -> bytes | None:
        """Equal for equal exposed areas."""
        return None if self.exposed is None else self.exposed.tobytes()

    @property
    def window_key(self) -> tuple[object, ...]:
        """Equal where equal stored values have equal greys; the exposed area is left out."""
        parts = (part.key if isinstance(part, LookupTable) else part for part in (self.modality, self.voi))
        return self.bits_stored, self.inverted, *parts


@dataclass(frozen=True, slots=True)
class Timing:
    """When each frame of a run is due, counted from the run's first frame.

    frame_rate_hz: nominal rate. origin: which attribute it came from, "container" for a video's own, "measured" on a
        live source, "given" for the caller's; "default": none was usable.
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


def is_rate(rate_hz: float) -> bool:
    """Whether frames can be meant to follow each other at this rate."""
    return MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ


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
class TakenAt:
    """When a run was taken, by the angiography system's clock: what runs of one study are ordered by.

    Seconds from the midnight before year 1; where the object tells a time and no date, from the midnight before it.
    None where it tells no time. It goes into no record.
    """

    series_s: float | None = None  # (0008,0021), (0008,0031)
    acquisition_s: float | None = None  # (0008,0022), (0008,0032)


@dataclass(frozen=True, slots=True)
class Run:
    """One pedal press, as its source describes it before any frame is looked at.

    run_id: uuid text; same content, same id (see identity.py).
    source: what a person would call it (a file name, "phantom seed 7"); shown, never used as a path.
    frame_count: frames the source declares or holds, whichever is more, or None for a live tap that cannot know.
    grayscale: of the first frame. other_grayscales: the further ones of a run whose frames differ in grey scale or
        exposed area, each once, all of the same bits_stored. Frames name theirs by its place in `grayscales`.
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
    other_grayscales: tuple[Grayscale, ...] = ()
    taken_at: TakenAt = field(default_factory=TakenAt)

    @property
    def grayscales(self) -> tuple[Grayscale, ...]:
        """All of the run; most runs have one."""
        return (self.grayscale, *self.other_grayscales)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One X-ray frame as acquired. `pixels` is read-only; copy what you change.

    pixels: (rows, columns) uint8 or uint16 stored values, C-contiguous, each < 2**bits_stored. For an engine that takes
        frames on its device (frame_step.FrameEngine) also whatever lends them there; such frames are never DUPLICATE.
    index: 0-based within the run. A source that skips an index yields a LostFrame for it.
    acquired_ns: clock reading when the frame was due (paced) or handed over (unpaced); monotonic, never wall clock.
    grayscale: which of run.grayscales its stored values are meant by.
    """

    pixels: NDArray[Any]
    index: int
    acquired_ns: int
    positioner_primary_angle_deg: float | None = None  # (0018,1510) + increments (0018,1520)
    positioner_secondary_angle_deg: float | None = None  # (0018,1511) + increments (0018,1521)
    grayscale: int = 0


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A frame that exists by its index but cannot be judged; it still ends as a verdict.

    failed: True if it arrived broken (ends FAILED), False if it never arrived or was overrun (ends DROPPED).
    ours: True where the frame may be whole and a part of ours failed it (the decoder was killed, stalled or ran into
        our limits). Only of frames that failed.
    repeat: True where it shows what an earlier frame has shown, but for noise (ends DUPLICATE); the source says so.
    """

    index: int
    acquired_ns: int
    reason: str
    failed: bool
    ours: bool = False
    repeat: bool = False

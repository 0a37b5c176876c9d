"""From the attributes of a DICOM file to the Run it holds, or to a refusal that says what does not fit.

Caps are checked here, before a pixel is touched. Text of the file (names, comments) is never read, dates only by
timing.py.
Not for: parsing (part10.py) and pixels (decoders.py, native.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DicomIdentity, PhotometricInterpretation, RadiationSetting, Run
from cathrt.runtime.identity import run_id
from cathrt.runtime.sources.dicom.attributes import Attributes
from cathrt.runtime.sources.dicom.decoders import PixelLayout
from cathrt.runtime.sources.dicom.exposed import exposed_from_attributes
from cathrt.runtime.sources.dicom.functional_groups import FunctionalGroups
from cathrt.runtime.sources.dicom.geometry import Angles, angles_of_frames, geometry_from_attributes
from cathrt.runtime.sources.dicom.grayscale import grayscale_from_attributes
from cathrt.runtime.sources.dicom.part10 import EXPLICIT_BIG, Part10, uid_name
from cathrt.runtime.sources.dicom.per_frame import flag_gaps, grayscales_of_frames
from cathrt.runtime.sources.dicom.timing import taken_at, timing_from_attributes
from cathrt.runtime.sources.syntax import is_uid, quoted_code

X_RAY_MODALITIES = {
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",  # X-Ray Angiographic Image Storage
    "1.2.840.10008.5.1.4.1.1.12.1.1": "XA",  # Enhanced XA
    "1.2.840.10008.5.1.4.1.1.12.2": "RF",  # X-Ray Radiofluoroscopic Image Storage
    "1.2.840.10008.5.1.4.1.1.12.2.1": "RF",  # Enhanced XRF
}
# Accepted where Modality is an X-ray one: some systems store the monitor, or wrap a run, so.
SECONDARY_CAPTURES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word
    }
)
_X_RAY = frozenset({"XA", "RF"})  # RF is the DICOM term for radiofluoroscopy (XRF objects)
_BIPLANE_FLAGS = {"BIPLANE A": "biplane_a", "BIPLANE B": "biplane_b", "BIPLANE": "biplane"}
_RADIATION_SETTINGS: dict[str, RadiationSetting] = {"SC": "SC", "GR": "GR"}


@dataclass(frozen=True, slots=True)
class Described:
    """What the header says of the pixels, before they are looked at. frames: Number of Frames, 1 where it is absent.

    attributes: of the first frame. groups: for those of each frame.
    """

    attributes: Attributes
    groups: FunctionalGroups
    sop_class_uid: str
    modality: str | None
    photometric_interpretation: PhotometricInterpretation
    layout: PixelLayout
    frames: int


@dataclass(frozen=True, slots=True)
class FrameDescription:
    """What holds for one frame. grayscale: its place in run.grayscales."""

    angles: Angles
    grayscale: int


def describe(part10: Part10, limits: LimitsConfig) -> Described:
    """How the pixels are stored. Raises SourceError for what is no run."""
    flags = set(part10.flags)
    top, groups = Attributes([[part10.dataset]], flags), FunctionalGroups(part10.dataset, flags, limits.max_frames)
    sop_class_uid, modality = _check_sop_class(part10, top)
    layout = _pixel_layout(top, limits)
    frames = _frame_count(top, limits)
    photometric_interpretation = _photometric_interpretation(top)
    first = groups.of_frame(0)
    return Described(first, groups, sop_class_uid, modality, photometric_interpretation, layout, frames)


def run_from_description(
    described: Described, part10: Part10, name: str, content_sha256: str, *, frame_count: int
) -> tuple[Run, list[FrameDescription]]:
    """The Run, and what holds for each frame. frame_count: of the frames found. Raises SourceError."""
    attributes, layout, groups = described.attributes, described.layout, described.groups
    flags = attributes.flags
    grayscales = grayscales_of_frames(
        groups,
        frame_count,
        lambda of_frame: grayscale_from_attributes(
            of_frame,
            layout,
            described.photometric_interpretation,
            little_endian=part10.transfer_syntax_uid != EXPLICIT_BIG,
            has_modality_step=described.sop_class_uid in SECONDARY_CAPTURES,
            exposed=exposed_from_attributes(of_frame, layout.rows, layout.columns),
        ),
    )
    geometry = geometry_from_attributes(attributes)
    angles = angles_of_frames(groups, geometry, frame_count)
    flag_gaps(groups, frame_count, flags)
    image_type = attributes.codes("ImageType")
    if len(image_type) > 2 and (biplane := _BIPLANE_FLAGS.get(image_type[2])):
        flags.add(biplane)
    taken = taken_at(attributes)
    setting = attributes.code("RadiationSetting")
    if setting is not None and setting not in _RADIATION_SETTINGS:
        attributes.flag_unusable("RadiationSetting")
    run = Run(
        run_id=run_id(content_sha256),
        source=name,
        frame_count=frame_count,
        rows=layout.rows,
        columns=layout.columns,
        grayscale=grayscales.distinct[0],
        timing=timing_from_attributes(attributes, groups, frame_count),
        geometry=geometry,
        dicom=_identity(attributes, described.sop_class_uid, part10.transfer_syntax_uid),
        modality=described.modality,
        radiation_setting=_RADIATION_SETTINGS.get(setting or ""),
        flags=tuple(sorted(flags)),
        other_grayscales=grayscales.distinct[1:],
        taken_at=taken,
    )
    return run, [FrameDescription(*pair) for pair in zip(angles, grayscales.of_frames, strict=True)]


def _check_sop_class(part10: Part10, attributes: Attributes) -> tuple[str, str | None]:
    """SOP class and modality of an X-ray run; anything else is refused by its name."""
    uid = attributes.text("SOPClassUID") or part10.meta_sop_class_uid
    modality = attributes.code("Modality")
    if uid is None or not is_uid(uid):
        raise SourceError("no valid SOP Class UID (0008,0016): the data set is damaged or no DICOM image")
    if uid in SECONDARY_CAPTURES and modality in _X_RAY:
        attributes.flags.add("secondary_capture")
    elif uid not in X_RAY_MODALITIES:
        raise SourceError(
            f"SOP class {uid_name(uid)} with modality {quoted_code(modality)}: "
            "expected an XA or XRF image, or a secondary capture of one"
        )
    elif modality != X_RAY_MODALITIES[uid]:
        attributes.flags.add("modality_mismatch")
    if part10.meta_sop_class_uid not in (None, uid):
        attributes.flags.add("sop_class_mismatch")
    return uid, modality


def _pixel_layout(attributes: Attributes, limits: LimitsConfig) -> PixelLayout:
    rows, columns = attributes.integer("Rows"), attributes.integer("Columns")
    if rows is None or columns is None:
        raise SourceError("no Rows (0028,0010) or Columns (0028,0011) before the pixels: export the file again")
    if not (1 <= rows <= limits.max_rows and 1 <= columns <= limits.max_columns):
        raise SourceError(
            f"{rows} rows x {columns} columns, expected 1x1 to limits.max_rows x max_columns = "
            f"{limits.max_rows}x{limits.max_columns}: raise them if this is meant"
        )
    samples = attributes.integer("SamplesPerPixel")
    if samples not in (1, None):
        raise SourceError(f"Samples per Pixel {samples}: expected 1; colour is no X-ray frame")
    representation = attributes.integer("PixelRepresentation")
    if representation not in (0, 1, None):
        raise SourceError(f"Pixel Representation (0028,0103) is {representation}: expected 0 (unsigned) or 1 (signed)")
    if representation == 1:
        attributes.flags.add("pixels_signed")
    allocated, stored = attributes.integer("BitsAllocated"), attributes.integer("BitsStored")
    if allocated not in (8, 16) or stored is None or not 8 <= stored <= allocated:
        raise SourceError(
            f"{stored or 'no'} Bits Stored in {allocated or 'no'} Bits Allocated: expected 8 to 16 stored in 8 or 16"
        )
    high_bit = attributes.integer("HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        attributes.flag_unusable("HighBit")
        high_bit = stored - 1
    return PixelLayout(rows, columns, allocated, stored, high_bit, signed=representation == 1)


def _frame_count(attributes: Attributes, limits: LimitsConfig) -> int:
    """NumberOfFrames; absent or empty means 1."""
    frames = attributes.integer("NumberOfFrames")
    if "number_of_frames_unusable" in attributes.flags or (frames is not None and not 1 <= frames <= limits.max_frames):
        raise SourceError(
            f"Number of Frames (0028,0008) is {'no number' if frames is None else frames}, "
            f"expected 1 to limits.max_frames = {limits.max_frames}"
        )
    return frames or 1


def _photometric_interpretation(attributes: Attributes) -> PhotometricInterpretation:
    value = attributes.code("PhotometricInterpretation")
    if value == "MONOCHROME1":
        return "MONOCHROME1"
    if value is None:
        attributes.flags.add("photometric_interpretation_missing")
    elif value != "MONOCHROME2":
        raise SourceError(f"Photometric Interpretation {quoted_code(value)}: expected MONOCHROME2 or MONOCHROME1")
    return "MONOCHROME2"


def _identity(attributes: Attributes, sop_class_uid: str, transfer_syntax_uid: str) -> DicomIdentity | None:
    """The run's UIDs; None, flagged, unless all are UIDs: a result must not refer to something that is not there."""
    uids = [attributes.text(keyword) for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
    valid = [uid for uid in uids if uid is not None and is_uid(uid)]
    if len(valid) < 3:
        attributes.flags.add("uid_unusable")
        return None
    return DicomIdentity(sop_class_uid, valid[0], valid[1], valid[2], transfer_syntax_uid)

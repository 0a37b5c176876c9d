"""The front of a DICOM file: preamble, file meta information, data set up to Pixel Data; strict where pydicom is kind.

Not for: what the attributes mean (header.py) and the pixels (native.py, encapsulated.py).
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.content import size_of
from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS
from cathrt.runtime.sources.dicom.decoders import DECODERS
from cathrt.runtime.sources.dicom.inflated import InflatedStream
from cathrt.runtime.sources.syntax import is_uid

EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
EXPLICIT_BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
NATIVE = frozenset({EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})

PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
_MAX_VALUE = 32 << 20  # bytes; the largest header value we read, a 65,536-entry LUT, has 128 KiB
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})
_META_KEYWORDS = ("MediaStorageSOPClassUID", "TransferSyntaxUID")

# Everything a run is described by. Nothing else at the top of the data set is kept: no name, no birth date, no comment.
# fmt: off
_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType",
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "NumberOfFrames", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate",
    "RecommendedDisplayFrameRate", "AcquisitionDuration", "FrameDisplaySequence", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "PixelIntensityRelationship",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "PresentationLUTShape", "PixelPaddingValue", "RadiationSetting",
    "PositionerMotion", "PositionerPrimaryAngle", "PositionerSecondaryAngle", "PositionerPrimaryAngleIncrement",
    "PositionerSecondaryAngleIncrement", "ImagerPixelSpacing", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "ShutterShape", "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge", "CenterOfCircularShutter", "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter", "CollimatorShape", "CollimatorLeftVerticalEdge", "CollimatorRightVerticalEdge",
    "CollimatorUpperHorizontalEdge", "CollimatorLowerHorizontalEdge", "CenterOfCircularCollimator",
    "RadiusOfCircularCollimator", "VerticesOfThePolygonalCollimator", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Part10:
    """One DICOM file, read up to where its Pixel Data should begin; `body` stands there."""

    dataset: Dataset
    meta_sop_class_uid: str | None
    transfer_syntax_uid: str
    body: BinaryIO | InflatedStream
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class PixelDataElement:
    """(7FE0,0010), with the stream at the first byte of its value. vr: None if implicit. length: None if undefined."""

    vr: bytes | None
    length: int | None


def read_part10(
    file: BinaryIO, *, max_inflated_bytes: int, keywords: Sequence[str] = _KEYWORDS, until: int = _FLOAT_PIXEL_DATA[0]
) -> Part10:
    """Read the header. Raises SourceError where this is no DICOM file or a damaged one.

    keywords: what is kept of it. until: the first tag that is read no more.
    """
    flags: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            transfer_syntax_uid, meta_sop_class_uid = _read_meta(file, flags)
            implicit = transfer_syntax_uid == IMPLICIT_LITTLE
            little_endian = transfer_syntax_uid != EXPLICIT_BIG
            body = InflatedStream(file, max_inflated_bytes) if transfer_syntax_uid == DEFLATED else file
            tags = [tag_for_keyword(keyword) for keyword in keywords]
            dataset = read_dataset(
                _Strict(body),
                implicit,
                little_endian,
                stop_when=lambda tag, _vr, _len: tag >= until,
                specific_tags=tags,
            )
        except (*CONVERSION_ERRORS, EOFError, InvalidDicomError) as exc:
            if isinstance(exc, OSError) and exc.errno is not None:  # of the system; pydicom's own have none
                raise
            # pydicom's own words may quote a value.
            raise SourceError(f"damaged DICOM header ({type(exc).__name__}): export the file again") from exc
        except RecursionError as exc:
            raise SourceError("DICOM sequences nested beyond reason: the file is damaged or hostile") from exc
    if dataset.original_encoding[0] != implicit:
        # pydicom follows the bytes; we do not guess where the pixels of such a file begin.
        written, declared = ("explicit", "implicit") if implicit else ("implicit", "explicit")
        raise SourceError(
            f"a data set with {written} VRs under the {declared} transfer syntax {_named(transfer_syntax_uid)}: "
            "export the file again"
        )
    if caught:
        flags.add("header_nonconformant")
    return Part10(dataset, meta_sop_class_uid, transfer_syntax_uid, body, frozenset(flags))


def open_pixel_data(part10: Part10) -> PixelDataElement:
    """Step into Pixel Data: undefined length for compressed frames, a defined one for uncompressed.

    Raises SourceError where there is none or where its length does not go with the transfer syntax.
    """
    syntax = part10.transfer_syntax_uid
    vr, length = _pixel_data_header(
        part10.body, little_endian=syntax != EXPLICIT_BIG, implicit=syntax == IMPLICIT_LITTLE
    )
    if (length == _UNDEFINED) == (syntax in NATIVE):
        found = "undefined" if length == _UNDEFINED else "a defined"
        raise SourceError(
            f"Pixel Data of {found} length does not go with transfer syntax {_named(syntax)}: export it again"
        )
    return PixelDataElement(vr, None if length == _UNDEFINED else length)


def _read_meta(file: BinaryIO, flags: set[str]) -> tuple[str, str | None]:
    """Transfer syntax and Media Storage SOP Class; leaves the file at the data set."""
    head = file.read(132)
    if head[128:] != b"DICM":
        if head[:2] not in (b"\x02\x00", b"\x08\x00") or len(head) < 16:
            raise SourceError("not DICOM: neither 'DICM' after a preamble of 128 bytes nor a data set at its start")
        flags.add("no_preamble")
        file.seek(0)
    start = file.tell()
    group = file.read(6)
    file.seek(start)
    if group[:2] != b"\x02\x00":
        flags.add("no_file_meta")
        return (EXPLICIT_LITTLE if group[4:6].isalpha() and group[4:6].isupper() else IMPLICIT_LITTLE), None
    tags = [tag_for_keyword(keyword) for keyword in _META_KEYWORDS]
    meta = read_dataset(
        _Strict(file), False, True, stop_when=lambda tag, _vr, _length: tag.group != 2, specific_tags=tags
    )
    uid = str(meta.get("TransferSyntaxUID") or "")
    if not is_uid(uid):
        raise SourceError(
            "no valid Transfer Syntax UID (0002,0010) in the file meta information: export the file again"
        )
    if uid not in NATIVE and uid not in DECODERS:
        raise SourceError(
            f"transfer syntax {_named(uid)} is not decoded here: export uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000"
        )
    sop_class_uid = str(meta.get("MediaStorageSOPClassUID") or "")
    return uid, sop_class_uid if is_uid(sop_class_uid) else None


def _pixel_data_header(body: Any, *, little_endian: bool, implicit: bool) -> tuple[bytes | None, int]:
    """VR and length of the Pixel Data element at which the stream stands."""
    order = "<" if little_endian else ">"
    header = body.read(8)
    if not header:
        raise SourceError("no Pixel Data (7FE0,0010): the data set ends without it: export the object with its pixels")
    if len(header) < 8:
        raise SourceError("no Pixel Data (7FE0,0010): the file ends inside an element; fetch it again")
    group, element, length = struct.unpack(f"{order}HHI", header)
    tag = group << 16 | element
    if tag in _FLOAT_PIXEL_DATA:
        raise SourceError("floating-point pixels (7FE0,0008): X-ray runs store whole numbers")
    if tag != PIXEL_DATA:
        raise SourceError("no Pixel Data (7FE0,0010) where the header ends: the file is no image, or damaged")
    vr = header[4:6]
    if implicit or not (vr.isalpha() and vr.isupper()):
        return None, length
    if vr not in _LONG_VRS:
        raise SourceError(f"Pixel Data has the VR {vr.decode('ascii')}, expected OB or OW: export the file again")
    extra = body.read(4)
    if len(extra) < 4:
        raise SourceError("the file ends at its Pixel Data: it is cut off; fetch it again")
    return vr, struct.unpack(f"{order}I", extra)[0]


def uid_name(uid: str) -> str:
    """What the standard calls this UID; the UID itself where it has no name, well formed or not."""
    return str(UID(uid, validation_mode=config.IGNORE).name)


def _named(uid: str) -> str:
    if not is_uid(uid):
        return "that is no UID"
    name = uid_name(uid)
    return uid if name == uid else f"{uid} ({name})"


class _Strict:
    """What pydicom reads through: a value that the file does not hold, or that no header needs, ends the reading."""

    def __init__(self, body: BinaryIO | InflatedStream) -> None:
        self._body = body
        self._end = None if isinstance(body, InflatedStream) else size_of(body)

    def tell(self) -> int:
        return self._body.tell()

    def seek(self, position: int) -> int:
        return self._body.seek(position)

    def read(self, size: int) -> bytes:
        if size > _MAX_VALUE or (self._end is not None and size > max(65536, self._end - self._body.tell())):
            raise SourceError(
                f"a header value claims {size} bytes at byte {self._body.tell()}: the file is cut off or damaged"
            )
        return self._body.read(size)

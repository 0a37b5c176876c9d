"""Writes a phantom run as a multi-frame X-Ray Angiographic Image, so that it can take the whole way a real one takes.

Uncompressed Explicit VR Little Endian, one frame at a time: a run never sits in memory whole.
Modules and types from DICOM PS3.3 A.14 (XA Image IOD). Not for: results (sinks/) or reading (sources/dicom).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.frame import Run

_ROOT = "2.25."  # UUID-derived UIDs, PS3.5 B.2
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_XA_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.12.1"


def write_xa(run: Run, render: Callable[[int], NDArray[Any]], path: Path) -> Path:
    """Write every frame of `run` to `path`; returns it. The same run gives the same bytes.

    render(index) gives frame `index`: (rows, columns) uint8 or uint16 stored values.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.filewriter import dcmwrite

    assert run.frame_count is not None
    bits_allocated = 8 if run.grayscale.bits_stored <= 8 else 16
    dataset = _header(run, bits_allocated)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _XA_IMAGE_STORAGE
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN
    meta.ImplementationClassUID = _uid("implementation")
    meta.ImplementationVersionName = "CATHRT"
    dataset.file_meta = meta
    length = run.frame_count * run.rows * run.columns * bits_allocated // 8
    with path.open("wb") as stream:
        dcmwrite(stream, dataset, enforce_file_format=True)
        # (7FE0,0010) in explicit VR: tag, VR, two reserved bytes, 32-bit length (PS3.5 7.1.2), then the frames in turn.
        vr = b"OB" if bits_allocated == 8 else b"OW"
        stream.write(b"\xe0\x7f\x10\x00" + vr + b"\x00\x00" + (length + length % 2).to_bytes(4, "little"))
        for pixels in _frames(render, run.frame_count, np.dtype("u1" if bits_allocated == 8 else "<u2")):
            stream.write(pixels.tobytes())
        stream.write(b"\x00" * (length % 2))
    return path


def _frames(render: Callable[[int], NDArray[Any]], count: int, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for index in range(count):
        yield np.ascontiguousarray(render(index)).astype(dtype, copy=False)


def _header(run: Run, bits_allocated: int) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.SOPClassUID = _XA_IMAGE_STORAGE
    dataset.SOPInstanceUID = _uid(f"instance|{run.run_id}")
    dataset.StudyInstanceUID = _uid(f"study|{run.run_id}")
    dataset.SeriesInstanceUID = _uid(f"series|{run.run_id}")
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = ""
    dataset.Modality = "XA"
    dataset.Manufacturer = "cathrt phantom"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesDescription = "SYNTHETIC PHANTOM, NOT A PATIENT"
    dataset.PatientName = "PHANTOM^CATHRT"
    dataset.PatientID = run.source
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.BodyPartExamined = "HEART"
    dataset.StudyID = "1"
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.PatientOrientation = ""
    dataset.KVP = ""
    dataset.ExposureTime = dataset.XRayTubeCurrent = dataset.Exposure = ""
    dataset.RadiationSetting = run.radiation_setting or "GR"
    dataset.PositionerMotion = "STATIC"
    geometry = run.geometry
    dataset.PositionerPrimaryAngle = _decimal(geometry.positioner_primary_angle_deg)
    dataset.PositionerSecondaryAngle = _decimal(geometry.positioner_secondary_angle_deg)
    dataset.DistanceSourceToDetector = _decimal(geometry.distance_source_to_detector_mm)
    dataset.DistanceSourceToPatient = _decimal(geometry.distance_source_to_patient_mm)
    if geometry.imager_pixel_spacing_mm is not None:
        dataset.ImagerPixelSpacing = [_decimal(value) for value in geometry.imager_pixel_spacing_mm]
    timing = run.timing
    if timing.frame_time_vector_ms is None:
        dataset.FrameTime = _decimal(1000.0 / timing.frame_rate_hz)
        dataset.FrameIncrementPointer = Tag(0x0018, 0x1063)
    else:
        dataset.FrameTimeVector = [_decimal(value) for value in timing.frame_time_vector_ms]
        dataset.FrameIncrementPointer = Tag(0x0018, 0x1065)
    dataset.NumberOfFrames = str(run.frame_count)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = run.grayscale.photometric_interpretation
    dataset.Rows, dataset.Columns = run.rows, run.columns
    dataset.BitsAllocated = bits_allocated
    dataset.BitsStored = run.grayscale.bits_stored
    dataset.HighBit = run.grayscale.bits_stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship = run.grayscale.pixel_intensity_relationship or "LIN"
    dataset.LossyImageCompression = "00"
    return dataset


def _uid(name: str) -> str:
    """A UID that the name alone decides."""
    return _ROOT + str(int.from_bytes(hashlib.sha256(f"cathrt|{name}".encode()).digest()[:16], "big"))


def _decimal(value: float | None) -> str:
    """A DS value of at most 16 characters; empty where unknown."""
    return "" if value is None else f"{value:.10g}"

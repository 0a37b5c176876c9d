"""The data set of a phantom run but for its pixels: the modules of an X-Ray Angiographic Image, one function each.

Modules and types from DICOM PS3.3 A.14; `dciodvfy` finds neither error nor warning in them (tests).
Not for: Pixel Data and file meta (dicom.py) and reading (sources/dicom).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.frame import Grayscale, Run, VoiWindow
from cathrt.runtime.phantom.contrast import FULL_IODINE_MG_ML
from cathrt.runtime.phantom.scene import PHANTOM_VERSION, Scene

XA_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.12.1"
SYNTHETIC = "SYNTHETIC"
_ROOT = "2.25."  # UUID-derived UIDs, PS3.5 B.2
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065
# Type 2 attributes that a DICOMDIR needs; no run was made on that day.
_NO_DATE, _NO_TIME = "20000101", "000000"


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a scene knows of its exposure that a Run does not tell.

    burned_in: text stands in the picture. jpeg_quality: at which its pixels went through JPEG before they were stored,
    None where they did not. r_wave_frames: 0-based, the first frame exposed at or after each R wave.
    """

    pulse_width_ms: float
    burned_in: bool
    jpeg_quality: int | None
    contrast: bool
    table_moves: bool
    r_wave_frames: tuple[int, ...]


def acquisition_from_scene(scene: Scene) -> Acquisition:
    """The exposure of a scene as its DICOM object tells it."""
    phases = [scene.motion.phase(scene.time_s(index)) for index in range(scene.frame_count)]
    return Acquisition(
        pulse_width_ms=scene.exposure_ms,
        burned_in=scene.overlay is not None,
        jpeg_quality=scene.display.jpeg_quality,
        contrast=scene.bolus is not None or scene.chamber is not None,
        table_moves=bool(np.any(scene.pan_mm)),
        r_wave_frames=tuple(i for i in range(1, scene.frame_count) if phases[i] < phases[i - 1]),
    )


def xa_header(run: Run, acquisition: Acquisition | None, *, instance: str = "", study: str = "") -> Any:
    """A pydicom Dataset that lacks nothing but Pixel Data and compression. The same arguments give the same values.

    instance: tells apart files of one run that hold other pixels, as a lossy copy does (PS3.3 C.7.6.1.1.5). study: runs
    with the same name here are of one study; "": each is a study of its own.
    """
    from pydicom.dataset import Dataset

    dataset = Dataset()
    _identify(dataset, run, instance, study or run.run_id)
    _expose(dataset, run, acquisition)
    _position(dataset, run)
    _time(dataset, run, acquisition)
    _store(dataset, run)
    _shade(dataset, run.grayscale)
    if run.grayscale.exposed is not None:
        _shut(dataset, run.grayscale.exposed)
    return dataset


def uid(name: str) -> str:
    """A UID that the name alone decides."""
    return _ROOT + str(int.from_bytes(hashlib.sha256(f"cathrt|{name}".encode()).digest()[:16], "big"))


def decimal(value: float | None) -> str:
    """A DS value, as near as its 16 characters allow; empty where unknown."""
    from pydicom.valuerep import format_number_as_ds

    return "" if value is None else format_number_as_ds(float(value))


def _identify(dataset: Any, run: Run, instance: str, study: str) -> None:
    """Patient, General Study, Series, Equipment and Image, SOP Common: each says that there is no patient."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    dataset.SOPClassUID = XA_IMAGE_STORAGE
    dataset.SOPInstanceUID = uid(f"instance|{run.run_id}|{run.timing.frame_rate_hz:g} Hz{instance}")
    dataset.StudyInstanceUID = uid(f"study|{study}")
    dataset.SeriesInstanceUID = uid(f"series|{run.run_id}")
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = _NO_DATE, _NO_TIME, ""
    dataset.Modality = "XA"
    dataset.Manufacturer = "cathrt phantom"
    dataset.ManufacturerModelName = SYNTHETIC
    dataset.SoftwareVersions = f"phantom {PHANTOM_VERSION}"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = f"{SYNTHETIC}: {run.source}"
    dataset.SeriesDescription = f"{SYNTHETIC} PHANTOM, NOT A PATIENT"
    dataset.PatientName = "PHANTOM^CATHRT"
    dataset.PatientID = run.source
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.BodyPartExamined = "HEART"
    dataset.StudyID = dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.PatientOrientation = ""
    dataset.ImageComments = f"{SYNTHETIC}, no patient. {NOTICE}"


def _expose(dataset: Any, run: Run, acquisition: Acquisition | None) -> None:
    """X-Ray Acquisition, Contrast/Bolus, X-Ray Table. The phantom has no tube: its voltage and current stay empty."""
    dataset.RadiationSetting = run.radiation_setting or "GR"
    dataset.KVP = dataset.XRayTubeCurrent = dataset.Exposure = dataset.ExposureTime = ""
    if acquisition is None:
        return
    dataset.BurnedInAnnotation = "YES" if acquisition.burned_in else "NO"
    dataset.RadiationMode = "PULSED"
    dataset.AveragePulseWidth = decimal(acquisition.pulse_width_ms)
    dataset.ExposureTime = str(round(acquisition.pulse_width_ms * (run.frame_count or 0)))
    if acquisition.contrast:
        dataset.ContrastBolusAgent = "IODINE, SIMULATED"
        dataset.ContrastBolusIngredient = "IODINE"
        dataset.ContrastBolusIngredientConcentration = decimal(FULL_IODINE_MG_ML)
    dataset.TableMotion = "STATIC"
    if acquisition.table_moves:
        dataset.TableMotion = "DYNAMIC"  # its increments (type 2C) are not told
        dataset.TableVerticalIncrement = dataset.TableLongitudinalIncrement = dataset.TableLateralIncrement = None


def _position(dataset: Any, run: Run) -> None:
    """XA Positioner and the geometry of X-Ray Acquisition."""
    geometry = run.geometry
    dataset.PositionerMotion = "STATIC"
    dataset.PositionerPrimaryAngle = decimal(geometry.positioner_primary_angle_deg)
    dataset.PositionerSecondaryAngle = decimal(geometry.positioner_secondary_angle_deg)
    detector_mm, patient_mm = geometry.distance_source_to_detector_mm, geometry.distance_source_to_patient_mm
    dataset.DistanceSourceToDetector = decimal(detector_mm)
    dataset.DistanceSourceToPatient = decimal(patient_mm)
    if detector_mm is not None and patient_mm is not None:
        dataset.EstimatedRadiographicMagnificationFactor = decimal(detector_mm / patient_mm)
    if geometry.imager_pixel_spacing_mm is not None:
        dataset.ImagerPixelSpacing = [decimal(value) for value in geometry.imager_pixel_spacing_mm]


def _time(dataset: Any, run: Run, acquisition: Acquisition | None) -> None:
    """Cine, Multi-frame, Frame Pointers."""
    from pydicom.tag import Tag

    timing = run.timing
    if timing.frame_time_vector_ms is None:
        dataset.FrameTime = decimal(1000.0 / timing.frame_rate_hz)
        dataset.FrameIncrementPointer = Tag(_FRAME_TIME)
    else:
        dataset.FrameTimeVector = [decimal(value) for value in timing.frame_time_vector_ms]
        dataset.FrameIncrementPointer = Tag(_FRAME_TIME_VECTOR)
    dataset.NumberOfFrames = str(run.frame_count)
    if acquisition is not None and acquisition.r_wave_frames:
        dataset.RWavePointer = [index + 1 for index in acquisition.r_wave_frames]


def _store(dataset: Any, run: Run) -> None:
    """Image Pixel."""
    bits_stored = run.grayscale.bits_stored
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = run.grayscale.photometric_interpretation
    dataset.Rows, dataset.Columns = run.rows, run.columns
    dataset.BitsAllocated = 8 if bits_stored <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = 0


def _shade(dataset: Any, grayscale: Grayscale) -> None:
    """X-Ray Image's grey scale, Modality LUT, VOI LUT.

    LOG demands a Modality LUT (PS3.3 A.14, C.8.7.1.1.2). Ours is the identity: the window is meant for the stored
    values, and a table back to linear would sit between the two in readers that take it for a step of the display.
    """
    assert grayscale.modality is None
    assert grayscale.voi is None or isinstance(grayscale.voi, VoiWindow)
    dataset.PixelIntensityRelationship = grayscale.pixel_intensity_relationship or "LIN"
    if dataset.PixelIntensityRelationship == "LOG":
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = decimal(1.0), decimal(0.0), "US"
    if grayscale.voi is not None:
        dataset.WindowCenter, dataset.WindowWidth = decimal(grayscale.voi.center), decimal(grayscale.voi.width)
        dataset.VOILUTFunction = grayscale.voi.function


def _shut(dataset: Any, exposed: NDArray[np.int32]) -> None:
    """Display Shutter around the exposed columns of each row; none where nothing is exposed, which it cannot say.

    exposed: (rows, 2) [start, stop), convex as blades and a round field are. A rectangle is written as one, anything
    else as the polygon around its pixels, whose edges hold exactly those.
    """
    (open_rows,) = np.nonzero(exposed[:, 1] > exposed[:, 0])
    if not len(open_rows):
        return
    starts, stops = exposed[open_rows, 0], exposed[open_rows, 1]
    if (starts == starts[0]).all() and (stops == stops[0]).all():
        dataset.ShutterShape = "RECTANGULAR"
        dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = int(starts[0]) + 1, int(stops[0])
        dataset.ShutterUpperHorizontalEdge = int(open_rows[0]) + 1
        dataset.ShutterLowerHorizontalEdge = int(open_rows[-1]) + 1
        return
    left = [(int(row) + 1, int(start) + 1) for row, start in zip(open_rows, starts, strict=True)]
    right = [(int(row) + 1, int(stop)) for row, stop in zip(open_rows, stops, strict=True)]
    outline = [*_outermost(left, -1), *reversed(_outermost(right, 1))]
    dataset.ShutterShape = "POLYGONAL"
    dataset.VerticesOfThePolygonalShutter = [number for vertex in outline for number in vertex]


def _outermost(side: Sequence[tuple[int, int]], outwards: int) -> list[tuple[int, int]]:
    """The convex chain over points (row, column) of rising row. outwards: +1 towards higher columns, -1 lower ones."""
    chain: list[tuple[int, int]] = []
    for row, column in side:
        while len(chain) > 1:
            (row_a, column_a), (row_b, column_b) = chain[-2:]
            turn = (row_b - row_a) * (column - column_a) - (row - row_a) * (column_b - column_a)
            if turn * outwards < 0:
                break
            chain.pop()
        chain.append((row, column))
    return chain

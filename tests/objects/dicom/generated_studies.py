"""Studies as a store holds them, in every character set, with the records that a study's journal has of them.

Not for: judging (the records are made up), and pixels that show anything.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cathrt.runtime.alert import Record, RunSummary, StudyDraft, StudyEnded
from cathrt.runtime.listener.object_store import Arrival, Received, State
from cathrt.runtime.objects.identity import uid_for
from cathrt.runtime.objects.results import Decision, RunEvidence, StudyResults, results_from
from tests.objects.made_results import finding, read
from tests.passes import draft, result, summary, verdict

XA = "1.2.840.10008.5.1.4.1.1.12.1"
ANSWERS = (
    finding(),
    finding("lad_mid_cto", title="CTO, mid LAD", form="probability", value=0.12, unit="", threshold=0.5, label=""),
    finding("dominance", title="Dominance", artery=None, form="category", value=0.8, unit="", threshold=None),
)


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """declared: (0008,0005). name: a Patient's Name that it can hold. text: of a study description."""

    declared: tuple[str, ...]
    name: str
    text: str


CHARACTER_SETS = (
    CharacterSet((), "Smith^John", "Coronary angiography"),
    CharacterSet(("ISO_IR 100",), "Müller^Jörg", "Gefäße"),
    CharacterSet(("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ", "ｼﾝｿﾞｳ"),
    CharacterSet(("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "冠動脈造影"),
    CharacterSet(("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう", "冠動脈造影 CAG"),
    CharacterSet(("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "Mori^Ougai=森^鷗外=もり^おうがい", "鷗"),
    CharacterSet(("ISO_IR 192",), "Takahashi^Tarou=髙橋^太郎=たかはし^たろう", "冠動脈造影、検査①"),
)
KINDS = (
    "no key frames", "one frame", "open", "ended", "drafted", "read", "second revision", "drafted again", "decided",
)  # fmt: skip
AGAIN = ("second revision", "drafted again")  # a run came after the first end


@dataclass(frozen=True, slots=True)
class Files:
    """A store whose objects are files of a folder: fits results.Store."""

    paths: dict[str, Path]

    def stored(self, sop_instance_uid: str) -> Received | None:
        if sop_instance_uid not in self.paths:
            return None
        seq = list(self.paths).index(sop_instance_uid) + 1
        arrival = Arrival(sop_instance_uid, XA, str(ExplicitVRLittleEndian), "ANGIO", "127.0.0.1")
        return Received(seq, arrival, f"{seq:064}", 1000, 1_780_000_000.0 + 60 * seq, State.STORED)

    def path_of(self, received: Received) -> Path:
        return self.paths[received.arrival.sop_instance_uid]


@dataclass(frozen=True, slots=True)
class PlainFrames:
    """Fits study_objects.Frames: ramps."""

    def pictures(self, run: RunEvidence, frame_numbers: Collection[int]) -> dict[int, NDArray[np.uint8]]:
        return {number: ramp(run, number) for number in frame_numbers}


def ramp(run: RunEvidence, frame_number: int) -> NDArray[np.uint8]:
    """A picture of the run's size."""
    assert 1 <= frame_number <= run.number_of_frames
    grey = np.linspace(frame_number, 255, run.rows * run.columns)
    return grey.astype(np.uint8).reshape(run.rows, run.columns)


@dataclass(frozen=True, slots=True)
class GeneratedStudy:
    """records: as results_from() takes them. store: of its runs. results: what comes of both."""

    kind: str
    character_set: CharacterSet
    records: tuple[Record, ...]
    store: Files
    results: StudyResults

    def in_utf_8(self, folder: Path) -> list[Path]:
        """The runs again, in the character set that our objects have, as pydicom converts them."""
        folder.mkdir(parents=True, exist_ok=True)
        return [_in_utf_8(path, folder / path.name) for path in self.store.paths.values()]


def generated_study(folder: Path, seed: int, kind: str, character_set: CharacterSet) -> GeneratedStudy:
    """The same arguments give the same study."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    paths: dict[str, Path] = {}
    summaries = []
    count = draw.randint(2, 4)
    for number in range(1, count + 1):
        run = _run(seed, number, draw, character_set, one_frame=kind == "one frame")
        path = folder / f"{number}.dcm"
        run.save_as(path, enforce_file_format=True)
        paths[run.SOPInstanceUID] = path
        summaries.append(_summary(run, draw, shown=kind != "no key frames"))
    records: list[Record] = [*summaries]
    if kind != "open":
        records.append(_ended(summaries[:-1] if kind in AGAIN else summaries, 1))
    if kind in ("drafted", "drafted again", "decided"):
        records.append(_drafted(summaries[:-1] if kind in AGAIN else summaries, 1))
    if kind in AGAIN:
        records.append(_ended(summaries, 2))
    if kind == "drafted again":
        records.append(_drafted(summaries, 2))
    store = Files(paths)
    results = results_from(records, store)
    if kind in ("read", "decided"):
        results = read(results, *ANSWERS)
    if kind == "decided":
        decision = Decision("rejected", "Dr. 山田", datetime(2026, 12, 1, 9, 0, tzinfo=UTC), "造影不良")
        results = results.decided(decision)
    return GeneratedStudy(kind, character_set, tuple(records), store, results)


def _in_utf_8(path: Path, to: Path) -> Path:
    run = dcmread(path)
    run.decode()
    run.SpecificCharacterSet = "ISO_IR 192"
    run.save_as(to)
    return to


def _run(seed: int, number: int, draw: random.Random, character_set: CharacterSet, *, one_frame: bool) -> Dataset:
    """A conformant XA object."""
    made, rows, columns = Dataset(), draw.choice((64, 128, 96)), draw.choice((64, 128, 100))
    frames = 1 if one_frame else draw.randint(3, 8)
    if character_set.declared:
        made.SpecificCharacterSet = list(character_set.declared)
    made.SOPClassUID, made.SOPInstanceUID = XA, uid_for("generated", seed, "run", number)
    made.StudyInstanceUID = uid_for("generated", seed)
    made.SeriesInstanceUID = uid_for("generated", seed, "series", (number + 1) // 2)
    made.PatientName, made.StudyDescription = character_set.name, character_set.text
    made.PatientID, made.PatientBirthDate, made.PatientSex = f"P{seed:05}", "19500101", "MFO"[seed % 3]
    made.OtherPatientIDsSequence = [Dataset()]
    made.OtherPatientIDsSequence[0].PatientID, made.OtherPatientIDsSequence[0].TypeOfPatientID = f"X{seed}", "TEXT"
    made.StudyDate, made.StudyTime, made.StudyID = "20261201", "081530", str(seed)
    made.AccessionNumber, made.ReferringPhysicianName = f"A{seed}", character_set.name
    made.Modality, made.SeriesNumber, made.InstanceNumber = "XA", (number + 1) // 2, number
    made.ContentDate, made.ContentTime, made.Manufacturer = "20261201", f"0816{number:02}", "Angio"
    made.PatientOrientation, made.BodyPartExamined = None, "HEART"
    made.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = rows, columns, 8, 8, 7
    made.PixelRepresentation, made.PixelIntensityRelationship = 0, "LIN"
    made.WindowCenter, made.WindowWidth, made.LossyImageCompression = 128, 256, "00"
    made.KVP, made.RadiationSetting, made.RadiationMode, made.Exposure, made.ExposureTime = 80, "GR", "PULSED", 5, 8
    made.XRayTubeCurrent, made.PositionerMotion = 500, "STATIC"
    made.PositionerPrimaryAngle, made.PositionerSecondaryAngle = draw.choice((-30, 45)), draw.choice((-25, 25))
    if frames > 1:
        made.NumberOfFrames, made.FrameTime = frames, 66.7
        made.FrameIncrementPointer = 0x00181063
    made.add_new("PixelData", "OB", bytes(frames * rows * columns))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    made.file_meta = meta
    return made


def _summary(run: Dataset, draw: random.Random, *, shown: bool) -> RunSummary:
    frames = int(run.get("NumberOfFrames") or 1)
    marked = tuple(draw.sample(range(frames), min(frames, draw.randint(1, 3)))) if shown else ()
    scores = tuple(round(0.95 - place / 20, 3) for place in range(len(marked)))
    side = draw.choice(("left", "right", "unknown")) if shown else "unknown"
    told = replace(result(), laterality=side, marked_frames=marked, marked_scores=scores)
    told = replace(told, best_readability=scores[0] if shown and draw.random() < 0.5 else None)
    name = str(run.SOPInstanceUID)
    made = summary([verdict(index, name) for index in range(frames)], name)
    return replace(made, source=name, results=(told,), flags=("frame_rate_default",) if draw.random() < 0.3 else ())


def pairs(count: int) -> Iterator[tuple[int, str, CharacterSet]]:
    """Seeds, kinds and character sets: 9 kinds and 7 sets meet in all 63 ways, then again with other seeds."""
    for seed in range(count):
        yield seed, KINDS[seed % len(KINDS)], CHARACTER_SETS[seed % len(CHARACTER_SETS)]


def _ended(summaries: list[RunSummary], revision: int) -> StudyEnded:
    run_ids = tuple(one.run_id for one in summaries)
    return StudyEnded(f"end {run_ids[0]} {revision}", "study a", revision, run_ids, 0, 12.5)


def _drafted(summaries: list[RunSummary], revision: int) -> StudyDraft:
    return replace(draft(revision), run_ids=tuple(one.run_id for one in summaries))

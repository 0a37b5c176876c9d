"""One generated study's objects, written, read back and checked by every program and library there is.

tests/objects/dicom and benchmarks/objects.py share it. Not for: what single objects say (the tests of each kind).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from highdicom import ko, sr
from pydicom import dcmread
from pydicom.dataset import Dataset

from cathrt.runtime.objects.dicom.study_objects import ObjectOptions, bytes_of, objects_of
from tests.objects.dicom.checkers import disagreements, dump_of, iod_errors
from tests.objects.dicom.generated_studies import CharacterSet, GeneratedStudy, PlainFrames, generated_study

KEY_IMAGES, TEXT, COMPREHENSIVE, IN_3D = (f"1.2.840.10008.5.1.4.1.1.88.{end}" for end in ("59", "11", "33", "34"))


@dataclass(frozen=True, slots=True)
class Checked:
    """objects: how many. faults: what was found, in words, with the object in front. round_trips: that came back."""

    objects: int
    iod_errors: list[str]
    faults: list[str]
    round_trips: int


def options_of(seed: int) -> ObjectOptions:
    """Every option in turn."""
    return ObjectOptions(
        report="3d" if seed % 2 else "comprehensive",
        best_of_series=seed % 3 == 0,
        character_set="japanese" if seed % 5 == 0 else "utf-8",
    )


def checked_study(folder: Path, seed: int, kind: str, character_set: CharacterSet) -> Checked:
    """All that one study gives."""
    study, options = generated_study(folder / "runs", seed, kind, character_set), options_of(seed)
    made = objects_of(study.results, PlainFrames(), options)
    again = objects_of(study.results, PlainFrames(), options)
    faults, errors, paths, round_trips = [], [], [], 0
    if [bytes_of(one) for one in made] != [bytes_of(one) for one in again]:
        faults.append(f"study {seed}: made twice, it is not the same")
    for number, one in enumerate(made):
        path = folder / f"{number}.dcm"
        path.write_bytes(bytes_of(one))
        paths.append(path)
        where = f"study {seed} ({kind}, {character_set.declared}), {one.SeriesDescription}, {one.SOPClassUID}: "
        errors += [where + error for error in iod_errors(path)]
        found = [*_text_faults(path, study), *_document_faults(path, one)]
        came_back = _comes_back(path)
        round_trips += came_back
        faults += [where + fault for fault in found] + ([] if came_back else [where + "not the same once read back"])
    if options.character_set != "japanese":
        runs = study.in_utf_8(folder / "utf-8")
        errors += [f"study {seed}: {error}" for error in disagreements([*runs, *paths])]
    return Checked(len(made), errors, faults, round_trips)


def _comes_back(path: Path) -> bool:
    """Whether pydicom reads it and writes the same bytes."""
    octets, buffer = path.read_bytes(), io.BytesIO()
    read = dcmread(io.BytesIO(octets))
    read.decode()
    read.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() == octets


def _text_faults(path: Path, study: GeneratedStudy) -> list[str]:
    """Names and descriptions are those that went in, in any character set."""
    read, character_set = dcmread(path), study.character_set
    expected = {"PatientName": character_set.name, "StudyDescription": character_set.text}
    return [
        f"{keyword} is {read.get(keyword)}, expected {text}"
        for keyword, text in expected.items()
        if str(read.get(keyword)) != text
    ]


def _document_faults(path: Path, made: Dataset) -> list[str]:
    """Structured documents are read by DCMTK, and by highdicom."""
    uid = str(made.SOPClassUID)
    if uid not in (KEY_IMAGES, TEXT, COMPREHENSIVE, IN_3D):
        return []
    status, dump = dump_of(path)
    wrong = [line for line in dump.splitlines() if line.startswith(("E:", "F:"))]
    if status or wrong:
        return [f"dsrdump ended with {status}: {wrong}"]
    if uid == KEY_IMAGES:
        ko.KeyObjectSelectionDocument.from_dataset(dcmread(path))
    elif uid != TEXT:
        read = sr.srread(path)
        groups = read.content.get_planar_roi_measurement_groups()
        if not groups or any(group.roi is None for group in groups):
            return ["a measurement group without a region"]
    return []

"""Studies of every kind in every character set: others' programs find no error in any object made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.objects.dicom.key_images import key_images
from cathrt.runtime.objects.dicom.study_objects import bytes_of
from tests.objects.dicom.checked import checked_study
from tests.objects.dicom.checkers import disagreements, iod_errors, missing_programs
from tests.objects.dicom.generated_studies import CHARACTER_SETS, generated_study, pairs


def check(folder: Path, count: int) -> None:
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install dicom3tools dcmtk")
    made = 0
    for seed, kind, character_set in pairs(count):
        found = checked_study(folder / str(seed), seed, kind, character_set)
        made += found.objects
        assert (found.iod_errors, found.faults, found.round_trips) == ([], [], found.objects)
    assert made >= 4 * count


def test_no_program_finds_an_error_in_the_objects_of_twelve_studies(tmp_path: Path) -> None:
    check(tmp_path, 12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_program_finds_an_error_in_the_objects_of_two_hundred_studies(tmp_path: Path) -> None:
    check(tmp_path, 200)


def test_the_programs_find_what_is_planted(tmp_path: Path) -> None:
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install dicom3tools dcmtk")
    study = generated_study(tmp_path / "runs", 3, "ended", CHARACTER_SETS[6])
    made = next(iter(key_images(study.results, best_of_series=False)))
    path, other = tmp_path / "made.dcm", tmp_path / "other.dcm"
    other.write_bytes(bytes_of(made))
    runs = study.in_utf_8(tmp_path / "utf-8")
    assert (iod_errors(other), disagreements([*runs, other])) == ([], [])
    del made.CurrentRequestedProcedureEvidenceSequence, made.ConceptNameCodeSequence
    made.PatientName = "Another^Name"
    path.write_bytes(bytes_of(made))
    assert [error for error in iod_errors(path) if "CurrentRequestedProcedureEvidenceSequence" in error]
    assert [error for error in disagreements([*runs, path]) if "PatientName" in error]

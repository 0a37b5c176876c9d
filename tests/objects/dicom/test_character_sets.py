"""In which character set an object is written: UTF-8, or ISO 2022 where all of its text survives that."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from cathrt.runtime.objects.dicom.character_sets import JAPANESE
from cathrt.runtime.objects.dicom.study_objects import ObjectOptions, bytes_of, objects_of
from tests.objects.dicom.generated_studies import CHARACTER_SETS, CharacterSet, PlainFrames, generated_study

IN_ISO_2022 = ObjectOptions(character_set="japanese", pictures=False)


def written(made: Dataset) -> Dataset:
    return dcmread(io.BytesIO(bytes_of(made)))


@pytest.mark.parametrize("character_set", CHARACTER_SETS, ids=lambda one: "+".join(one.declared) or "none")
def test_a_name_is_read_back_as_it_was_whatever_is_asked_for(tmp_path: Path, character_set: CharacterSet) -> None:
    results = generated_study(tmp_path, 4, "ended", character_set).results
    for options in (ObjectOptions(pictures=False), IN_ISO_2022):
        for made in map(written, objects_of(results, PlainFrames(), options)):
            assert (str(made.PatientName), made.StudyDescription) == (character_set.name, character_set.text)


@pytest.mark.parametrize(
    ("number", "fits"), [(0, True), (2, True), (3, True), (4, True), (5, True), (1, True), (6, False)]
)
def test_text_that_iso_2022_cannot_hold_is_written_in_utf_8(tmp_path: Path, number: int, fits: bool) -> None:
    results = generated_study(tmp_path, 4, "ended", CHARACTER_SETS[number]).results
    declared = {str(written(made).SpecificCharacterSet) for made in objects_of(results, PlainFrames(), IN_ISO_2022)}
    assert declared == {str(list(JAPANESE)) if fits else "ISO_IR 192"}

"""Documents of whole studies of every kind and character set, made from files: each is taken by the readers of others,
and the patient in it is the patient of the files.
"""

from __future__ import annotations

import re
from itertools import product

import fhir.resources.bundle
import fhir.resources.R4B.bundle
import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom.valuerep import PersonName

from cathrt.runtime.objects.fhir.transaction import prepared, transaction
from cathrt.runtime.objects.hl7.result_message import Correspondents, result_message
from cathrt.runtime.objects.hl7.text import CHARSETS, CharsetError, CharsetName
from tests.objects.dicom.generated_studies import CHARACTER_SETS, KINDS, CharacterSet, GeneratedStudy, generated_study

ALL = [*product(KINDS, CHARACTER_SETS)]
BEYOND_JIS_X_0208 = [one for one in CHARACTER_SETS if {*one.name} & {*"髙鷗"}]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedStudy]:
    folder = tmp_path_factory.mktemp("studies")
    return [generated_study(folder / str(seed), seed, *one) for seed, one in enumerate(ALL)]


def message(study: GeneratedStudy, charset: CharsetName) -> str:
    between = Correspondents("LAB", "EHR", "HOSP", "", names=True, processing="T", charset=charset)
    return result_message(study.results, "record", between).decode(CHARSETS[charset].codec)


def test_fhir_resources_takes_every_study_in_both_releases(studies: list[GeneratedStudy]) -> None:
    for study in studies:
        fhir.resources.R4B.bundle.Bundle.model_validate(
            transaction(prepared(study.results, "urn:oid:1.2.9", "R4"), None, "record")
        )
    for study in studies[:: len(CHARACTER_SETS)]:
        fhir.resources.bundle.Bundle.model_validate(transaction(prepared(study.results, "", "R5"), None, "record"))


def test_no_fhir_document_has_more_of_the_patient_than_the_identifier(studies: list[GeneratedStudy]) -> None:
    for study in (one for one in studies if one.results.decision is None):  # he who decides has the patient's name
        text = repr(transaction(prepared(study.results, "", "R4"), None, "record"))
        assert study.results.patient["PatientID"] in text
        for name in re.split("[=^]", str(study.results.patient["PatientName"])):
            assert name not in text


def test_python_hl7_reads_the_name_of_the_files_out_of_every_message(studies: list[GeneratedStudy]) -> None:
    for study in studies:
        found = hl7.parse(message(study, "UNICODE UTF-8"))["PID"][0][5]
        groups = {str(one[7][0]): "^".join(str(part) for part in one[:2]) for one in found}
        expected = PersonName(study.results.patient["PatientName"])
        named = {"A": expected.alphabetic, "I": expected.ideographic, "P": expected.phonetic}
        assert groups == {form: name for form, name in named.items() if name}


@pytest.mark.parametrize("character_set", CHARACTER_SETS, ids=lambda one: one.declared[-1] if one.declared else "none")
def test_hl7apy_takes_a_study_of_each_character_set(character_set: CharacterSet, studies: list[GeneratedStudy]) -> None:
    of_set = [study for study in studies if study.character_set is character_set]
    for study in of_set[:2]:
        cut = re.sub(r"(OBX\|\d+\|FT\|[^|]*\|[^|]*\|)[^|]*", r"\1text", message(study, "UNICODE UTF-8"))
        assert parse_message(cut, validation_level=VALIDATION_LEVEL.STRICT).validate()


def test_jis_carries_every_name_but_those_that_it_has_no_character_for(studies: list[GeneratedStudy]) -> None:
    for study in studies:
        if study.character_set in BEYOND_JIS_X_0208 or "ü" in study.character_set.name:
            with pytest.raises(CharsetError, match=r"the character U\+[0-9A-F]{4} is not in ISO IR87"):
                message(study, "ISO IR87")
        else:
            assert "|~ISO IR87||ISO 2022-1994\r" in message(study, "ISO IR87")

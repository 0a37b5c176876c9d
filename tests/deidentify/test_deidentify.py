"""De-identification: canaries in every element that may point at a person, in several character sets, and none left."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.datadict import DicomDictionary, dictionary_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.deidentify.check import LeftoverError, originals_of, require_nothing_left
from cathrt.runtime.deidentify.data_set import deidentified
from cathrt.runtime.deidentify.files import Deidentifier
from cathrt.runtime.deidentify.profile import Act, Options, Profile, profile
from cathrt.runtime.deidentify.pseudonyms import Pseudonyms, shifted
from cathrt.runtime.errors import SourceError
from tests.sources.dicom_bytes import text, xa_file

KEY = b"0123456789abcdef0123456789abcdef"
NAMES = {
    "ISO_IR 192": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    r"ISO 2022 IR 6\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    r"ISO 2022 IR 13\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "ISO_IR 100": "Müller^Jörg",
    "ISO_IR 144": "Иванов^Иван",
    "GB18030": "Wang^XiaoDong=王^小东",
    r"\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}
SET_BY_HAND = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet"}
# As the names of PS3.6 stand in the column "Rtn. Dev. Id. Opt." of table E.1-1 with a K.
DEVICE = {
    "StationName", "CalibrationTime", "CalibrationDate", "LensSpecification", "LensMake", "LensModel",
    "LensSerialNumber", "DeviceSerialNumber", "DeviceUID", "PlateID", "GeneratorID", "CassetteID", "GantryID",
    "UniqueDeviceIdentifier", "UDISequence", "ManufacturerDeviceClassUID", "DateOfLastCalibration",
    "TimeOfLastCalibration", "DateTimeOfLastCalibration", "CalibrationDateTime", "DateOfManufacture",
    "DateOfInstallation", "TransducerIdentificationSequence", "DetectorID", "DateOfLastDetectorCalibration",
    "TimeOfLastDetectorCalibration", "XRaySourceID", "XRayDetectorID", "XRayDetectorLabel", "ModifyingDeviceID",
    "ScheduledStudyLocation", "ScheduledStationName", "ScheduledProcedureStepLocation", "PerformedStationName",
    "ScheduledStationNameCodeSequence", "ScheduledStationGeographicLocationCodeSequence",
    "PerformedStationNameCodeSequence", "PerformedStationGeographicLocationCodeSequence", "DeviceDescription",
    "ModifyingSystem", "SourceSerialNumber", "TreatmentMachineName", "SourceManufacturer",
    "BeamHoldTransitionDateTime", "DeviceLabel", "ManufacturerDeviceIdentifier",
}  # fmt: skip
TEXT = ("LO", "SH", "LT", "ST", "UT", "UC", "PN")


@pytest.fixture(scope="module")
def basic() -> Profile:
    return profile(Options())


def plain(charset: str = "ISO_IR 192", name: str = "Yamada^Tarou=山田^太郎") -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.3.4.5"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    made.PatientName, made.PatientID, made.PatientBirthDate = name, "KARTE-004711", "19500607"
    made.PatientSex, made.StudyDate, made.StudyTime, made.Modality = "M", "20240229", "101112", "XA"
    return made


def file_of(data_set: Dataset) -> bytes:
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, data_set, enforce_file_format=True)
    return buffer.getvalue()


def canaries(basic: Profile) -> Dataset:
    """Every element of the table that is text, every free text and name of the dictionary, and private ones."""
    made, number = plain(), 0
    for tag, (vr, *_rest) in sorted(DicomDictionary.items()):
        keyword = dictionary_keyword(tag)
        wanted = basic.act(tag) not in (None, Act.KEEP) or vr in ("PN", "LT", "ST", "UT", "UC")
        if vr in TEXT and wanted and keyword and keyword not in SET_BY_HAND and tag >> 16 not in (0x0000, 0x0002):
            number += 1
            made.add_new(tag, vr, f"Canary{number:04d}")
    item = Dataset()
    item.PatientName, item.InstitutionName = "Canary9001", "Canary9002"
    for keyword in (
        "ReferencedStudySequence",
        "RequestAttributesSequence",
        "AnatomicRegionSequence",
        "SourceImageSequence",
    ):
        setattr(made, keyword, Sequence([item]))
    block = made.private_block(0x0019, "VENDOR 1", create=True)
    block.add_new(1, "LO", "Canary9003")
    block.add_new(2, "UN", b"Canary9004")
    nested = Dataset()
    nested.PatientID = "Canary9005"
    block.add_new(3, "SQ", Sequence([nested]))
    assert number > 250
    return made


@pytest.mark.parametrize("options", [Options(), Options(shifted_dates=True, device=True)])
def test_no_canary_of_any_element_is_left(options: Options, basic: Profile) -> None:
    given = canaries(basic)
    made = deidentified(given, profile(options), Pseudonyms(KEY), cleaned=False)
    content = file_of(made)
    kept = {element.keyword for element in made if b"Canary" in str(element.value).encode()}
    assert kept <= (DEVICE if options.device else set())
    if not options.device:
        assert b"Canary" not in content
    assert b"VENDOR" not in content
    require_nothing_left(content, originals_of(plain()))


def test_the_device_option_keeps_what_the_table_keeps_and_no_title_of_an_application(basic: Profile) -> None:
    kept = profile(Options(device=True))
    changed = {tag for tag in basic.acts if kept.act(tag) is not basic.act(tag)}
    assert {dictionary_keyword(tag) for tag in changed} == DEVICE
    assert all(kept.act(tag) is Act.KEEP for tag in changed)
    assert kept.act(0x00400241) is not Act.KEEP  # Performed Station AE Title


def test_every_private_element_goes_since_the_option_to_keep_some_is_not_offered(basic: Profile) -> None:
    given = plain()
    for creator, group in (("SIEMENS MR HEADER", 0x0019), ("Philips PET Private Group", 0x7053)):
        given.private_block(group, creator, create=True).add_new(0x0C, "IS", "1000")
    made = deidentified(given, basic, Pseudonyms(KEY), cleaned=False)
    assert not [element for element in made if element.tag.is_private]
    assert "113111" not in [item.CodeValue for item in made.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize(("charset", "name"), NAMES.items())
def test_a_name_in_any_character_set_is_gone_and_would_be_found(charset: str, name: str, basic: Profile) -> None:
    content = file_of(plain(charset, name))
    given = dcmread(BytesIO(content))
    originals = originals_of(given)
    with pytest.raises(LeftoverError, match=r"PatientName|PatientID|PatientBirthDate"):
        require_nothing_left(content, originals)
    only_name = [original for original in originals if original.keyword == "PatientName"]
    assert only_name
    with pytest.raises(LeftoverError, match="original PatientName is still in"):
        require_nothing_left(content, only_name)
    made = deidentified(given, basic, Pseudonyms(KEY), cleaned=False)
    require_nothing_left(file_of(made), originals)
    assert made.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in made.DeidentificationMethodCodeSequence] == ["113100"]


def leftovers() -> dict[str, bytes]:
    """Files with a value of the patient in a place of each sort."""
    sequence, private, meta, number = plain(), plain(), plain(), plain()
    item = Dataset()
    item.CodeMeaning = "of KARTE-004711"
    for made in (sequence, private, meta, number):
        del made.PatientName, made.PatientID, made.PatientBirthDate
    sequence.AnatomicRegionSequence = Sequence([item])
    private.private_block(0x0019, "V", create=True).add_new(1, "UN", b"xx KARTE-004711")
    number.ImageComments = "born 19500607"
    preamble = b"KARTE-004711".ljust(128, b"\0") + file_of(meta)[128:]
    meta.file_meta.PrivateInformationCreatorUID, meta.file_meta.PrivateInformation = "1.2.3", "山田".encode("shift_jis")
    buffer = BytesIO()
    dcmwrite(buffer, meta, enforce_file_format=True)
    return {
        "sequence": file_of(sequence),
        "private": file_of(private),
        "file meta": buffer.getvalue(),
        "preamble": preamble,
        "text": file_of(number),
        "behind the end": file_of(meta) + b"\0Yamada\0",
    }


@pytest.mark.filterwarnings("ignore:VR lookup failed")
@pytest.mark.parametrize("where", leftovers())
def test_the_check_finds_what_is_left_in_any_place(where: str) -> None:
    with pytest.raises(LeftoverError, match="is still in"):
        require_nothing_left(leftovers()[where], originals_of(plain()))


def test_a_message_of_the_check_shows_no_value() -> None:
    with pytest.raises(LeftoverError) as caught:
        require_nothing_left(file_of(plain()), originals_of(plain()))
    assert not any(secret in str(caught.value) for secret in ("Yamada", "山田", "KARTE", "1950"))


def test_short_numbers_are_looked_for_as_whole_texts_alone() -> None:
    given = plain()
    given.PatientID, given.KVP, given.FrameTime = "100", "100", "66.7"
    del given.PatientName, given.PatientBirthDate
    originals, number = originals_of(given), plain()
    number.PatientID, number.PatientName, number.PatientBirthDate, number.KVP = "A", "A", "", "100"
    require_nothing_left(file_of(number), originals)
    number.StudyID = "100"
    with pytest.raises(LeftoverError, match="PatientID is still in"):
        require_nothing_left(file_of(number), originals)


def test_uids_fit_together_over_files_of_one_key_and_not_of_another(basic: Profile) -> None:
    one, other = plain(), plain()
    other.SOPInstanceUID = "1.2.3.4.6"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    other.SourceImageSequence = Sequence([reference])
    first, second = (deidentified(each, basic, Pseudonyms(KEY), cleaned=False) for each in (one, other))
    assert first.StudyInstanceUID == second.StudyInstanceUID != one.StudyInstanceUID
    assert second.SourceImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SourceImageSequence[0].ReferencedSOPClassUID == one.SOPClassUID, "a class is no identity"
    assert first.PatientID == second.PatientID
    assert deidentified(one, basic, Pseudonyms(b"x" * 32), cleaned=False).StudyInstanceUID != first.StudyInstanceUID
    assert all(len(made.SOPInstanceUID) <= 64 for made in (first, second))


def test_dates_are_gone_or_moved_by_the_patients_days() -> None:
    given = plain()
    given.SeriesDate, given.AcquisitionDateTime = "20240301", "20240301101112.5"
    bare = deidentified(given, profile(Options()), Pseudonyms(KEY), cleaned=False)
    assert "2024" not in f"{bare.get('StudyDate')}{bare.get('SeriesDate')}{bare.get('AcquisitionDateTime')}"
    assert bare.LongitudinalTemporalInformationModified == "REMOVED"
    kept = deidentified(given, profile(Options(shifted_dates=True)), Pseudonyms(KEY), cleaned=False)
    days = Pseudonyms(KEY).days("KARTE-004711", "")
    assert (kept.StudyDate, kept.SeriesDate) == (shifted("20240229", days), shifted("20240301", days))
    assert kept.AcquisitionDateTime == shifted("20240301", days) + "101112.5"
    assert kept.StudyTime == "101112"
    assert kept.PatientBirthDate in ("", None)
    assert kept.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize(
    ("given", "moved"), [("20240301", "20240229"), ("", ""), ("x", ""), ("20241301", ""), ("00010101", "")]
)
def test_a_date_moves_by_days_and_nonsense_becomes_nothing(given: str, moved: str) -> None:
    assert shifted(given, 1) == moved


def run_file(folder: Path, **more: object) -> Path:
    path = folder / "山田 run.dcm"
    elements = {"_00080018": text("UI", "1.2.3.4.5"), "_00100020": text("LO", "KARTE-004711"), **more}
    path.write_bytes(xa_file(frames=3, **elements))  # type: ignore[arg-type]
    return path


def working(*, clean: bool = False) -> Deidentifier:
    return Deidentifier(profile(Options(clean_pixels=clean)), Pseudonyms(KEY), LimitsConfig(), None)


def test_a_run_is_written_under_a_name_that_says_nothing_and_keeps_its_pixels(tmp_path: Path) -> None:
    source = run_file(tmp_path)
    done = working().file(source, tmp_path)
    made, given = dcmread(done.written), dcmread(source)
    assert done.written.name == f"{made.SOPInstanceUID}.dcm"
    assert made.PixelData == given.PixelData
    assert made.BurnedInAnnotation == "NO"
    assert made.NumberOfFrames == 3


def test_a_file_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    source = run_file(tmp_path, _00280301=text("CS", "YES"))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SourceError, match="it says that text is burned in, and none was found"):
        working(clean=True).file(source, out)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no DICOM")
    with pytest.raises(SourceError, match="no DICOM file"):
        working().file(broken, out)
    assert list(out.iterdir()) == []


def test_a_text_that_the_profile_keeps_is_emptied_where_it_holds_a_value_of_the_patient(tmp_path: Path) -> None:
    source = run_file(tmp_path, _00080070=text("LO", "for KARTE-004711"), _00181030=text("LO", "x"))
    assert "KARTE" in dcmread(source).Manufacturer
    done = working().file(source, tmp_path)
    assert dcmread(done.written).Manufacturer in ("", None)

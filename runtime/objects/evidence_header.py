"""What our objects copy out of a received one: its patient, study and reference attributes, with text as text.

Whatever its character set (ISO 2022 IR 13, 87, 159, UTF-8, ...), the header that comes back holds Unicode and says so.
Not for: its pixels (a confined decoder reads them), how a run is judged.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.dicom.attributes import CONVERSION_ERRORS
from cathrt.runtime.sources.dicom.part10 import PIXEL_DATA, read_part10

UTF_8 = "ISO_IR 192"
UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # where bytes are no text in the character set that their object declares

# PS3.3 C.7.1.1, C.7.1.3: complete, since a viewer that misses one shows the object under a patient of its own.
PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "SourcePatientGroupIdentificationSequence", "GroupOfPatientsIdentificationSequence", "PatientBirthDate",
    "PatientBirthTime", "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar", "PatientSex", "QualityControlSubject", "ReferencedPatientSequence",
    "ReferencedPatientPhotoSequence", "OtherPatientNames", "OtherPatientIDsSequence", "EthnicGroup",
    "EthnicGroupCodeSequence", "PatientComments", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
    "ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
)  # fmt: skip
# PS3.3 C.7.2.1 to C.7.2.3.
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "ConsultingPhysicianIdentificationSequence", "StudyID", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence", "RequestingServiceCodeSequence", "ReferencedStudySequence",
    "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight", "PatientBodyMassIndex",
    "MeasuredAPDimension", "MeasuredLateralDimension", "PatientSizeCodeSequence", "MedicalAlerts", "Allergies",
    "SmokingStatus", "PregnancyStatus", "LastMenstrualDate", "PatientState", "Occupation", "AdditionalPatientHistory",
    "AdmissionID", "IssuerOfAdmissionIDSequence", "ReasonForVisit", "ReasonForVisitCodeSequence", "ServiceEpisodeID",
    "IssuerOfServiceEpisodeIDSequence", "ServiceEpisodeDescription", "PatientSexNeutered", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription", "LongitudinalTemporalOffsetFromEvent", "LongitudinalTemporalEventType",
    "ConsentForClinicalTrialUseSequence",
)  # fmt: skip
# What references, marks and pictures of a run need beside these.
_OF_THE_RUN = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber",
    "InstanceNumber", "Rows", "Columns", "NumberOfFrames", "BodyPartExamined", "Laterality", "PatientOrientation",
    "TimezoneOffsetFromUTC", "PositionerPrimaryAngle", "PositionerSecondaryAngle", "AcquisitionDate",
    "AcquisitionTime", "ContentDate", "ContentTime", "SeriesDate", "SeriesTime", "InstitutionName",
    "PhotometricInterpretation", "WindowCenter", "WindowWidth", "VOILUTFunction", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
_MOST_INFLATED = 16 << 20
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
# Reading changes the warnings filter, which belongs to the whole process.
_READING = threading.Lock()


def header_of(path: Path) -> Dataset:
    """The named attributes of a received object's file; no other, and no pixels. Raises SourceError where it is gone
    or damaged."""
    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file:
                keywords = (*PATIENT, *STUDY, *_OF_THE_RUN)
                found = read_part10(file, max_inflated_bytes=_MOST_INFLATED, keywords=keywords, until=PIXEL_DATA)
            return _as_unicode(found.dataset)
        except OSError as exc:
            raise SourceError(
                f"a received object cannot be read ({exc.strerror}): was it removed by retention?"
            ) from exc
        except (*CONVERSION_ERRORS, RecursionError) as exc:
            raise SourceError(
                f"a received object's header cannot be copied ({type(exc).__name__}): it is damaged"
            ) from exc


def has_unreadable_text(header: Dataset) -> bool:
    """Whether any text of it was no text in its own character set."""
    return any(UNREADABLE in str(element.value) for element in header.iterall() if element.VR in _TEXTS)


def _as_unicode(dataset: Dataset) -> Dataset:
    """The same values in a data set of its own, whose text is Unicode whatever its bytes were.

    pydicom reads text by the character set of the data set or item that it stands in.
    """
    made = Dataset()
    for element in dataset:
        if element.VR == "SQ":
            made.add(DataElement(element.tag, "SQ", [_without_character_set(item) for item in element.value]))
        elif element.keyword != "SpecificCharacterSet":
            made.add(DataElement(element.tag, element.VR, _plain(element), already_converted=True))
    made.SpecificCharacterSet = UTF_8
    return made


def _without_character_set(item: Dataset) -> Dataset:
    made = _as_unicode(item)
    del made.SpecificCharacterSet
    return made


def _plain(element: DataElement) -> Any:
    """Names without the bytes that they came as, which pydicom would write again."""
    if element.VR != "PN" or element.value is None:
        return element.value
    names = element.value if isinstance(element.value, list | tuple) or element.VM > 1 else [element.value]
    plain = [PersonName(str(name)) for name in names]
    return plain if len(plain) > 1 else plain[0]

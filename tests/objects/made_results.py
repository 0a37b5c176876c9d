"""Results of studies as tests of documents need them: no store, no journal, no pixels.

Not for: results out of a journal (objects/results.py makes those).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import XRayAngiographicImageStorage

from cathrt.runtime.alert import NOTICE, StudyFinding, StudyFindings
from cathrt.runtime.models.study.records import ClipsReading
from cathrt.runtime.objects.results import Algorithm, KeyFrame, Maker, RunEvidence, StudyResults
from tests.passes import draft

RECEIVED_AT = 1_780_000_000.0
MANIFEST = "ab" * 32
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def made_run(number: int = 1, side: str = "left", frames: Sequence[int] = (12, 40), **given: Any) -> RunEvidence:
    """One run of that number in its study."""
    header = Dataset()
    header.StudyInstanceUID, header.StudyDate, header.StudyTime = "1.2.3", "20261201", "081530"
    header.AccessionNumber = "A&B^1"
    made: dict[str, Any] = {
        "sop_instance_uid": f"1.2.3.4.{number}",
        "sop_class_uid": str(XRayAngiographicImageStorage),
        "series_instance_uid": f"1.2.3.{number}",
        "rows": 512,
        "columns": 512,
        "number_of_frames": 64,
        "run_id": f"run {number}",
        "record_id": f"record of run {number}",
        "laterality": side,
        "laterality_score": 0.97,
        "key_frames": tuple(KeyFrame(frame, 0.9 - place / 10, None) for place, frame in enumerate(frames)),
        "flags": (),
        "algorithm": Algorithm("keyframe-demonstration", MANIFEST[:16], MANIFEST, "openvino"),
        "text": "left coronary",
        "text_ja": "左冠動脈",
        "received_at": RECEIVED_AT + number,
        "header": header,
        "file": Path("nowhere.dcm"),
    }
    return RunEvidence(**{**made, **given})


def made_results(study: str = "1.2.3", revision: int = 1, runs: int = 2, **given: Any) -> StudyResults:
    """A study of so many runs, its left and right arteries in turn. Each study has its own patient."""
    made: dict[str, Any] = {
        "study_instance_uid": study,
        "revision": revision,
        "patient": {
            "PatientName": JAPANESE,
            "PatientID": f"P-{study}",
            "IssuerOfPatientID": "HOSPITAL",
            "PatientBirthDate": "19500101",
            "PatientSex": "M",
        },
        "evidence": tuple(
            made_run(number, ("left", "right")[number % 2], sop_instance_uid=f"{study}.4.{number}")
            for number in range(1, runs + 1)
        ),
        "draft": None,
        "notice": NOTICE,
        "made_by": Maker("cathrt", "0.2.0"),
    }
    return StudyResults(**{**made, **given})


def drafted(results: StudyResults) -> StudyResults:
    """The same with a draft in both languages."""
    return replace(results, draft=draft(results.revision))


def finding(name: str = "lad_mid_stenosis", **given: Any) -> StudyFinding:
    """One answer of a model that reads the study as a whole: an amount, unless it is told otherwise."""
    made: dict[str, Any] = {
        "name": name,
        "title": "Stenosis, mid LAD",
        "asks": "how narrow the segment is",
        "artery": "lad",
        "segment": "mid",
        "form": "amount",
        "value": 71.25,
        "unit": "%",
        "threshold": 70.0,
        "positive": True,
        "margin": 1.25,
        "label": "significant",
        "label_ja": "有意狭窄",
    }
    return StudyFinding(**{**made, **given})


def read(results: StudyResults, *findings: StudyFinding) -> StudyResults:
    """The same with a reading of the whole study."""
    reading = ClipsReading(
        bundle="reader",
        manifest_sha256="cd" * 32,
        engine="openvino",
        findings=findings,
        withheld=None,
        text="read",
        text_ja="読影",
        product="demonstration",
    )
    record = StudyFindings(
        id="reading",
        study="study",
        revision=1,
        provisional=False,
        ended=results.revision,
        runs=(),
        unjudged=0,
        after_study_s=3.0,
        rests_on="hash",
        reading=reading,
    )
    return replace(results, readings=(record,))

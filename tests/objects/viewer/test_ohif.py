"""What OHIF shows of our objects, beside Orthanc and in Chromium, without a network: docs/objects.md says the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from cathrt.runtime.objects.dicom.study_objects import bytes_of, objects_of
from cathrt.runtime.objects.results import StudyResults
from tests.conftest import ROOT
from tests.objects.dicom.generated_studies import CHARACTER_SETS, PlainFrames, generated_study
from tests.objects.viewer.parts import viewer, why_not

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KEY_IMAGES, REPORT, MARKS, PICTURES, DRAFT, DOCUMENT = "9101", "9102", "9104", "9105", "9106", "9107"


def study_in(objects: Path, runs: Path) -> StudyResults:
    """A study's runs, each frame of its own grey, and all objects of it, as files of one folder."""
    study = generated_study(runs, 34, "drafted", CHARACTER_SETS[6])
    objects.mkdir(exist_ok=True)
    for number, path in enumerate(study.store.paths.values()):
        run = dcmread(path)
        grey = 20 * np.arange(1, run.NumberOfFrames + 1, dtype=np.uint8)
        run.PixelData = np.repeat(grey, run.Rows * run.Columns).tobytes()
        run.save_as(objects / f"run{number}.dcm")
    for number, made in enumerate(objects_of(study.results, PlainFrames())):
        (objects / f"object{number}.dcm").write_bytes(bytes_of(made))
    return study.results


@pytest.fixture(scope="module")
def results_and_seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResults, dict[str, Any]]:
    if (why := why_not()) is not None:
        pytest.skip(why)
    base = tmp_path_factory.mktemp("ohif")
    dist = viewer(base)
    if isinstance(dist, str):
        pytest.skip(dist)
    results = study_in(base / "objects", base / "runs")
    (base / "work").mkdir()
    scenario = [sys.executable, "-m", "tests.objects.viewer.scenario"]
    command = ["unshare", "-rn", *scenario, *map(str, (base / "objects", dist, base / "work"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, cwd=ROOT, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    return results, json.loads(done.stdout)


def frame_shown(text: str) -> tuple[int, int]:
    """Of "I:1 (31/69)": frame and number of frames."""
    found = re.search(r"\((\d+)/(\d+)\)", text)
    assert found, text
    return int(found[1]), int(found[2])


def test_each_group_of_a_report_leads_to_the_frame_that_it_is_of(
    results_and_seen: tuple[StudyResults, dict[str, Any]],
) -> None:
    results, seen = results_and_seen
    groups = seen["series"][REPORT]["groups"]
    assert groups[0]["missed"] is None  # the report opens on its first group
    for run, group in zip(results.evidence, groups, strict=True):
        frame = run.key_frames[0].frame_number
        if group["missed"] is None:
            assert frame_shown(group["where"]) == (frame, run.number_of_frames)
        else:  # this version's view of reports stays on the run that it opened with: docs/objects.md says so
            assert group["missed"].endswith(f"/instances/{run.sop_instance_uid}/frames/{frame}")


def test_pictures_open_and_key_images_and_presentation_states_do_not(
    results_and_seen: tuple[StudyResults, dict[str, Any]],
) -> None:
    _, seen = results_and_seen
    series = seen["series"]
    assert "AI key frames as pictures" in series[PICTURES]["text"]
    assert not series[PICTURES]["warned"]
    for number, title in ((KEY_IMAGES, "AI key images"), (MARKS, "AI marks on key frames")):
        assert series[number]["warned"]
        assert title not in series[number]["text"]


def test_the_document_opens_and_every_series_is_listed_by_its_modality(
    results_and_seen: tuple[StudyResults, dict[str, Any]],
) -> None:
    _, seen = results_and_seen
    series = dict(seen["series"])
    assert {KEY_IMAGES, REPORT, MARKS, PICTURES, DRAFT, DOCUMENT} <= set(series.pop("listed"))
    listed = {number: one["listed"] for number, one in series.items() if int(number) > 9000}
    assert listed == {KEY_IMAGES: "KO", REPORT: "SR", MARKS: "PR", PICTURES: "OT", DOCUMENT: "DOC"}
    assert seen["series"][DOCUMENT]["documents"]


def test_nothing_is_asked_of_any_other_machine(results_and_seen: tuple[StudyResults, dict[str, Any]]) -> None:
    _, seen = results_and_seen
    assert all(address.startswith("http://127.0.0.1:") for address in seen["outside"])

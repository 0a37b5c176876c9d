"""`cathrt objects`: files of a run and of studies, out of a store and a journal, with pictures of the real frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from cathrt.runtime.alert import NOTICE, RunSummary
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.processes.state_folder import StateFolder
from tests.e2e.commands import cathrt
from tests.objects.dicom.generated_studies import CHARACTER_SETS, GeneratedStudy, generated_study
from tests.study.confirming import Sender


@dataclass(frozen=True, slots=True)
class Box:
    """A state folder with one received study whose records are in its journal."""

    state: Path
    study: GeneratedStudy

    @property
    def runs(self) -> list[RunSummary]:
        return [record for record in self.study.records if isinstance(record, RunSummary)]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    study = generated_study(folder / "runs", 4, "drafted", CHARACTER_SETS[4])
    state = StateFolder(folder / "state")
    state.store.mkdir(parents=True)
    with closing(Sender(state.store)) as sender, closing(Journal(state.study_journal, JournalConfig())) as journal:
        for uid, path in study.store.paths.items():
            run = dcmread(path)
            ramp = np.arange(run.Rows * run.Columns, dtype=np.uint32).reshape(run.Rows, run.Columns) % 251
            run.PixelData = b"".join(
                (ramp + frame).astype(np.uint8).tobytes() for frame in range(int(run.NumberOfFrames))
            )
            run.save_as(path)
            sender.send(uid, path.read_bytes())
        for record in study.records:
            journal.append(record)
        journal.sync()
        yield Box(state.path, study)


@pytest.fixture(scope="module")
def of_study(box: Box, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Files of the whole study, and what was said on stdout."""
    out = tmp_path_factory.mktemp("out")
    done = objects(box.state, "study a", "--out", out)
    assert done.returncode == 0, done.stderr
    return out, str(done.stdout)


def files_in(folder: Path) -> dict[str, str]:
    return {path.name: str(dcmread(path).Modality) for path in sorted(folder.rglob("*.dcm"))}


def objects(*arguments: object) -> Any:
    return cathrt("objects", *map(str, arguments))


def test_a_study_by_its_name_gives_every_kind_of_file(box: Box, of_study: tuple[Path, str]) -> None:
    out, said = of_study
    assert {"KO", "SR", "PR", "OT", "DOC"} == set(files_in(out).values())
    assert said.splitlines()[0] == NOTICE
    assert len(said.splitlines()) == 1 + len(files_in(out))
    report = dcmread(out / "9102-001-sr.dcm")
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert str(report.PatientName) == box.study.character_set.name


def test_the_same_study_again_gives_the_same_files(box: Box, of_study: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = of_study
    assert objects(box.state, "study a", "--out", tmp_path).returncode == 0
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (out, tmp_path))
    assert one == two


def test_a_picture_shows_the_frame_that_it_names(box: Box, of_study: tuple[Path, str]) -> None:
    made = dcmread(of_study[0] / "9105-001-ot.dcm")
    (source,) = made.SourceImageSequence
    run = dcmread(box.study.store.paths[source.ReferencedSOPInstanceUID])
    frame = run.pixel_array[int(source.ReferencedFrameNumber) - 1].astype(float)
    rows, columns = frame.shape
    left = (made.Columns - columns) // 2
    alike = max(
        float(np.corrcoef(frame.ravel(), made.pixel_array[top : top + rows, left : left + columns].ravel())[0, 1])
        for top in range(20, made.Rows - rows)
    )
    assert alike > 0.99


def test_a_run_alone_by_its_uid_and_comprehensive_reports(box: Box, tmp_path: Path) -> None:
    run = box.runs[0]
    done = objects(box.state, run.source, "--out", tmp_path / "out", "--sr", "comprehensive", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["revision"] for one in told} == {0}
    assert all(one["notice"] == NOTICE and Path(one["file"]).is_file() for one in told)
    report = dcmread(tmp_path / "out" / "9102-001-sr.dcm")
    assert report.SOPClassUID.name == "Comprehensive SR Storage"
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == run.source


def test_several_names_have_a_folder_each(box: Box, tmp_path: Path) -> None:
    one, other = (run.run_id for run in box.runs[:2])
    assert objects(box.state, one, other, "--out", tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "2"]


def test_a_name_that_nothing_has_ends_with_four_and_says_what_is_expected(box: Box, tmp_path: Path) -> None:
    done = objects(box.state, "no such", "--out", tmp_path / "out")
    assert done.returncode == 4
    assert "expected a run_id, a SOP Instance UID, a Study Instance UID" in done.stderr
    assert not (tmp_path / "out").exists()
    assert objects(tmp_path / "nowhere", "x", "--out", tmp_path / "out").returncode == 4


def test_a_study_that_runs_on_is_found_by_its_uid(box: Box, tmp_path: Path) -> None:
    """Its end is not in the journal under that name: the box names studies by a hash of its own."""
    uid = box.study.results.study_instance_uid
    assert StoreReader(box.state / "store").pseudonym_of(uid) != "study a"
    assert objects(box.state, uid, "--out", tmp_path / "out").returncode == 0
    assert len([one for one in files_in(tmp_path / "out").values() if one == "PR"]) == len(box.runs)

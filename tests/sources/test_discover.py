"""Which files are runs, which are not, and that nothing found is left unsaid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Discovery, discover
from tests.sources.dicom_bytes import data_set, native, pictures, xa_elements, xa_file


def names(found: Discovery) -> list[str]:
    return [input_.name for input_ in found.inputs]


def touch(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")


def test_dicom_is_found_by_suffix_by_magic_and_without_preamble(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"damaged")
    (tmp_path / "IM0001").write_bytes(xa_file())
    (tmp_path / "IM0002").write_bytes(xa_file()[132:])
    (tmp_path / "IM0003").write_bytes(data_set(xa_elements()) + native(pictures()))
    found = discover([tmp_path])
    assert names(found) == ["a.dcm", "IM0001", "IM0002", "IM0003"]
    assert {input_.kind for input_ in found.inputs} == {"dicom"}
    assert found.ignored == ()


def test_what_is_no_input_is_listed_with_a_reason(tmp_path: Path) -> None:
    touch(tmp_path, "LICENSE.txt", "labels.csv", "notes.xml", "DICOMDIR", "run.mp4")
    os.mkfifo(tmp_path / "pipe.dcm")
    found = discover([tmp_path])
    assert names(found) == ["run.mp4"]
    reasons = {ignored.path.name: ignored.reason for ignored in found.ignored}
    assert set(reasons) == {"LICENSE.txt", "labels.csv", "notes.xml", "DICOMDIR", "pipe.dcm"}
    assert reasons["pipe.dcm"] == "not a regular file"


def test_a_file_the_caller_names_is_an_input_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    (input_,) = discover([tmp_path / "notes.txt"]).inputs
    assert input_.kind == "dicom"


def test_consecutive_stills_are_one_run_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"f{number}.png" for number in range(8, 13)))
    (input_,) = discover([tmp_path]).inputs
    assert input_.name == "f[8-12].png"
    assert [path and path.name for path in input_.paths] == ["f8.png", "f9.png", "f10.png", "f11.png", "f12.png"]


def test_a_number_missing_from_a_sequence_keeps_its_place(tmp_path: Path) -> None:
    touch(tmp_path, "f_0001.png", "f_0002.png", "f_0004.png")
    (input_,) = discover([tmp_path]).inputs
    assert [path and path.name for path in input_.paths] == ["f_0001.png", "f_0002.png", None, "f_0004.png"]


def test_thinly_numbered_stills_are_runs_of_one_frame(tmp_path: Path) -> None:
    touch(tmp_path, "lca_test_0003.png", "lca_test_0021.png", "lca_test_0100.png")
    assert [len(input_.paths) for input_ in discover([tmp_path]).inputs] == [1, 1, 1]


def test_stills_of_other_folders_names_or_suffixes_do_not_mix(tmp_path: Path) -> None:
    touch(tmp_path, "a/f1.png", "a/f2.png", "b/f3.png", "b/f4.png", "a/g3.png", "a/f3.bmp")
    assert sorted(len(input_.paths) for input_ in discover([tmp_path]).inputs) == [1, 1, 2, 2]


def test_the_same_number_written_twice_loses_no_file(tmp_path: Path) -> None:
    touch(tmp_path, "f1.png", "f01.png", "f2.png")
    found = discover([tmp_path])
    assert sum(len(input_.paths) for input_ in found.inputs) == 3


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "outside/secret.dcm", "inside/run.dcm")
    (tmp_path / "inside/link.dcm").symlink_to(tmp_path / "outside/secret.dcm")
    (tmp_path / "inside/folder").symlink_to(tmp_path / "outside")
    found = discover([tmp_path / "inside"])
    assert names(found) == ["run.dcm"]
    assert {ignored.path.name for ignored in found.ignored} == {"link.dcm", "folder"}


def test_a_link_within_the_folder_does_not_double_a_run(tmp_path: Path) -> None:
    touch(tmp_path, "run.dcm")
    (tmp_path / "same.dcm").symlink_to(tmp_path / "run.dcm")
    assert names(discover([tmp_path])) == ["run.dcm"]


def test_a_file_given_twice_is_one_run(tmp_path: Path) -> None:
    touch(tmp_path, "run.dcm")
    assert names(discover([tmp_path / "run.dcm", tmp_path])) == ["run.dcm"]


def test_control_characters_of_a_file_name_are_not_shown(tmp_path: Path) -> None:
    touch(tmp_path, "run\n\x1b[31mred.dcm")
    (name,) = names(discover([tmp_path]))
    assert name.isprintable()


def test_what_cannot_be_read_is_an_input_that_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    touch(tmp_path, "run.dcm")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    missing, whole, pipe, circle = discover(
        [tmp_path / name for name in ("none.dcm", "run.dcm", "pipe", "circle")]
    ).inputs
    assert (missing.refused, whole.refused) == ("no such file or folder: check the path", None)
    assert pipe.refused == "not a regular file: give DICOM, a video or stills"
    assert circle.refused == "cannot be opened (Too many levels of symbolic links): check the path"
    with pytest.raises(SourceError, match=r"none\.dcm: no such file or folder"):
        open_source(missing, LimitsConfig())


def test_the_real_folders_are_sorted_into_runs(data_dir: Path) -> None:
    folders = [data_dir / name for name in ("xa_cine", "xa_10bit", "danilov_lca_sequence", "arcade_syntax")]
    found = discover(folders)
    by_kind = {kind: [i for i in found.inputs if i.kind == kind] for kind in ("dicom", "stills")}
    assert len(by_kind["dicom"]) == 2
    assert sorted(len(input_.paths) for input_ in by_kind["stills"])[-1] == 3  # Danilov's; ARCADE's are single
    listed = sum(len(input_.paths) for input_ in found.inputs) + len(found.ignored)
    assert listed == sum(len(files) for folder in folders for _, _, files in os.walk(folder))

"""Which files are runs, which are not, and that nothing found is left unsaid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Discovery, discover, passed_over, single_stills
from cathrt.runtime.sources.still_sequences import StillsAre
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
    assert input_.name == f"{tmp_path.name}/f[8-12].png"
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


@pytest.mark.parametrize("stills_are", ["auto", "run", "separate"])
@pytest.mark.parametrize("files", [("f1.png", "f01.png", "f2.png"), ("f01.png", "f1.png", "f001.png")])
def test_the_same_number_written_twice_loses_no_file(
    files: tuple[str, ...], stills_are: StillsAre, tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    inputs = discover([tmp_path], stills_are=stills_are).inputs
    assert sorted(path.name for input_ in inputs for path in input_.paths if path is not None) == sorted(files)


@pytest.mark.parametrize(
    ("files", "in_doubt"),
    [
        (("f1.png", "f2.png", "f10.png", "f9.png", "f8.png", "f7.png"), False),
        (("f09.png", "f10.png", "f11.png"), False),
        (("f98.png", "f99.png", "f100.png"), False),
        (("f0098.png", "f0099.png", "f0100.png"), False),
        (("f1.png", "f01.png", "f2.png"), True),
        (("f1.png", "f02.png", "f3.png"), True),
        (("f001.png", "f002.png", "f03.png"), True),
    ],
)
def test_numbers_written_in_two_ways_make_a_sequence_only_for_who_says_so(
    files: tuple[str, ...], in_doubt: bool, tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    assert (len(discover([tmp_path]).inputs) > 1) == in_doubt
    assert max(len(input_.paths) for input_ in discover([tmp_path], stills_are="run").inputs) > 1
    assert len(discover([tmp_path], stills_are="separate").inputs) == len(files)


def test_a_sequence_is_a_guess_unless_the_caller_says_that_it_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "f1.png", "f2.png", "alone.png", "run.dcm")
    assert [input_.name for input_ in discover([tmp_path]).inputs if input_.guessed] == [f"{tmp_path.name}/f[1-2].png"]
    assert not any(input_.guessed for input_ in discover([tmp_path], stills_are="run").inputs)


def test_the_stills_of_a_sequence_are_inputs_of_their_own_with_its_folder_and_rate(tmp_path: Path) -> None:
    touch(tmp_path, "series/f1.png", "series/f2.png", "series/f4.png")
    (input_,) = discover([tmp_path], rate_hz=7.5).inputs
    stills = single_stills(input_)
    assert [still.name for still in stills] == ["series/f1.png", "series/f2.png", "series/f4.png"]
    assert {(still.guessed, still.rate_hz, len(still.paths)) for still in stills} == {(False, 7.5, 1)}


def test_names_lead_from_the_given_folder_to_the_run(tmp_path: Path) -> None:
    series = "patient7/series2"
    touch(tmp_path, f"{series}/f1.png", f"{series}/f2.png", f"{series}/a.png", f"{series}/run.dcm", "run.mp4")
    assert names(discover([tmp_path])) == [
        f"{series}/a.png", f"{series}/f[1-2].png", f"{series}/run.dcm", "run.mp4"
    ]  # fmt: skip
    assert names(discover([tmp_path / series])) == ["a.png", "series2/f[1-2].png", "run.dcm"]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{patient}/s/{name}" for patient in "ab" for name in ("f1.png", "f2.png", "run.dcm")))
    touch(tmp_path, "a/s/only.dcm")
    assert names(discover([tmp_path / "a/s", tmp_path / "b/s"])) == [
        "a/s/f[1-2].png", "only.dcm", "a/s/run.dcm", "b/s/f[1-2].png", "b/s/run.dcm"
    ]  # fmt: skip
    assert names(discover([tmp_path / "a/s/run.dcm", tmp_path / "b/s/run.dcm"])) == ["a/s/run.dcm", "b/s/run.dcm"]
    assert names(discover([tmp_path / "a/none.dcm", tmp_path / "b/none.dcm"])) == ["a/none.dcm", "b/none.dcm"]


def test_a_name_that_is_too_long_loses_its_first_folders(tmp_path: Path) -> None:
    folder, file = "d" * 100, "f" * 100 + ".dcm"
    touch(tmp_path, f"{folder}/sub/{file}")
    assert names(discover([tmp_path])) == [f"sub/{file}"]
    touch(tmp_path, f"{folder}/sub/{'f' * 200}.dcm")
    assert names(discover([tmp_path]))[1] == "f" * 120


def test_files_passed_over_are_counted_by_reason(tmp_path: Path) -> None:
    touch(tmp_path, *(f"notes{number:02}.txt" for number in range(73)), "DICOMDIR")
    assert passed_over(discover([tmp_path]).ignored) == [
        "ignored 1 file: a DICOM directory; the files it lists are read themselves (DICOMDIR)",
        "ignored 73 files: neither DICOM, nor a video, nor a still by suffix or first bytes "
        "(notes00.txt, notes01.txt, notes02.txt, ...)",
    ]


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

"""`cathrt phantom` as a user types it: files and their truth, refusals, and a live study through the whole line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import SinkError
from cathrt.runtime.frame import Frame
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.output import write_runs
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.phantom.truth import text_from_truth, truth_document
from tests.e2e.commands import Done, cathrt
from tests.sources.reading import read_here

SMALL = ("--matrix", "64", "--frames", "4")


def phantom(*arguments: str | Path) -> Done:
    return cathrt("phantom", *arguments)


def records(done: Done) -> list[dict[str, Any]]:
    return [json.loads(row) for row in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Seeds 6 and 7 as the command wrote them, and what it said."""
    out = tmp_path_factory.mktemp("phantoms") / "new" / "folder"
    done = phantom("--seed", "6", "--runs", "2", "--matrix", "64", "--rate-hz", "7.5", "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    return out, records(done)


def test_each_seed_becomes_a_dicom_file_and_its_truth(two_runs: tuple[Path, list[dict[str, Any]]]) -> None:
    out, said = two_runs
    assert sorted(path.name for path in out.iterdir()) == [
        "phantom-0006.dcm",
        "phantom-0006.truth.json",
        "phantom-0007.dcm",
        "phantom-0007.truth.json",
    ]
    assert [(row["type"], row["seed"], row["synthetic"]) for row in said] == [
        ("phantom", 6, "SYNTHETIC"),
        ("phantom", 7, "SYNTHETIC"),
    ]
    assert {row["notice"] for row in said} == {NOTICE}
    assert [Path(row["dicom"]).name for row in said] == ["phantom-0006.dcm", "phantom-0007.dcm"]


def test_the_file_holds_what_the_phantom_renders(two_runs: tuple[Path, list[dict[str, Any]]]) -> None:
    source = PhantomSource(SceneRecipe(7, matrix=64, frame_rate_hz=7.5).scene())
    run, items = read_here(two_runs[0] / "phantom-0007.dcm")
    assert run.timing.frame_rate_hz == pytest.approx(7.5)
    assert run.frame_count == len(items) == source.scene.frame_count
    for index, item in enumerate(items):
        assert isinstance(item, Frame)
        np.testing.assert_array_equal(item.pixels, source.render(index))


def test_the_truth_tells_everything_drawn_for_the_run(two_runs: tuple[Path, list[dict[str, Any]]]) -> None:
    scene = SceneRecipe(6, matrix=64, frame_rate_hz=7.5).scene()
    assert scene.tree is not None
    truth = json.loads((two_runs[0] / "phantom-0006.truth.json").read_text(encoding="utf-8"))
    assert (truth["synthetic"], truth["notice"]) == ("SYNTHETIC", NOTICE)
    assert truth["phantom_version"] == PHANTOM_VERSION
    assert truth["file"] == "phantom-0006.dcm"
    assert (truth["seed"], truth["kind"], truth["side"]) == (6, "coronary", scene.side)
    assert truth["dominance"] == scene.tree.dominance
    assert truth["stenoses"] == [asdict(stenosis) for stenosis in scene.tree.stenoses]
    assert truth["positioner_primary_angle_deg"] == scene.carm.primary_angle_deg
    assert truth["positioner_secondary_angle_deg"] == scene.carm.secondary_angle_deg
    assert truth["radiation_setting"] == ("SC" if scene.fluoroscopy else "GR")
    assert truth["frame_rate_hz"] == 7.5
    assert truth["scene"]["bolus"] == asdict(scene.bolus)
    assert truth["scene"]["display"] == asdict(scene.display)
    assert truth["scene"]["table_mm"] == scene.table_mm.tolist()
    assert "points" not in truth["scene"]["tree"]["tubes"], "centrelines follow from the seed"


def test_the_truth_labels_every_frame_with_every_field_of_its_label(
    two_runs: tuple[Path, list[dict[str, Any]]],
) -> None:
    source = PhantomSource(SceneRecipe(6, matrix=64, frame_rate_hz=7.5).scene())
    truth = json.loads((two_runs[0] / "phantom-0006.truth.json").read_text(encoding="utf-8"))
    assert len(truth["frames"]) == truth["frame_count"] == source.scene.frame_count
    for index, (frame, label) in enumerate(zip(truth["frames"], source.labels, strict=True)):
        assert frame.pop("index") == index
        assert frame.pop("time_s") == source.scene.time_s(index)
        assert frame == json.loads(json.dumps(asdict(label), default=lambda array: array.tolist()))


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = phantom("--seed", "9", *SMALL, "--kind", "any", "--syntax", "rle", "--out", tmp_path / folder)
        assert done.returncode == 0, done.stderr
        assert "SYNTHETIC" in done.stdout
    for name in ("phantom-0009.dcm", "phantom-0009.truth.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_notice_comes_once_for_people_and_on_every_json_line(
    two_runs: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    done = phantom("--seed", "9", "--runs", "3", *SMALL, "--out", tmp_path)
    lines = done.stdout.splitlines()
    assert [line == NOTICE for line in lines] == [True, False, False, False]
    assert [row["notice"] for row in two_runs[1]] == [NOTICE, NOTICE]


def test_side_and_kind_choose_the_scene(tmp_path: Path) -> None:
    arguments = ("--seed", "1", *SMALL, "--json", "--out", tmp_path)
    done = phantom(*arguments, "--side", "right", "--kind", "panning")
    assert done.returncode == 0, done.stderr
    (row,) = records(done)
    assert (row["side"], row["kind"], row["frame_count"]) == ("right", "panning", 4)


def test_a_forced_hardship_is_in_every_run_and_its_truth_tells_it_and_what_can_be_read(tmp_path: Path) -> None:
    done = phantom("--seed", "1", "--runs", "2", *SMALL, "--hardship", "rich_right", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["side"] for row in records(done)] == ["right", "right"]
    for path in tmp_path.glob("*.truth.json"):
        truth = json.loads(path.read_text(encoding="utf-8"))
        assert "rich_right" in truth["scene"]["hardships"]
        assert all(0.0 <= frame["readability"] <= 1.0 for frame in truth["frames"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--hardship", "rich_right", "--side", "left"), "phantom seed 1: hardship 'rich_right': a scene of the left"),
        (("--hardship", "slow_rate", "--rate-hz", "30"), "hardship 'slow_rate': is 7.5 frames/s: give no other rate"),
    ],
)
def test_a_hardship_that_a_run_cannot_have_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = phantom("--seed", "1", "--runs", "2", *SMALL, *arguments, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ["phantom-0003.dcm", "phantom-0004.truth.json"])
def test_a_file_that_exists_is_kept_and_nothing_is_written_beside_it(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    done = phantom("--seed", "3", "--runs", "2", *SMALL, "--out", tmp_path)
    assert done.returncode == 3
    assert f"{there}: exists already: give another --out or --seed, or remove it" in done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_baseline_jpeg_of_more_than_eight_bits_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    seed = next(seed for seed in range(50, 150) if sample_scene(seed, matrix=64).display.bits_stored > 8)
    done = phantom("--seed", seed - 1, "--runs", "3", *SMALL, "--syntax", "jpeg-baseline", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert f"phantom seed {seed}: stores " in done.stderr
    assert "expected at most 8 for jpeg-baseline: choose jpeg-lossless" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = phantom("--seed", "3", *SMALL, "--out", tmp_path / "file" / "out")
    assert done.returncode == SinkError.exit_code
    assert "cannot be written (Not a directory)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--out"),
        (("--out", "OUT", "--kind", "teapot"), "teapot"),
        (("--out", "OUT", "--pause-s", "2"), "--pause-s: is for --live"),
        (("--out", "OUT", "--journal", "j.db"), "--journal: is for --live"),
        (("--live", "--out", "OUT"), "--out: is for files"),
        (("--live", "--kind", "empty"), "--kind: is for files"),
        (("--live", "--hardship", "metal"), "--hardship: is for files"),
        (("--out", "OUT", "--hardship", "fog"), "found 'fog', expected one of dark_heart, wedge"),
        (("--out", "OUT", "--matrix", "32"), "--matrix"),
        (("--out", "OUT", "--rate-hz", "25"), "--rate-hz"),
        (("--out", "OUT", "--syntax", "mpeg"), "--syntax"),
    ],
)
def test_wrong_usage_ends_with_its_own_code_and_names_the_option(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "out"
    done = phantom("--seed", "1", *(str(out) if word == "OUT" else word for word in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert not out.exists()


def test_a_run_that_cannot_be_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    def full(count: int, total: int) -> None:
        if count == 6:  # the second frame of the second run
            raise OSError(28, "No space left on device")

    with pytest.raises(SinkError, match=r"cannot be written \(No space left on device\)"):
        list(write_runs(SceneRecipe(1, matrix=64, most_frames=4), 2, tmp_path, "explicit-le", full))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phantom-0001.dcm", "phantom-0001.truth.json"]


def test_a_reader_that_goes_away_ends_the_writing_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "phantom", "--seed", "1", "--runs", "3", *SMALL]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == SinkError.exit_code
    assert "the reader has closed the pipe" in said
    assert "Traceback" not in said
    assert len(list(tmp_path.iterdir())) == 2, "the run that was whole stays"


def test_progress_counts_every_frame_of_every_run(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    recipe = SceneRecipe(1, matrix=64, most_frames=3)
    list(write_runs(recipe, 2, tmp_path, "explicit-le", lambda done, total: told.append((done, total))))
    assert told == [(done, 6) for done in range(1, 7)]


def test_a_number_that_is_not_finite_is_null_in_the_truth() -> None:
    scene = replace(SceneRecipe(1, matrix=64, most_frames=2).scene(), overexposure=float("inf"))
    truth = json.loads(text_from_truth(truth_document(PhantomSource(scene), "run.dcm", "explicit-le")))
    assert truth["scene"]["overexposure"] is None
    assert truth["scene"]["exposure_ms"] == scene.exposure_ms


def test_a_live_study_gives_every_frame_a_verdict_and_can_be_drawn_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    done = phantom(
        "--live", "--seed", "2", "--runs", "2", "--rate-hz", "30", "--matrix", "64", "--frames", "12",
        "--pause-s", "0.2", "--journal", journal, "--json",
    )  # fmt: skip
    assert done.returncode in (0, 9), done.stderr  # 9: a busy machine dropped a frame, and says so
    shown = records(done)
    runs = [record for record in shown if record["type"] == "run"]
    assert [run["frames"] for run in runs] == [12, 12]
    assert {run["frame_rate_hz"] for run in runs} == {30.0}
    verdicts = [record for record in shown if record["type"] == "verdict"]
    for run in runs:
        mine = [verdict for verdict in verdicts if verdict["pass_id"] == run["pass_id"]]
        assert sorted(verdict["frame_index"] for verdict in mine) == list(range(12))
        assert run["verdicts"] == dict.fromkeys(run["verdicts"], 0) | Counter(v["outcome"] for v in mine)
        assert all(v["reason"] for v in mine if v["outcome"] in ("DROPPED", "FAILED"))
    assert {record["notice"] for record in shown} == {NOTICE}
    pressed = [row.split(", ")[1].split() for row in done.stderr.splitlines() if "pedal pressed: " in row]
    assert len(pressed) == 2
    for run, options in zip(runs, pressed, strict=True):
        again = phantom(
            *options, "--rate-hz", "30", *SMALL[:2], "--frames", "12", "--json", "--out", tmp_path / "again"
        )
        assert again.returncode == 0, again.stderr
        assert records(again)[0]["run_id"] == run["run_id"], "what was pressed can be written as files"
    verified = cathrt("verify", "--json", journal)
    assert json.loads(verified.stdout)["sound"] is True

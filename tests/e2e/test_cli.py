"""The command as a user types it: what it prints, what it keeps, how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cathrt.runtime.alert import NOTICE, Refusal
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.commands.demo import demo
from cathrt.runtime.commands.options import exit_code_of
from cathrt.runtime.config import Config, JournalConfig, LimitsConfig
from cathrt.runtime.journal.file import open_for_reading
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.replay import Replayed
from cathrt.runtime.models import open_bundle, record_parts
from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import Done, cathrt
from tests.lines import SIZE, ArraySource, picture


def records(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def dicom_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small frames as a multi-frame XA file."""
    source = ArraySource([0.1] * 12)
    return write_xa(source.run, lambda i: picture(0.1 + 0.05 * i, i), tmp_path_factory.mktemp("run") / "run.dcm")


def test_a_real_cine_gives_one_verdict_per_frame_and_balanced_books(data_dir: Path) -> None:
    done = cathrt("replay", "--json", data_dir / "xa_cine")
    assert done.returncode == 0, done.stderr
    shown = records(done)
    assert {record["notice"] for record in shown} == {NOTICE}
    verdicts = [record for record in shown if record["type"] == "verdict"]
    assert sorted(verdict["frame_index"] for verdict in verdicts) == list(range(96))
    (run,) = [record for record in shown if record["type"] == "run"]
    assert run["frames"] == 96
    assert run["verdicts"] == dict.fromkeys(run["verdicts"], 0) | Counter(v["outcome"] for v in verdicts)
    assert run["frame_rate_origin"] == "FrameTime"
    assert run["positioner_primary_angle_deg"] == -32.0
    assert set(run["latency_ms"]) >= {"source", "preprocess", "infer", "postprocess", "end_to_end"}
    assert set(run["latency_ms"]["infer"]) == {"p50", "p95", "p99", "max"}
    assert all(0 <= index < 96 for index in run["results"][0]["marked_frames"])
    assert "LICENSE" in done.stderr, "a file that is no input must be named"


def test_every_form_of_the_real_10_bit_frame_is_read(data_dir: Path) -> None:
    done = cathrt("replay", "--json", data_dir / "xa_10bit")
    assert done.returncode == 0, done.stderr
    runs = [record for record in records(done) if record["type"] == "run"]
    assert sorted(Path(run["source"]).suffix for run in runs) == [".JLS", ".dcm", ".j2k"]
    assert all(run["frames"] == 1 and run["verdicts"]["FAILED"] == 0 for run in runs)


def test_both_engines_say_the_same_of_the_same_frames(dicom_run: Path) -> None:
    scores = []
    for engine in ("openvino", "onnxruntime"):
        done = cathrt("replay", "--json", "--engine", engine, dicom_run)
        assert done.returncode == 0, done.stderr
        scores.append([r["findings"][0]["class_scores"] for r in records(done) if r["type"] == "verdict"])
    # The demonstration computes in int8 with one and in float32 with the other.
    np.testing.assert_allclose(scores[0], scores[1], atol=0.02, rtol=0)
    np.testing.assert_array_equal(np.argmax(scores[0], axis=1), np.argmax(scores[1], axis=1))


def test_a_broken_file_is_refused_and_the_next_one_is_judged(tmp_path: Path, dicom_run: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "whole.dcm").write_bytes(dicom_run.read_bytes())
    done = cathrt("replay", "--json", tmp_path)
    assert done.returncode == 9
    shown = records(done)
    assert [r["source"] for r in shown if r["type"] == "refusal"] == ["broken.dcm"]
    assert [r["source"] for r in shown if r["type"] == "run"] == ["whole.dcm"]


RAMP = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))


def save_stills(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> Path:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(pictures, start=1):
        Image.fromarray(pixels).save(folder / f"frame_{number}.png")
    return folder


def test_a_folder_of_frames_is_a_run_of_its_name_at_the_rate_that_is_given(tmp_path: Path) -> None:
    study = save_stills(tmp_path / "study" / "series", [RAMP + number for number in range(4)]).parent
    for number in range(73):
        (study / f"notes{number}.txt").write_text("no picture")
    done = cathrt("replay", "--json", "--rate-hz", "7.5", study)
    assert done.returncode == 0, done.stderr
    (run,) = (record for record in records(done) if record["type"] == "run")
    assert (run["source"], run["frames"]) == ("series/frame_[1-4].png", 4)
    assert (run["frame_rate_hz"], run["frame_rate_origin"], run["flags"]) == (7.5, "given", [])
    assert [line for line in done.stderr.splitlines() if "ignored" in line] == [
        "cathrt: ignored 73 files: neither DICOM, nor a video, nor a still by suffix or first bytes "
        "(notes0.txt, notes1.txt, notes2.txt, ...)"
    ]


@pytest.mark.parametrize(("stills", "frames"), [("auto", [1, 1, 1]), ("separate", [1, 1, 1]), ("run", [3])])
def test_unlike_stills_are_runs_of_one_frame_unless_the_command_says_otherwise(
    stills: str, frames: list[int], tmp_path: Path
) -> None:
    scenes = [RAMP, RAMP.T, RAMP[:, ::-1]]
    done = cathrt("replay", "--json", "--stills", stills, save_stills(tmp_path / "series", scenes))
    assert done.returncode == 0, done.stderr
    runs = [record for record in records(done) if record["type"] == "run"]
    assert [run["frames"] for run in runs] == frames
    told = "frame_1.png and frame_2.png are unlike" in done.stderr and "read as 3 stills; --stills run" in done.stderr
    assert told == (stills == "auto")


@pytest.mark.parametrize("rate", ["0", "nan", "-15", "251", "fast"])
def test_a_rate_that_is_none_is_wrong_usage(rate: str, dicom_run: Path) -> None:
    done = cathrt("replay", "--rate-hz", rate, dicom_run)
    assert done.returncode == 2
    assert "--rate-hz" in done.stderr


def test_a_run_that_states_its_rate_keeps_it_and_says_so(dicom_run: Path) -> None:
    done = cathrt("replay", "--json", "--rate-hz", "7.5", dicom_run)
    (run,) = (record for record in records(done) if record["type"] == "run")
    assert (run["frame_rate_hz"], run["frame_rate_origin"]) == (pytest.approx(15.0), "FrameTime")
    assert "given_rate_not_used" in run["flags"]


def test_nothing_but_broken_files_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert cathrt("replay", "--json", tmp_path).returncode == 4


def test_a_folder_without_runs_is_a_failure_that_says_so(tmp_path: Path) -> None:
    done = cathrt("replay", tmp_path)
    assert done.returncode == 4
    assert "no X-ray run found" in done.stderr


def test_a_truncated_run_accounts_for_every_declared_frame(tmp_path: Path, dicom_run: Path) -> None:
    whole = dicom_run.read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) - 3 * SIZE * SIZE - 5])
    done = cathrt("replay", "--json", tmp_path / "cut.dcm")
    assert done.returncode == 9, done.stderr
    outcomes = Counter(record["outcome"] for record in records(done) if record["type"] == "verdict")
    assert outcomes.total() == 12
    assert outcomes["MET"] == 8


def test_a_replay_repeated_on_its_journal_adds_nothing(tmp_path: Path, dicom_run: Path) -> None:
    journal = tmp_path / "journal.db"
    first = cathrt("replay", "--json", "--journal", journal, dicom_run)
    head = json.loads(cathrt("verify", "--json", journal).stdout)
    second = cathrt("replay", "--json", "--journal", journal, dicom_run)
    again = json.loads(cathrt("verify", "--json", journal).stdout)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert records(first) == records(second), "the second replay must show what the journal holds"
    assert head == again
    assert head["rows"] == len(records(first))
    assert head["sound"]


def test_verify_names_the_source_and_the_rate_of_a_pass_that_was_cut_short(tmp_path: Path, dicom_run: Path) -> None:
    whole, cut = tmp_path / "whole.db", tmp_path / "cut.db"
    assert cathrt("replay", "--journal", whole, dicom_run).returncode == 0
    with closing(open_for_reading(whole)) as connection, Journal(cut, JournalConfig()) as journal:
        for (body,) in connection.execute("SELECT body FROM record ORDER BY seq LIMIT 5"):
            journal.append(record_from_body(body, record_parts()))
    told = cathrt("verify", "--json", cut)
    assert told.returncode == 9
    (incomplete,) = json.loads(told.stdout)["incomplete"]
    assert (incomplete["source"], incomplete["rate"], incomplete["attempt"]) == ("run.dcm", "max", 1)
    assert "incomplete: run.dcm at --rate max: the same replay at that rate completes it" in told.stderr
    assert cathrt("replay", "--rate", "max", "--journal", cut, dicom_run).returncode == 0
    assert json.loads(cathrt("verify", "--json", cut).stdout)["incomplete"] == []


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        (["SourceError"], 4),
        (["ManifestError", "ManifestError"], 5),
        (["EngineError"], 6),
        (["ManifestError", "SourceError"], 4),
        ([], 4),
    ],
)
def test_where_nothing_was_judged_the_exit_code_says_whose_fault_it_was(errors: list[str], code: int) -> None:
    refusals = tuple(Refusal(str(number), "a.dcm", error, "why") for number, error in enumerate(errors))
    assert exit_code_of(Replayed((), refusals)) == code


def test_a_demo_whose_runs_are_all_refused_says_so_on_its_page(tmp_path: Path) -> None:
    small = replace(Config(), limits=LimitsConfig(max_rows=8))
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    done = demo(tmp_path, bundle, small, (), seed=7)
    assert (len(done.replayed.summaries), len(done.replayed.refusals)) == (0, 3)
    assert "No run was judged" in done.page.read_text(encoding="utf-8")


def test_without_a_journal_nothing_is_left_behind(tmp_path: Path, dicom_run: Path) -> None:
    assert cathrt("replay", dicom_run, cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_plain_output_names_the_run_and_begins_with_the_notice(dicom_run: Path) -> None:
    done = cathrt("replay", dicom_run)
    assert done.returncode == 0, done.stderr
    assert "run.dcm" in done.stdout
    assert [line == NOTICE for line in done.stdout.splitlines()][:2] == [True, False]
    assert done.stdout.count(NOTICE) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--engine", "abacus"], 3, "abacus"),
        (["--config", "CONFIG"], 3, "budget"),
        (["--bundle", "FOLDER"], 5, "manifest"),
        (["--journal", "GARBAGE"], 7, "journal"),
        (["--rate", "warp"], 2, "warp"),
    ],
)
def test_each_mistake_has_its_exit_code_and_one_clear_line(
    tmp_path: Path, dicom_run: Path, arguments: list[str], code: int, said: str
) -> None:
    config, garbage, folder = tmp_path / "config.toml", tmp_path / "garbage", tmp_path / "folder"
    config.write_text("[line]\nbudget = 3")
    garbage.write_bytes(b"not a journal" * 1000)
    folder.mkdir()
    places = {"CONFIG": str(config), "GARBAGE": str(garbage), "FOLDER": str(folder)}
    done = cathrt("replay", dicom_run, *(places.get(word, word) for word in arguments))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert garbage.read_bytes() == b"not a journal" * 1000, "a file that is no journal must be left as it is"


def test_a_reader_that_goes_away_ends_the_replay_without_a_traceback(dicom_run: Path) -> None:
    command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "replay", "--json", str(dicom_run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 8
    assert "Traceback" not in said
    assert "reader has closed" in said


def test_verify_accepts_the_shipped_bundle_and_refuses_a_changed_one(tmp_path: Path) -> None:
    done = cathrt("verify", "--json", demonstration_bundle())
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["engines"] == ["onnxruntime", "openvino"]
    assert report["demonstration"] is True
    copy = tmp_path / "bundle"
    copy.mkdir()
    for file in demonstration_bundle().iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert cathrt("verify", copy).returncode == 0
    model = bytearray((copy / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (copy / "model.onnx").write_bytes(model)
    changed = cathrt("verify", copy)
    assert changed.returncode == 5
    assert "model.onnx" in changed.stderr


def test_doctor_finds_the_default_engine_and_the_shipped_bundle(tmp_path: Path) -> None:
    done = cathrt("doctor", "--json", "--folder", tmp_path)
    assert done.returncode == 0, done.stdout
    checks = {record["name"]: record for record in records(done) if record["type"] == "check"}
    assert checks["engine openvino"]["state"] == "ok"
    assert checks["demonstration bundle"]["state"] == "ok"
    assert checks["disk"]["figures"]["sync_p50_ms"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_version_carries_the_notice() -> None:
    assert NOTICE in cathrt("--version").stdout


def test_the_demo_shows_alerts_and_leaves_a_page_and_a_sheet(tmp_path: Path) -> None:
    done = cathrt("demo", "--json", "--seconds", "10", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    shown = records(done)
    (confirmed,) = [record for record in shown if record["type"] == "run" and record.get("result") == "confirmed"]
    assert confirmed["results"][0]["laterality"] == "left"
    (counts,) = [record for record in shown if record["type"] == "counts"]
    assert counts["frames"] > 0
    runs = [record for record in shown if record["type"] == "run" and "result" not in record]
    assert len(runs) == 3
    draft, reading = shown[-2:]
    assert (draft["type"], draft["run_ids"]) == ("draft", [run["run_id"] for run in runs])
    assert (reading["type"], [run["why"] for run in reading["runs"]]) == ("study", ["counts", "counts", "no_side"])
    assert {one["artery"] for one in reading["reading"]["findings"]} == {"LAD", "LCX", "RCA", None}
    assert draft["draft"]["facts"]["sides"] == ["left", "right"]
    assert draft["draft"]["withheld"] is not None or (draft["draft"]["text"] and draft["draft"]["text_ja"])
    for run in runs:
        assert sum(run["verdicts"].values()) == run["frames"]
    page = (tmp_path / "out" / "summary.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 3
    assert page.count(NOTICE) == 1
    assert "seed 7" in page
    assert page.count('alt="the run"') == 3, "each run plays"
    assert len(page) < 3_000_000
    assert (tmp_path / "out" / "key_frames.png").read_bytes().startswith(b"\x89PNG")

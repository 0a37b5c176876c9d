"""`cathrt export` and `cathrt qualify` as a user types them: what they print, leave behind, refuse, and cost replay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from cathrt.export.bundle.sign import generate_key
from cathrt.export.checkpoint.file import CheckpointError
from cathrt.export.commands.cli import app
from cathrt.export.commands.options import PHANTOM_RUNS, PRECISIONS, TargetName
from cathrt.export.graph.fold import Target
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.export.models.keyframe.gate import GATES
from cathrt.export.models.keyframe.options import ArchName
from cathrt.export.qualify import runs as qualification_runs
from cathrt.runtime.alert import NO_BETTER_NOTICE
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.phantom.dicom import write_xa
from tests.docs.records_page import unlike_page
from tests.export.checkpoint_files import stored
from tests.export.small_export import semantics_file
from tests.lines import ArraySource, picture

SMALL = ["export", "keyframe", "--arch", "convnext_atto", "--random-init"]


def cathrt(*arguments: str | Path, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """The installed script's entry point. before: Python to run ahead of it."""
    code = f"import sys; {before}; from cathrt.export.commands.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One run of six small frames."""
    folder = tmp_path / "runs"
    folder.mkdir()
    source = ArraySource([0.1] * 6)
    write_xa(source.run, lambda i: picture(0.1 + 0.05 * i, i), folder / "run.dcm")
    return folder


def test_the_export_commands_cost_the_runtimes_start_nothing_heavy() -> None:
    code = (
        "import sys, cathrt.runtime.commands.cli; before = set(sys.modules); import cathrt.export.commands.cli;"
        "print(*sorted(set(sys.modules) - before))"
    )
    added = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "cathrt.export.models" in added
    assert [name for name in added if not name.startswith("cathrt.export")] == []


def test_the_commands_names_are_those_of_the_tables_they_stand_for() -> None:
    assert get_args(ArchName) == tuple(ARCHS)
    assert tuple(name.value for name in TargetName) == get_args(Target)
    assert set(PRECISIONS.values()) == set(GATES)
    assert PHANTOM_RUNS == qualification_runs.PHANTOM_RUNS


@pytest.mark.parametrize("arguments", [[*SMALL, "--precision", "fp32", "--target", "openvino"], ["qualify", "x"]])
def test_without_the_extra_the_commands_name_it(tmp_path: Path, arguments: list[str]) -> None:
    done = cathrt(*arguments, "--out", tmp_path / "out", before="sys.modules['torch'] = None")
    assert done.returncode == 3, done.stderr
    assert "torch not installed, which export needs: pip install '.[export]' in a clone" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--random-init", "--precision", "fp16", "--target", "openvino"], "3 to 4 times slower than bfloat16"),
        (["--random-init", "--precision", "bf16", "--target", "onnxruntime"], "no bfloat16 convolution"),
        (["--precision", "fp32", "--target", "openvino"], "both or neither of --weights FILE and --random-init"),
        (["--random-init", "--precision", "fp32", "--target", "openvino", "--sm", "89"], "only TensorRT plans"),
        (["--random-init", "--precision", "fp32", "--target", "openvino", "--state", "ema"], "give --weights FILE"),
        (["--random-init", "--precision", "fp32", "--target", "tensorrt-rtx", "--sm", "8.9"], "without a dot"),
        (
            ["--random-init", "--precision", "int8", "--target", "openvino", "--gate", "agreement=0.9"],
            "only be tighten",
        ),
        (["--random-init", "--precision", "int8", "--target", "openvino", "--gate", "agreement"], "NAME=NUMBER"),
        (
            ["--random-init", "--precision", "fp32", "--target", "openvino", "--like", "a", "--semantics", "b"],
            "both --like and --semantics",
        ),
    ],
)
def test_each_mistake_is_refused_before_anything_is_built(tmp_path: Path, arguments: list[str], said: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=said):
        app(["export", "keyframe", "--arch", "convnext_atto", *arguments, "--out", str(out)], standalone_mode=False)
    assert not out.exists()


def test_trained_weights_without_their_meaning_are_refused(tmp_path: Path) -> None:
    arguments = ["--weights", "w.pth", "--precision", "fp32", "--target", "openvino", "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="do not say what their classes mean"):
        app(["export", "keyframe", "--arch", "convnext_atto", *arguments], standalone_mode=False)


def test_what_was_read_of_a_checkpoint_is_said_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, ema = random_checkpoint("convnext_atto", 6, 0).state, random_checkpoint("convnext_atto", 6, 1).state
    further = {"criterion.weight": torch.ones(6)}
    document = {"state_dict": {f"model.{name}": value for name, value in state.items()} | further, "ema": dict(ema)}
    weights = stored(tmp_path / "last.ckpt", document)
    chosen = ["--weights", str(weights), "--semantics", str(semantics_file(tmp_path)), "--qualify-phantoms", "0"]
    command = ["export", "keyframe", "--arch", "convnext_atto", *chosen, "--precision", "fp32", "--target", "openvino"]
    with pytest.raises(CheckpointError, match=r"--state model: state_dict\.model, convnext_atto"):
        app([*command, "--out", str(tmp_path / "out")], standalone_mode=False)
    with pytest.raises(SourceError, match="no run"):
        app([*command, "--state", "model", "--out", str(tmp_path / "out")], standalone_mode=False)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "cathrt: weights: the file holds several sets, taken is state_dict.model"
    assert second.startswith("cathrt: weights: left out: state_dict.criterion.weight (6), ema (128 tensors). If")


def test_a_set_of_weights_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--state ema: names a set of weights in a checkpoint"):
        app(
            ["qualify", str(demonstration_bundle()), "--state", "ema", "--out", str(tmp_path / "out")],
            standalone_mode=False,
        )


def test_a_set_too_small_to_decide_is_exit_code_10_with_a_report_and_nothing_signed(tmp_path: Path, runs: Path) -> None:
    key, out = tmp_path / "my.key", tmp_path / "out"
    generate_key(key)
    chosen = ["--semantics", semantics_file(tmp_path), "--qualify-on", runs, "--qualify-phantoms", "0", "--sign", key]
    chosen += ["--cache", tmp_path / "cache"]
    done = cathrt(*SMALL, "--precision", "fp32", "--target", "onnxruntime", *chosen, "--out", out, "--json")
    assert done.returncode == 10, done.stderr
    assert [unlike_page(record) for record in records(done)] == [[]] * 4
    *stages, export = records(done)
    assert [(stage["stage"], stage["how"]) for stage in stages] == [
        ("plain", "made"),
        ("canonical-nchw", "made"),
        ("qualification-onnxruntime", "made"),
    ]
    assert (export["passed"], export["signed"], export["path"]) == (False, False, None)
    assert (export["fidelity"], export["worth"]) == ("not enough evidence", "not enough evidence")
    assert any("frames compared: found 6, required at least 1000" in failure for failure in export["failures"])
    assert "not signed: onnxruntime: too few runs to say whether the engine answers" in done.stderr
    assert "qualifying onnxruntime: 1 of 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [".work", "onnxruntime.report"]
    assert Path(export["report"], "qualification.html").is_file()


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_the_whole_way_from_random_weights_to_a_signed_bundle_that_qualifies_and_that_replay_refuses(
    tmp_path: Path, runs: Path
) -> None:
    key, out, config = tmp_path / "my.key", tmp_path / "out", tmp_path / "cathrt.toml"
    config.write_text(f'[trust]\nkeys = ["{generate_key(key)}"]\n')
    cache = ["--cache", tmp_path / "cache"]
    chosen = ["--semantics", semantics_file(tmp_path), "--sign", key, "--out", out, *cache]
    refused = cathrt(*SMALL, "--precision", "fp32", "--target", "openvino", *chosen)
    assert refused.returncode == 10, refused.stderr
    assert "the engine answers as its float network; the network is no better than chance" in refused.stdout
    assert "not signed: openvino: the network is no better than chance" in refused.stderr
    assert not (out / "openvino").exists()
    done = cathrt(*SMALL, "--precision", "fp32", "--target", "openvino", *chosen, "--sign-anyway")
    assert done.returncode == 0, done.stderr
    shown = cathrt("verify", "--json", "--config", config, out / "openvino")
    assert shown.returncode == 0, shown.stderr
    (told,) = records(shown)
    assert (told["random_init"], told["worth"], told["notice"]) == (True, "no better than chance", NO_BETTER_NOTICE)
    again = cathrt("qualify", out / "openvino", "--config", config, "--out", tmp_path / "again", "--json", *cache)
    assert again.returncode == 0, again.stderr
    assert (records(again)[0]["fidelity"], records(again)[0]["worth"]) == ("passed", "no better than chance")
    refused = cathrt("replay", "--config", config, "--bundle", out / "openvino", runs)
    assert refused.returncode == 5
    assert "random weights" in refused.stderr


@pytest.mark.slow
def test_qualify_holds_the_shipped_bundle_against_its_own_float32_graph(tmp_path: Path, runs: Path) -> None:
    chosen = ["--qualify-on", runs, "--qualify-phantoms", "0", "--out", tmp_path / "reports", "--json"]
    chosen += ["--cache", tmp_path / "cache"]
    done = cathrt("qualify", demonstration_bundle(), *chosen)
    assert done.returncode == 10, "six frames decide nothing"
    assert [record["engine"] for record in records(done)] == ["onnxruntime", "openvino"]
    assert [unlike_page(record) for record in records(done)] == [[], []]
    for engine in ("onnxruntime", "openvino"):
        report = json.loads((tmp_path / "reports" / f"{engine}.report" / "qualification.json").read_text("utf-8"))
        assert report["class_agreement"]["share"] == 1.0
        assert report["reference"] == "model.onnx itself, in float32 in ONNX Runtime"

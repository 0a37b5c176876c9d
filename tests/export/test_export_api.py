"""Export from Python asks for what the command asks for, and hands back what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.export.api import export_checkpoint
from cathrt.export.commands import cli
from cathrt.export.recipe import recipe
from cathrt.export.recipe.recipe import Exported, ExportRequest
from cathrt.runtime.errors import ConfigError
from tests.export.checkpoint_files import ATTO, made_up, stored
from tests.export.small_export import semantics_file

EXPORTED = Exported(
    "openvino", fidelity="passed", failures=(), worth=None, report=Path("r"), path=None, signed=False, not_run=""
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return stored(tmp_path / "atto.safetensors", made_up())


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ExportRequest]:
    """What is asked of the recipe, which is not run."""
    asked: list[ExportRequest] = []

    def export_model(request: ExportRequest, *_: Any) -> tuple[Exported, ...]:
        asked.append(request)
        return (replace(EXPORTED, path=tmp_path / "bundle"),)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(recipe, "export_model", export_model)
    return asked


def told_by(request: ExportRequest) -> dict[str, Any]:
    """Everything of a request that decides what comes out."""
    asked = request.recipe
    return {
        "manifest": asked.model.manifest,
        "weights": (asked.model.weights_sha256, asked.model.about, asked.model.notes),
        "networks": {role: network.identity for role, network in asked.model.networks.items()},
        "recipe": (asked.precision, asked.targets, asked.gates, asked.calibration, asked.limits, asked.sm, asked.int8),
        "rest": asked.rest,
        "port": asked.port,
        "runs": request.qualifying.runs.identity,
        "qualifying": (request.qualifying.config, request.qualifying.alone_calls),
        "request": (request.out, request.key, request.sign_anyway),
    }


@pytest.mark.parametrize("more", [{}, {"sign_anyway": True, "qualify_phantoms": 7}], ids=["defaults", "more"])
def test_it_asks_for_what_the_command_asks_for(
    tmp_path: Path, weights: Path, requests: list[ExportRequest], more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    meaning = semantics_file(tmp_path)
    done = export_checkpoint(
        weights, tmp_path / "out", kind="keyframe", precision="int8", targets=("openvino", "onnxruntime"), arch=ATTO,
        semantics=meaning, **more,
    )  # fmt: skip
    words = ["--sign-anyway", "--qualify-phantoms", "7"] if more else []
    typed = [
        *("export", "keyframe", "--weights", str(weights), "--arch", ATTO, "--semantics", str(meaning)),
        *("--precision", "int8", "--target", "openvino", "--target", "onnxruntime", "--out", str(tmp_path / "out")),
        *words,
    ]
    monkeypatch.setattr("sys.argv", ["cathrt", *typed])
    with pytest.raises(SystemExit):
        cli.app()
    by_program, by_command = map(told_by, requests)
    assert by_program == by_command
    assert done[0].path == tmp_path / "bundle"


def test_what_was_noticed_in_the_weights_is_told(tmp_path: Path, requests: list[ExportRequest]) -> None:
    extra = {**made_up(), "optimizer.step": made_up()["head.fc.bias"]}
    path = stored(tmp_path / "trained.pth", {"state_dict": extra})
    told: list[tuple[str, str]] = []
    export_checkpoint(
        path, tmp_path / "out", kind="keyframe", arch=ATTO, semantics=semantics_file(tmp_path),
        told=lambda stage, how: told.append((stage, how)),
    )  # fmt: skip
    assert [stage for stage, _ in told] == ["weights"] * len(requests[0].recipe.model.notes)
    assert [how for _, how in told] == list(requests[0].recipe.model.notes)
    assert told


def test_a_kind_that_is_not_known_is_an_error_that_names_the_others(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ConfigError, match="'giraffe', expected one of keyframe"):
        export_checkpoint(weights, tmp_path / "out", kind="giraffe")


def test_an_option_that_the_kind_does_not_have_is_an_error(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        export_checkpoint(weights, tmp_path / "out", kind="keyframe", arch=ATTO, colour="red")

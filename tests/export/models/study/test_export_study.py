"""A checkpoint becomes one signed bundle, from which both CPU engines answer as the network in torch does.

Not for: plans of TensorRT (test_study_tensorrt.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from cathrt.export.bundle.sign import public_key
from cathrt.export.commands.export import export_commands
from cathrt.export.graph.fold import Target
from cathrt.export.model_kind import OwnRequest
from cathrt.export.models.study import STUDY, recipe
from cathrt.export.models.study.answering import engine_answers, head_feeds
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.bundle import manifest_of, provenance_of
from cathrt.export.models.study.cases import Study, phantom_clips
from cathrt.export.models.study.reference import reference_modules
from cathrt.export.models.study.source import source_of
from cathrt.export.models.study.targets import TargetParts, parts_of
from cathrt.export.qualify.exported import AnyTarget, Exported
from cathrt.export.quantize.qdq import WeightBits
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.manifest import TOO_FEW
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.study.contract import section_of
from cathrt.runtime.models.study.section import ENCODER, HEAD
from cathrt.runtime.outside.plain_text import html_text
from tests.export.models.study.small_study import write_checkpoint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ENGINES: tuple[Target, ...] = ("onnxruntime", "openvino")
# Of int8 weights: with 8, a CPU without VNNI would clip sums, which is refused.
BITS: WeightBits = 8 if sums_int8_exactly() else 7
CONFIG = Config(engine=EngineConfig(threads=1))
COMMANDS = export_commands({"study": STUDY})


@dataclass(frozen=True)
class Done:
    """One export. stages: (stage, "made" or "kept"), in order. said: lines for the user."""

    exported: tuple[Exported, ...]
    stages: list[tuple[str, str]]
    said: list[str]
    out: Path

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "bundle.report" / "qualification.json").read_text())
        return found

    def opened(self) -> Bundle:
        assert self.exported[0].path is not None, self.exported[0].failures
        return open_bundle(self.exported[0].path, [public_key(KEY)])


@pytest.fixture(autouse=True, scope="module")
def fewer_clips() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "COMPARED_CLIPS", 2)
        yield


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("weights") / "best_model.pt")
    return Asked("generic", "float32", checkpoint)


def run(
    out: Path, asked: Asked, *targets: Target, limits: dict[str, float] | None = None, sign_anyway: bool = True
) -> Done:
    stages: list[tuple[str, str]] = []
    said: list[str] = []
    request = OwnRequest(
        CONFIG, targets, out, (), limits or {}, KEY, sign_anyway, lambda stage, how: stages.append((stage, how)),
        said.append,
    )  # fmt: skip
    return Done(recipe.export_study(request, asked), stages, said, out)


@pytest.fixture(scope="module")
def float32(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("float32"), asked, *ENGINES)


def int8_of(asked: Asked) -> Asked:
    return replace(asked, precision="int8", weight_bits=BITS)


def beside(done: Done, out: Path) -> Path:
    """A folder that goes on from another one's finished stages."""
    (out / ".work").symlink_to(done.out / ".work")
    return out


@pytest.fixture(scope="module")
def int8(float32: Done, asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What the float32 network says is taken from the other export."""
    return run(beside(float32, tmp_path_factory.mktemp("int8")), int8_of(asked), *ENGINES)


def test_one_bundle_serves_both_engines(float32: Done) -> None:
    with float32.opened() as bundle:
        manifest = bundle.manifest
        assert manifest.kind == "study"
        assert manifest.engines == ENGINES
        assert sorted(manifest.files) == ["encoder.data", "encoder.onnx", "head.data", "head.onnx"]
        assert manifest.network(ENCODER).buckets == ({"n": 1}, {"n": 4})
        assert manifest.network(HEAD).buckets == ({"N": 10},)
        section = section_of(manifest)
        assert (section.product, section.runs, section.empty, section.columns) == ("generic", 10, "hidden", 90)
        assert (section.clip.mean, section.clip.stride) == (122.09012603759766, 1)
        assert manifest.provenance["settings_from"]["mean, std"].endswith("of the release")


def test_the_command_says_what_was_left_out_and_that_worth_is_unproven(float32: Done) -> None:
    assert float32.said[0] == "left out the tables optimizer"
    assert all(one.signed and one.worth == TOO_FEW for one in float32.exported)
    with float32.opened() as bundle:
        assert bundle.manifest.worth == TOO_FEW


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_answer_as_the_network_does(float32: Done, asked: Asked, engine: str) -> None:
    source = source_of(asked)
    clips = phantom_clips(source.section.clip, 1, 97_000_000)
    study = Study((0,))
    encoder, head = reference_modules(source.weights)
    with float32.opened() as bundle, torch.inference_mode():
        features, outputs = engine_answers(bundle, engine, CONFIG.engine, clips, [study], lambda done, of: None)
        own = encoder(torch.from_numpy(clips.tensors)).numpy()
        feeds = head_feeds(source.section, study, own, clips.views)
        expected = head(torch.from_numpy(feeds["features"]), torch.from_numpy(feeds["there"])).numpy()
    np.testing.assert_allclose(features, own, rtol=0, atol=1e-5 * np.abs(own).max())
    np.testing.assert_allclose(outputs[0], expected, rtol=0, atol=1e-5)


def test_int8_has_its_pairs_before_the_grids_linear_layers_alone(int8: Done) -> None:
    with int8.opened() as bundle:
        graph = onnx.load_from_string(bundle.read("encoder.onnx")).graph
        artifacts = {role: network.artifacts["openvino"] for role, network in bundle.manifest.networks.items()}
        told = bundle.manifest.provenance["int8"]
    quantised = [node.name for node in graph.node if any(name.endswith(".dequantized") for name in node.input)]
    # Of five blocks: queries, keys and values, what is behind attention, two of the MLP; three change their width.
    assert len(quantised) == 5 * 5 + 3
    assert all(name.startswith("blocks.") and name.endswith(".grid.product") for name in quantised)
    assert (artifacts[ENCODER].precision, artifacts[HEAD].precision) == ("int8", "float32")
    assert (told["layers"], told["calibration"]["source"], told["calibration"]["clips"]) == ("linears", "phantom", 4)


def test_mlps_alone_are_nearer_to_the_network(int8: Done, asked: Asked, tmp_path: Path) -> None:
    mlps = run(beside(int8, tmp_path), replace(int8_of(asked), layers="mlps"), "onnxruntime")
    few, all_of = (one.report["qualification"]["onnxruntime"]["feature_noise"] for one in (mlps, int8))
    assert 1e-3 < few < all_of < 0.1


def test_reports_tell_each_question(int8: Done) -> None:
    page = (int8.out / "bundle.report" / "qualification.html").read_text()
    assert "prox_rca_stenosis_binary" in page
    assert html_text(NOTICE) in page
    questions = int8.report["questions"]["openvino"]
    assert len(questions) == 90
    assert {one["called"] for one in questions if one["form"] == "probability"} == {24}


def test_finished_stages_are_kept(float32: Done, asked: Asked, tmp_path: Path) -> None:
    again = run(beside(float32, tmp_path), asked, *ENGINES)
    assert {how for _, how in again.stages} == {"kept"}


def test_a_bundle_that_is_there_is_kept_and_another_one_is_not_overwritten(float32: Done, asked: Asked) -> None:
    before = (float32.out / "bundle" / "manifest.json").read_bytes()
    assert all(one.signed for one in run(float32.out, asked, *ENGINES).exported)
    assert (float32.out / "bundle" / "manifest.json").read_bytes() == before
    with pytest.raises(ManifestError, match="holds another bundle, which is not overwritten"):
        run(float32.out, replace(asked, name="other"), *ENGINES)


def test_what_misses_its_gate_is_not_signed(int8: Done, asked: Asked, tmp_path: Path) -> None:
    done = run(
        beside(int8, tmp_path), int8_of(asked), "onnxruntime", limits={"logit_error": 1e-6}
    )  # fmt: skip
    (one,) = done.exported
    assert (one.fidelity, one.path, one.signed) == ("failed", None, False)
    assert "logit error: found" in one.failures[0]
    assert "required at most 1e-06: look at" in one.failures[0]


def test_without_asking_for_it_nothing_of_unknown_worth_is_signed(float32: Done, asked: Asked, tmp_path: Path) -> None:
    (one,) = run(beside(float32, tmp_path), asked, "openvino", sign_anyway=False).exported
    assert (one.fidelity, one.path, one.worth) == ("passed", None, TOO_FEW)


def test_places_without_a_run_can_be_attended_to(float32: Done, asked: Asked, tmp_path: Path) -> None:
    done = run(beside(float32, tmp_path), replace(asked, empty="attended"), "openvino")
    with done.opened() as bundle:
        assert section_of(bundle.manifest).empty == "attended"


def test_random_weights_are_marked(tmp_path: Path) -> None:
    drawn = Asked("deeprv", "float32", encoder="mvit_v2_mini")
    source = source_of(drawn)
    parts: dict[AnyTarget, TargetParts] = {"openvino": parts_of(StageCache(tmp_path), source, drawn, "openvino", ())}
    manifest, _ = manifest_of(source, parts, provenance_of(source, drawn, parts), demonstration=False)
    assert manifest.random_init
    assert section_of(manifest).runs == 6


@pytest.mark.parametrize(
    ("target", "changes", "says"),
    [
        ("openvino", {"precision": "float16"}, "openvino is not built in float16"),
        ("onnxruntime", {"precision": "bfloat16"}, "onnxruntime is not built in bfloat16"),
        ("cathrt", {}, "our own engine writes reports and encodes no clips"),
        ("onnxruntime", {"precision": "int8", "rest": "bfloat16"}, "--rest bf16: found onnxruntime in int8"),
        ("openvino", {"product": "none"}, "--product none: expected one of generic"),
    ],
)
def test_what_no_target_takes_is_refused_before_anything_is_built(
    target: Target, changes: dict[str, str], says: str, asked: Asked, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        run(tmp_path, replace(asked, **changes), target)  # type: ignore[arg-type]
    assert not list(tmp_path.rglob("*.onnx"))


def test_its_command_has_its_own_options_and_those_of_all_kinds() -> None:
    shown = CliRunner().invoke(
        export_commands({"study": STUDY, "other": STUDY}), ["study", "--help"], env={"COLUMNS": "200"}
    )
    assert shown.exit_code == 0
    for option in ("--product", "--checkpoint", "--settings", "--attend-empty", "--layers", "--target", "--sign"):
        assert option in shown.stdout


def test_a_checkpoint_and_random_weights_are_one_too_many(tmp_path: Path) -> None:
    given = ["study", "--product", "generic", "--precision", "fp32", "--target", "openvino", "--out", str(tmp_path)]
    for more in ([], ["--random-init", "--checkpoint", "best.pt"]):
        done = CliRunner().invoke(COMMANDS, [*given, *more])
        assert isinstance(done.exception, ConfigError)
        assert "found both or neither, expected one of them" in str(done.exception)

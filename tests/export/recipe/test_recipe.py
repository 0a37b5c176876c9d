"""From weights to bundles: what is signed, what is refused and reported, and that finished stages are kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from cathrt.export.bundle.sign import public_key
from cathrt.export.graph.fold import Target
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.gate import GATES, Gate
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.recipe import targets
from cathrt.export.recipe.recipe import Exported, ExportRequest, export_model
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.export.recipe.targets import build
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import cpu, open_engine
from cathrt.runtime.errors import ConfigError, EngineError, ManifestError
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.small_export import (
    CONFIG,
    FEW_FRAMES,
    KEY,
    noise_runs,
    recipe_for,
    request_for,
    small_model,
    small_semantics,
)
from tests.export.tensorrt_requests import rtx  # noqa: F401

IMPOSSIBLE = Gate(agreement=1.0, logit_error=0.0)


def opened(done: Exported) -> Bundle:
    assert done.signed, done.failures
    assert done.path is not None
    return open_bundle(done.path, [public_key(KEY)])


def stages(request: ExportRequest) -> list[str]:
    """Names of the stages that an export does, not those it keeps."""
    made: list[str] = []
    export_model(request, lambda stage, how: made.append(stage) if how == "made" else None)
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Exported]:
    """Both engines of the CPU in float32."""
    request = request_for(tmp_path_factory.mktemp("whole"), "float32", "openvino", "onnxruntime")
    return {done.target: done for done in export_model(request)}


@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_a_float32_network_is_signed_with_the_evidence_that_its_report_shows(
    exported: dict[Target, Exported], target: Target
) -> None:
    manifest = opened(exported[target]).manifest
    evidence = manifest.evidence["qualification"][target]
    assert evidence["passed"] is True
    assert evidence["class_agreement"]["hits"] == evidence["class_agreement"]["of"] == 6
    assert evidence["reference"] == "PyTorch float32"
    assert list(manifest.network(CLASSIFIER).artifacts) == [target]
    report = json.loads((exported[target].report / "qualification.json").read_text(encoding="utf-8"))
    assert report["failures"] == []
    assert report["class_agreement"] == evidence["class_agreement"]
    page = (exported[target].report / "qualification.html").read_text(encoding="utf-8")
    assert "Fidelity: passed" in page


def test_the_manifest_holds_the_chain_from_the_weights_to_the_engines_file(exported: dict[Target, Exported]) -> None:
    manifest = opened(exported["openvino"]).manifest
    told = manifest.provenance
    assert told["chain"]["weights"] == recipe_for(exported["openvino"].report, "float32").model.weights_sha256
    assert told["chain"]["engine"] == manifest.files
    assert len({told["chain"]["onnx"], told["chain"]["canonical"], told["chain"]["weights"]}) == 3
    assert (told["arch"], told["layout"], told["precision"], told["target"]) == (
        "convnext_atto",
        "nchw",
        "float32",
        "openvino",
    )
    assert told["random_init"] is True
    assert told["tools"]["onnx"] == onnx.__version__


def test_the_line_refuses_random_weights_and_benchmarks_can_open_them(exported: dict[Target, Exported]) -> None:
    bundle = opened(exported["openvino"])
    with pytest.raises(ManifestError, match="random weights, its findings mean nothing"):
        with opened_line([bundle], CONFIG, "max"):
            pass
    open_engine("openvino", bundle, CLASSIFIER, EngineConfig(threads=1)).close()


def test_the_same_weights_give_the_same_files(tmp_path: Path) -> None:
    built = [
        build(recipe_for(tmp_path, "float32"), "openvino", StageCache(tmp_path / name)) for name in ("first", "second")
    ]
    first, second = ({name: path.read_bytes() for name, path in one.payload.items()} for one in built)
    assert first == second
    assert built[0].manifest == built[1].manifest


def test_a_missed_gate_leaves_a_report_and_signs_nothing(tmp_path: Path) -> None:
    (done,) = export_model(request_for(tmp_path, "float32", "onnxruntime", gate=IMPOSSIBLE))
    assert not done.signed
    assert done.path is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".work", "onnxruntime.report"]
    assert done.failures[0].startswith("logit error: found")
    report = json.loads((done.report / "qualification.json").read_text(encoding="utf-8"))
    assert report["passed"] is False
    assert tuple(report["failures"]) == done.failures
    assert "Fidelity: failed" in (done.report / "qualification.html").read_text(encoding="utf-8")


def test_without_a_key_the_files_are_left_unsigned_and_the_runtime_refuses_them(tmp_path: Path) -> None:
    (done,) = export_model(replace(request_for(tmp_path, "float32", "onnxruntime"), key=None))
    assert not done.signed
    assert done.path == tmp_path / "out" / "onnxruntime.unsigned"
    assert sorted(path.name for path in done.path.iterdir()) == ["manifest.json", "model.onnx"]
    with pytest.raises(ManifestError, match=r"manifest\.sig"):
        open_bundle(done.path, [public_key(KEY)])


def test_an_export_goes_on_where_it_stopped(tmp_path: Path) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")

    def killed(stage: str, how: str) -> None:
        if stage.startswith("canonical"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(request, killed)
    assert stages(request) == ["qualification-onnxruntime"]
    assert stages(request) == [], "a repeated export must leave the signed bundle as it is"


@pytest.mark.parametrize("stage", ["plain", "canonical-nchw", "qualification-onnxruntime"])
def test_a_stage_whose_result_is_gone_or_damaged_is_done_again_and_no_other(tmp_path: Path, stage: str) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")
    export_model(request)
    (result,) = (tmp_path / "out" / ".work").glob(f"{stage}-*")
    shutil.rmtree(result)
    assert stages(request) == [stage]
    damaged = next(path for path in sorted(result.iterdir()) if path.name != "stage.json")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert stages(request) == [stage]


def test_another_bundle_in_its_place_is_not_written_over(tmp_path: Path) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")
    (first,) = export_model(request)
    before = opened(first).manifest_sha256
    meaning = small_semantics(tmp_path)
    changed = replace(meaning, keyframe=replace(meaning.keyframe, key_frame_threshold=0.7))
    other = replace(request.recipe, model=small_model(changed))
    with pytest.raises(ManifestError, match="holds another bundle, which is not overwritten"):
        export_model(replace(request, recipe=other))
    assert opened(first).manifest_sha256 == before


def test_another_preprocessing_of_the_same_weights_is_another_bundle(tmp_path: Path) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")
    export_model(request)
    meaning = small_semantics(tmp_path)
    darker = replace(meaning, preprocessing=replace(meaning.preprocessing, mean=(0.4, 0.4, 0.4)))
    recipe = replace(request.recipe, model=small_model(darker))
    with pytest.raises(ManifestError, match="holds another bundle, which is not overwritten"):
        export_model(replace(request, recipe=recipe))


@pytest.mark.parametrize("gate", [replace(FEW_FRAMES, key_frames=0.5), IMPOSSIBLE])
def test_evidence_of_an_earlier_gate_is_not_taken_for_that_of_a_later_one(tmp_path: Path, gate: Gate) -> None:
    request = request_for(tmp_path, "float32", "onnxruntime")
    (first,) = export_model(request)
    report = (first.report / "qualification.json").read_bytes()
    with pytest.raises(ManifestError, match="was signed with another gate in its evidence"):
        export_model(replace(request, recipe=replace(request.recipe, gates={CLASSIFIER: gate})))
    assert (first.report / "qualification.json").read_bytes() == report, "the report beside a bundle is the bundle's"
    other = replace(request, qualifying=replace(request.qualifying, runs=noise_runs(2, 4)))
    with pytest.raises(ManifestError, match="was signed with another judge_set in its evidence"):
        export_model(other)


@pytest.mark.parametrize(
    ("target", "precision", "reason"),
    [
        ("openvino", "float16", "3 to 4 times slower than bfloat16"),
        ("onnxruntime", "float16", "in float32 between casts"),
        ("onnxruntime", "bfloat16", "no bfloat16 convolution"),
    ],
)
def test_what_a_target_does_not_compute_is_refused_before_anything_is_built(
    tmp_path: Path, target: Target, precision: Precision, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        export_model(request_for(tmp_path, precision, target))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("target", "precision"), [("onnxruntime", "int8"), ("tensorrt-rtx", "int8"), ("openvino", "float32")]
)
def test_a_bfloat16_rest_is_for_int8_in_openvino_alone(tmp_path: Path, target: Target, precision: Precision) -> None:
    request = request_for(tmp_path, precision, target)
    with pytest.raises(ConfigError, match=f"found {target} in {precision}, expected int8 for openvino alone"):
        export_model(replace(request, recipe=replace(request.recipe, rest="bfloat16")))


def test_a_bfloat16_rest_is_not_exported_where_it_cannot_be_qualified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "multiplies_bfloat16", lambda root: False)
    request = request_for(tmp_path, "int8", "openvino")
    with pytest.raises(ConfigError, match="this CPU has no bfloat16 products, so it cannot be qualified here"):
        export_model(replace(request, recipe=replace(request.recipe, rest="bfloat16")))
    assert not (tmp_path / "out").exists()


def test_weights_of_other_classes_than_the_labels_are_refused(tmp_path: Path) -> None:
    meaning = small_semantics(tmp_path)
    four = replace(meaning, keyframe=replace(meaning.keyframe, labels=meaning.keyframe.labels[:4]))
    with pytest.raises(ConfigError, match="6 classes, the semantics have 4 labels"):
        small_model(four)


def test_a_target_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each target once"):
        export_model(request_for(tmp_path, "float32", "openvino", "openvino"))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_a_float32_network_passes_the_gate_as_it_stands(tmp_path: Path, target: Target) -> None:
    request = request_for(tmp_path, "float32", target, gate=GATES["float32"])
    request = replace(request, qualifying=replace(request.qualifying, runs=noise_runs(100, 10)))
    (done,) = export_model(request)
    assert opened(done).manifest.evidence["qualification"][target]["class_agreement"]["hits"] == 1000


@pytest.mark.slow
@pytest.mark.parametrize(("target", "layout"), [("openvino", "nchw"), ("onnxruntime", "nhwc")])
def test_an_int8_network_passes_its_gate_with_the_calibration_in_its_chain(
    tmp_path: Path, target: Target, layout: str
) -> None:
    # Of random weights the classes lie closer together than int8 can tell; here one is far ahead, as after a training.
    drawn = random_checkpoint("convnext_atto", 6, 0)
    ahead = drawn.state["head.fc.bias"] + 5.0 * (torch.arange(6) == 2)
    decided = replace(drawn, state={**drawn.state, "head.fc.bias": ahead}, sha256="5" * 64)
    request = request_for(
        tmp_path, "int8", target, gate=GATES["int8"], model=small_model(small_semantics(tmp_path), decided)
    )
    request = replace(request, qualifying=replace(request.qualifying, runs=noise_runs(100, 3)))
    (done,) = export_model(request)
    manifest = opened(done).manifest
    told = manifest.provenance
    assert manifest.network(CLASSIFIER).artifacts[target].precision == "int8"
    assert told["layout"] == layout
    assert len(told["chain"]["calibration"]) == 64
    assert told["calibration"]["source"] == "phantom"
    assert told["int8"]["layers_in_int8"]
    assert manifest.evidence["qualification"][target]["worst_layers"]


@pytest.mark.slow
def test_a_bfloat16_rest_is_qualified_in_both_types_before_it_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine goes by the CPU that there is: on one without bfloat16 both qualifications are of the float32 rest.
    monkeypatch.setattr(targets, "rest_here", lambda rest: rest)
    gate, settings = replace(FEW_FRAMES, logit_error=None), Int8Settings(weight_bits=7, sensitivity_frames=1)
    request = request_for(tmp_path, "int8", "openvino", gate=gate, rest="bfloat16", int8=settings)
    (done,) = export_model(request)
    manifest = opened(done).manifest
    assert manifest.network(CLASSIFIER).artifacts["openvino"].rest == "bfloat16"
    assert manifest.evidence["qualification"]["openvino"]["rest"] == cpu.rest_here("bfloat16")
    beside = manifest.evidence["qualification_float32_rest"]["openvino"]
    assert (beside["rest"], beside["passed"]) == ("float32", True)
    page = (done.report / "classifier.float32-rest/qualification.html").read_text(encoding="utf-8")
    assert "int8, rest in float32" in page


@pytest.mark.slow
def test_bfloat16_on_openvino_is_the_float32_graph_and_a_hint(tmp_path: Path) -> None:
    request = request_for(tmp_path, "bfloat16", "openvino", gate=replace(FEW_FRAMES, logit_error=None))
    if not cpu.multiplies_bfloat16():
        with pytest.raises(EngineError, match="must run in bfloat16"):
            export_model(request)
        return
    bundle = opened(export_model(request)[0])
    assert bundle.manifest.network(CLASSIFIER).artifacts["openvino"].precision == "bfloat16"
    graph = onnx.load_from_string(bundle.read("model.onnx"))
    assert {tensor.data_type for tensor in graph.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "int8"])
def test_plans_come_with_their_graph_and_the_evidence_says_that_they_were_not_run(
    tmp_path: Path, precision: Precision
) -> None:
    gate = FEW_FRAMES if precision == "float32" else replace(FEW_FRAMES, logit_error=None)
    (done,) = export_model(request_for(tmp_path, precision, "tensorrt-rtx", gate=gate, sm=(86, 89)))
    bundle = opened(done)
    manifest = bundle.manifest
    artifact = manifest.network(CLASSIFIER).artifacts["tensorrt-rtx"]
    assert [plan.fingerprint.sm for plan in artifact.plans] == [(86, 89)]
    assert {plan.fingerprint.onnx_sha256 for plan in artifact.plans} == {manifest.files["model.onnx"]}
    assert set(manifest.files) == {"model.onnx", "plan.sm86-89", "plan.sm86-89.layers.json"}
    assert "were NOT run" in manifest.evidence["not_run"]["tensorrt-rtx"]
    assert "were NOT run" in manifest.evidence["qualification"]["tensorrt-rtx"]["reference"]
    assert "were NOT run" in (done.report / "qualification.html").read_text(encoding="utf-8")
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_engine("tensorrt-rtx", bundle, CLASSIFIER, EngineConfig())
    with pytest.raises(EngineError, match=r"no artifact for openvino, only for \['tensorrt-rtx'\]"):
        open_engine("openvino", bundle, CLASSIFIER, EngineConfig())


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
def test_turing_gets_a_plan_of_its_own_from_the_graph_of_all(tmp_path: Path) -> None:
    gate = replace(FEW_FRAMES, logit_error=None)
    (done,) = export_model(request_for(tmp_path, "float16", "tensorrt-rtx", gate=gate, sm=(75, 89)))
    bundle = opened(done)
    assert [plan.fingerprint.sm for plan in bundle.manifest.network(CLASSIFIER).artifacts["tensorrt-rtx"].plans] == [
        (89,),
        (75,),
    ]
    graph = onnx.load_from_string(bundle.read("model.onnx"))
    assert "Gemm" not in {node.op_type for node in graph.graph.node}

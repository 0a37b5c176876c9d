"""A network with further outputs from weights to signed bundles: every output in every engine, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import public_key
from cathrt.export.graph.fold import Target
from cathrt.export.models.keyframe.checkpoint import Checkpoint
from cathrt.export.models.keyframe.gate import GATES
from cathrt.export.models.keyframe.options import keyframe_source
from cathrt.export.models.keyframe.port import PORT
from cathrt.export.models.keyframe.semantics import Semantics, semantics_from_toml, semantics_of_bundle
from cathrt.export.models.keyframe.source import source_of
from cathrt.export.qualify.evidence import Qualified
from cathrt.export.quantize.int8 import Int8Settings
from cathrt.export.recipe.qualification import Candidate, Qualifying, own_reference, qualification_of, reference_of
from cathrt.export.recipe.recipe import Exported, ExportRequest, export_model
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.export.recipe.targets import build
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig, TrustConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.section import CLASSIFIER, section_of
from tests.export.checkpoint_files import stored
from tests.export.further_outputs import FURTHER, OUTPUTS, ROWS, answers_of, state_of_rows
from tests.export.small_export import CONFIG, FEW_FRAMES, KEY, noise_runs, request_for, semantics_file, small_semantics
from tests.export.tensorrt_requests import rtx  # noqa: F401

SIDE = 32
OPEN = replace(FEW_FRAMES, logit_error=None, readability_error=1.0, domain=0.0)


def meaning(folder: Path) -> Semantics:
    folder.mkdir(parents=True, exist_ok=True)
    return semantics_from_toml(semantics_file(folder, FURTHER))


def checkpoint(rows: int = ROWS) -> Checkpoint:
    return Checkpoint(state_of_rows(rows), "convnext_atto", rows, "timm", "5" * 64)


def further_request(folder: Path, precision: Precision, *targets: Target, **changes: object) -> ExportRequest:
    model = source_of(checkpoint(), meaning(folder), seed=None)
    return request_for(folder, precision, *targets, model=model, **changes)


def opened(done: Exported) -> Bundle:
    assert done.signed, done.failures
    assert done.path is not None
    return open_bundle(done.path, [public_key(KEY)])


def answered(bundle: Bundle, engine: str, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    network = open_engine(engine, bundle, CLASSIFIER, EngineConfig(threads=1))
    try:
        return {name: values.copy() for name, values in network.infer({"image": image}).items()}
    finally:
        network.close()


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[Target, Exported]:
    """Both engines of the CPU in float32, of six frames and so with an open gate for shares alone."""
    gate = replace(FEW_FRAMES, readability_error=1e-4, domain=0.0)
    request = further_request(tmp_path_factory.mktemp("whole"), "float32", "openvino", "onnxruntime", gate=gate)
    return {done.target: done for done in export_model(request)}


@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_a_signed_bundle_gives_every_output_as_torch_does(exported: dict[Target, Exported], target: Target) -> None:
    bundle, image = opened(exported[target]), noise()
    network = bundle.manifest.network(CLASSIFIER)
    assert [(tensor.name, tensor.shape) for tensor in network.outputs] == [(k, (1, v)) for k, v in OUTPUTS.items()]
    found, expected = answered(bundle, target, image), answers_of(state_of_rows(), image)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)
    finding = KeyframeModel(section_of(bundle.manifest)).finding(found, target)
    assert finding.score == pytest.approx(1 / (1 + np.exp(-expected["readability"][0, 0])), abs=1e-4)


@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_evidence_and_report_hold_the_further_outputs(exported: dict[Target, Exported], target: Target) -> None:
    evidence = opened(exported[target]).manifest.evidence["qualification"][target]
    assert evidence["same_domain"]["hits"] == evidence["same_domain"]["of"] == 6
    assert evidence["readability_error"]["largest"] <= 1e-4
    report = json.loads((exported[target].report / "qualification.json").read_text(encoding="utf-8"))
    assert report["same_domain"] == evidence["same_domain"]
    page = (exported[target].report / "qualification.html").read_text(encoding="utf-8")
    assert "frames of the same verdict on the domain" in page
    assert "Frames whose verdict on the domain changed" in page


def test_a_bundle_is_qualified_again_by_its_weights_and_by_its_own_graph(
    exported: dict[Target, Exported], tmp_path: Path
) -> None:
    bundle = opened(exported["onnxruntime"])
    manifest = bundle.manifest
    weights = stored(tmp_path / "weights.safetensors", state_of_rows())
    told = replace(manifest, provenance={**manifest.provenance, "chain": {}})
    model = PORT.of_bundle(replace(bundle, manifest=told), weights)
    assert model is not None
    qualifying = Qualifying(noise_runs(2, 3), CONFIG, alone_calls=0)
    for reference in (reference_of(model, CLASSIFIER), own_reference(bundle, CLASSIFIER)):
        candidate = Candidate(bundle, CLASSIFIER, "onnxruntime")
        criteria = PORT.criteria[CLASSIFIER]
        gate = GATES["float32"]
        found = qualification_of(candidate, criteria, gate, reference, qualifying, lambda done, total: None)
        figures = Qualified(found, criteria, gate).evidence
        assert figures["same_domain"]["share"] == 1.0
        assert figures["readability_error"]["mean"] <= 1e-6


def test_weights_of_fewer_rows_are_not_those_of_the_bundle(exported: dict[Target, Exported], tmp_path: Path) -> None:
    weights = stored(tmp_path / "weights.safetensors", state_of_rows(6))
    with pytest.raises(ConfigError, match=r"of 6 rows, bundle small was made of 5+ and has 13: give --weights"):
        PORT.of_bundle(opened(exported["onnxruntime"]), weights)


def test_joined_bundles_keep_every_output_of_both_engines(exported: dict[Target, Exported], tmp_path: Path) -> None:
    path = join(opened(exported["onnxruntime"]), [opened(exported["openvino"])], KEY, tmp_path / "joined")
    bundle, image = open_bundle(path, [public_key(KEY)]), noise()
    for engine in ("onnxruntime", "openvino"):
        assert answered(bundle, engine, image).keys() == OUTPUTS.keys()


def test_a_bundle_with_further_outputs_serves_as_meaning_for_other_weights(
    exported: dict[Target, Exported], tmp_path: Path
) -> None:
    bundle = opened(exported["openvino"])
    assert semantics_of_bundle(bundle, "other").keyframe == section_of(bundle.manifest)
    weights = stored(tmp_path / "weights.safetensors", state_of_rows())
    trusting = Config(trust=TrustConfig(keys=(public_key(KEY),)))
    model = keyframe_source(trusting, "convnext_atto", weights, like=bundle.path, name="mine")
    assert replace(model.manifest, name="small") == replace(
        bundle.manifest.with_artifacts(CLASSIFIER, {}), files={}, provenance={}, evidence={}, worth=None
    )
    drawn = keyframe_source(trusting, "convnext_atto", random_init=True, like=bundle.path)
    assert len(drawn.networks[CLASSIFIER].identity["outputs"]) == 3


@pytest.mark.parametrize("rows", [6, 12, 14])
def test_weights_of_other_rows_than_the_outputs_take_are_refused(tmp_path: Path, rows: int) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"the weights give {rows} rows, the semantics' outputs take 13 \(logits 6, readability 1, domain 6\)",
    ):
        source_of(checkpoint(rows), meaning(tmp_path), seed=None)


def test_weights_with_further_outputs_need_their_tables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give 13 classes, the semantics have 6 labels.*tables for further outputs"):
        source_of(checkpoint(), small_semantics(tmp_path), seed=None)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_int8_gives_every_output_near_that_of_float32(tmp_path: Path, target: Target) -> None:
    seven_bits = Int8Settings(weight_bits=7, sensitivity_frames=1)  # as every CPU sums exactly
    request = further_request(tmp_path, "int8", target, gate=OPEN, int8=seven_bits)
    bundle, image = opened(export_model(request)[0]), noise()
    found, expected = answered(bundle, target, image), answers_of(state_of_rows(), image)
    largest = max(float(np.abs(values).max()) for values in expected.values())
    for name, values in expected.items():
        assert np.abs(found[name] - values).max() <= 0.1 * largest, name
    assert "head.fc" in bundle.manifest.provenance["int8"]["kept_float"]


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "int8"])
def test_plans_are_built_with_every_output(tmp_path: Path, precision: Precision) -> None:
    request = further_request(tmp_path, precision, "tensorrt-rtx", sm=(86, 89))
    payload = build(request.recipe, "tensorrt-rtx", StageCache(tmp_path / "work")).payload
    layers = json.loads(payload["plan.sm86-89.layers.json"].read_bytes())
    assert layers["outputs"] == dict.fromkeys(OUTPUTS, "float32")


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
def test_turing_gets_a_plan_with_every_output(tmp_path: Path) -> None:
    request = further_request(tmp_path, "float16", "tensorrt-rtx", sm=(75,))
    payload = build(request.recipe, "tensorrt-rtx", StageCache(tmp_path / "work")).payload
    layers = json.loads(payload["plan.sm75.layers.json"].read_bytes())
    assert layers["outputs"] == dict.fromkeys(OUTPUTS, "float32")
    graph = onnx.load_from_string(payload["model.onnx"].read_bytes())
    assert "Gemm" not in {node.op_type for node in graph.graph.node}

"""Every form and target of a report model, each a whole export: plans, float16, int4, our own engine, text alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cathrt.export.models.report.asked import Asked
from cathrt.export.qualify.exported import AnyTarget
from cathrt.runtime.bundle.manifest import Artifact, Manifest
from cathrt.runtime.engines.cpu import multiplies_bfloat16
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION
from tests.export.models.report.test_export_report import Done, run
from tests.export.models.report.tiny_checkpoint import tiny_folder

pytestmark = pytest.mark.slow
NEEDS_BFLOAT16 = pytest.mark.skipif(not multiplies_bfloat16(), reason="this CPU has no bfloat16 products")
NEEDS_DECODER = pytest.mark.skipif(find_spec("cathrt.kernels._decoder") is None, reason="kernels/_decoder is not built")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model") / "base")


def exported(base: Path, out: Path, *targets: AnyTarget, **changes: Any) -> Done:
    """Of weights that were never trained."""
    asked = {"base": base, "context": 768, "answer": 160, "random_init": True, **changes}
    return run(out, Asked(**asked), *targets)


def manifest_of(done: Done) -> Manifest:
    with done.opened() as opened:
        return opened.manifest


def artifacts(manifest: Manifest, engine: str) -> dict[str, Artifact]:
    return {role: network.artifacts[engine] for role, network in manifest.networks.items()}


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_plans_are_built_and_what_stood_in_for_them_is_said(base: Path, tmp_path: Path, precision: str) -> None:
    done = exported(base, tmp_path, "tensorrt-rtx", precision=precision)
    (one,) = done.exported
    assert one.fidelity == "passed"
    assert "were NOT run" in one.not_run
    manifest = manifest_of(done)
    for role, artifact in artifacts(manifest, "tensorrt-rtx").items():
        assert artifact.file == f"tensorrt-rtx/{role}.onnx"
        (plan,) = artifact.plans
        assert plan.fingerprint.sm == (86, 89, 120)
        assert (plan.fingerprint.profiles == ()) == (role == VISION)
    profiles = artifacts(manifest, "tensorrt-rtx")[DECODER].plans[0].fingerprint.profiles
    rows = [profile.max[1] for profile in profiles if profile.input == "embeddings"]
    assert rows[0] == 1  # for decoding comes first, since TensorRT lays the weights out for it
    assert rows[1] > 1
    assert manifest.evidence["not_run"] == {"tensorrt-rtx": one.not_run}
    assert "were NOT run" in (tmp_path / "bundle.report" / "qualification.html").read_text(encoding="utf-8")
    assert ("rescale" in manifest.provenance) == (precision == "float16")


@NEEDS_BFLOAT16
@pytest.mark.parametrize(("precision", "rest"), [("bfloat16", "float32"), ("int4", "bfloat16")])
def test_openvino_multiplies_in_bfloat16(base: Path, tmp_path: Path, precision: str, rest: str) -> None:
    block = 32 if precision == "int4" else None
    manifest = manifest_of(exported(base, tmp_path, "openvino", precision=precision, rest=rest, block=block))
    assert {artifact.rest for artifact in artifacts(manifest, "openvino").values()} == {rest}
    told = manifest.evidence["qualification"]["openvino"]
    assert 1e-3 < told["noise"] <= told["gate"]["noise"]


def test_int4_decoders_stand_beside_int8_networks(base: Path, tmp_path: Path) -> None:
    done = exported(base, tmp_path, "onnxruntime", "openvino", precision="int4", block=64)
    for engine in ("onnxruntime", "openvino"):
        found = {role: artifact.precision for role, artifact in artifacts(manifest_of(done), engine).items()}
        assert found == {VISION: "int8", EMBEDDING: "int8", DECODER: "int4"}


@NEEDS_DECODER
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_our_own_engine_gets_a_decoder_file_of_its_own(base: Path, tmp_path: Path, precision: str) -> None:
    block = 32 if precision == "int4" else None
    done = exported(base, tmp_path, "cathrt", "openvino", precision=precision, block=block)
    assert [one.fidelity for one in done.exported] == ["passed", "passed"]
    manifest = manifest_of(done)
    ours, theirs = artifacts(manifest, "cathrt"), artifacts(manifest, "openvino")
    assert ours[DECODER].file == "decoder.stored"
    assert {ours[role].file for role in (VISION, EMBEDDING)} == {theirs[role].file for role in (VISION, EMBEDDING)}


def test_a_model_that_reads_text_alone_has_two_networks(tmp_path: Path) -> None:
    base = tiny_folder(tmp_path / "base", text_only=True)
    done = exported(base, tmp_path / "out", "onnxruntime", precision="float32", random_init=False)
    manifest = manifest_of(done)
    assert set(manifest.networks) == {EMBEDDING, DECODER}
    assert manifest.evidence["qualification"]["onnxruntime"]["picture_error"] is None
    assert manifest.evidence["qualification"]["onnxruntime"]["same_token"]["share"] == 1.0
    assert any("reads text alone" in line for line in done.said)

"""What a manifest says of an artifact goes when the artifact goes, whatever it is filed under; the rest stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.engine_records import evidence_about, provenance_about, provenance_of
from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.manifest import Artifact, Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.models import open_bundle
from tests.golden import conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SHARED, OTHER = "a" * 64, "b" * 64
CHAIN = {"weights": "ab" * 32}


def manifest(**changes: Any) -> Manifest:
    """Two engines on one file."""
    return replace(golden_manifest(), files={"model.onnx": SHARED}, **changes)


OF_OPENVINO: dict[str, Any] = {
    "under its name": {"qualification": {"openvino": {"passed": True}}},
    "a text under its name": {"not_run": {"openvino": "needs its GPU"}},
    "a bare number under its name": {"relative_error": {"openvino": 1e-6}},
    "with its name as engine": {"real": {"engine": "openvino", "model_sha256": SHARED, "looks": 3}},
    "with its name as engine and no file": {"real": {"engine": "openvino", "looks": 3}},
    "in a list": {"rows": [{"engine": "openvino", "p50_ms": 3.0}]},
    "deep down": {"latency": {"laptop": {"openvino": {"p50_ms": 3.0}}}},
}
OF_NO_ARTIFACT: dict[str, Any] = {
    "the network's own": {"temperature": 0.8, "phantom_runs": {"key_frame_hit": 0.9}, "notes": ["a", "b"]},
    "empty": {"qualification": {}},
    "figures called engine": {"laterality_f1": {"engine": 0.95, "reference": 0.96}},
    "the other engine's": {"qualification": {"onnxruntime": {"passed": True, "artifact_sha256": SHARED}}},
    "packages of a figure that stays": {
        "real": {"engine": "onnxruntime", "model_sha256": SHARED, "packages": {"openvino": "2026.4"}}
    },
}
OF_NO_FILE_HERE: dict[str, Any] = {
    "by artifact": {"qualification": {"onnxruntime": {"artifact_sha256": OTHER}}},
    "by model": {"real": {"model_sha256": OTHER, "looks": 3}},
}


@pytest.mark.parametrize("told", OF_OPENVINO.values(), ids=OF_OPENVINO)
def test_evidence_of_an_engine_goes_with_its_artifact_and_stays_with_it(told: dict[str, Any]) -> None:
    both = manifest(evidence={**told, "temperature": 0.8})
    kept = evidence_about(both, ["onnxruntime"])
    assert kept.pop("temperature") == 0.8
    assert kept in ({}, {"rows": []})
    assert evidence_about(both, ["onnxruntime", "openvino"]) == both.evidence


@pytest.mark.parametrize("told", OF_NO_ARTIFACT.values(), ids=OF_NO_ARTIFACT)
def test_evidence_of_the_network_or_of_another_engine_stays(told: dict[str, Any]) -> None:
    assert evidence_about(manifest(evidence=told), ["onnxruntime"]) == told


@pytest.mark.parametrize("told", OF_NO_FILE_HERE.values(), ids=OF_NO_FILE_HERE)
def test_evidence_of_a_file_that_the_bundle_does_not_have_goes(told: dict[str, Any]) -> None:
    assert evidence_about(manifest(evidence=told), ["onnxruntime", "openvino"]) == {}


def test_a_bare_number_is_not_taken_for_that_of_an_artifact_that_came_later() -> None:
    joined = manifest(
        evidence={"relative_error": {"openvino": 1e-6, "onnxruntime": 2e-6}},
        provenance={"engines": {"openvino": {"precision": "int8"}}},
    )
    assert evidence_about(joined, joined.engines) == {"relative_error": {"onnxruntime": 2e-6}}


def test_provenance_of_an_exported_artifact_goes_with_it_and_that_of_the_weights_stays() -> None:
    exported = manifest(
        provenance={
            "made_by": "cathrt export keyframe",
            "chain": {**CHAIN, "onnx": "c" * 64, "calibration": "d" * 64, "engine": {"model.onnx": OTHER}},
            "arch": "convnext_atto",
            "weights_read": {"set": "ema"},
            "random_init": False,
            "target": "openvino",
            "precision": "int8",
            "calibration": {"frames": 64},
            "engines": {"onnxruntime": {"precision": "float32"}, "tensorrt": {"precision": "float16"}},
        }
    )
    assert provenance_about(exported, ["onnxruntime"]) == {
        "chain": CHAIN,
        "arch": "convnext_atto",
        "weights_read": {"set": "ema"},
        "random_init": False,
        "engines": {"onnxruntime": {"precision": "float32"}},
    }
    assert provenance_about(exported, ["openvino"])["calibration"] == {"frames": 64}
    assert provenance_of(exported, "openvino")["precision"] == "int8"
    assert provenance_of(exported, "onnxruntime") == {"precision": "float32"}


def bundle(folder: Path, artifacts: dict[str, Artifact], files: dict[str, bytes], **changes: Any) -> Bundle:
    made = replace(golden_manifest(**artifacts), **changes)
    return open_bundle(write_bundle(folder, made, files, KEY), [public_key(KEY)])


def test_a_joined_bundle_tells_only_of_artifacts_that_are_in_it_however_often_it_is_joined(tmp_path: Path) -> None:
    float32, int8 = conv_model().SerializeToString(), conv_model(int8=True, weight_range=63).SerializeToString()
    again = conv_model(int8=True, weight_range=31).SerializeToString()
    seven = Artifact("model.onnx", "int8", weight_bits=7)

    def exported(name: str, model: bytes) -> Bundle:
        plain = bundle(tmp_path / f"{name}-plain", {"openvino": seven}, {"model.onnx": model})
        sha256 = plain.manifest.files["model.onnx"]
        told = {"openvino": {"passed": True, "artifact_sha256": sha256, "by": name}}
        evidence = {"qualification": told, "real": {"engine": "openvino", "model_sha256": sha256, "looks": 1}}
        made = {"chain": {**CHAIN, "engine": {"model.onnx": sha256}}, "target": "openvino", "made_by": name}
        return bundle(tmp_path / name, {"openvino": seven}, {"model.onnx": model}, provenance=made, evidence=evidence)

    model = Artifact("model.onnx", "float32")
    base = bundle(
        tmp_path / "base",
        {"openvino": model, "onnxruntime": model},
        {"model.onnx": float32},
        provenance={"chain": CHAIN, "made_by": "training"},
        evidence={"temperature": 0.8, "relative_error": {"openvino": 1e-6, "onnxruntime": 2e-6}},
    )
    first = exported("first", int8)
    once = open_bundle(join(base, [first], KEY, tmp_path / "once"), [public_key(KEY)])
    assert once.manifest.evidence == {
        "temperature": 0.8,
        "relative_error": {"onnxruntime": 2e-6},
        "qualification": first.manifest.evidence["qualification"],
        "real": first.manifest.evidence["real"],
    }
    second = exported("second", again)
    twice = open_bundle(join(once, [second], KEY, tmp_path / "twice"), [public_key(KEY)]).manifest
    assert first.manifest.files["model.onnx"] not in (tmp_path / "twice" / "manifest.json").read_text()
    assert twice.evidence["qualification"] == second.manifest.evidence["qualification"]
    assert twice.evidence["real"] == second.manifest.evidence["real"]
    assert twice.provenance["engines"] == {"openvino": second.manifest.provenance}
    # The other way round: what an export says of its own artifact does not stay where the artifact does not.
    turned = open_bundle(join(first, [second], KEY, tmp_path / "turned"), [public_key(KEY)]).manifest
    assert turned.provenance == {"chain": CHAIN, "engines": {"openvino": second.manifest.provenance}}
    assert turned.evidence == second.manifest.evidence

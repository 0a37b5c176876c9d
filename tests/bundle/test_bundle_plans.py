"""Plans in a manifest: what was built for other engines, from other graphs or for no device is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.fingerprint import BuildOptions, EngineFingerprint, ShapeProfile
from cathrt.runtime.bundle.manifest import Artifact, PlanFile
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString(deterministic=True)


def fingerprint() -> EngineFingerprint:
    return EngineFingerprint(
        target="tensorrt-rtx",
        tensorrt_version="1.7.1",
        sm=(89,),
        cuda_version="13",
        driver_version=None,
        options=BuildOptions(),
        profiles=(ShapeProfile("frame", (1, 3), (1, 3), (2, 3)),),
        onnx_sha256=hashlib.sha256(MODEL).hexdigest(),
    )


def written(folder: Path, found: EngineFingerprint, file: str = "plan.sm89") -> Path:
    manifest = golden_manifest(**{"tensorrt-rtx": Artifact("model.onnx", "float32", (PlanFile(file, found),))})
    return write_bundle(folder / "bundle", manifest, {"model.onnx": MODEL, "plan.sm89": b"plan"}, KEY)


def test_a_plan_and_its_fingerprint_survive_the_round_trip(tmp_path: Path) -> None:
    bundle = open_bundle(written(tmp_path, fingerprint()), [public_key(KEY)])
    assert bundle.manifest.network(CLASSIFIER).artifacts["tensorrt-rtx"].plans == (
        PlanFile("plan.sm89", fingerprint()),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "tensorrt"}, "was built by tensorrt, expected tensorrt-rtx"),
        ({"sm": ()}, "is for no compute capability"),
        ({"onnx_sha256": "0" * 64}, "was built from '0{64}', model.onnx is '"),
    ],
)
def test_a_plan_that_does_not_belong_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        written(tmp_path, replace(fingerprint(), **changes))  # type: ignore[arg-type]


def test_a_plan_that_is_not_among_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'plan\.sm90' is not among files"):
        written(tmp_path, fingerprint(), "plan.sm90")

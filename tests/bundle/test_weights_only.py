"""Weights stored in int8 and int4 where no activation is: what the manifest says of it, and what a graph may hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.model_kind import ModelKind
from cathrt.runtime.models import MODELS, open_bundle
from tests.golden import KERNEL, conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def stored_in_int8() -> onnx.ModelProto:
    """The net with its kernel as int8 behind a DequantizeLinear, and nothing else in int8."""
    model = conv_model()
    scale = np.abs(KERNEL).max(axis=(1, 2, 3)).astype(np.float32) / np.float32(127)
    values = np.round(KERNEL / scale[:, None, None, None]).astype(np.int8)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "kernel"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    stored = {"kernel_int8": values, "kernel_scale": scale}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in stored.items())
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", list(stored), ["kernel"], axis=0))
    return model


def write(folder: Path, model: onnx.ModelProto, files: dict[str, bytes] | None = None, **artifact: Any) -> Path:
    folder.mkdir(exist_ok=True)
    manifest = golden_manifest(onnxruntime=Artifact("model.onnx", **artifact))
    return write_bundle(folder / "bundle", manifest, {"model.onnx": model.SerializeToString(), **(files or {})}, KEY)


def test_a_graph_that_stores_weights_in_int8_is_declared_so(tmp_path: Path) -> None:
    bundle = open_bundle(write(tmp_path, stored_in_int8(), precision="int8", weights_only=True), [public_key(KEY)])
    (artifact,) = (artifact for _, _, artifact in bundle.manifest.all_artifacts())
    assert (artifact.precision, artifact.weights_only) == ("int8", True)


@pytest.mark.parametrize(
    ("model", "artifact", "says"),
    [
        (stored_in_int8(), {"precision": "int8"}, "is declared int8, but its graph has no int8 operator"),
        (
            conv_model(int8=True),
            {"precision": "int8", "weights_only": True},
            "is declared int8 of weights alone, but its graph has QuantizeLinear",
        ),
        (conv_model(int8=True), {"precision": "int4", "weights_only": True}, "its graph has QuantizeLinear"),
        (conv_model(), {"precision": "int4"}, "weights_only is False in int4, expected it in int4 alone"),
        (conv_model(), {"precision": "float32", "weights_only": True}, "weights_only is True in float32"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    tmp_path: Path, model: onnx.ModelProto, artifact: dict[str, Any], says: str
) -> None:
    with pytest.raises(ManifestError, match=says):
        write(tmp_path, model, **artifact)


@pytest.mark.parametrize(("count", "length"), [(6, 3), (7, 4)])
def test_two_elements_of_int4_share_a_byte_of_another_file(tmp_path: Path, count: int, length: int) -> None:
    def model(told: int) -> onnx.ModelProto:
        made = conv_model(opset=21)
        tensor = TensorProto(name="spare", data_type=TensorProto.INT4, dims=[count])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(told))):
            tensor.external_data.add(key=key, value=value)
        made.graph.initializer.append(tensor)
        return made

    files = {"weights.bin": bytes(length)}
    bundle = open_bundle(write(tmp_path, model(length), files, precision="float32"), [public_key(KEY)])
    (tensor,) = bundle.external["model.onnx"]
    assert (tensor.shape, bundle.external_data(tensor).nbytes) == ((count,), length)
    with pytest.raises(ManifestError, match=f"its length is {count}, .* of type 22 takes {length}"):
        write(tmp_path / "wrong", model(count), {"weights.bin": bytes(count)}, precision="float32")


def test_a_kind_may_have_a_network_that_a_bundle_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (role,) = golden_manifest().networks
    wider: ModelKind = replace(MODELS["keyframe"], roles=frozenset({role, "second"}))
    monkeypatch.setitem(MODELS, "keyframe", wider)
    with pytest.raises(ManifestError, match=r"a keyframe bundle has \['classifier', 'second'\]"):
        write(tmp_path, conv_model(), precision="float32")
    monkeypatch.setitem(MODELS, "keyframe", replace(wider, optional_roles=frozenset({"second"})))
    open_bundle(write(tmp_path, conv_model(), precision="float32"), [public_key(KEY)]).close()
    monkeypatch.setitem(MODELS, "keyframe", replace(wider, optional_roles=frozenset({role})))
    with pytest.raises(ManifestError, match=r"and may lack \['classifier'\]"):
        write(tmp_path / "other", conv_model(), precision="float32")

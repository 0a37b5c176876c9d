"""Signed study bundles of graphs of a few nodes, which compute what NumpyNetworks' head does over means of a clip.

Not for: the published network (tests/export/models/study).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.study.contract import encoder_tensors, head_tensors
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudySection
from tests.models.study.numpy_networks import FEATURES, SECTION, TOKENS

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ENGINES = ("openvino", "onnxruntime")
_OPSET = 18


def tiny_study_bundle(folder: Path, section: StudySection = SECTION, name: str = "tiny study") -> Bundle:
    """Of a section with clips of FEATURES frames, opened."""
    given, found = encoder_tensors(section, TOKENS, FEATURES)
    inputs, outputs = head_tensors(section, TOKENS, FEATURES)
    files = {"encoder.onnx": _encoder(section), "head.onnx": _head(section)}
    networks = {
        ENCODER: Network(
            dict.fromkeys(ENGINES, Artifact("encoder.onnx", "float32")), (given,), (found,), ({"n": 1}, {"n": 4})
        ),
        HEAD: Network(
            dict.fromkeys(ENGINES, Artifact("head.onnx", "float32")), inputs, outputs, ({"N": section.runs},)
        ),
    }
    made_by = {"made_by": "tests/models/study/tiny_bundle.py"}
    manifest = Manifest(SCHEMA_VERSION, name, {}, networks, section, True, made_by, {})
    return open_bundle(write_bundle(folder / name.replace(" ", "-"), manifest, files, KEY), [public_key(KEY)])


def _encoder(section: StudySection) -> bytes:
    """Token t of a clip: the mean of each frame, plus t / 8."""
    clip = section.clip
    assert clip.frames == FEATURES
    shift = np.repeat(np.arange(TOKENS, dtype=np.float32)[None, :, None] / 8, FEATURES, axis=2)
    nodes = [
        helper.make_node("ReduceMean", ["clips", "axes"], ["means"], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "one"], ["row"]),
        helper.make_node("Add", ["row", "shift"], ["features"]),
    ]
    constants = {"axes": np.array([1, 3, 4]), "one": np.array([1]), "shift": shift}
    shape = ["n", 3, clip.frames, clip.height, clip.width]
    return _model(nodes, {"clips": (TensorProto.FLOAT, shape)}, {"features": ["n", TOKENS, FEATURES]}, constants)


def _head(section: StudySection) -> bytes:
    nodes = [
        helper.make_node("ReduceMean", ["features", "inner"], ["scores"], keepdims=0),
        helper.make_node("Where", ["there", "scores", "never"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["counted"], axis=1),
        helper.make_node("ReduceMean", ["features", "two"], ["pooled"], keepdims=0),
        helper.make_node("Unsqueeze", ["counted", "two"], ["shares"]),
        helper.make_node("Mul", ["pooled", "shares"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "one"], ["study"], keepdims=0),
        helper.make_node("MatMul", ["study", "weights"], ["logits"]),
    ]
    columns = section.columns
    weights = np.linspace(-3.0, 5.0, FEATURES * columns, dtype=np.float32).reshape(FEATURES, columns)
    constants = {
        "inner": np.array([2, 3]), "two": np.array([2]), "one": np.array([1]), "weights": weights,
        "never": np.array(-1e30, np.float32),
    }  # fmt: skip
    inputs = {
        "features": (TensorProto.FLOAT, [1, "N", TOKENS, FEATURES]),
        "there": (TensorProto.BOOL, [1, "N"]),
    }
    return _model(nodes, inputs, {"logits": [1, columns], "counted": [1, "N"]}, constants)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[int | str]]],
    outputs: dict[str, list[int | str]],
    constants: dict[str, np.ndarray],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *tensor) for name, tensor in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    body: bytes = model.SerializeToString()
    return body

"""A tiny ONNX model and its bundle for tests, and what it computes in NumPy. Not for: accuracy; the weights are noise.

The net: 3x3 convolution, ReLU, global average pool, matrix product: every operator class a keyframe net leans on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network, Preprocessing
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeLabel, KeyframeManifest, KeyframeSection

HEIGHT, WIDTH, CHANNELS, LABELS = 32, 40, 8, 6
INPUT, OUTPUT = "frame", "logits"
PREPROCESSING = Preprocessing(
    input=INPUT,
    layout="NCHW",
    height=HEIGHT,
    width=WIDTH,
    window="voi_else_percentile",
    percentiles=(0.5, 99.5),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    masked_value=0.0,
)

_RNG = np.random.default_rng(20)
KERNEL: NDArray[np.float32] = _RNG.normal(scale=0.3, size=(CHANNELS, 3, 3, 3)).astype(np.float32)
HEAD: NDArray[np.float32] = _RNG.normal(size=(CHANNELS, LABELS)).astype(np.float32)


def conv_model(
    *,
    opset: int = 17,
    kernel: NDArray[np.float32] = KERNEL,
    batch: int | str = 1,
    int8: bool = False,
    weight_range: int = 127,
    head: onnx.TensorProto | None = None,
) -> onnx.ModelProto:
    """The net as a ModelProto; batch may be a name (a dynamic axis), int8 wraps the convolution in Q/DQ pairs.

    weight_range: the largest quantised weight; 63 leaves a bit free.
    """
    weights = [head or numpy_helper.from_array(HEAD, "head")]
    if int8:
        scale = (np.abs(kernel).max(axis=(1, 2, 3)) / weight_range).astype(np.float32)
        stored = np.round(kernel / scale[:, None, None, None]).astype(np.int8)
        weights += [
            numpy_helper.from_array(stored, "kernel_int8"),
            numpy_helper.from_array(scale, "kernel_scale"),
            numpy_helper.from_array(np.zeros(CHANNELS, np.int8), "kernel_zero"),
            numpy_helper.from_array(np.array(4 / 127, np.float32), "frame_scale"),
            numpy_helper.from_array(np.array(0, np.int8), "frame_zero"),
        ]
        nodes = [
            helper.make_node("QuantizeLinear", [INPUT, "frame_scale", "frame_zero"], ["frame_int8"]),
            helper.make_node("DequantizeLinear", ["frame_int8", "frame_scale", "frame_zero"], ["x"]),
            helper.make_node("DequantizeLinear", ["kernel_int8", "kernel_scale", "kernel_zero"], ["kernel"], axis=0),
        ]
    else:
        weights.append(numpy_helper.from_array(kernel, "kernel"))
        nodes = [helper.make_node("Identity", [INPUT], ["x"])]
    nodes += [
        helper.make_node("Conv", ["x", "kernel"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "golden",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, LABELS])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def with_external_data(
    model: onnx.ModelProto, location: str = "weights.bin", names: Collection[str] = ("kernel", "head")
) -> tuple[onnx.ModelProto, bytes]:
    """The model with those initializers in another file, each on a page of its own, and what that file holds."""
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    data = b""
    for tensor in moved.graph.initializer:
        if tensor.name in names:
            raw = numpy_helper.to_array(tensor).tobytes()
            data += bytes(-len(data) % 4096)
            reference = {"location": location, "offset": str(len(data)), "length": str(len(raw))}
            data += raw
            refer(tensor, reference)
    return moved, data


def refer(tensor: onnx.TensorProto, reference: Mapping[str, str]) -> None:
    """Make the tensor keep its data in another file, as the entries say."""
    tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in reference.items():
        tensor.external_data.add(key=key, value=value)


def conv_reference(frame: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the net computes, in float64. frame: (1, 3, H, W). Returns (1, LABELS)."""
    padded = np.pad(frame.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    convolved = np.einsum("bchwij,ocij->bohw", windows, KERNEL.astype(np.float64))
    logits: NDArray[np.float64] = np.maximum(convolved, 0).mean(axis=(2, 3)) @ HEAD.astype(np.float64)
    return logits


def golden_frame(seed: int = 0) -> NDArray[np.float32]:
    """A frame of noise, (1, 3, H, W), unit variance."""
    return np.random.default_rng(seed).normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32)


def golden_manifest(**artifacts: Artifact) -> KeyframeManifest:
    """Manifest of the net without its files; artifacts by engine, by default model.onnx in float32 for both."""
    model = Artifact(file="model.onnx", precision="float32")
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="golden",
        files={},
        networks={
            CLASSIFIER: Network(
                artifacts=artifacts or {"openvino": model, "onnxruntime": model},
                inputs=(DeclaredTensor(INPUT, (1, 3, HEIGHT, WIDTH), "float32"),),
                outputs=(DeclaredTensor(OUTPUT, (1, LABELS), "float32"),),
                preprocessing=(PREPROCESSING,),
            )
        },
        model=KeyframeSection(
            output=OUTPUT,
            labels=(
                KeyframeLabel("lca_better", "left", "better"),
                KeyframeLabel("lca_bad", "left", "bad"),
                KeyframeLabel("lca_others", "left", "others"),
                KeyframeLabel("rca_better", "right", "better"),
                KeyframeLabel("rca_bad", "right", "bad"),
                KeyframeLabel("rca_others", "right", "others"),
            ),
            laterality_threshold=0.6,
            visible_threshold=0.5,
            key_frame_threshold=0.5,
        ),
        demonstration=True,
        provenance={"made_by": "tests/golden.py"},
        evidence={},
    )

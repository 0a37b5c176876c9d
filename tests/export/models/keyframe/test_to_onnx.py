"""The hand-built ONNX graph: the same numbers as PyTorch in every engine, the same bytes for the same weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.to_onnx import Storage, onnx_from_state
from cathrt.runtime.engines.silent_openvino import ov

# Single precision, other orders of summation: 1e-6 was seen, 1e-4 is the agreement that every export must keep.
RELATIVE_TOLERANCE = 1e-4
SIDE = 96


@pytest.fixture(scope="module")
def model() -> ConvNext:
    """An Atto whose every weight matters: norms, biases and layer scales moved off their first values."""
    torch.manual_seed(5)
    network = ConvNext(ARCHS["convnext_atto"], classes=6, layer_scale=0.5).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
            parameter.copy_(parameter.half().float())  # exact in either storage
    return network


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(model: ConvNext, image: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        return model(torch.from_numpy(image)).numpy()


def relative_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def onnxruntime_session(model_bytes: bytes, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    if optimized:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])


def openvino_model(model_bytes: bytes) -> ov.CompiledModel:
    core = ov.Core()
    return core.compile_model(core.read_model(model_bytes), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_onnxruntime_agrees_with_torch(
    model: ConvNext, image: NDArray[np.float32], reference: NDArray[np.float32], storage: Storage
) -> None:
    session = onnxruntime_session(onnx_from_state(model.state_dict(), height=SIDE, width=SIDE, storage=storage))
    (logits,) = session.run(["logits"], {"image": image})
    assert relative_error(logits, reference) <= RELATIVE_TOLERANCE


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_openvino_agrees_with_torch(
    model: ConvNext, image: NDArray[np.float32], reference: NDArray[np.float32], storage: Storage
) -> None:
    compiled = openvino_model(onnx_from_state(model.state_dict(), height=SIDE, width=SIDE, storage=storage))
    assert relative_error(compiled({"image": image})["logits"], reference) <= RELATIVE_TOLERANCE


def test_a_changed_weight_changes_the_logits_of_the_graph(
    model: ConvNext, image: NDArray[np.float32], reference: NDArray[np.float32]
) -> None:
    state = dict(model.state_dict())
    state["stages.2.blocks.3.gamma"] = state["stages.2.blocks.3.gamma"] * 1.5
    session = onnxruntime_session(onnx_from_state(state, height=SIDE, width=SIDE))
    (logits,) = session.run(["logits"], {"image": image})
    assert relative_error(logits, reference) > RELATIVE_TOLERANCE


def test_half_float_storage_halves_the_file_and_both_engines_fold_its_casts(model: ConvNext, tmp_path: Path) -> None:
    full = onnx_from_state(model.state_dict(), height=SIDE, width=SIDE)
    half = onnx_from_state(model.state_dict(), height=SIDE, width=SIDE, storage="float16")
    assert len(half) < 0.52 * len(full)
    onnxruntime_session(half, tmp_path / "optimized.onnx")
    assert "Cast" not in Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    executed = [
        node.get_rt_info()["layerType"].astype(str) for node in openvino_model(half).get_runtime_model().get_ops()
    ]
    assert "FullyConnected" in executed
    assert "Convert" not in executed


def test_the_same_weights_give_the_same_bytes(model: ConvNext) -> None:
    state = model.state_dict()
    shuffled = {key: state[key].clone() for key in sorted(state, reverse=True)}
    assert onnx_from_state(state, height=SIDE, width=SIDE) == onnx_from_state(shuffled, height=SIDE, width=SIDE)


def test_the_file_refers_to_no_other_file(model: ConvNext) -> None:
    graph = onnx.load_from_string(onnx_from_state(model.state_dict(), height=SIDE, width=SIDE)).graph
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in graph.initializer)


def test_missing_and_misshapen_weights_are_all_named(model: ConvNext) -> None:
    state = dict(model.state_dict())
    del state["stages.1.blocks.0.norm.bias"]
    state["stem.0.weight"] = torch.zeros(40, 1, 4, 4)
    with pytest.raises(ValueError, match=r"stages\.1\.blocks\.0\.norm\.bias: found nothing.*stem\.0\.weight"):
        onnx_from_state(state, height=SIDE, width=SIDE)


def test_an_input_size_that_does_not_halve_five_times_is_refused(model: ConvNext) -> None:
    with pytest.raises(ValueError, match="100x96"):
        onnx_from_state(model.state_dict(), height=100, width=96)


def test_a_weight_beyond_half_floats_is_refused_by_name(model: ConvNext) -> None:
    state = dict(model.state_dict())
    state["head.fc.bias"] = torch.full((6,), 7e4)
    with pytest.raises(ValueError, match=r"head\.fc\.bias"):
        onnx_from_state(state, height=SIDE, width=SIDE, storage="float16")

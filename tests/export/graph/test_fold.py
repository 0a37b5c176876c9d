"""The canonical graph: what folds, what must not, and that every pass keeps the numbers of the plain graph."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cathrt.export.graph.edit import graph_size
from cathrt.export.graph.fold import (
    FOLDS,
    LAYOUT_PASSES,
    LAYOUTS,
    PASSES,
    TOLERANCE,
    Layout,
    Target,
    canonical,
    check_pass,
    fold_norm_affine,
)
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.to_onnx import check_against_torch, onnx_from_state
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError

HEIGHT, WIDTH = 96, 64  # not square, so that rows and columns cannot be mistaken for each other
BLOCKS = sum(ARCHS["convnext_atto"].depths)
BOTH = pytest.mark.parametrize("layout", get_args(Layout))


def state_of(arch: str) -> dict[str, torch.Tensor]:
    """Weights that hide nothing: every norm, bias and layer scale far from its first value, different per channel."""
    torch.manual_seed(11)
    network = ConvNext(ARCHS[arch], classes=6, layer_scale=0.5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            spread = 0.3 if "norm" in name or "gamma" in name or parameter.ndim == 1 else 0.05
            parameter.add_(torch.randn_like(parameter) * spread)
    return {key: value.detach() for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return state_of("convnext_atto")


@pytest.fixture(scope="module")
def plain(state: dict[str, torch.Tensor]) -> ModelProto:
    return onnx.load_from_string(onnx_from_state(state, height=HEIGHT, width=WIDTH))


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32)


def operators(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@BOTH
def test_every_pass_keeps_the_numbers(plain: ModelProto, image: NDArray[np.float32], layout: Layout) -> None:
    canonical(plain, layout, feeds={"image": image})  # raises for the first pass that does not


@BOTH
@pytest.mark.parametrize("arch", ["convnext_atto", "convnext_nano"])
def test_all_passes_together_agree_with_torch(image: NDArray[np.float32], layout: Layout, arch: str) -> None:
    state = state_of(arch)
    model = onnx.load_from_string(onnx_from_state(state, height=HEIGHT, width=WIDTH))
    assert check_against_torch(state, canonical(model, layout), image) <= TOLERANCE


@BOTH
def test_openvino_agrees_on_the_canonical_graph(plain: ModelProto, image: NDArray[np.float32], layout: Layout) -> None:
    core = ov.Core()
    hint = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    expected, found = (
        core.compile_model(core.read_model(model.SerializeToString()), "CPU", hint)({"image": image})["logits"]
        for model in (plain, canonical(plain, layout))
    )
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@BOTH
def test_no_norm_but_the_stems_keeps_an_affine_part_and_no_layer_scale_is_left(
    plain: ModelProto, layout: Layout
) -> None:
    model = canonical(plain, layout)
    weights = {tensor.name for tensor in model.graph.initializer}
    affine = {name for name in weights if ".norm." in name or name.startswith("stem.1.") or "downsample.0" in name}
    assert all(name.startswith("stem.1.") for name in affine)
    assert affine
    assert not [name for name in weights if name.endswith(".gamma")]
    assert operators(model)["Mul"] == (BLOCKS + 4 + 1 if layout == "nchw" else 0)  # squares of norms, the stem's scale


def test_nchw_has_no_transpose_and_no_matmul(plain: ModelProto) -> None:
    found = operators(canonical(plain, "nchw"))
    assert found["Transpose"] == found["MatMul"] == 0
    assert found["Conv"] == operators(plain)["Conv"] + 2 * BLOCKS


def test_nhwc_transposes_only_around_convolutions(plain: ModelProto) -> None:
    model = canonical(plain, "nhwc")
    convolved = {name for node in model.graph.node if node.op_type == "Conv" for name in (node.input[0], *node.output)}
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    assert all({node.input[0], node.output[0]} & convolved for node in transposes)
    assert len(transposes) < operators(plain)["Transpose"]


@BOTH
def test_the_same_model_gives_the_same_bytes_and_is_left_as_it_was(plain: ModelProto, layout: Layout) -> None:
    before = plain.SerializeToString(deterministic=True)
    first, second = (canonical(plain, layout).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert plain.SerializeToString(deterministic=True) == before


@BOTH
def test_a_canonical_graph_stays_as_it_is(plain: ModelProto, layout: Layout) -> None:
    once = canonical(plain, layout)
    assert canonical(once, layout).SerializeToString(deterministic=True) == once.SerializeToString(deterministic=True)


@BOTH
def test_tensors_are_named_after_their_nodes_and_every_weight_is_read(plain: ModelProto, layout: Layout) -> None:
    graph = canonical(plain, layout).graph
    assert all(list(node.output) in ([f"{node.name}.out"], ["logits"]) for node in graph.node)
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read


def test_half_float_storage_gives_the_graph_of_the_rounded_weights(state: dict[str, torch.Tensor]) -> None:
    rounded = {key: value.half().float() for key, value in state.items()}
    half = onnx_from_state(state, height=HEIGHT, width=WIDTH, storage="float16")
    full = onnx_from_state(rounded, height=HEIGHT, width=WIDTH)
    found, expected = (canonical(onnx.load_from_string(model), "nchw") for model in (half, full))
    assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def norm_then_conv(pads: int, readers: int = 1) -> ModelProto:
    """Channels-last input, a norm with scale and bias, then as many convolutions as told, summed."""
    rng = np.random.default_rng(3)
    weights = {
        "scale": rng.normal(1, 0.5, 4),
        "bias": rng.normal(0, 1, 4),
        "kernel": rng.normal(0, 1, (5, 4, 3, 3)),
        "shift": rng.normal(0, 1, 5),
    }
    conv: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [pads] * 4}
    nodes = [
        helper.make_node("LayerNormalization", ["image", "scale", "bias"], ["n"], name="norm", axis=-1),
        helper.make_node("Transpose", ["n"], ["t"], name="first", perm=(0, 3, 1, 2)),
        *(helper.make_node("Conv", ["t", "kernel", "shift"], [f"c{i}"], name=f"c{i}", **conv) for i in range(readers)),
        helper.make_node("Sum", [f"c{i}" for i in range(readers)], ["logits"], name="sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "norm_then_conv",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 6, 7, 4))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_a_norm_folds_into_an_unpadded_convolution() -> None:
    before = norm_then_conv(pads=0)
    after = fold_norm_affine(before)
    assert list(after.graph.node[0].input) == ["image", "ones.4"]
    image = np.random.default_rng(0).normal(size=(1, 6, 7, 4)).astype(np.float32)
    assert check_pass("fold_norm_affine", before, after, {"image": image}) <= TOLERANCE


@pytest.mark.parametrize("model", [norm_then_conv(pads=1), norm_then_conv(pads=0, readers=2)])
def test_a_norm_before_a_padded_convolution_or_of_two_readers_is_left_alone(model: ModelProto) -> None:
    assert list(fold_norm_affine(model).graph.node[0].input) == ["image", "scale", "bias"]


def test_a_pass_that_changes_the_numbers_is_named(plain: ModelProto, image: NDArray[np.float32]) -> None:
    wrong = ModelProto()
    wrong.CopyFrom(plain)
    (bias,) = (tensor for tensor in wrong.graph.initializer if tensor.name == "stages.1.blocks.0.norm.bias")
    bias.CopyFrom(numpy_helper.from_array(np.zeros(tuple(bias.dims), np.float32), bias.name))
    with pytest.raises(EngineError, match=r"pass careless: outputs differ by .* at most 0\.0001"):
        check_pass("careless", plain, wrong, {"image": image})


def test_a_pass_that_gives_nan_is_refused(plain: ModelProto, image: NDArray[np.float32]) -> None:
    wrong = ModelProto()
    wrong.CopyFrom(plain)
    (bias,) = (tensor for tensor in wrong.graph.initializer if tensor.name == "head.fc.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(6, np.nan, np.float32), bias.name))
    with pytest.raises(EngineError, match="differ by nan"):
        check_pass("careless", plain, wrong, {"image": image})


def test_a_pass_whose_graph_does_not_run_is_named(plain: ModelProto, image: NDArray[np.float32]) -> None:
    wrong = ModelProto()
    wrong.CopyFrom(plain)
    del wrong.graph.node[3]
    with pytest.raises(EngineError, match="pass careless: its graph does not run"):
        check_pass("careless", plain, wrong, {"image": image})


def test_a_graph_that_cannot_be_folded_whole_is_refused_by_its_nodes(plain: ModelProto) -> None:
    foreign = ModelProto()
    foreign.CopyFrom(plain)
    nodes = {node.name: node for node in foreign.graph.node}
    (pads,) = (attribute for attribute in nodes["stages.1.downsample.1"].attribute if attribute.name == "pads")
    pads.ints[:] = [1] * 4
    nodes["stages.0.blocks.0.scale"].input[:] = reversed(nodes["stages.0.blocks.0.scale"].input)
    with pytest.raises(
        ValueError, match=r"stages\.1\.downsample\.0, stages\.0\.blocks\.0\.scale.* could not be folded"
    ):
        canonical(foreign, "nhwc")


def test_a_transpose_that_stays_in_nchw_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="first could not be folded"):
        canonical(norm_then_conv(pads=1), "nchw")


def test_each_norms_own_epsilon_is_kept(plain: ModelProto, image: NDArray[np.float32]) -> None:
    model = ModelProto()
    model.CopyFrom(plain)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    for i, norm in enumerate(norms):
        (epsilon,) = (attribute for attribute in norm.attribute if attribute.name == "epsilon")
        epsilon.f = 0.5 + i / 1000  # large enough to be seen
    canonical(model, "nchw", feeds={"image": image})


def test_the_size_of_a_graph_counts_nodes_numbers_and_bytes(plain: ModelProto, state: dict[str, torch.Tensor]) -> None:
    size = graph_size(plain)
    assert size.operators["Gelu"] == BLOCKS
    assert size.nodes == len(plain.graph.node)
    assert size.parameters == sum(value.numel() for value in state.values()) + 2  # the two axes of the pooling
    assert size.file_bytes == len(plain.SerializeToString(deterministic=True))


def test_every_pass_is_used_and_every_target_has_a_layout() -> None:
    assert {*FOLDS, *(name for names in LAYOUT_PASSES.values() for name in names)} == set(PASSES)
    assert set(LAYOUTS) == set(get_args(Target))
    assert set(LAYOUTS.values()) <= set(LAYOUT_PASSES) == set(get_args(Layout))

"""Further outputs of a network: which rows make them, and that every pass and every engine keeps them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from cathrt.export.graph.fold import TOLERANCE, Layout, canonical, check_pass
from cathrt.export.graph.precision import TYPED_TOLERANCE, Element, kept_nodes, typed
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.evaluate import semantics
from cathrt.export.models.keyframe.outputs import SplitOutputs, outputs_of
from cathrt.export.models.keyframe.to_onnx import Storage, check_against_torch, onnx_from_state, state_from_onnx
from cathrt.export.qualify.reference import reference_from_module
from cathrt.export.quantize.int8 import Int8Settings, quantised
from cathrt.export.quantize.layers import weighted_layers
from cathrt.export.quantize.sensitivity import worst_layers
from cathrt.export.targets.turing_head import head_as_convolution
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.section import DomainOutput, DomainReason, ReadabilityOutput
from tests.export.further_outputs import OUTPUTS, ROWS, answers_of, state_of_rows

HEIGHT, WIDTH = 64, 32  # not square, so that rows and columns cannot be mistaken for each other
BOTH = pytest.mark.parametrize("layout", get_args(Layout))
Answers = Mapping[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return state_of_rows()


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def plain(state: dict[str, torch.Tensor]) -> onnx.ModelProto:
    return onnx.load_from_string(onnx_from_state(state, height=HEIGHT, width=WIDTH, outputs=OUTPUTS))


def in_onnxruntime(model: onnx.ModelProto, image: NDArray[np.float32]) -> Answers:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def in_openvino(model: onnx.ModelProto, image: NDArray[np.float32]) -> Answers:
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled({"image": image})
    return {name: found[name] for name in OUTPUTS}


def in_reference(model: onnx.ModelProto, image: NDArray[np.float32]) -> Answers:
    """Every operator in the type of its inputs."""
    names = [port.name for port in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(names, {"image": image}), strict=True))


def agree(found: Answers, expected: Answers, tolerance: float = TOLERANCE) -> None:
    assert list(found) == list(expected)
    largest = max(float(np.abs(values).max()) for values in expected.values())
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        assert float(np.abs(found[name] - values).max()) <= tolerance * largest, name


def test_rows_follow_from_the_section_classes_first() -> None:
    section = semantics(0.6, 0.5, 0.5)
    plain = replace(section, readability=None, domain=None)
    readability = ReadabilityOutput("how_readable", 0.3)
    domain = DomainOutput("kind", (DomainReason("a", "b", "c"), DomainReason("d", "e", "f")), 0.5)
    assert outputs_of(plain) == {"logits": 6}
    assert list(outputs_of(replace(plain, readability=readability, domain=domain)).items()) == [
        ("logits", 6),
        ("how_readable", 1),
        ("kind", 3),
    ]
    assert outputs_of(replace(plain, domain=domain)) == {"logits": 6, "kind": 3}


def test_a_torch_network_gives_its_rows_as_these_outputs(
    state: dict[str, torch.Tensor], image: NDArray[np.float32]
) -> None:
    network = ConvNext(ARCHS["convnext_atto"], classes=ROWS)
    network.load_state_dict(state)
    reference = reference_from_module(SplitOutputs(network, OUTPUTS), ["image"], list(OUTPUTS))
    agree(reference({"image": image}), answers_of(state, image), 0.0)


def test_a_torch_network_of_other_rows_is_refused(image: NDArray[np.float32]) -> None:
    network = ConvNext(ARCHS["convnext_atto"], classes=6)
    with pytest.raises(ValueError, match=r"gives 6 rows, its outputs take \[6, 1, 6\]"):
        SplitOutputs(network, OUTPUTS)(torch.from_numpy(image))


@pytest.mark.parametrize("storage", get_args(Storage))
def test_both_engines_give_every_output_as_torch_does(
    state: dict[str, torch.Tensor], image: NDArray[np.float32], storage: Storage
) -> None:
    data = onnx_from_state(state, height=HEIGHT, width=WIDTH, storage=storage, outputs=OUTPUTS)
    model, expected = onnx.load_from_string(data), answers_of(state, image)
    agree(in_onnxruntime(model, image), expected)
    agree(in_openvino(model, image), expected)


@pytest.mark.parametrize("storage", get_args(Storage))
def test_the_state_comes_back_out_of_the_graph(state: dict[str, torch.Tensor], storage: Storage) -> None:
    data = onnx_from_state(state, height=HEIGHT, width=WIDTH, storage=storage, outputs=OUTPUTS)
    found = state_from_onnx(onnx.load_from_string(data))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert onnx_from_state(found, height=HEIGHT, width=WIDTH, storage=storage, outputs=OUTPUTS) == data


def test_a_single_output_is_the_plain_graph_to_the_byte() -> None:
    state = state_of_rows(6)
    named = onnx_from_state(state, height=HEIGHT, width=WIDTH, outputs={"logits": 6})
    assert named == onnx_from_state(state, height=HEIGHT, width=WIDTH)
    assert "Split" not in {node.op_type for node in onnx.load_from_string(named).graph.node}


@pytest.mark.parametrize(
    "outputs",
    [{"logits": 6}, {"logits": 6, "readability": 1}, {**OUTPUTS, "more": 1}, {"logits": 13, "readability": 0}],
)
def test_outputs_that_do_not_take_each_row_are_refused(state: dict[str, torch.Tensor], outputs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"head\.fc has 13 rows, the outputs take"):
        onnx_from_state(state, height=HEIGHT, width=WIDTH, outputs=outputs)


@BOTH
def test_every_pass_keeps_every_output(
    state: dict[str, torch.Tensor], plain: onnx.ModelProto, image: NDArray[np.float32], layout: Layout
) -> None:
    model = canonical(plain, layout, feeds={"image": image})
    assert check_against_torch(state, model, image, outputs=OUTPUTS) <= TOLERANCE
    agree(in_openvino(model, image), answers_of(state, image))


def test_outputs_in_another_order_are_refused_by_their_names(
    state: dict[str, torch.Tensor], plain: onnx.ModelProto, image: NDArray[np.float32]
) -> None:
    swapped = {"logits": 6, "domain": 6, "readability": 1}
    with pytest.raises(EngineError, match=r"the graph gives \['logits', 'readability', 'domain'\], expected"):
        check_against_torch(state, plain, image, outputs=swapped)
    wrong = onnx.load_from_string(onnx_from_state(state, height=HEIGHT, width=WIDTH, outputs=swapped))
    with pytest.raises(EngineError, match="expected"):
        check_against_torch(state, wrong, image, outputs=OUTPUTS)


@BOTH
@pytest.mark.parametrize("element", get_args(Element))
def test_a_typed_graph_parts_its_logits_in_float32(
    plain: onnx.ModelProto, image: NDArray[np.float32], layout: Layout, element: Element
) -> None:
    model = canonical(plain, layout)
    assert {"head.fc", "head.split"} <= kept_nodes(model)
    narrow = typed(model, element)
    *_, last = narrow.graph.node
    assert (last.op_type, list(last.output)) == ("Split", list(OUTPUTS)), "no cast behind the head"
    agree(in_reference(narrow, image), in_onnxruntime(plain, image), TYPED_TOLERANCE[element])


@pytest.mark.parametrize("element", get_args(Element))
def test_the_head_of_turing_keeps_every_output(
    plain: onnx.ModelProto, image: NDArray[np.float32], element: Element
) -> None:
    folded = canonical(plain, "nchw")
    head = head_as_convolution(folded)
    check_pass("head_as_convolution", folded, head, {"image": image})
    narrow = typed(head, element)
    assert not {"Gemm", "MatMul"} & {node.op_type for node in narrow.graph.node}
    types = {port.name: port.type.tensor_type.elem_type for port in narrow.graph.output}
    assert types == dict.fromkeys(OUTPUTS, onnx.TensorProto.FLOAT)
    agree(in_reference(narrow, image), in_onnxruntime(plain, image), 2 * TYPED_TOLERANCE[element])


@BOTH
def test_int8_keeps_the_head_in_float_and_every_output_near(
    plain: onnx.ModelProto, image: NDArray[np.float32], layout: Layout
) -> None:
    model = canonical(plain, layout)
    found = quantised(model, [image], Int8Settings(weight_bits=7, sensitivity_frames=1))
    assert weighted_layers(found.model)[-1].name == "head.fc"
    assert "head.fc" in found.report.kept
    agree(in_onnxruntime(found.model, image), in_onnxruntime(model, image), 0.1)
    errors = dict(worst_layers(model, found.model, [image]))
    assert errors["head.fc"] == 0.0
    assert any(errors.values())

"""int8 and int4 weights: what is stored, what engines make of it, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.operators import in_element, linear
from cathrt.export.models.report.graphs.settings import Form
from cathrt.export.models.report.graphs.weight_forms import check_range, check_scale, quantise
from cathrt.runtime.engines.silent_openvino import ov
from cathrt.runtime.errors import EngineError
from tests.export.models.report.graph_runs import ENGINES, Engine, opened

FORMS: list[tuple[Form, int | None]] = [("int8", None), ("int8", 32), ("int4", 32), ("int4", 64), ("int4", 128)]
INPUTS, OUTPUTS = 256, 192


def weights(rows: int = OUTPUTS, columns: int = INPUTS, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def written(folder: Path, form: Form, block: int | None, weight: NDArray[np.float32]) -> Path:
    """A network of one linear layer."""
    with GraphWriter("linear", folder / "linear.data") as graph:
        x = graph.input("x", ("T", weight.shape[1]), "float32")
        graph.output("y", linear(graph, x, "layer", weight, form, block), ("T", len(weight)), "float32")
        graph.save(folder / "linear.onnx")
    onnx.checker.check_model(folder / "linear.onnx", full_check=True)
    return folder / "linear.onnx"


def restored(weight: NDArray[np.float32], form: Form, block: int | None) -> NDArray[np.float32]:
    values, scales = quantise(weight, form, block or weight.shape[1])
    return (values.reshape(*scales.shape, -1) * scales[..., None]).reshape(weight.shape).astype(np.float32)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("form", "block"), FORMS)
def test_a_layer_multiplies_by_the_quantised_weights(
    tmp_path: Path, form: Form, block: int | None, engine: Engine
) -> None:
    weight = weights()
    x = np.random.default_rng(1).standard_normal((3, INPUTS)).astype(np.float32)
    got = opened(written(tmp_path, form, block, weight), engine, DYNAMIC_QUANTIZATION_GROUP_SIZE=0)({"x": x})["y"]
    wanted = x @ restored(weight, form, block).T
    # ONNX Runtime rounds x to int8 too, block by block: some 0.5 % of it.
    np.testing.assert_allclose(got, wanted, atol=(0.02 if engine == "onnxruntime" else 1e-4) * np.abs(wanted).max())


@pytest.mark.parametrize(("form", "block"), FORMS)
def test_onnxruntime_makes_one_operator_of_it(tmp_path: Path, form: Form, block: int | None) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    file = written(tmp_path, form, block, weights())
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    found = Counter(
        node.op_type for node in onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph.node
    )
    assert found == {"MatMulNBits": 1}


@pytest.mark.parametrize(("form", "block"), FORMS)
def test_openvino_keeps_the_weights_small(tmp_path: Path, form: Form, block: int | None) -> None:
    compiled = ov.Core().compile_model(written(tmp_path, form, block, weights()), "CPU", {"INFERENCE_NUM_THREADS": 1})
    layers = [
        operator
        for operator in compiled.get_runtime_model().get_ops()
        if operator.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    ]
    assert [layer.input(1).get_element_type().to_string() for layer in layers] == [{"int8": "i8", "int4": "i4"}[form]]


@pytest.mark.parametrize("block", [32, 64, 128])
def test_the_searched_scale_loses_less_than_that_of_the_largest_weight(block: int) -> None:
    weight = weights()
    blocks = weight.reshape(OUTPUTS, -1, block)
    scale = np.abs(blocks).max(axis=2, keepdims=True) / 7
    plain = np.clip(np.rint(blocks / scale), -8, 7) * scale
    searched = restored(weight, "int4", block).reshape(blocks.shape)
    lost = [float(((found - blocks) ** 2).sum()) for found in (plain, searched)]
    assert lost[1] < 0.95 * lost[0]


def test_no_block_loses_more_than_by_its_largest_weight() -> None:
    blocks = weights().reshape(OUTPUTS, -1, 32)
    scale = np.abs(blocks).max(axis=2, keepdims=True) / 7
    plain = ((np.clip(np.rint(blocks / scale), -8, 7) * scale - blocks) ** 2).sum(axis=2)
    searched = ((restored(weights(), "int4", 32).reshape(blocks.shape) - blocks) ** 2).sum(axis=2)
    assert (searched <= plain * (1 + 1e-5)).all()


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_a_block_of_zeros_stays_zero(form: Form) -> None:
    weight = weights()
    weight[3, 32:64] = 0
    values, scales = quantise(weight, form, 32)
    assert not values[3, 32:64].any()
    assert (scales > 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 2), (300, 257)])
def test_packed_int4_are_read_back_as_they_were(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(2).integers(-8, 8, shape, np.int8)
    with GraphWriter("int4", tmp_path / "int4.data") as graph:
        graph.packed_int4("values", values)
        graph.save(tmp_path / "int4.onnx")
    read = numpy_helper.to_array(onnx.load(tmp_path / "int4.onnx").graph.initializer[0])
    np.testing.assert_array_equal(read.astype(np.int8), values)


def test_rows_that_do_not_divide_into_blocks_have_one_scale_a_channel_in_int8(tmp_path: Path) -> None:
    model = onnx.load(written(tmp_path, "int8", 64, weights(8, 72)))
    assert {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer} == {
        "layer.weight": (72, 8),
        "layer.weight.scales": (8,),
    }


def test_rows_that_do_not_divide_into_blocks_are_refused_in_int4(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="rows of 72 weights do not divide into blocks of 64: use int8"):
        written(tmp_path, "int4", 64, weights(8, 72))


@pytest.mark.parametrize("form", ["float32", "bfloat16", "float16", "int8", "int4"])
def test_a_weight_that_is_not_finite_is_refused(tmp_path: Path, form: Form) -> None:
    weight = weights()
    weight[7, 9] = np.nan
    with pytest.raises(EngineError, match=r"layer\.weight: largest weight nan, .* use other weights"):
        written(tmp_path, form, 32, weight)


def test_a_weight_beyond_float16_is_refused() -> None:
    with pytest.raises(EngineError, match="layer: largest weight 70000, float16 ends at 65504"):
        check_range("layer", np.asarray([[7e4, 0]], np.float32), "float16")


def test_a_bias_beyond_float16_is_refused(tmp_path: Path) -> None:
    with (
        GraphWriter("bias", tmp_path / "bias.data", "float16") as graph,
        pytest.raises(EngineError, match="bias: largest weight 70000, float16 ends at 65504"),
    ):
        in_element(graph, "bias", np.asarray([7e4], np.float32))


def test_a_scale_that_float16_would_eat_is_refused() -> None:
    with pytest.raises(EngineError, match="would lose its digits in float16"):
        check_scale("layer", np.asarray([1e-6], np.float32), "float16")

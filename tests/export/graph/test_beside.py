"""Larger weights in a file beside the graph, as bundles take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from cathrt.export.graph.beside import write_beside
from cathrt.export.graph.precision import typed
from cathrt.runtime.bundle.onnx_external import ALIGNMENT
from cathrt.runtime.bundle.onnx_file import check_onnx


def model(rows: int) -> onnx.ModelProto:
    """x @ weight + bias where a mask says so, else 0."""
    draw = np.random.default_rng(0)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"], name="product"),
            helper.make_node("Add", ["product", "bias"], ["sum"], name="sum"),
            helper.make_node("Where", ["seen", "sum", "zero"], ["y"], name="y"),
        ],
        "masked",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows]),
            helper.make_tensor_value_info("seen", TensorProto.BOOL, [1, 64]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [
            numpy_helper.from_array(draw.standard_normal((rows, 64), np.float32), "weight"),
            numpy_helper.from_array(draw.standard_normal(64, np.float32), "bias"),
            numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


FEEDS = {"x": np.ones((1, 128), np.float32), "seen": np.arange(64)[None] % 2 == 0}


def run(source: str | bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = onnxruntime.InferenceSession(
        source, providers=["CPUExecutionProvider"]
    ).run(None, FEEDS)[0]
    return found


def test_large_weights_go_beside_and_small_ones_stay(tmp_path: Path) -> None:
    whole = model(128)
    before = whole.SerializeToString()
    graph, data = write_beside(whole, tmp_path / "net.onnx")
    assert (graph.name, data.name, data.stat().st_size) == ("net.onnx", "net.data", 128 * 64 * 4)
    assert whole.SerializeToString() == before
    check_onnx("net.onnx", graph.read_bytes())
    stored = onnx.load(str(graph), load_external_data=False).graph.initializer
    assert [tensor.data_location for tensor in stored] == [TensorProto.EXTERNAL, 0, 0]
    np.testing.assert_array_equal(run(str(graph)), run(whole.SerializeToString()))


def test_ranges_are_aligned_and_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        (tmp_path / name[:3]).mkdir()
        write_beside(model(100), tmp_path / name[:3] / "net.onnx")
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("net.onnx", "net.data"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    (weight, *_) = onnx.load(str(one / "net.onnx"), load_external_data=False).graph.initializer
    entries = {entry.key: entry.value for entry in weight.external_data}
    assert int(entries["offset"]) % ALIGNMENT == 0
    assert entries["location"] == "net.data"


def test_a_small_model_is_one_file(tmp_path: Path) -> None:
    assert write_beside(model(8), tmp_path / "net.onnx") == (tmp_path / "net.onnx",)
    assert list(tmp_path.iterdir()) == [tmp_path / "net.onnx"]


def test_a_typed_graph_keeps_its_mask() -> None:
    whole = model(128)
    found = typed(whole, "float16")
    kinds = {port.name: port.type.tensor_type.elem_type for port in found.graph.input}
    assert kinds == {"x": TensorProto.FLOAT, "seen": TensorProto.BOOL}
    np.testing.assert_allclose(run(found.SerializeToString()), run(whole.SerializeToString()), rtol=0, atol=0.05)

"""Sized engines on what bundles hold: weights in memory once, every size checked, precision as the manifest says."""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cathrt.runtime.bundle.files import opened_folder
from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor, Network, Precision
from cathrt.runtime.bundle.onnx_external import check_external
from cathrt.runtime.bundle.onnx_file import check_onnx
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import verified_files
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import cpu, open_sized_engine, openvino
from cathrt.runtime.errors import EngineError, ManifestError
from tests.engines.test_buckets import addresses
from tests.golden import golden_manifest, refer

ROLE = "product"
ONE_THREAD = EngineConfig(threads=1)
BOTH = pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
ROWS, DEPTH, WIDTH, BLOCK = (1, 4), 256, 96, 32
STORED = np.random.default_rng(3).integers(-7, 8, (DEPTH, WIDTH)).astype(np.int8)
SCALES = (0.01 + np.random.default_rng(4).random((DEPTH // BLOCK, WIDTH)) / 50).astype(np.float32)
WEIGHT: NDArray[np.float32] = STORED * np.repeat(SCALES, BLOCK, axis=0)

Make = Callable[..., Bundle]


def packed(values: NDArray[np.int8]) -> bytes:
    """int4, two in a byte."""
    flat = values.reshape(-1).view(np.uint8)
    return (flat[0::2] & 15 | flat[1::2] << 4).astype(np.uint8).tobytes()


def product_model(form: str = "float32", rows: int | str = "T", out_rows: int | str | None = None) -> onnx.ModelProto:
    """y = x @ weight; the weight in another file as float32, or as int8 or int4 with a scale for each block."""
    initializers, nodes = [], []
    if form == "float32":
        stored, data_type = WEIGHT.tobytes(), TensorProto.FLOAT
    else:
        data_type = TensorProto.INT4 if form == "int4" else TensorProto.INT8
        stored = packed(STORED) if form == "int4" else STORED.tobytes()
        initializers.append(numpy_helper.from_array(SCALES, "scale"))
        nodes.append(helper.make_node("DequantizeLinear", ["weight", "scale"], ["wide"], axis=0, block_size=BLOCK))
    weight = TensorProto(name="weight", dims=(DEPTH, WIDTH), data_type=data_type)
    refer(weight, {"location": "weights.bin", "offset": "0", "length": str(len(stored))})
    nodes.append(helper.make_node("MatMul", ["x", "weight" if form == "float32" else "wide"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, DEPTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [out_rows or rows, WIDTH])],
        [weight, *initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Makes an unsigned bundle of one network that multiplies by WEIGHT."""

    def make(form: str = "float32", precision: Precision = "float32", model: Any = None, **artifact: Any) -> Bundle:
        data = {"float32": WEIGHT.tobytes(), "int8": STORED.tobytes(), "int4": packed(STORED)}[form]
        payload = {"model.onnx": (model or product_model(form)).SerializeToString(), "weights.bin": data}
        for file, content in payload.items():
            (tmp_path / file).write_bytes(content)
        listed = {file: hashlib.sha256(content).hexdigest() for file, content in payload.items()}
        with opened_folder(tmp_path) as opened:
            files = verified_files(opened, listed, hard_links=False)
        external = check_onnx("model.onnx", payload["model.onnx"]).external
        check_external("model.onnx", external, {file: len(content) for file, content in payload.items()})
        held = Artifact("model.onnx", precision, **artifact)
        network = Network(
            {"openvino": held, "onnxruntime": held},
            (DeclaredTensor("x", ("T", DEPTH), "float32"),),
            (DeclaredTensor("y", ("T", WIDTH), "float32"),),
            tuple({"T": rows} for rows in ROWS),
        )
        manifest = replace(golden_manifest(), files=listed, networks={ROLE: network})
        return Bundle(tmp_path, manifest, "0" * 64, "0" * 64, files, {"model.onnx": external})

    return make


def given(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, DEPTH)).astype(np.float32)


@BOTH
def test_weights_are_read_from_the_mapped_file_and_nowhere_else(made: Make, name: str) -> None:
    bundle = made()
    engine = open_sized_engine(name, bundle, ROLE, ONE_THREAD)
    assert addresses(engine) == [bundle.external_data(tensor).ctypes.data for tensor in bundle.external["model.onnx"]]
    for rows in ROWS:
        np.testing.assert_allclose(engine.run({"x": given(rows)})["y"], given(rows) @ WEIGHT, rtol=0, atol=1e-4)


@BOTH
@pytest.mark.parametrize("form", ["int8", "int4"])
def test_weights_of_few_bits_are_made_wider_and_activations_stay_as_they_are(
    made: Make, name: str, form: Precision
) -> None:
    """Rounding activations to int8, as both engines do by themselves, is wrong by a thousand times this tolerance."""
    bundle = made(form, form, weights_only=True)
    engine = open_sized_engine(name, bundle, ROLE, ONE_THREAD)
    for rows in ROWS:
        np.testing.assert_allclose(engine.run({"x": given(rows)})["y"], given(rows) @ WEIGHT, rtol=0, atol=2e-5)
    assert addresses(engine) == [bundle.external_data(tensor).ctypes.data for tensor in bundle.external["model.onnx"]]


@pytest.mark.skipif(not cpu.multiplies_bfloat16(), reason="this CPU has no bfloat16 products")
@pytest.mark.parametrize(("form", "precision"), [("float32", "bfloat16"), ("int4", "int4")])
def test_openvino_computes_in_bfloat16_where_the_manifest_says_so_and_only_there(
    made: Make, form: str, precision: Precision
) -> None:
    rest: dict[str, Any] = {"rest": "bfloat16", "weights_only": True} if precision == "int4" else {}
    narrow = open_sized_engine("openvino", made(form, precision, **rest), ROLE, ONE_THREAD)
    exact = given(4) @ WEIGHT
    error = np.abs(narrow.run({"x": given(4)})["y"] - exact).max() / np.abs(exact).max()
    assert 1e-4 < error < 2e-2


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_onnxruntime_refuses_what_it_does_not_compute_in_on_the_cpu(made: Make, precision: Precision) -> None:
    with pytest.raises(EngineError, match=f"asks for {precision}, on the CPU there is float32, int8 and int4"):
        open_sized_engine("onnxruntime", made("float32", precision), ROLE, ONE_THREAD)


def test_openvino_refuses_float16(made: Make) -> None:
    with pytest.raises(EngineError, match="asks for float16, which runs 3 to 4 times slower"):
        open_sized_engine("openvino", made("float32", "float16"), ROLE, ONE_THREAD)


def test_int8_activations_need_a_cpu_that_sums_them_and_int8_weights_alone_do_not(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "sums_int8_exactly", lambda _: False)
    with pytest.raises(EngineError, match="no VNNI"):
        open_sized_engine("openvino", made("int8", "int8"), ROLE, ONE_THREAD)
    open_sized_engine("openvino", made("int8", "int8", weights_only=True), ROLE, ONE_THREAD)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx", "fake", "OpenVINO"])
def test_an_engine_that_runs_no_network_in_several_sizes_is_refused_by_name(made: Make, name: str) -> None:
    with pytest.raises(EngineError, match=re.escape(f"engine {name!r} runs no network in several sizes")):
        open_sized_engine(name, made(), ROLE, ONE_THREAD)


def test_another_provider_than_the_cpu_is_refused(made: Make) -> None:
    with pytest.raises(EngineError, match=r'engine\.provider is "cuda"'):
        open_sized_engine("onnxruntime", made(), ROLE, EngineConfig(provider="cuda"))


@BOTH
def test_a_network_or_an_artifact_that_is_not_there_is_refused(made: Make, name: str) -> None:
    bundle = made()
    with pytest.raises(ManifestError, match="no network 'other'"):
        open_sized_engine(name, bundle, "other", ONE_THREAD)
    bundle = replace(bundle, manifest=bundle.manifest.with_artifacts(ROLE, {}))
    with pytest.raises(EngineError, match=f"found no artifact for {name}"):
        open_sized_engine(name, bundle, ROLE, ONE_THREAD)


@BOTH
def test_a_graph_of_a_fixed_size_is_refused_where_the_manifest_leaves_it_open(made: Make, name: str) -> None:
    with pytest.raises(EngineError, match=r"input x is \(4, 256\) float32 in the network, \('T', 256\) float32 in the"):
        open_sized_engine(name, made(model=product_model(rows=4)), ROLE, ONE_THREAD)


@BOTH
def test_a_graph_with_other_tensors_is_refused(made: Make, name: str) -> None:
    model = product_model()
    for node in model.graph.node:
        node.input[0] = node.input[0].replace("x", "z")
    model.graph.input[0].name = "z"
    with pytest.raises(EngineError, match="input x is in the manifest only; input z is in the network only"):
        open_sized_engine(name, made(model=model), ROLE, ONE_THREAD)


@BOTH
def test_a_broken_graph_is_an_engine_error(made: Make, name: str) -> None:
    model = product_model()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(EngineError, match="export it again"):
        open_sized_engine(name, made(model=model), ROLE, ONE_THREAD)


@BOTH
def test_a_file_that_changes_while_it_is_opened_is_refused(
    made: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = made()
    mapped = Bundle.mapped

    def changed(self: Bundle, file: str) -> NDArray[np.uint8]:
        found = mapped(self, file)
        if file == "weights.bin":
            with (bundle.path / file).open("r+b") as handle:
                handle.write(b"\1")
        return found

    monkeypatch.setattr(Bundle, "mapped", changed)
    with pytest.raises(ManifestError, match=r"weights\.bin: changed after the bundle was opened"):
        open_sized_engine(name, bundle, ROLE, ONE_THREAD)


@BOTH
def test_outputs_stay_readable_after_the_engine_is_gone(made: Make, name: str) -> None:
    engine = open_sized_engine(name, made(), ROLE, ONE_THREAD)
    found: Mapping[str, NDArray[Any]] = engine.run({"x": given(4)})
    engine.close()
    del engine
    gc.collect()
    np.testing.assert_allclose(found["y"], given(4) @ WEIGHT, rtol=0, atol=1e-4)


@BOTH
def test_weights_take_memory_once_when_each_size_has_been_run(made: Make, name: str) -> None:
    """The engine's own copy stays; what is mapped is given back, and would be read again where it is touched."""
    bundle = made()
    engine = open_sized_engine(name, bundle, ROLE, ONE_THREAD)
    start = bundle.mapped("weights.bin").ctypes.data
    for rows in ROWS:
        engine.run({"x": given(rows)})
    assert resident_kib(start) == 0
    for rows in ROWS:
        np.testing.assert_allclose(engine.run({"x": given(rows)})["y"], given(rows) @ WEIGHT, rtol=0, atol=1e-4)
    assert resident_kib(start) == 0
    np.testing.assert_array_equal(bundle.mapped("weights.bin").view(np.float32), WEIGHT.reshape(-1))
    assert resident_kib(start) >= WEIGHT.nbytes // 1024


def resident_kib(start: int) -> int:
    """Memory that the mapping at this address takes."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    assert any(line.startswith(f"{start:x}-") or line.startswith(f"{start:08x}-") for line in lines)
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

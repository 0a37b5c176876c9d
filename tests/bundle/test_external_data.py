"""Graphs that keep tensors in another file of the bundle: listed, hashed, mapped, and never looked up by a vendor."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
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
from cathrt.runtime.bundle.onnx_external import ELEMENT_BYTES, ExternalTensor
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import HEAD, INPUT, KERNEL, OUTPUT, conv_model, golden_frame, golden_manifest, with_external_data

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ONE_THREAD = EngineConfig(threads=1)
BOTH = pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])


def written(
    folder: Path,
    model: onnx.ModelProto,
    data: Mapping[str, bytes],
    name: str = "model.onnx",
    precision: Any = "float32",
) -> Bundle:
    artifact = Artifact(name, precision, weight_bits=7 if precision == "int8" else 8)
    manifest = golden_manifest(openvino=artifact, onnxruntime=artifact)
    payload = {name: model.SerializeToString(), **data}
    return open_bundle(write_bundle(folder, manifest, payload, KEY), [public_key(KEY)])


def logits(bundle: Bundle, engine: str, seed: int = 3) -> np.ndarray[Any, Any]:
    opened = open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)
    return opened.infer({INPUT: golden_frame(seed)})[OUTPUT].copy()


@BOTH
@pytest.mark.parametrize("int8", [False, True])
def test_a_graph_with_its_weights_in_another_file_gives_the_same_bits(tmp_path: Path, engine: str, int8: bool) -> None:
    names = ("kernel_int8", "kernel_scale", "head") if int8 else ("kernel", "head")
    model = conv_model(int8=int8, weight_range=63)
    moved, data = with_external_data(model, names=names)
    precision = "int8" if int8 else "float32"
    inside = written(tmp_path / "inside", model, {}, precision=precision)
    outside = written(tmp_path / "outside", moved, {"weights.bin": data}, precision=precision)
    assert [tensor.name for tensor in outside.external["model.onnx"]] == [
        tensor.name for tensor in model.graph.initializer if tensor.name in names
    ]
    assert logits(outside, engine).tobytes() == logits(inside, engine).tobytes()


@BOTH
@pytest.mark.parametrize(
    ("name", "location", "file"),
    [("nets/model.onnx", "weights.bin", "nets/weights.bin"), ("model.onnx", "data/w", "data/w")],
    ids=["graph in a folder", "data in a folder"],
)
def test_a_location_counts_from_the_folder_of_the_graph(
    tmp_path: Path, engine: str, name: str, location: str, file: str
) -> None:
    moved, data = with_external_data(conv_model(), location)
    bundle = written(tmp_path / "outside", moved, {file: data}, name)
    assert logits(bundle, engine).tobytes() == logits(written(tmp_path / "in", conv_model(), {}), engine).tobytes()


def test_the_ranges_are_those_of_the_graph(tmp_path: Path) -> None:
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    head = ExternalTensor("head", TensorProto.FLOAT, HEAD.shape, "weights.bin", 0, HEAD.nbytes)
    kernel = ExternalTensor("kernel", TensorProto.FLOAT, KERNEL.shape, "weights.bin", 4096, KERNEL.nbytes)
    assert bundle.external == {"model.onnx": (head, kernel)}
    assert bundle.external_data(kernel).tobytes() == KERNEL.tobytes()


@BOTH
def test_two_engines_and_the_bundle_share_one_mapping(tmp_path: Path, engine: str) -> None:
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    opened = [open_engine(engine, bundle, CLASSIFIER, ONE_THREAD) for _ in range(2)]
    for tensor, number in zip(bundle.external["model.onnx"], range(2), strict=True):
        addresses = {_weights(one)[number] for one in opened}
        assert addresses == {bundle.external_data(tensor).ctypes.data}


def _weights(engine: Any) -> list[int]:
    held = engine._weights
    values = held.values() if isinstance(held, Mapping) else held
    return [value.data_ptr() if hasattr(value, "data_ptr") else value.ctypes.data for value in values]


@BOTH
def test_two_tensors_may_share_one_range(tmp_path: Path, engine: str) -> None:
    model = conv_model()
    model.graph.initializer.append(numpy_helper.from_array(HEAD, "tied"))
    model.graph.node[-1].output[0] = "first"
    model.graph.node.append(helper.make_node("MatMul", ["features", "tied"], ["second"]))
    model.graph.node.append(helper.make_node("Add", ["first", "second"], [OUTPUT]))
    moved, data = with_external_data(model, names=("head", "tied"))
    tied = next(tensor for tensor in moved.graph.initializer if tensor.name == "tied")
    next(entry for entry in tied.external_data if entry.key == "offset").value = "0"
    twice = logits(written(tmp_path / "tied", moved, {"weights.bin": data}), engine)
    once = logits(written(tmp_path / "once", conv_model(), {}), engine)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)


@BOTH
def test_an_initializer_that_is_listed_among_the_inputs_too_is_a_weight(tmp_path: Path, engine: str) -> None:
    """As ONNX asked for before IR version 4."""
    model = conv_model()
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, KERNEL.shape))
    moved, data = with_external_data(model)
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    inside = written(tmp_path / "in", conv_model(), {})
    # ONNX Runtime sums in another order where a weight could still be replaced by a feed.
    np.testing.assert_allclose(logits(bundle, engine), logits(inside, engine), rtol=0, atol=1e-5)


@BOTH
def test_a_weight_that_no_node_reads_is_refused_by_name(tmp_path: Path, engine: str) -> None:
    model = conv_model()
    model.graph.initializer.append(numpy_helper.from_array(HEAD, "unused"))
    moved, data = with_external_data(model, names=("kernel", "head", "unused"))
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    with pytest.raises(EngineError, match=rf"{engine}: model\.onnx.*unused.*export it again"):
        open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)


@BOTH
def test_a_file_of_the_same_name_elsewhere_is_never_read(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the current folder, and in a bundle that has taken the place of the opened one."""
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    expected = logits(bundle, engine)
    (tmp_path / "bundle").rename(tmp_path / "aside")
    for folder in ("current", "bundle"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "weights.bin").write_bytes(bytes(len(data)))
    monkeypatch.chdir(tmp_path / "current")
    assert logits(bundle, engine).tobytes() == expected.tobytes()


@BOTH
@pytest.mark.parametrize("change", [lambda file: file.write_bytes(bytes(file.stat().st_size)), Path.unlink])
def test_weights_that_changed_since_the_bundle_was_opened_do_not_run(
    tmp_path: Path, engine: str, change: Callable[[Path], Any]
) -> None:
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    change(tmp_path / "bundle" / "weights.bin")
    with pytest.raises(ManifestError, match=r"weights\.bin: changed after the bundle was opened"):
        open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)


@BOTH
def test_an_engine_outlives_the_bundle_and_its_folder(tmp_path: Path, engine: str) -> None:
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    expected = logits(bundle, engine)
    opened = open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)
    bundle.close()
    del bundle
    gc.collect()
    (tmp_path / "bundle" / "weights.bin").unlink()
    assert opened.infer({INPUT: golden_frame(3)})[OUTPUT].tobytes() == expected.tobytes()


# Types that have no NumPy counterpart are fed by their size; each network adds what it is given to a float32.
STORED = {
    TensorProto.FLOAT16: np.array([1.5, -2], np.float16).view(np.uint16),
    TensorProto.BFLOAT16: np.array([1.5, -2], np.float32).view(np.uint32) >> 16,
    TensorProto.DOUBLE: np.array([1.5, -2], np.float64),
    TensorProto.INT8: np.array([1, -2], np.int8),
    TensorProto.UINT8: np.array([1, 2], np.uint8),
    TensorProto.INT32: np.array([1, -2], np.int32),
    TensorProto.INT64: np.array([1, -2], np.int64),
    TensorProto.BOOL: np.array([1, 0], np.uint8),
}


@BOTH
@pytest.mark.parametrize("data_type", STORED)
def test_weights_of_every_type_come_in_as_they_are(tmp_path: Path, engine: str, data_type: int) -> None:
    stored = STORED[data_type].astype(f"u{ELEMENT_BYTES[data_type]}", casting="unsafe").tobytes()
    if data_type in (TensorProto.DOUBLE, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64):
        stored = STORED[data_type].tobytes()
    model = conv_model()
    scale = TensorProto(name="scale", data_type=data_type, dims=[2], raw_data=stored)
    model.graph.initializer.append(scale)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Cast", ["scale"], ["scale_float"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("ReduceSum", ["scale_float"], ["sum"], keepdims=0))
    model.graph.node.append(helper.make_node("Add", ["before", "sum"], [OUTPUT]))
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    moved.graph.initializer[-1].CopyFrom(TensorProto(name="scale", data_type=data_type, dims=[2]))
    moved.graph.initializer[-1].data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w"), ("offset", "0"), ("length", str(len(stored)))):
        moved.graph.initializer[-1].external_data.add(key=key, value=value)
    inside = written(tmp_path / "inside", model, {})
    outside = written(tmp_path / "outside", moved, {"w": stored})
    assert logits(outside, engine).tobytes() == logits(inside, engine).tobytes()


def test_the_elements_that_may_be_in_another_file_have_the_sizes_that_onnx_gives_them() -> None:
    for data_type, size in ELEMENT_BYTES.items():
        assert helper.tensor_dtype_to_np_dtype(data_type).itemsize == size, TensorProto.DataType.Name(data_type)
    left_out = set(TensorProto.DataType.values()) - ELEMENT_BYTES.keys()
    names = {TensorProto.DataType.Name(data_type) for data_type in left_out}
    assert names >= {"UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128", "UINT4", "INT4"}


def test_the_manifest_of_a_bundle_lists_the_data_with_its_hash(tmp_path: Path) -> None:
    moved, data = with_external_data(conv_model())
    bundle = written(tmp_path / "bundle", moved, {"weights.bin": data})
    assert set(bundle.manifest.files) == {"model.onnx", "weights.bin"}
    (tmp_path / "bundle" / "weights.bin").write_bytes(data[:-1] + b"\x7f")
    with pytest.raises(ManifestError, match=r"weights\.bin: sha256 is"):
        open_bundle(tmp_path / "bundle", [public_key(KEY)])
    assert replace(bundle, external={}) != bundle

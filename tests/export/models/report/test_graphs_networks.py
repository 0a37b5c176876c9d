"""The written files: what they declare, the same bytes each time, one weight in memory at a time."""

from __future__ import annotations

import ast
import hashlib
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from cathrt.export.models.report import graphs
from cathrt.export.models.report.graphs.graph_writer import INSIDE_BYTES, OPSET
from cathrt.export.models.report.graphs.networks import write_decoder_network, write_networks, write_vision_network
from cathrt.export.models.report.graphs.settings import Element, Form, GraphSettings
from cathrt.export.models.report.shape import GemmaShape, Weights
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.bundle.onnx_external import ExternalTensor, check_external, check_overlaps
from cathrt.runtime.bundle.onnx_file import check_onnx
from cathrt.runtime.errors import ConfigError
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import Tiny, tiny_text, tiny_vlm

SETTINGS = GraphSettings("float32", 96, (16, 64))
ALL_FORMS: list[tuple[Form, int | None]] = [
    ("float32", None), ("bfloat16", None), ("float16", None), ("int8", None), ("int8", 32), ("int4", 32)
]  # fmt: skip


@pytest.fixture(scope="module")
def weights() -> ModelWeights:
    return ModelWeights(tiny_vlm())


@pytest.mark.parametrize(("form", "block"), ALL_FORMS)
def test_every_network_is_valid_onnx_that_a_bundle_takes(
    weights: ModelWeights, form: Form, block: int | None, tmp_path: Path
) -> None:
    written = write_networks(weights, GraphSettings(form, 96, (64,), block), tmp_path)
    assert sorted(written) == ["decoder", "embedding", "vision"]
    external: list[ExternalTensor] = []
    for network in written.values():
        onnx.checker.check_model(network.files[0], full_check=True)
        found = check_onnx(network.files[0].name, network.files[0].read_bytes())
        check_external(
            network.files[0].name, found.external, {file.name: file.stat().st_size for file in network.files}
        )
        external += found.external
    check_overlaps(external)
    assert sorted(file.name for network in written.values() for file in network.files) == sorted(
        file.name for file in tmp_path.iterdir()
    )


def test_the_files_are_the_same_each_time(weights: ModelWeights, tmp_path: Path) -> None:
    digests = []
    for time in ("first", "second"):
        written = write_networks(weights, GraphSettings("int4", 96, (64,), 32), tmp_path / time)
        files = [file for network in written.values() for file in network.files]
        digests.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
    assert digests[0] == digests[1]


def test_declared_tensors_are_those_of_the_graph(weights: ModelWeights, tmp_path: Path) -> None:
    for network in write_networks(weights, SETTINGS, tmp_path).values():
        model = onnx.load(network.files[0], load_external_data=False)
        assert model.opset_import[0].version == OPSET
        for declared, values in ((network.inputs, model.graph.input), (network.outputs, model.graph.output)):
            shapes = {
                value.name: tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
                for value in values
            }
            assert {tensor.name: tensor.shape for tensor in declared} == shapes


def test_the_decoder_has_a_cache_for_every_layer_and_two_masks(weights: ModelWeights, tmp_path: Path) -> None:
    decoder = write_decoder_network(weights, SETTINGS, tmp_path)
    assert decoder.inputs[:6] == (
        DeclaredTensor("embeddings", (1, "T", 64), "float32"),
        DeclaredTensor("positions", ("T",), "int64"),
        DeclaredTensor("global_mask", ("T", "S"), "bool"),
        DeclaredTensor("sliding_mask", ("T", "S"), "bool"),
        DeclaredTensor("last", (1,), "int64"),
        DeclaredTensor("keys_00", (2, "C", 32), "float32"),
    )
    assert decoder.outputs[0] == DeclaredTensor("logits", (1, 320), "float32")
    assert [tensor.name for tensor in decoder.outputs[-2:]] == ["new_keys_03", "new_values_03"]
    assert len(decoder.inputs) == 5 + 2 * 4


def test_buckets_are_every_piece_with_every_capacity() -> None:
    settings = GraphSettings("float32", 96, (64, 16), capacities=(96, 32))
    assert [(bucket["T"], bucket["C"], bucket["S"]) for bucket in settings.decoder_buckets] == [
        (1, 32, 33), (16, 32, 48), (64, 32, 96), (1, 96, 97), (16, 96, 112), (64, 96, 160),
    ]  # fmt: skip
    assert settings.embedding_buckets == ({"T": 1}, {"T": 16}, {"T": 64})


@pytest.mark.parametrize(
    ("precision", "products", "table", "vision"),
    [
        ("float32", "float32", "float32", "float32"),
        ("int4", "float32", "int8", "int8"),
        ("int8", "bfloat16", "bfloat16", "int8"),
        ("bfloat16", "bfloat16", "bfloat16", "bfloat16"),
    ],
)
def test_the_table_and_the_vision_tower_have_forms_of_their_own(
    precision: Form, products: Element, table: Form, vision: Form
) -> None:
    settings = GraphSettings(precision, 96, (64,), 32, products=products)
    assert (settings.table_form, settings.vision_form, settings.head_form) == (table, vision, precision)


def test_small_weights_stay_in_the_graph_and_large_ones_do_not(weights: ModelWeights, tmp_path: Path) -> None:
    model = onnx.load(write_decoder_network(weights, SETTINGS, tmp_path).files[0], load_external_data=False)
    for tensor in model.graph.initializer:
        assert (4 * np.prod(tensor.dims) >= INSIDE_BYTES) == (tensor.data_location == onnx.TensorProto.EXTERNAL)


def test_what_the_head_weighs_is_stated(weights: ModelWeights, tmp_path: Path) -> None:
    settings = GraphSettings("int4", 96, (64,), 32, head="int8")
    decoder = write_decoder_network(weights, settings, tmp_path)
    assert decoder.bytes_of["head"] == 320 * 64 + 320 * (64 // 32) * 4  # integers, and a scale for each block


class Counting:
    """Weights that count how many of their matrices are in memory at once."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.read: list[weakref.ref[NDArray[Any]]] = []
        self.most = 0

    @property
    def shape(self) -> GemmaShape:
        return self.weights.shape

    @property
    def names(self) -> Collection[str]:
        return self.weights.names

    def tensor(self, name: str) -> NDArray[Any]:
        values = self.weights.tensor(name)
        if values.ndim > 1:
            self.read = [*(one for one in self.read if one() is not None), weakref.ref(values)]
            self.most = max(self.most, len(self.read))
        return values


@pytest.mark.parametrize(("form", "block"), ALL_FORMS)
def test_one_matrix_is_in_memory_at_a_time(
    weights: ModelWeights, form: Form, block: int | None, tmp_path: Path
) -> None:
    counting = Counting(weights)
    write_networks(counting, GraphSettings(form, 96, (64,), block), tmp_path)
    assert counting.most == 1


def test_every_weight_of_the_model_is_read(weights: ModelWeights, tmp_path: Path) -> None:
    asked: list[str] = []

    class Noting(Counting):
        def tensor(self, name: str) -> NDArray[Any]:
            asked.append(name)
            return super().tensor(name)

    write_networks(Noting(weights), SETTINGS, tmp_path)
    assert set(asked) == set(weights.names)
    assert sorted(name for name in set(asked) if asked.count(name) > 1) == ["language_model.embed_tokens.weight"]


def test_a_text_only_model_has_no_vision_network(tmp_path: Path) -> None:
    weights = ModelWeights(tiny_text(Tiny(layers=2)))
    assert sorted(write_networks(weights, SETTINGS, tmp_path)) == ["decoder", "embedding"]
    with pytest.raises(ConfigError, match="no vision network"):
        write_vision_network(weights, SETTINGS, tmp_path)


def test_a_picture_that_does_not_divide_into_its_tokens_is_refused(tmp_path: Path) -> None:
    weights = ModelWeights(tiny_vlm(Tiny(image_tokens=16)))  # 6 x 6 patches
    with pytest.raises(ConfigError, match="does not divide into 16 tokens"):
        write_vision_network(weights, SETTINGS, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": 48}, "block: found 48"),
        ({"precision": "int4"}, "int4 weights without a block size"),
        ({"head": "int4"}, "int4 weights without a block size"),
        ({"context": 0, "prefill": ()}, "context: found"),
        ({"prefill": (64, 64)}, "prefill: found"),
        ({"prefill": (128,)}, "exceed context 96"),
        ({"capacities": (128,)}, "exceed context 96"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"precision": "float32", "context": 96, "prefill": (64,)} | change
    with pytest.raises(ConfigError, match=message):
        GraphSettings(**fields)


def test_graphs_are_written_without_torch() -> None:
    found = set()
    for file in Path(graphs.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    assert not found & {"torch", "transformers", "peft", "safetensors"}

"""The graphs compute what the networks in torch compute, in both engines, and are written as engines run them fast.

Not for: whether the networks in torch are the published ones (test_networks_in_torch.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.graph.precision import typed
from cathrt.export.models.study.drawn import drawn_weights
from cathrt.export.models.study.graphs.encoder import encoder_graph
from cathrt.export.models.study.graphs.head import head_graph
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.reference import reference_modules
from cathrt.export.models.study.shape import MVIT_V2_MINI, MVIT_V2_S
from cathrt.runtime.engines.silent_openvino import ov
from tests.export.models.study.small_study import GENERIC, MIXED, TOKENS, clips_of, run, small_weights

HEADS = [(GENERIC, 32, 0), (MIXED, 32, 13), (MIXED, None, 0)]
FEATURES = MVIT_V2_MINI.features
Feeds = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def encoder() -> onnx.ModelProto:
    return encoder_graph(MVIT_V2_MINI, small_weights().tensors)


def in_openvino(model: onnx.ModelProto, feeds: Feeds) -> NDArray[np.float32]:
    core = ov.Core()
    read = core.read_model(model.SerializeToString())
    read.reshape({name: ov.PartialShape(list(values.shape)) for name, values in feeds.items()})
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    found: NDArray[np.float32] = compiled(feeds)[0]
    return found


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("clips", [1, 4])
def test_the_encoder_is_the_network_in_torch(encoder: onnx.ModelProto, engine: str, clips: int) -> None:
    shown = clips_of(MVIT_V2_MINI, clips, seed=7)
    with torch.inference_mode():
        expected = reference_modules(small_weights())[0](torch.from_numpy(shown)).numpy()
    feeds: Feeds = {"clips": shown}
    found = run(encoder, feeds)[0] if engine == "onnxruntime" else in_openvino(encoder, feeds)
    assert found.shape == (clips, MVIT_V2_MINI.tokens, FEATURES)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_encoder_has_no_scatter_and_turns_a_tensor_only_where_a_kernel_needs_it(encoder: onnx.ModelProto) -> None:
    operators = Counter(node.op_type for node in encoder.graph.node)
    assert not operators.keys() & {"ScatterND", "ScatterElements", "Einsum", "Gather", "Pad"}
    blocks, halved = len(MVIT_V2_MINI.blocks), sum(block.stride > 1 for block in MVIT_V2_MINI.blocks)
    # Of a block: two around each pool, heads of five tensors, columns twice, keys twice, both streams back.
    assert operators["Transpose"] == 1 + blocks * (4 + 6 + 2 + 2 + 2) + 2 * halved
    assert operators["Softmax"] == 2 * blocks


def test_the_same_weights_give_the_same_bytes(encoder: onnx.ModelProto) -> None:
    again = encoder_graph(MVIT_V2_MINI, small_weights().tensors)
    assert again.SerializeToString(deterministic=True) == encoder.SerializeToString(deterministic=True)


def study(clips: int, views: int, seed: int = 3) -> Feeds:
    draw = np.random.default_rng(seed)
    feeds: Feeds = {
        "features": draw.standard_normal((1, clips, TOKENS, FEATURES), np.float32),
        "there": np.ones((1, clips), np.bool_),
    }
    return feeds | ({"views": draw.integers(0, views, (1, clips))} if views else {})


def in_torch(outputs: Any, gated: int | None, views: int, feeds: Feeds) -> NDArray[np.float32]:
    _, head = reference_modules(small_weights(outputs, gated, views))
    given = {name: torch.from_numpy(values) for name, values in feeds.items()}
    with torch.inference_mode():
        found: NDArray[np.float32] = head(given["features"], given["there"], given.get("views")).numpy()
    return found


def graph_of(outputs: Any, gated: int | None, views: int) -> onnx.ModelProto:
    weights = small_weights(outputs, gated, views)
    return head_graph(weights.head, weights.tensors, TOKENS)


@pytest.mark.parametrize(("outputs", "gated", "views"), HEADS)
@pytest.mark.parametrize("missing", [0, 3])
def test_the_head_with_one_query_is_the_head_with_all_of_them(
    outputs: Any, gated: int | None, views: int, missing: int
) -> None:
    feeds = study(5, views)
    feeds["there"][0, 5 - missing :] = False
    logits, counted = run(graph_of(outputs, gated, views), feeds)
    np.testing.assert_allclose(logits, in_torch(outputs, gated, views, feeds), rtol=0, atol=1e-5)
    assert counted.sum() == pytest.approx(1.0, abs=1e-6)
    assert not counted[0, 5 - missing :].any()


def test_how_much_a_clip_counts_is_its_share_in_the_gated_attention() -> None:
    _, head = reference_modules(small_weights())
    feeds = study(4, 0)
    _, counted = run(graph_of(GENERIC, 32, 0), feeds)
    with torch.inference_mode():
        expected = head.clip_weights(torch.from_numpy(feeds["features"]), torch.from_numpy(feeds["there"]))
    np.testing.assert_allclose(counted, expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("outputs", "gated", "views"), HEADS)
def test_places_that_no_run_fills_change_nothing(outputs: Any, gated: int | None, views: int) -> None:
    four = study(4, views)
    ten: Feeds = {name: np.zeros((1, 10, *values.shape[2:]), values.dtype) for name, values in four.items()}
    for name, values in four.items():
        ten[name][:, :4] = values
    ten["features"][:, 4:] = 1e3  # whatever stands there
    graph = graph_of(outputs, gated, views)
    np.testing.assert_array_equal(run(graph, ten)[0], run(graph, four)[0])


def test_places_that_are_attended_to_do_count() -> None:
    graph, feeds = graph_of(GENERIC, 32, 0), study(4, 0)
    half = {**feeds, "there": np.array([[True, True, False, False]])}
    assert np.abs(run(graph, feeds)[0] - run(graph, half)[0]).max() > 1e-2


@pytest.mark.parametrize("questions", ["Gemm", "MatMul"])
def test_a_typed_head_keeps_masks_and_views_as_they_are(questions: Any) -> None:
    weights, feeds = small_weights(MIXED, 32, 13), study(5, 13)
    feeds["there"][0, 3:] = False
    plain = head_graph(weights.head, weights.tensors, TOKENS, questions)
    found = run(typed(plain, "float16"), feeds)[0]
    np.testing.assert_allclose(found, run(plain, feeds)[0], rtol=0, atol=5e-3)


@pytest.mark.slow
def test_the_published_size_is_the_network_in_torch_too(tmp_path: Path) -> None:
    weights = drawn_weights(MVIT_V2_S, HeadShape(GENERIC, 256))
    shown = clips_of(MVIT_V2_S, 1, seed=5)
    encoder, head = reference_modules(weights)
    with torch.inference_mode():
        features = encoder(torch.from_numpy(shown))
        there = torch.ones((1, 1), dtype=torch.bool)
        logits = head(features[None], there).numpy()
    graph = encoder_graph(MVIT_V2_S, weights.tensors)
    for found in (run(graph, {"clips": shown})[0], in_openvino(graph, {"clips": shown})):
        np.testing.assert_allclose(found, features.numpy(), rtol=0, atol=1e-5 * features.abs().max().item())
    feeds: Feeds = {"features": features[None].numpy(), "there": there.numpy()}
    found, _ = run(head_graph(weights.head, weights.tensors, MVIT_V2_S.tokens), feeds)
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-5)

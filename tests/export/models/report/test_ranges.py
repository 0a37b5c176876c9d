"""float16: a residual stream beyond 65,504 is made smaller by a power of two, which changes nothing; or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.networks import write_decoder_network, write_networks, write_vision_network
from cathrt.export.models.report.graphs.ranges import float16_rescale, ranges_of, tapped, vision_ranges_of
from cathrt.export.models.report.graphs.rescale import AS_IT_IS, LayerRescale, Rescale
from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.runtime.errors import EngineError
from tests.export.models.report.graph_runs import Decoding, Networks, as_written
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import TinyModel, pixels, prompt_tokens, tiny_vlm

LAYERS = 4
FLOAT32 = GraphSettings("float32", 64, (64,))
FLOAT16 = GraphSettings("float16", 64, (64,), products="float16")


def overflowing(change: Callable[[Any], None]) -> TinyModel:
    model = tiny_vlm()
    with torch.no_grad():
        change(model.model.language_model)
    return model


def large_stream(text: Any) -> None:
    """As in Gemma3's real weights: a norm behind the gated layers has huge factors."""
    text.layers[1].post_feedforward_layernorm.weight.fill_(60_000.0)


def large_products(text: Any) -> None:
    """What goes into norms, apart from the stream: all of it beyond float16."""
    text.layers[0].self_attn.q_proj.weight.mul_(1e5)
    text.layers[1].self_attn.k_proj.weight.mul_(1e5)
    text.layers[2].self_attn.o_proj.weight.mul_(3e4)
    text.layers[2].mlp.up_proj.weight.mul_(2e4)


def measured(model: TinyModel, folder: Path) -> tuple[Networks, dict[str, float], list[dict[str, NDArray[Any]]]]:
    """The float32 networks, the ranges of a prompt with two pictures, and that prompt's feeds."""
    weights = ModelWeights(model)
    write_networks(weights, FLOAT32, folder)
    networks = Networks.opened(weights, folder, "onnxruntime")
    feeds: list[dict[str, NDArray[Any]]] = []

    def kept(feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        feeds.append({name: value.copy() for name, value in feed.items()})
        return networks.decoder(feed)

    Decoding(kept, weights.shape, 64).append(*networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2)))
    return networks, ranges_of(folder / "decoder.onnx", LAYERS, feeds), feeds


def logits(networks: Networks, decoder: Path, model: TinyModel) -> NDArray[np.float32]:
    decoding = Decoding(as_written(decoder), networks.weights.shape, 64)
    return decoding.append(*networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2)))


def in_float16(networks: Networks, folder: Path, model: TinyModel, rescale: Rescale) -> NDArray[np.float32]:
    written = write_decoder_network(networks.weights, FLOAT16, folder / "float16", rescale)
    return logits(networks, written.files[0], model)


@pytest.mark.parametrize("change", [large_stream, large_products])
def test_what_overflows_float16_is_rescaled_and_the_logits_stay(tmp_path: Path, change: Callable[[Any], None]) -> None:
    model = overflowing(change)
    networks, ranges, _ = measured(model, tmp_path)
    wanted = logits(networks, tmp_path / "decoder.onnx", model)
    (tmp_path / "float16").mkdir()
    assert not np.isfinite(in_float16(networks, tmp_path, model, AS_IT_IS)).all()  # without it: NaN
    got = in_float16(networks, tmp_path, model, float16_rescale(ranges, LAYERS))
    assert np.isfinite(got).all()
    assert np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("change", [large_stream, large_products])
def test_rescaling_is_exact(tmp_path: Path, change: Callable[[Any], None]) -> None:
    """In float32 nothing but powers of two changes, so not a bit of the logits does."""
    model = overflowing(change)
    networks, ranges, _ = measured(model, tmp_path)
    rescale = float16_rescale(ranges, LAYERS)
    assert rescale != AS_IT_IS
    (tmp_path / "rescaled").mkdir()
    written = write_decoder_network(networks.weights, FLOAT32, tmp_path / "rescaled", rescale)
    np.testing.assert_array_equal(
        logits(networks, written.files[0], model), logits(networks, tmp_path / "decoder.onnx", model)
    )


def test_every_tensor_of_the_rescaled_graph_fits(tmp_path: Path) -> None:
    model = overflowing(large_stream)
    networks, ranges, feeds = measured(model, tmp_path)
    assert max(ranges.values()) > 65_504
    (tmp_path / "rescaled").mkdir()
    written = write_decoder_network(networks.weights, FLOAT32, tmp_path / "rescaled", float16_rescale(ranges, LAYERS))
    again = ranges_of(written.files[0], LAYERS, feeds)
    del again["stream"]  # as it comes in, before it is made smaller
    assert max(again.values()) <= 65_504 / 4


def test_a_model_that_fits_is_left_as_it_is(tmp_path: Path) -> None:
    _, ranges, _ = measured(tiny_vlm(), tmp_path)
    assert float16_rescale(ranges, LAYERS) == AS_IT_IS


def large_gate(text: Any) -> None:
    text.layers[3].mlp.gate_proj.weight.mul_(1e6)


def test_a_tensor_that_no_power_reaches_is_refused_by_name(tmp_path: Path) -> None:
    _, ranges, _ = measured(overflowing(large_gate), tmp_path)
    with pytest.raises(EngineError, match=r"layers\.3\.mlp\.gate_proj reaches .*export it as bfloat16"):
        float16_rescale(ranges, LAYERS)


def test_a_stream_far_beyond_float16_is_refused() -> None:
    ranges = dict.fromkeys(tapped(LAYERS), 1.0) | {"layers.2.post_attention_layernorm.stream": 1e9}
    with pytest.raises(EngineError, match="residual stream needs a factor"):
        float16_rescale(ranges, LAYERS)


def large_vision_stream(model: TinyModel) -> TinyModel:
    with torch.no_grad():
        model.model.vision_tower.encoder.layers[0].mlp.fc2.weight.mul_(1e5)
        model.model.vision_tower.encoder.layers[1].self_attn.out_proj.bias.fill_(5e4)
    return model


def test_a_vision_tower_that_overflows_float16_is_rescaled_and_its_tokens_stay(tmp_path: Path) -> None:
    model = large_vision_stream(tiny_vlm())
    networks, ranges, _ = measured(model, tmp_path)
    feeds = [{"pixels": one[None]} for one in pixels(model, 2)]
    vision_ranges = vision_ranges_of(tmp_path / "vision.onnx", 2, feeds)
    assert max(vision_ranges.values()) > 65_504
    rescale = float16_rescale(ranges, LAYERS, vision_ranges, 2)
    assert rescale == Rescale(vision=rescale.vision)

    def tokens(settings: GraphSettings, rescale: Rescale, name: str) -> NDArray[np.float32]:
        (tmp_path / name).mkdir()
        file = write_vision_network(networks.weights, settings, tmp_path / name, rescale).files[0]
        found: NDArray[np.float32] = as_written(file)(feeds[0])["image_embeddings"]
        return found

    plain = tokens(FLOAT32, AS_IT_IS, "plain")
    np.testing.assert_array_equal(tokens(FLOAT32, rescale, "rescaled"), plain)
    assert not np.isfinite(tokens(FLOAT16, AS_IT_IS, "overflowing")).all()
    assert np.abs(tokens(FLOAT16, rescale, "float16") - plain).max() < 0.02 * np.abs(plain).max()


def test_a_vision_tower_that_no_power_makes_fit_is_refused(tmp_path: Path) -> None:
    model = tiny_vlm()
    with torch.no_grad():
        model.model.vision_tower.encoder.layers[1].mlp.fc1.weight.mul_(1e6)
    _, ranges, _ = measured(model, tmp_path)
    vision_ranges = vision_ranges_of(tmp_path / "vision.onnx", 2, [{"pixels": pixels(model, 1)}])
    with pytest.raises(EngineError, match=r"encoder\.layers\.1\.mlp\.fc1 reaches"):
        float16_rescale(ranges, LAYERS, vision_ranges, 2)


def test_powers_are_the_smallest_that_leave_room() -> None:
    ranges = dict.fromkeys(tapped(2), 1.0) | {"layers.1.mlp.product": 65_504.0, "stream": 16_376.0}
    assert float16_rescale(ranges, 2) == Rescale(0, (LayerRescale(), LayerRescale(product=2)))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    def broken(text: Any) -> None:
        text.layers[0].input_layernorm.weight.fill_(torch.inf)

    with pytest.raises(EngineError, match="not finite in float32"):
        measured(overflowing(broken), tmp_path)


def test_ranges_of_no_prompt_are_refused(tmp_path: Path) -> None:
    written = write_decoder_network(ModelWeights(tiny_vlm()), FLOAT32, tmp_path)
    with pytest.raises(EngineError, match="nothing to measure ranges on"):
        ranges_of(written.files[0], LAYERS, [])

"""The float32 graphs against transformers (eager, float32): the same logits, the same tokens, in every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.networks import write_networks
from cathrt.export.models.report.graphs.settings import GraphSettings
from tests.export.models.report.graph_runs import ENGINES, Engine, Mask, Networks, causal_masks, masks
from tests.export.models.report.logit_agreement import greedy_agreement
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import (
    Tiny,
    TinyModel,
    pixels,
    prompt_tokens,
    reference_logits,
    tiny_text,
    tiny_vlm,
    token_types,
)

CONTEXT = 384
TOKENS = 256
# Logits are of the size of 1; float32 leaves about 1e-6 of that after four layers.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return tiny_vlm()


@pytest.fixture(scope="module", params=ENGINES)
def networks(request: pytest.FixtureRequest, model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return written(model, tmp_path_factory.mktemp("float32"), request.param)


def written(model: TinyModel, folder: Path, engine: Engine) -> Networks:
    weights = ModelWeights(model)
    write_networks(weights, GraphSettings("float32", CONTEXT, (64,)), folder)
    return Networks.opened(weights, folder, engine)


def prefilled(
    networks: Networks, model: TinyModel, pictures: int = 2, fill: float = 0.0, mask: Mask = masks
) -> NDArray[np.float32]:
    """The logits after a prompt in one piece."""
    ids = prompt_tokens(model, pictures)[0]
    return networks.decoding(64, fill, mask).append(*networks.rows(ids, pixels(model, pictures) if pictures else None))


@pytest.fixture(scope="module")
def wanted(model: TinyModel) -> NDArray[np.float32]:
    """(T, V) of the prompt with two pictures."""
    return reference_logits(model, prompt_tokens(model, 2), pixels(model, 2))


def test_soft_tokens_of_a_picture_are_transformers_own(networks: Networks, model: TinyModel) -> None:
    shown = pixels(model, 2)
    with torch.no_grad():
        expected = model.model.get_image_features(torch.from_numpy(shown)).pooler_output.numpy()
    np.testing.assert_allclose(networks.pictures(shown), expected, atol=TOLERANCE)
    assert np.ptp(expected) > 0.1  # the projection is there


def test_embeddings_are_scaled_as_transformers_scales_them(networks: Networks, model: TinyModel) -> None:
    ids = prompt_tokens(model, 0)
    with torch.no_grad():
        expected = model.get_input_embeddings()(torch.from_numpy(ids)).numpy()
    np.testing.assert_array_equal(networks.embedding({"token_ids": ids})["embeddings"], expected)


def test_a_prompt_of_text_longer_than_the_window_gives_the_same_logits(networks: Networks, model: TinyModel) -> None:
    ids = prompt_tokens(model, 0, text_tokens=40)
    assert ids.shape[1] > 3 * model.config.text_config.sliding_window
    decoding = networks.decoding(48)
    got = decoding.append(*networks.rows(ids[0]))
    np.testing.assert_allclose(got, reference_logits(model, ids)[-1], atol=TOLERANCE)


def test_a_prompt_with_two_pictures_gives_the_same_logits(
    networks: Networks, model: TinyModel, wanted: NDArray[np.float32]
) -> None:
    np.testing.assert_allclose(prefilled(networks, model), wanted[-1], atol=TOLERANCE)


def test_a_causal_mask_over_the_pictures_fails_the_parity(
    networks: Networks, model: TinyModel, wanted: NDArray[np.float32]
) -> None:
    got = prefilled(networks, model, mask=causal_masks)
    assert np.abs(got - wanted[-1]).max() > 1000 * TOLERANCE


@pytest.mark.parametrize("fill", [np.nan, 1e30, -1e30, np.inf])
def test_what_the_unwritten_cache_holds_changes_nothing(
    networks: Networks, model: TinyModel, wanted: NDArray[np.float32], fill: float
) -> None:
    ids = prompt_tokens(model, 2)[0]
    embeddings, images = networks.rows(ids, pixels(model, 2))
    cut = 5  # before the first picture, so that rows are both old and unwritten
    decoding = networks.decoding(64, fill)
    decoding.append(embeddings[:cut], images[:cut])
    got = decoding.append(embeddings[cut:], images[cut:])
    np.testing.assert_allclose(got, wanted[-1], atol=TOLERANCE)


def test_rows_of_padding_change_nothing(networks: Networks, model: TinyModel, wanted: NDArray[np.float32]) -> None:
    embeddings, images = networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    decoding = networks.decoding(64)
    for start, stop in ((0, 4), (4, len(embeddings))):
        got = decoding.append(embeddings[start:stop], images[start:stop], padded=48)
    np.testing.assert_allclose(got, wanted[-1], atol=TOLERANCE)


def test_padded_positions_may_lie_behind_the_context(networks: Networks, model: TinyModel) -> None:
    ids = prompt_tokens(model, 0, text_tokens=CONTEXT - 2)
    embeddings, _ = networks.rows(ids[0])
    decoding = networks.decoding(CONTEXT)
    decoding.append(embeddings[:-1])
    np.testing.assert_allclose(
        decoding.append(embeddings[-1:], padded=16), reference_logits(model, ids)[-1], atol=TOLERANCE
    )


def test_a_prompt_in_two_pieces_is_the_prompt_in_one(networks: Networks, model: TinyModel) -> None:
    embeddings, images = networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    one, two = networks.decoding(64), networks.decoding(64)
    at_once = one.append(embeddings, images)
    cut = int(np.flatnonzero(images == 0)[-1]) + 3  # between the pictures
    two.append(embeddings[:cut], images[:cut])
    np.testing.assert_allclose(two.append(embeddings[cut:], images[cut:]), at_once, atol=TOLERANCE)
    for name in one.names:
        np.testing.assert_allclose(two.cache[name], one.cache[name], atol=TOLERANCE)


def test_a_truncated_cache_forgets_what_was_behind(
    networks: Networks, model: TinyModel, wanted: NDArray[np.float32]
) -> None:
    embeddings, images = networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    decoding = networks.decoding(64)
    decoding.append(embeddings[:5], images[:5])
    decoding.append(embeddings[:9])
    decoding.truncate(5)
    np.testing.assert_allclose(decoding.append(embeddings[5:], images[5:]), wanted[-1], atol=TOLERANCE)


@pytest.fixture(scope="module")
def written_by_transformers(model: TinyModel) -> list[int]:
    """The greedy answer to the prompt with two pictures, by generate() with its own cache."""
    ids = prompt_tokens(model, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # ten times faster in so small a model
    with torch.no_grad():
        answer = model.generate(
            input_ids=torch.from_numpy(ids),
            pixel_values=torch.from_numpy(pixels(model, 2)),
            token_type_ids=torch.from_numpy(token_types(model, ids)),
            attention_mask=torch.ones(ids.shape, dtype=torch.int64),
            do_sample=False,
            max_new_tokens=TOKENS,
            eos_token_id=None,
        )
    torch.set_num_threads(threads)
    return [int(token) for token in answer[0, ids.shape[1] :]]


def greedy_tokens(networks: Networks, model: TinyModel, mask: Mask = masks) -> Iterator[int]:
    decoding = networks.decoding(CONTEXT, np.nan, mask)
    logits = decoding.append(*networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2)))
    step = networks.next_logits(decoding)
    while True:
        token = int(logits.argmax())
        yield token
        logits = step(token)


def test_256_greedy_tokens_after_two_pictures_are_transformers_own(
    networks: Networks, model: TinyModel, written_by_transformers: list[int]
) -> None:
    steps = greedy_tokens(networks, model)
    assert [next(steps) for _ in range(TOKENS)] == written_by_transformers
    assert len(set(written_by_transformers)) > 20  # it does not repeat one token


def test_with_a_causal_mask_over_the_pictures_the_tokens_differ(
    networks: Networks, model: TinyModel, written_by_transformers: list[int]
) -> None:
    steps = greedy_tokens(networks, model, causal_masks)
    assert any(next(steps) != token for token in written_by_transformers)


def test_a_text_only_model_with_a_head_of_its_own_gives_the_same_logits(tmp_path: Path) -> None:
    model = tiny_text(Tiny(tied=False, layers=2, pattern=2, kv_heads=1))
    networks = written(model, tmp_path, "onnxruntime")
    ids = prompt_tokens(model, 0, text_tokens=20)
    np.testing.assert_allclose(
        networks.decoding(24).append(*networks.rows(ids[0])), reference_logits(model, ids)[-1], atol=TOLERANCE
    )
    assert networks.vision is None


def test_the_same_decoder_agrees_with_itself(networks: Networks, model: TinyModel) -> None:
    rows = networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    one, two = networks.decoding(128), networks.decoding(96)
    firsts = one.append(*rows).copy(), two.append(*rows).copy()
    found, tokens = greedy_agreement(firsts, networks.next_logits(one), networks.next_logits(two), 24)
    assert (found.positions, found.same, found.first_divergence, len(tokens)) == (24, 24, None, 24)
    assert found.largest_error < TOLERANCE

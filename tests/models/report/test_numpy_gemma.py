"""The NumPy reference is Gemma3: its logits are transformers', and in runs with a cache they are its own at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.models.report.cache import KeyValueCache
from cathrt.runtime.models.report.chunks import Span
from cathrt.runtime.models.report.masks import masks
from tests.export.models.report import tiny_gemma
from tests.models.report.numpy_gemma import TinyText, Weights, decoder_engine, numpy_weights, whole_logits

SIZES = tiny_gemma.Tiny()
TINY = TinyText(
    hidden=SIZES.hidden,
    intermediate=SIZES.intermediate,
    heads=SIZES.heads,
    kv_heads=SIZES.kv_heads,
    head_dim=SIZES.head_dim,
    vocabulary=SIZES.vocabulary,
    sliding=(True, True, False, True),
    window=SIZES.window,
    query_scalar=SIZES.query_scalar,
    theta=SIZES.global_theta,
    factor=SIZES.global_factor,
    sliding_theta=SIZES.sliding_theta,
)


def in_runs(
    tiny: TinyText, weights: Weights, embeddings: NDArray[np.float32], spans: Sequence[Span], stops: Sequence[int]
) -> list[NDArray[np.float32]]:
    """The logits at the end of each run, with a cache between them that holds NaN where nothing was written."""
    engine = decoder_engine(tiny, weights)
    cache = KeyValueCache(len(tiny.sliding), tiny.kv_heads, tiny.head_dim, tiny.capacities)
    found = []
    start = 0
    for stop in stops:
        count = stop - start
        rows = next(size for size in tiny.run_rows if size >= count)
        for array in cache.feeds.values():
            array[:, cache.length :] = np.nan
        padded = np.zeros((1, rows, tiny.hidden), np.float32)
        padded[0, :count] = embeddings[start:stop]
        seen = masks(start, count, rows, cache.capacity, tiny.window, spans)
        outputs = engine.run(
            {
                "embeddings": padded,
                "positions": seen.positions,
                "global_mask": seen.whole,
                "sliding_mask": seen.sliding,
                "last": np.asarray([count - 1], np.int64),
                **cache.feeds,
            }
        )
        found.append(outputs["logits"][0].copy())
        cache.append(outputs, count)
        start = stop
    return found


@pytest.mark.parametrize("pictures", [0, 2])
def test_its_logits_are_those_of_transformers(pictures: int) -> None:
    model = tiny_gemma.tiny_vlm() if pictures else tiny_gemma.tiny_text()
    ids = tiny_gemma.prompt_tokens(model, pictures, text_tokens=20)
    shown = tiny_gemma.pixels(model, pictures) if pictures else None
    theirs = tiny_gemma.reference_logits(model, ids, shown)
    text = model.model.language_model if pictures else model.model
    weights = {name: value.detach().numpy() for name, value in text.state_dict().items()}
    embeddings = weights["embed_tokens.weight"][ids[0]] * np.float32(TINY.hidden**0.5)
    blocks: list[int] = []
    if pictures:
        import torch

        with torch.no_grad():
            soft = model.model.get_image_features(torch.from_numpy(shown)).pooler_output.numpy()
        places = np.flatnonzero(ids[0] == SIZES.image_token)
        embeddings[places] = soft.reshape(-1, TINY.hidden)
        blocks = [-1] * len(ids[0])
        for number, place in enumerate(places):
            blocks[place] = number // SIZES.image_tokens
    ours = whole_logits(TINY, weights, embeddings, blocks)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-5)


def test_runs_with_a_poisoned_cache_give_the_logits_of_the_whole() -> None:
    tiny = TinyText()
    weights = numpy_weights(tiny)
    embeddings = np.random.default_rng(1).standard_normal((60, tiny.hidden)).astype(np.float32)
    spans = (Span(4, 12), Span(20, 31))
    blocks = [0 if 4 <= place < 12 else 1 if 20 <= place < 31 else -1 for place in range(60)]
    whole = whole_logits(tiny, weights, embeddings, blocks)
    stops = (3, 12, 40, 59, 60)
    for stop, logits in zip(stops, in_runs(tiny, weights, embeddings, spans, stops), strict=True):
        np.testing.assert_allclose(logits, whole[stop - 1], rtol=0, atol=1e-4)


def test_a_causal_mask_over_a_picture_gives_other_logits() -> None:
    """Else nothing here would notice that mask."""
    tiny = TinyText()
    weights = numpy_weights(tiny)
    embeddings = np.random.default_rng(1).standard_normal((20, tiny.hidden)).astype(np.float32)
    blocks = [0 if 4 <= place < 12 else -1 for place in range(20)]
    causal = whole_logits(tiny, weights, embeddings)
    assert np.abs(whole_logits(tiny, weights, embeddings, blocks)[-1] - causal[-1]).max() > 0.05

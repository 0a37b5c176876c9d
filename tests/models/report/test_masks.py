"""What each position may look at, against the rule written out position by position."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.models.report.chunks import Span
from cathrt.runtime.models.report.masks import masks

WINDOW = 6
TEXT_AND_PICTURES = (Span(3, 8), Span(10, 15))


def by_hand(query: int, key: int, spans: tuple[Span, ...]) -> tuple[bool, bool]:
    same = any(span.start <= query < span.stop and span.start <= key < span.stop for span in spans)
    seen = key <= query or same
    return seen, seen and key > query - WINDOW


@pytest.mark.parametrize(("length", "count", "rows"), [(0, 9, 12), (0, 20, 20), (8, 7, 8), (9, 8, 8), (15, 1, 1)])
@pytest.mark.parametrize("capacity", [16, 32])
def test_each_real_row_sees_what_the_rule_says(length: int, count: int, rows: int, capacity: int) -> None:
    spans = tuple(span for span in TEXT_AND_PICTURES if span.stop <= length + count)
    made = masks(length, count, rows, capacity, WINDOW, spans)
    assert made.whole.shape == made.sliding.shape == (rows, capacity + rows)
    for row in range(count):
        for column in range(capacity + rows):
            new = column - capacity
            key = column if new < 0 else length + new
            there = column < length if new < 0 else new < count
            expected = by_hand(length + row, key, spans) if there else (False, False)
            assert (made.whole[row, column], made.sliding[row, column]) == expected


def test_padded_rows_are_seen_by_nobody_and_see_what_the_last_real_row_does() -> None:
    made = masks(4, 3, 8, 16, WINDOW)
    assert not made.whole[:, 16 + 3 :].any()
    for row in range(3, 8):
        np.testing.assert_array_equal(made.whole[row], made.whole[2])
        np.testing.assert_array_equal(made.sliding[row], made.sliding[2])
    assert made.positions.tolist() == [4, 5, 6, 6, 6, 6, 6, 6]


def test_rows_of_the_cache_that_are_not_filled_are_seen_by_nobody() -> None:
    made = masks(5, 4, 4, 16, WINDOW)
    assert not made.whole[:, 5:16].any()


def test_a_picture_that_is_cached_is_plain_past() -> None:
    with_picture = masks(8, 2, 2, 16, WINDOW, (Span(3, 8),))
    without = masks(8, 2, 2, 16, WINDOW)
    np.testing.assert_array_equal(with_picture.whole, without.whole)


def test_the_masks_are_those_of_transformers() -> None:
    """Layers of transformers' own: global OR of the block, sliding AND of the window."""
    torch = pytest.importorskip("torch")
    from transformers import Gemma3Config
    from transformers.models.gemma3.modeling_gemma3 import (
        create_masks_for_vision_model,
        get_block_sequence_ids_for_mask,
    )

    config = Gemma3Config(text_config={"sliding_window": WINDOW, "num_hidden_layers": 2}, vision_config={})
    text = config.text_config
    text._attn_implementation = "eager"
    count, spans = 20, TEXT_AND_PICTURES
    types = torch.zeros((1, count), dtype=torch.int64)
    for span in spans:
        types[0, span.start : span.stop] = 1
    theirs = create_masks_for_vision_model(
        text,
        torch.zeros((1, count, 4)),
        torch.ones((1, count), dtype=torch.int64),
        None,
        torch.arange(count)[None],
        get_block_sequence_ids_for_mask(types),
    )
    ours = masks(0, count, count, 1, WINDOW, spans)
    found: tuple[NDArray[np.bool_], NDArray[np.bool_]] = (ours.whole[:, 1:], ours.sliding[:, 1:])
    for kind, made in zip(("full_attention", "sliding_attention"), found, strict=True):
        np.testing.assert_array_equal(theirs[kind][0, 0].numpy() == 0, made)

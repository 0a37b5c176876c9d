"""How a prompt is cut into runs."""

from __future__ import annotations

import pytest

from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.report.chunks import Chunk, Span, plan

SIZES = (1, 64, 256)


def test_a_prompt_of_one_size_is_one_run() -> None:
    assert plan((256,), (), SIZES) == (Chunk(0, 256, 256),)


@pytest.mark.parametrize("length", [1, 2, 5, 63, 64, 65, 130, 300, 600, 1000])
def test_runs_follow_each_other_without_a_gap_and_are_of_sizes_that_there_are(length: int) -> None:
    chunks = plan((length,), (), SIZES)
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert chunks[-1].stop == length
    assert all(chunk.rows in SIZES and 0 < chunk.stop - chunk.start <= chunk.rows for chunk in chunks)


@pytest.mark.parametrize(
    ("length", "rows"),
    [(2, [1, 1]), (20, [64]), (66, [64, 1, 1]), (256 + 64, [256, 64]), (250, [256]), (120, [64, 64])],
)
def test_the_cheapest_runs_are_taken(length: int, rows: list[int]) -> None:
    """By rows and 12 more for each run: few single steps beat a padded run, many do not."""
    assert sorted((chunk.rows for chunk in plan((length,), (), SIZES)), reverse=True) == rows


def test_a_run_ends_at_each_end() -> None:
    chunks = plan((100, 500), (), SIZES)
    assert 100 in {chunk.stop for chunk in chunks}
    assert plan((100,), (), SIZES) == chunks[: len(plan((100,), (), SIZES))]


@pytest.mark.parametrize("start", [0, 1, 10, 60, 63, 64, 200])
def test_no_run_ends_inside_a_picture(start: int) -> None:
    spans = (Span(start, start + 60), Span(start + 62, start + 122))
    for chunk in plan((start + 150,), spans, (1, 64)):
        assert not any(span.start < chunk.stop < span.stop for span in spans)


def test_a_picture_of_the_longest_run_is_a_run_of_its_own() -> None:
    assert Chunk(5, 69, 64) in plan((80,), (Span(5, 69),), (1, 64))


def test_a_picture_longer_than_the_longest_run_is_refused() -> None:
    with pytest.raises(ManifestError, match="more than 64 positions"):
        plan((100,), (Span(5, 70),), (1, 64))

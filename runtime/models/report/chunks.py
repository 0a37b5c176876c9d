"""How a prompt is cut into runs of the decoder: in sizes that there are, and never inside a picture.

The cuts depend on the prompt alone, so the same prompt is computed in the same runs, whatever was answered before.
Not for: masks (masks.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cathrt.runtime.errors import ManifestError

# What a run costs beside its rows, in rows, because it reads all weights. Two cores, 4B, int4: a row of a long run
# takes 1/50 s, a run of one row 1/4 s.
_RUN_COST = 12


class Span(NamedTuple):
    """Positions start to stop - 1: the soft tokens of one picture."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Positions start to stop - 1 of a prompt, in one run of `rows` rows, of which the last ones may be padding."""

    start: int
    stop: int
    rows: int


def plan(ends: Sequence[int], spans: Sequence[Span], sizes: Sequence[int]) -> tuple[Chunk, ...]:
    """The cheapest runs for positions 0 to ends[-1] - 1. A run ends at each of `ends`. sizes: rows that a run may have.

    Raises ManifestError where a picture has more rows than the longest run.
    """
    chunks: list[Chunk] = []
    start = 0
    for end in ends:
        chunks += _segment(start, end, spans, sizes)
        start = end
    return tuple(chunks)


def _segment(start: int, end: int, spans: Sequence[Span], sizes: Sequence[int]) -> list[Chunk]:
    """By the least cost from each position to the end, last position first."""
    cost = {end: 0}
    first: dict[int, Chunk] = {}
    for position in range(end - 1, start - 1, -1):
        if _inside(position, spans) is not None:
            continue
        for rows in sizes:
            stop = min(position + rows, end)
            split = _inside(stop, spans)
            if split is not None:
                stop = split.start
            if stop <= position:
                continue
            whole = rows + _RUN_COST + cost[stop]
            if position not in cost or whole < cost[position]:
                cost[position], first[position] = whole, Chunk(position, stop, rows)
        if position not in cost:
            raise ManifestError(
                f"a picture takes more than {max(sizes)} positions, the longest run of the decoder: export the bundle "
                "with a longer prefill"
            )
    found = []
    while start < end:
        found.append(first[start])
        start = first[start].stop
    return found


def _inside(position: int, spans: Sequence[Span]) -> Span | None:
    """The picture that a cut at this position would split."""
    return next((span for span in spans if span.start < position < span.stop), None)

"""The embedding network and the decoder with its cache: rows in, logits of the last one out.

What leading runs of two prompts have in common is computed once. Not for: choosing tokens (sampling.py).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.report.cache import KeyValueCache
from cathrt.runtime.models.report.chunks import Chunk, Span, plan
from cathrt.runtime.models.report.contract import (
    CAPACITY,
    EMBEDDINGS,
    GLOBAL_MASK,
    LAST,
    LOGITS,
    POSITIONS,
    ROWS,
    SLIDING_MASK,
    TOKEN_IDS,
)
from cathrt.runtime.models.report.layout import Layout
from cathrt.runtime.models.report.masks import masks
from cathrt.runtime.models.report.section import ReportSection
from cathrt.runtime.ports import SizedEngine


class Decoder:
    """Not thread-safe. Engines that fit the section (contract.py). Raises EngineError from every method.

    prefill: runs of more than one row, in its sizes; None: the decoder does all.
    """

    def __init__(
        self, embedding: SizedEngine, decoder: SizedEngine, section: ReportSection, prefill: SizedEngine | None = None
    ) -> None:
        self._embedding = embedding
        self._by_rows = {bucket[ROWS]: decoder for bucket in decoder.buckets}
        if prefill is not None:
            self._by_rows |= {bucket[ROWS]: prefill for bucket in prefill.buckets if bucket[ROWS] > 1}
        self._window = section.window
        self._sizes = sorted(self._by_rows)
        self._embedding_sizes = sorted({bucket[ROWS] for bucket in embedding.buckets})
        capacities = {bucket[CAPACITY] for bucket in decoder.buckets}
        self._cache = KeyValueCache(section.layers, section.kv_heads, section.head_dim, sorted(capacities))
        self._held: list[Hashable] = []  # identities of the runs whose rows are in the cache from its beginning
        self._held_stops: list[int] = []

    def prefill(self, layout: Layout, before_run: Callable[[], bool]) -> tuple[NDArray[np.float32] | None, int]:
        """The logits behind a prompt, and how many of its positions were there already.

        before_run: asked before each run; where it says False, there are no logits (None).
        """
        chunks = plan(layout.ends, layout.spans, self._sizes)
        reused = self._reuse(layout, chunks)
        logits = None
        for chunk in chunks:
            if chunk.stop <= reused:
                continue
            if not before_run():
                return None, reused
            logits = self._run(self._embedded(layout, chunk), chunk.rows, layout.spans)
            self._held.append(layout.identity(chunk.start, chunk.stop))
            self._held_stops.append(chunk.stop)
        return logits, reused

    def step(self, token: int) -> NDArray[np.float32]:
        """The logits behind one more token. Valid until the next run."""
        return self._run(self._text(np.asarray([token], np.int64)), 1, ())

    def extend(self, tokens: Sequence[int], before_run: Callable[[], bool]) -> NDArray[np.float32] | None:
        """The logits behind more tokens, in the cheapest runs; before_run as in prefill(). Valid until the next run."""
        ids = np.asarray(tokens, np.int64)
        logits = None
        for chunk in plan((len(ids),), (), self._sizes):
            if not before_run():
                return None
            logits = self._run(self._text(ids[chunk.start : chunk.stop]), chunk.rows, ())
        return logits

    @property
    def length(self) -> int:
        """Positions of prompt and answer so far."""
        return self._cache.length

    def _reuse(self, layout: Layout, chunks: Sequence[Chunk]) -> int:
        """Forget all but the leading runs that this prompt begins with. The last one is always run, for its logits."""
        same = 0
        for chunk, held in zip(chunks[:-1], self._held, strict=False):
            if layout.identity(chunk.start, chunk.stop) != held:
                break
            same += 1
        del self._held[same:], self._held_stops[same:]
        reused = self._held_stops[-1] if same else 0
        self._cache.truncate(reused)
        return reused

    def _run(self, embeddings: NDArray[np.float32], rows: int, spans: Sequence[Span]) -> NDArray[np.float32]:
        """Put new rows behind those of the cache. embeddings: (count, hidden)."""
        count, hidden = embeddings.shape
        padded = np.zeros((1, rows, hidden), np.float32)
        padded[0, :count] = embeddings
        seen = masks(self._cache.length, count, rows, self._cache.capacity, self._window, spans)
        outputs = self._by_rows[rows].run(
            {
                EMBEDDINGS: padded,
                POSITIONS: seen.positions,
                GLOBAL_MASK: seen.whole,
                SLIDING_MASK: seen.sliding,
                LAST: np.asarray([count - 1], np.int64),
                **self._cache.feeds,
            }
        )
        self._cache.append(outputs, count)
        logits: NDArray[np.float32] = outputs[LOGITS][0]
        return logits

    def _embedded(self, layout: Layout, chunk: Chunk) -> NDArray[np.float32]:
        """The rows of a run: the embeddings of its tokens, and the pictures' own in their places."""
        rows = self._text(layout.ids[chunk.start : chunk.stop])
        for span, picture in zip(layout.spans, layout.pictures, strict=True):
            if chunk.start <= span.start < chunk.stop:
                rows[span.start - chunk.start : span.stop - chunk.start] = picture
        return rows

    def _text(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, hidden) float32, the caller's own."""
        size = next((size for size in self._embedding_sizes if size >= len(ids)), self._embedding_sizes[-1])
        found = []
        for start in range(0, len(ids), size):
            part = ids[start : start + size]
            padded = np.zeros((1, size), np.int64)
            padded[0, : len(part)] = part
            found.append(self._embedding.run({TOKEN_IDS: padded})[EMBEDDINGS][0, : len(part)].copy())
        return np.concatenate(found)

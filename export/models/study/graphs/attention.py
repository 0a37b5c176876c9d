"""Pooled attention of one block, for the grid's queries and for the class token's apart.

Relative positions are columns of queries and keys: a query's products with the rows of the tables that belong to its
place stand behind it, and behind each key stand ones where that key is. So one product gives content and position
together, and product, softmax and product fuse to one kernel. The scale of the content is in the keys' norm.
n clips, h heads, L queries, K keys with the class token's first, D channels of a head, E columns of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cathrt.export.models.study.graphs.graph import Float32, Graph, Weights
from cathrt.export.models.study.positions import offsets
from cathrt.export.models.study.shape import BACKBONE_EPSILON, POOL_KERNEL, Block

FIRST, GRID = "class", "grid"


@dataclass(frozen=True, slots=True)
class Streams:
    """Names of two tensors: the class token's, (n, 1, C), and the grid's, (n, L, C)."""

    first: str
    grid: str

    def items(self) -> Iterator[tuple[str, str]]:
        yield FIRST, self.first
        yield GRID, self.grid

    def each(self, made: Callable[[str, str], str]) -> Streams:
        """What a function of (which stream, tensor) makes of both."""
        return Streams(made(FIRST, self.first), made(GRID, self.grid))

    def both(self, other: Streams, made: Callable[[str, str, str], str]) -> Streams:
        """What a function of (which stream, tensor, the other's tensor) makes of both."""
        return Streams(made(FIRST, self.first, other.first), made(GRID, self.grid, other.grid))


class Attention:
    """The attention of one block, without the linear layer behind it. prefix: of the block's weights."""

    def __init__(self, graph: Graph, weights: Weights, block: Block, prefix: str) -> None:
        self._graph, self._weights, self._block = graph, weights, block
        self._prefix, self._name = f"{prefix}.attn", f"blocks.{block.number}.attn"

    def mixed(self, normed: Streams) -> Streams:
        """What both streams' queries find, (n, 1 or L, C)."""
        graph, block, name = self._graph, self._block, self._name
        channels, scale = block.channels, block.head_width**-0.5
        queries = normed.each(lambda part, stream: self._projected(stream, "q", part, slice(0, channels)))
        others = normed.each(lambda part, stream: self._projected(stream, "kv", part, slice(channels, 3 * channels)))
        grid = self._by_head(self._pooled(queries.grid, ("q",), block.stride), "q", GRID)
        first = self._by_head(queries.first, "q", FIRST)
        keys_values = self._halves(Streams(others.first, self._pooled(others.grid, ("k", "v"), block.kv_stride)))
        keys, values = (
            graph.node(
                "Concat", [self._by_head(one.first, which, FIRST, by), self._by_head(one.grid, which, GRID, by)],
                f"{name}.{which}", axis=2,
            )
            for which, one, by in zip("kv", keys_values, (scale, 1.0), strict=True)
        )  # fmt: skip
        found = self._attended(self._with_positions(grid), self._with_places(keys), values, GRID)
        found = graph.node("Add", [found, grid], f"{name}.found.and_queries")
        alone = self._attended(first, keys, values, FIRST)
        return Streams(alone, found).each(self._by_token)

    def _projected(self, stream: str, which: str, part: str, rows: slice) -> str:
        """Some rows of the layer that makes queries, keys and values."""
        weight, bias = self._weights[f"{self._prefix}.qkv.weight"], self._weights[f"{self._prefix}.qkv.bias"]
        name = f"{self._name}.{which}"
        return self._graph.linear(stream, f"{name}.{part}", weight[rows], bias[rows], name)

    def _pooled(self, stream: str, which: tuple[str, ...], stride: int) -> str:
        """A depthwise convolution over the grid, one kernel for all heads: (n, L, channels) to (n, pooled L, same)."""
        graph, block = self._graph, self._block
        name = f"{self._name}.pool_{''.join(which)}"
        kernels = [self._weights[f"{self._prefix}.pool_{one}.pool.weight"] for one in which]
        kernel = np.concatenate([np.tile(one, (block.heads, 1, 1, 1, 1)) for one in kernels])
        placed = graph.reshape(stream, f"{name}.placed", (0, *block.before, len(kernel)))
        placed = graph.transpose(placed, f"{name}.channels_first", (0, 4, 1, 2, 3))
        pooled = graph.node(
            "Conv",
            [placed, graph.weight(f"{name}.weight", kernel)],
            name,
            group=len(kernel),
            strides=[1, stride, stride],
            pads=[POOL_KERNEL // 2] * 6,
        )
        pooled = graph.transpose(pooled, f"{name}.channels_last", (0, 2, 3, 4, 1))
        return graph.reshape(pooled, f"{name}.rows", (0, -1, len(kernel)))

    def _halves(self, others: Streams) -> tuple[Streams, Streams]:
        """Keys and values."""
        sizes = [self._block.channels] * 2
        first, grid = (self._graph.split(tensor, f"{tensor}.halves", sizes, 2) for _, tensor in others.items())
        return Streams(first[0], grid[0]), Streams(first[1], grid[1])

    def _by_head(self, stream: str, which: str, part: str, scale: float = 1.0) -> str:
        """Each head's channels normed and scaled: (n, L, C) to (n, h, L, D)."""
        graph, block, name = self._graph, self._block, f"{self._name}.{which}.{part}"
        norm = f"{self._prefix}.pool_{which}.norm_act.0"
        weight, bias = (np.float32(scale) * self._weights[f"{norm}.{one}"] for one in ("weight", "bias"))
        # As rows of one head's channels: norms of three axes are one kernel in OpenVINO, those of four are several.
        rows = graph.reshape(stream, f"{name}.rows", (0, -1, block.head_width))
        normed = graph.norm(rows, f"{name}.normed", weight, bias, BACKBONE_EPSILON, f"{self._name}.{which}.norm")
        apart = graph.reshape(normed, f"{name}.heads", (0, -1, block.heads, block.head_width))
        return graph.transpose(apart, f"{name}.by_head", (0, 2, 1, 3))

    def _with_positions(self, queries: str) -> str:
        """(n, h, L, D) to (n, h, L, D + E): behind each query its products with the tables' rows of its place."""
        graph, (time, row, column), width = self._graph, self._block.after, self._block.head_width
        name, tables = f"{self._name}.q", self._tables()
        by_time = graph.reshape(queries, f"{name}.times", (-1, time, row * column, width))
        by_row = graph.reshape(queries, f"{name}.rows", (-1, row, column, width))
        # Columns first, so that one product a column serves all clips, heads, times and rows.
        by_column = graph.reshape(queries, f"{name}.columns", (-1, column, width))
        by_column = graph.transpose(by_column, f"{name}.columns_first", (1, 0, 2))
        parts = [queries]
        for which, placed, table in zip("thw", (by_time, by_row, by_column), tables, strict=True):
            stored = graph.weight(f"{name}.table_{which}", table.transpose(0, 2, 1))
            product = graph.node("MatMul", [placed, stored], f"{name}.by_{which}")
            if which == "w":
                product = graph.transpose(product, f"{name}.columns_back", (1, 0, 2))
            shape = (-1, self._block.heads, time * row * column, table.shape[1])
            parts.append(graph.reshape(product, f"{name}.by_{which}.queries", shape))
        return graph.node("Concat", parts, f"{name}.with_positions", axis=3)

    def _with_places(self, keys: str) -> str:
        """(n, h, K, D) to (n, h, K, D + E): behind each key ones at its time, row and column; none for the class."""
        graph, name, places = self._graph, f"{self._name}.k", self._places()
        count = graph.node("Shape", [keys], f"{name}.count", start=0, end=2)
        shape = graph.node("Concat", [count, graph.sizes(f"{name}.ones", (1, 1))], f"{name}.places_shape", axis=0)
        stored = graph.weight(f"{name}.places", places[None, None])
        each = graph.node("Expand", [stored, shape], f"{name}.places_each")
        return graph.node("Concat", [keys, each], f"{name}.with_places", axis=3)

    def _attended(self, queries: str, keys: str, values: str, part: str) -> str:
        """(n, h, L, D)."""
        graph, name = self._graph, f"{self._name}.{part}"
        turned = graph.transpose(keys, f"{name}.keys_turned", (0, 1, 3, 2))
        scores = graph.node("MatMul", [queries, turned], f"{name}.scores")
        return graph.node(
            "MatMul", [graph.node("Softmax", [scores], f"{name}.shares", axis=-1), values], f"{name}.found"
        )

    def _by_token(self, part: str, found: str) -> str:
        """(n, h, L, D) to (n, L, C)."""
        turned = self._graph.transpose(found, f"{self._name}.{part}.by_token", (0, 2, 1, 3))
        return self._graph.reshape(turned, f"{self._name}.{part}.tokens", (0, -1, self._block.channels))

    def _tables(self) -> list[Float32]:
        """For time, row and column: (places of queries, places of keys, D)."""
        pairs = zip("thw", self._block.after, self._block.keys, strict=True)
        return [self._weights[f"{self._prefix}.rel_pos_{name}"][offsets(q, k)] for name, q, k in pairs]

    def _places(self) -> Float32:
        """(K, E): ones where each key is."""
        grid = self._block.keys
        placed = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), axis=-1).reshape(-1, 3)
        ones = [np.eye(size, dtype=np.float32)[placed[:, axis]] for axis, size in enumerate(grid)]
        of_grid = np.concatenate(ones, axis=1)
        return np.concatenate([np.zeros((1, of_grid.shape[1]), np.float32), of_grid])

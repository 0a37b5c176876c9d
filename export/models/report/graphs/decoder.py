"""The decoder: embeddings and a cache of keys and values to the next token's logits and the new rows of the cache.

Gemma3's: four norms a block, queries and keys normed before they are rotated, two rotary bases, masks as inputs.
T new positions, C rows of the cache, S = C + T, G query heads that share a head of keys. Not for: masks (the runtime).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.operators import (
    as_element,
    as_float32,
    constant,
    gelu,
    linear,
    reshape,
    rms_norm,
    transpose,
)
from cathrt.export.models.report.graphs.rescale import AS_IT_IS, LayerRescale, Rescale, shrunk, shrunk_epsilon
from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.export.models.report.graphs.weight_forms import Float32
from cathrt.export.models.report.shape import Rotary, Weights
from cathrt.runtime.engines.sized import layer_tensors

UNSEEN = -1e30  # the score of what a mask hides: exp() of it is 0 beside any other score
_TO_THE_END = 2**62


def write_decoder(graph: GraphWriter, weights: Weights, settings: GraphSettings, rescale: Rescale = AS_IT_IS) -> None:
    """Add the decoder to an empty graph, reading one weight at a time."""
    text = weights.shape.text
    stream = graph.input("embeddings", (1, "T", text.hidden), "float32")
    shared = _shared(graph, weights, settings)
    last = graph.input("last", (1,), "int64")
    caches = cache_names(text.layers)
    row = (text.kv_heads, "C", text.head_dim)
    for name in (name for pair in caches for name in pair):
        graph.input(name, row, "float32")
    shared.sizes(caches[0][0])
    stream = reshape(graph, stream, "stream", (-1, text.hidden))
    if rescale.residual:
        power = graph.weight("stream.power", np.asarray(shrunk(rescale.residual), np.float32))
        stream = graph.node("Mul", [stream, power], "stream.shrunk")
    stream = as_element(graph, stream)
    new_rows: list[str] = []
    for number, cache in enumerate(caches):
        layer = _Layer(shared, number, cache, rescale.layer(number), rescale.residual)
        stream = layer.attention(stream, new_rows)
        stream = layer.mlp(stream)
    graph.output("logits", _logits(shared, stream, last, rescale.residual), (1, text.vocabulary), "float32")
    for name, tensor in zip((name for pair in caches for name in pair), new_rows, strict=True):
        graph.output(f"new_{name}", tensor, (text.kv_heads, "T", text.head_dim), "float32")


def cache_names(layers: int) -> list[tuple[str, str]]:
    """Of each layer, the inputs of its keys and values; what comes out is called new_ and the same."""
    names = layer_tensors(layers)
    return list(zip(names[::2], names[1::2], strict=True))


@dataclass(slots=True)
class _Shared:
    """What all layers read, computed once: by whether the layer is sliding, the angles and the mask.

    angles: cosines and sines of the new positions, (T, 1, head_dim / 2) float32. masks: (G * T, S) bool.
    visible: (C, 1) bool, rows of the cache that some new position sees. rows: (1,) int64, C.
    """

    graph: GraphWriter
    weights: Weights
    settings: GraphSettings
    angles: dict[bool, tuple[str, str]]
    masks: dict[bool, str]
    global_mask: str
    rows: str = ""
    visible: str = ""

    def sizes(self, keys: str) -> None:
        """What takes the number of rows in the cache, which the input `keys` has."""
        graph = self.graph
        self.rows = graph.node("Shape", [keys], "cache.rows", start=1, end=2)
        seen = graph.cast(self.global_mask, "cache.seen", "float32")
        seen = graph.node(
            "ReduceMax", [seen, constant(graph, "cache.by_position", (0,))], "cache.seen_once", keepdims=0
        )
        start, axis = constant(graph, "cache.start", (0,)), constant(graph, "cache.axis", (0,))
        seen = graph.node("Slice", [seen, start, self.rows, axis], "cache.seen_rows")
        self.visible = reshape(graph, graph.cast(seen, "cache.visible_rows", "bool"), "cache.visible", (-1, 1))


def _shared(graph: GraphWriter, weights: Weights, settings: GraphSettings) -> _Shared:
    text = weights.shape.text
    positions = graph.input("positions", ("T",), "int64")
    masks = {
        False: graph.input("global_mask", ("T", "S"), "bool"),
        True: graph.input("sliding_mask", ("T", "S"), "bool"),
    }
    # A padded position may lie behind the context; what comes of it is never read.
    end = graph.weight("positions.end", np.asarray(settings.context - 1, np.int64))
    within = graph.node("Min", [positions, end], "positions.within")
    angles, tiled = {}, {}
    for sliding, kind in ((False, "global"), (True, "sliding")):
        if sliding not in text.sliding:
            continue
        rotary = text.sliding_rotary if sliding else text.rotary
        cosines, sines = angle_tables(rotary, text.head_dim, settings.context)
        found = []
        for name, table in ((f"{kind}.cosines", cosines), (f"{kind}.sines", sines)):
            picked = graph.node(
                "Gather", [graph.weight(f"{name}.table", table, "small"), within], f"{name}.rows", axis=0
            )
            found.append(reshape(graph, picked, name, (-1, 1, text.head_dim // 2)))
        angles[sliding] = (found[0], found[1])
        group = text.heads // text.kv_heads
        tiled[sliding] = graph.node("Concat", [masks[sliding]] * group, f"{kind}.mask", axis=0)
    return _Shared(graph, weights, settings, angles, tiled, masks[False])


def angle_tables(rotary: Rotary, head_dim: int, context: int) -> tuple[Float32, Float32]:
    """Cosines and sines (context, head_dim / 2); angles are rounded to float32 where transformers rounds them."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    frequencies = (1.0 / np.float32(rotary.theta) ** exponents).astype(np.float32) / np.float32(rotary.factor)
    angles = np.arange(context, dtype=np.float32)[:, None] * frequencies[None]
    return np.cos(angles.astype(np.float64)).astype(np.float32), np.sin(angles.astype(np.float64)).astype(np.float32)


class _Layer:
    """One block. power: of the residual stream (rescale.py)."""

    def __init__(self, shared: _Shared, number: int, cache: tuple[str, str], rescale: LayerRescale, power: int) -> None:
        self.shared, self.graph = shared, shared.graph
        self.text = shared.weights.shape.text
        self.name = f"layers.{number}"
        self.sliding = self.text.sliding[number]
        self.cache = cache
        self.rescale, self.power = rescale, power

    def attention(self, stream: str, new_rows: list[str]) -> str:
        """The stream after attention. new_rows: the layer's keys and values are appended, (kv_heads, T, head_dim)."""
        graph, text, name = self.graph, self.text, f"{self.name}.attention"
        x = self._norm_before(stream, "input_layernorm")
        queries = self._rotated(
            self._heads(x, "q", text.heads, self.rescale.query, text.query_scale), f"{name}.queries"
        )
        keys = self._rotated(self._heads(x, "k", text.kv_heads, self.rescale.key), f"{name}.keys")
        new_keys = transpose(graph, keys, f"{name}.new_keys", (1, 0, 2))
        values = as_float32(graph, self._linear(x, "self_attn.v_proj"))
        values = reshape(graph, values, f"{name}.values", (-1, text.kv_heads, text.head_dim))
        new_values = transpose(graph, values, f"{name}.new_values", (1, 0, 2))
        new_rows += [new_keys, new_values]
        queries = transpose(graph, queries, f"{name}.queries_by_head", (1, 0, 2))
        queries = as_element(graph, reshape(graph, queries, f"{name}.grouped", (text.kv_heads, -1, text.head_dim)))
        chances = self._chances(queries, new_keys)
        mixed = self._mixed(chances, new_values)
        mixed = reshape(graph, mixed, f"{name}.mixed_by_head", (text.heads, -1, text.head_dim))
        mixed = transpose(graph, mixed, f"{name}.mixed_by_position", (1, 0, 2))
        mixed = reshape(graph, mixed, f"{name}.mixed", (-1, text.heads * text.head_dim))
        out = self._linear(mixed, "self_attn.o_proj", self.rescale.attention)
        return self._added(stream, out, "post_attention_layernorm", self.rescale.attention)

    def mlp(self, stream: str) -> str:
        """The stream after the gated layers."""
        x = self._norm_before(stream, "pre_feedforward_layernorm")
        gate = gelu(self.graph, self._linear(x, "mlp.gate_proj"), f"{self.name}.mlp.gate")
        up = self._linear(x, "mlp.up_proj", self.rescale.product)
        out = self._linear(self.graph.node("Mul", [gate, up], f"{self.name}.mlp.product"), "mlp.down_proj")
        return self._added(stream, out, "post_feedforward_layernorm", self.rescale.product)

    def _heads(self, x: str, which: str, heads: int, power: int, factor: float = 1.0) -> str:
        """Queries or keys, normed and times `factor`: (T, heads, head_dim) float32."""
        name = f"{self.name}.attention.{which}"
        apart = as_float32(self.graph, self._linear(x, f"self_attn.{which}_proj", power))
        apart = reshape(self.graph, apart, f"{name}.heads", (-1, heads, self.text.head_dim))
        weight = self._norm_weight(f"self_attn.{which}_norm") * np.float32(factor)
        return rms_norm(self.graph, apart, f"{name}.norm", weight, shrunk_epsilon(self.text.norm_eps, power))

    def _rotated(self, tensor: str, name: str) -> str:
        graph = self.graph
        cosines, sines = self.shared.angles[self.sliding]
        first, second = graph.nodes("Split", [tensor], f"{name}.halves", [f"{name}.first", f"{name}.second"], axis=-1,
                                    num_outputs=2)  # fmt: skip
        parts = []
        for half, operator, one, other in ((1, "Sub", first, second), (2, "Add", second, first)):
            along = graph.node("Mul", [one, cosines], f"{name}.along_{half}")
            across = graph.node("Mul", [other, sines], f"{name}.across_{half}")
            parts.append(graph.node(operator, [along, across], f"{name}.half_{half}"))
        return graph.node("Concat", parts, name, axis=-1)

    def _chances(self, queries: str, new_keys: str) -> str:
        """(kv_heads, G * T, S) of graph.element: how much of each row, old and new, goes into each query's answer."""
        graph, name = self.graph, f"{self.name}.attention"
        scores = []
        for which, keys in (("old", self.cache[0]), ("new", new_keys)):
            turned = transpose(graph, as_element(graph, keys), f"{name}.{which}_keys_turned", (0, 2, 1))
            scores.append(graph.node("MatMul", [queries, turned], f"{name}.{which}_scores"))
        together = as_float32(graph, graph.node("Concat", scores, f"{name}.scores", axis=-1))
        unseen = graph.weight("unseen", np.asarray(UNSEEN, np.float32))
        seen = graph.node("Where", [self.shared.masks[self.sliding], together, unseen], f"{name}.seen_scores")
        return as_element(graph, graph.node("Softmax", [seen], f"{name}.chances", axis=-1))

    def _mixed(self, chances: str, new_values: str) -> str:
        """(kv_heads, G * T, head_dim) of graph.element. Old rows that nobody sees count as 0, whatever they hold."""
        graph, name = self.graph, f"{self.name}.attention"
        zero = graph.weight("zero", np.asarray(0, np.float32))
        old_values = graph.node("Where", [self.shared.visible, self.cache[1], zero], f"{name}.old_values")
        axis, start = constant(graph, "chances.axis", (2,)), constant(graph, "chances.start", (0,))
        end = constant(graph, "chances.end", (_TO_THE_END,))
        sums = []
        for which, values, low, high in (
            ("old", old_values, start, self.shared.rows),
            ("new", new_values, self.shared.rows, end),
        ):
            part = graph.node("Slice", [chances, low, high, axis], f"{name}.{which}_chances")
            sums.append(graph.node("MatMul", [part, as_element(graph, values)], f"{name}.{which}_mixed"))
        return graph.node("Add", sums, f"{name}.mixed_rows")

    def _norm_before(self, stream: str, which: str) -> str:
        epsilon = shrunk_epsilon(self.text.norm_eps, self.power)
        normed = rms_norm(
            self.graph, as_float32(self.graph, stream), f"{self.name}.{which}", self._norm_weight(which), epsilon
        )
        return as_element(self.graph, normed)

    def _added(self, stream: str, out: str, which: str, power: int) -> str:
        """stream + norm(out). power: of `out`."""
        weight = self._norm_weight(which) * np.float32(shrunk(self.power))
        epsilon = shrunk_epsilon(self.text.norm_eps, power)
        normed = rms_norm(self.graph, as_float32(self.graph, out), f"{self.name}.{which}", weight, epsilon)
        return self.graph.node("Add", [stream, as_element(self.graph, normed)], f"{self.name}.{which}.stream")

    def _linear(self, x: str, which: str, power: int = 0) -> str:
        weight = self.shared.weights.tensor(f"language_model.{self.name}.{which}.weight")
        if power:
            weight *= np.float32(shrunk(power))
        settings = self.shared.settings
        return linear(self.graph, x, f"{self.name}.{which}", weight, settings.precision, settings.block)

    def _norm_weight(self, which: str) -> Float32:
        weight: Float32 = 1 + self.shared.weights.tensor(f"language_model.{self.name}.{which}.weight")
        return weight


def _logits(shared: _Shared, stream: str, last: str, power: int) -> str:
    """(1, vocabulary) float32 of the position `last`."""
    graph, weights, settings = shared.graph, shared.weights, shared.settings
    row = as_float32(graph, graph.node("Gather", [stream, last], "last.stream", axis=0))
    epsilon = shrunk_epsilon(weights.shape.text.norm_eps, power)
    normed = rms_norm(graph, row, "norm", 1 + weights.tensor("language_model.norm.weight"), epsilon)
    weight = weights.tensor(weights.shape.head)
    logits = linear(
        graph, as_element(graph, normed), "head", weight, settings.head_form, settings.block, purpose="head"
    )
    return as_float32(graph, logits)

"""Gemma3's decoder in NumPy, as sized engines with a bundle's tensors: an independent reference, and a fast one.

TinyText: sizes. numpy_weights(sizes, seed): random weights in the names of a checkpoint's text model.
embedding_engine(), decoder_engine(), vision_engine(): FakeSizedEngine each. whole_logits(): a whole sequence at once,
with masks written out position by position. Not for: speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.engines.sized import Tensors
from cathrt.runtime.engines.sized_fake import FakeSizedEngine

Weights = Mapping[str, NDArray[np.float32]]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TinyText:
    """sliding: of each layer. run_rows: sizes T; capacities: sizes C."""

    hidden: int = 32
    intermediate: int = 48
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    vocabulary: int = 512
    sliding: tuple[bool, ...] = (True, True, False, True)
    window: int = 12
    query_scalar: float = 24.0
    eps: float = 1e-5
    theta: float = 500.0
    factor: float = 2.0
    sliding_theta: float = 30.0
    run_rows: tuple[int, ...] = (1, 8, 32)
    capacities: tuple[int, ...] = (32, 64, 256)

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(f"{kind}_{layer:02}" for layer in range(len(self.sliding)) for kind in ("keys", "values"))


def numpy_weights(tiny: TinyText, seed: int = 0) -> dict[str, Floats]:
    """Large enough that a decoder of them answers differently to everything; the head is the embedding."""
    draw = np.random.default_rng(seed)

    def matrix(out: int, size: int) -> Floats:
        return (draw.standard_normal((out, size)) / size**0.5).astype(np.float32)

    def norm(size: int) -> Floats:
        return (0.2 * draw.standard_normal(size)).astype(np.float32)

    queries, keys = tiny.heads * tiny.head_dim, tiny.kv_heads * tiny.head_dim
    weights = {
        "embed_tokens.weight": matrix(tiny.vocabulary, tiny.hidden) * np.float32(0.3),
        "norm.weight": norm(tiny.hidden),
    }
    for layer in range(len(tiny.sliding)):
        at = f"layers.{layer}"
        weights |= {
            f"{at}.self_attn.q_proj.weight": matrix(queries, tiny.hidden),
            f"{at}.self_attn.k_proj.weight": matrix(keys, tiny.hidden),
            f"{at}.self_attn.v_proj.weight": matrix(keys, tiny.hidden),
            f"{at}.self_attn.o_proj.weight": matrix(tiny.hidden, queries),
            f"{at}.self_attn.q_norm.weight": norm(tiny.head_dim),
            f"{at}.self_attn.k_norm.weight": norm(tiny.head_dim),
            f"{at}.mlp.gate_proj.weight": matrix(tiny.intermediate, tiny.hidden),
            f"{at}.mlp.up_proj.weight": matrix(tiny.intermediate, tiny.hidden),
            f"{at}.mlp.down_proj.weight": matrix(tiny.hidden, tiny.intermediate),
        }
        for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            weights[f"{at}.{name}_layernorm.weight"] = norm(tiny.hidden)
    return weights


def embedding_engine(tiny: TinyText, weights: Weights) -> FakeSizedEngine:
    def compute(inputs: Tensors, outputs: Tensors) -> None:
        outputs["embeddings"][...] = weights["embed_tokens.weight"][inputs["token_ids"]] * np.float32(tiny.hidden**0.5)

    return FakeSizedEngine(
        (DeclaredTensor("token_ids", (1, "T"), "int64"),),
        (DeclaredTensor("embeddings", (1, "T", tiny.hidden), "float32"),),
        tuple({"T": rows} for rows in tiny.run_rows),
        compute,
    )


def decoder_engine(tiny: TinyText, weights: Weights) -> FakeSizedEngine:
    inputs, outputs, buckets = decoder_tensors(tiny)

    def compute(feeds: Tensors, found: Tensors) -> None:
        _decode(tiny, weights, feeds, found)

    return FakeSizedEngine(inputs, outputs, buckets, compute)


def decoder_tensors(
    tiny: TinyText,
) -> tuple[tuple[DeclaredTensor, ...], tuple[DeclaredTensor, ...], tuple[dict[str, int], ...]]:
    """Inputs, outputs and buckets."""
    heads, dim = tiny.kv_heads, tiny.head_dim
    inputs = (
        DeclaredTensor("embeddings", (1, "T", tiny.hidden), "float32"),
        DeclaredTensor("positions", ("T",), "int64"),
        DeclaredTensor("global_mask", ("T", "S"), "bool"),
        DeclaredTensor("sliding_mask", ("T", "S"), "bool"),
        DeclaredTensor("last", (1,), "int64"),
        *(DeclaredTensor(name, (heads, "C", dim), "float32") for name in tiny.layer_names),
    )
    outputs = (
        DeclaredTensor("logits", (1, tiny.vocabulary), "float32"),
        *(DeclaredTensor(f"new_{name}", (heads, "T", dim), "float32") for name in tiny.layer_names),
    )
    buckets = tuple({"T": rows, "C": held, "S": rows + held} for held in tiny.capacities for rows in tiny.run_rows)
    return inputs, outputs, buckets


def vision_engine(side: int, tokens: int, hidden: int, seed: int = 0) -> FakeSizedEngine:
    """Soft tokens that depend on all pixels."""
    turned = np.random.default_rng(seed).standard_normal((3 * side * side, tokens * hidden)).astype(np.float32)

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        outputs["image_embeddings"][...] = (inputs["pixels"].reshape(1, -1) @ turned / side).reshape(1, tokens, hidden)

    return FakeSizedEngine(
        (DeclaredTensor("pixels", (1, 3, side, side), "float32"),),
        (DeclaredTensor("image_embeddings", (1, tokens, hidden), "float32"),),
        (),
        compute,
    )


def whole_logits(
    tiny: TinyText, weights: Weights, embeddings: Floats, blocks: Sequence[int] = ()
) -> NDArray[np.float64]:
    """(N, vocabulary) of embeddings (N, hidden), in float64.

    blocks: of each position, the number of its picture from 0, -1 for text; () for text alone.
    """
    count = len(embeddings)
    block = list(blocks) or [-1] * count
    masks = np.zeros((2, count, count), np.bool_)
    for query in range(count):
        for key in range(count):
            seen = key <= query or (block[query] >= 0 and block[query] == block[key])
            masks[:, query, key] = seen, seen and key > query - tiny.window
    x = embeddings.astype(np.float64)
    for layer, sliding in enumerate(tiny.sliding):
        queries, keys, values = _projected(tiny, weights, layer, x, np.arange(count))
        mixed = np.zeros((count, tiny.heads, tiny.head_dim))
        for head in range(tiny.heads):
            group = head // (tiny.heads // tiny.kv_heads)
            scores = queries[:, head] @ keys[:, group].T
            scores[~masks[int(sliding)]] = -np.inf
            mixed[:, head] = _softmax(scores) @ values[:, group]
        x = _after_attention(tiny, weights, layer, x, mixed.reshape(count, -1))
    return _logits(tiny, weights, x)


def _decode(tiny: TinyText, weights: Weights, feeds: Tensors, found: Tensors) -> None:
    x = feeds["embeddings"][0].astype(np.float64)
    rows, held = len(x), feeds["keys_00"].shape[1]
    for layer, sliding in enumerate(tiny.sliding):
        queries, keys, values = _projected(tiny, weights, layer, x, feeds["positions"])
        found[f"new_keys_{layer:02}"][...] = keys.transpose(1, 0, 2)
        found[f"new_values_{layer:02}"][...] = values.transpose(1, 0, 2)
        mask = feeds["sliding_mask" if sliding else "global_mask"]
        known = feeds["global_mask"][:, :held].any(axis=0)[:, None]
        mixed = np.zeros((rows, tiny.heads, tiny.head_dim))
        for head in range(tiny.heads):
            group = head // (tiny.heads // tiny.kv_heads)
            old_keys = np.where(known, feeds[f"keys_{layer:02}"][group], 0.0)
            old_values = np.where(known, feeds[f"values_{layer:02}"][group], 0.0)
            scores = queries[:, head] @ np.concatenate([old_keys, keys[:, group]]).T
            scores[~mask] = -np.inf
            mixed[:, head] = _softmax(scores) @ np.concatenate([old_values, values[:, group]])
        x = _after_attention(tiny, weights, layer, x, mixed.reshape(rows, -1))
    found["logits"][...] = _logits(tiny, weights, x[feeds["last"]])


def _projected(
    tiny: TinyText, weights: Weights, layer: int, x: NDArray[Any], positions: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Queries (scaled), keys and values of each position: (N, heads, head_dim) each."""
    at = f"layers.{layer}"
    normed = _norm(x, weights[f"{at}.input_layernorm.weight"], tiny.eps)
    queries, keys, values = (
        (normed @ weights[f"{at}.self_attn.{name}_proj.weight"].T).reshape(len(x), -1, tiny.head_dim) for name in "qkv"
    )
    queries = _norm(queries, weights[f"{at}.self_attn.q_norm.weight"], tiny.eps)
    keys = _norm(keys, weights[f"{at}.self_attn.k_norm.weight"], tiny.eps)
    theta, factor = (tiny.sliding_theta, 1.0) if tiny.sliding[layer] else (tiny.theta, tiny.factor)
    angles = positions[:, None] / factor / theta ** (np.arange(0, tiny.head_dim, 2) / tiny.head_dim)
    return _rotated(queries, angles) / tiny.query_scalar**0.5, _rotated(keys, angles), values


def _after_attention(
    tiny: TinyText, weights: Weights, layer: int, x: NDArray[Any], mixed: NDArray[Any]
) -> NDArray[Any]:
    at = f"layers.{layer}"
    out = mixed @ weights[f"{at}.self_attn.o_proj.weight"].T
    x = x + _norm(out, weights[f"{at}.post_attention_layernorm.weight"], tiny.eps)
    normed = _norm(x, weights[f"{at}.pre_feedforward_layernorm.weight"], tiny.eps)
    gate, up = (normed @ weights[f"{at}.mlp.{name}_proj.weight"].T for name in ("gate", "up"))
    gate = 0.5 * gate * (1.0 + np.tanh((2.0 / np.pi) ** 0.5 * (gate + 0.044715 * gate**3)))
    out = (gate * up) @ weights[f"{at}.mlp.down_proj.weight"].T
    return x + _norm(out, weights[f"{at}.post_feedforward_layernorm.weight"], tiny.eps)


def _logits(tiny: TinyText, weights: Weights, x: NDArray[Any]) -> NDArray[Any]:
    head = weights.get("lm_head.weight", weights["embed_tokens.weight"])
    return _norm(x, weights["norm.weight"], tiny.eps) @ head.T


def _norm(x: NDArray[Any], weight: Floats, eps: float) -> NDArray[Any]:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * (1.0 + weight)


def _rotated(x: NDArray[Any], angles: NDArray[Any]) -> NDArray[Any]:
    cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    spread = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return spread / spread.sum(axis=-1, keepdims=True)

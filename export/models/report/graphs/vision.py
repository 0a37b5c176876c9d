"""The vision tower and what follows it: a picture to soft tokens in the decoder's size.

SigLIP without its pooling head, averages over squares of patches, a root-mean-square norm, a projection matrix.
P patches, H hidden. Not for: how a picture becomes `pixels` (the runtime).
"""

from __future__ import annotations

import math

import numpy as np

from cathrt.export.models.report.graphs.graph_writer import GraphWriter
from cathrt.export.models.report.graphs.operators import (
    as_element,
    as_float32,
    gelu,
    in_element,
    layer_norm,
    linear,
    reshape,
    rms_norm,
    transpose,
)
from cathrt.export.models.report.graphs.rescale import shrunk, shrunk_epsilon
from cathrt.export.models.report.graphs.settings import Form
from cathrt.export.models.report.graphs.weight_forms import Float32
from cathrt.export.models.report.shape import GemmaShape, VisionShape, Weights
from cathrt.runtime.errors import ConfigError

_TOWER = "vision_tower"
_PROJECTOR = "multi_modal_projector"
_ONE = np.float32(1)


def write_vision(graph: GraphWriter, weights: Weights, form: Form, block: int | None, power: int = 0) -> None:
    """Add the network to an empty graph. form, block: of the layers' matrices; patches and projection stay floats.

    power: the residual stream is 2 to the minus so much of what it was (rescale.py).

    Raises ConfigError for a text-only model, and for patches that do not divide into the picture's tokens.
    """
    shape = weights.shape
    vision = shape.vision
    if vision is None:
        raise ConfigError("a text-only model has no vision network: export it without pictures")
    tokens_a_side, patches = _grid(shape, vision)
    tower = _Tower(graph, weights, vision, form, block, power)
    pixels = graph.input("pixels", (1, 3, vision.side, vision.side), "float32")
    stream = tower.patches(pixels, patches)
    for layer in range(vision.layers):
        stream = tower.layer(layer, stream)
    stream = as_element(graph, tower.norm(stream, "post_layernorm"))
    # (1, P, H) -> (1, H, side, side) for the averages, and back.
    square = reshape(graph, stream, "pool.rows", (1, patches, patches, vision.hidden))
    square = transpose(graph, square, "pool.channels", (0, 3, 1, 2))
    size = patches // tokens_a_side
    square = graph.node("AveragePool", [square], "pool.averages", kernel_shape=[size, size], strides=[size, size])
    tokens = reshape(graph, square, "pool.by_channel", (1, vision.hidden, shape.image_tokens))
    tokens = as_float32(graph, transpose(graph, tokens, "pool", (0, 2, 1)))
    weight = 1 + weights.tensor(f"{_PROJECTOR}.mm_soft_emb_norm.weight")
    tokens = rms_norm(graph, tokens, "projector.norm", weight, vision.norm_eps)
    projection = np.ascontiguousarray(weights.tensor(f"{_PROJECTOR}.mm_input_projection_weight").T)
    tokens = linear(graph, as_element(graph, tokens), "projector", projection, graph.element, None, purpose="small")
    graph.output("image_embeddings", as_float32(graph, tokens), (1, shape.image_tokens, shape.text.hidden), "float32")


def _grid(shape: GemmaShape, vision: VisionShape) -> tuple[int, int]:
    """Tokens and patches along a side of the picture."""
    tokens, patches = math.isqrt(shape.image_tokens), vision.side // vision.patch
    if tokens**2 != shape.image_tokens or patches % tokens or vision.side % vision.patch:
        raise ConfigError(
            f"a picture of {vision.side} pixels in patches of {vision.patch} does not divide into "
            f"{shape.image_tokens} tokens: check config.json"
        )
    return tokens, patches


class _Tower:
    def __init__(
        self, graph: GraphWriter, weights: Weights, vision: VisionShape, form: Form, block: int | None, power: int
    ) -> None:
        self.graph, self.weights, self.vision = graph, weights, vision
        self.form, self.block = form, block
        self.factor = np.float32(shrunk(power))
        self.epsilon = shrunk_epsilon(vision.norm_eps, power)

    def patches(self, pixels: str, patches: int) -> str:
        """(1, P, H) of graph.element: each patch's embedding and that of its place."""
        graph, vision = self.graph, self.vision
        kernel = in_element(graph, "patches.weight", self._tensor("embeddings.patch_embedding.weight") * self.factor)
        bias = in_element(graph, "patches.bias", self._tensor("embeddings.patch_embedding.bias") * self.factor)
        embedded = graph.node(
            "Conv",
            [as_element(graph, pixels), kernel, bias],
            "patches.embedded",
            kernel_shape=[vision.patch, vision.patch],
            strides=[vision.patch, vision.patch],
        )
        embedded = reshape(graph, embedded, "patches.by_channel", (1, vision.hidden, patches * patches))
        embedded = transpose(graph, embedded, "patches.rows", (0, 2, 1))
        places = in_element(graph, "places", self._tensor("embeddings.position_embedding.weight") * self.factor)
        return graph.node("Add", [embedded, places], "patches")

    def layer(self, number: int, stream: str) -> str:
        name = f"encoder.layers.{number}"
        attended = self._attention(as_element(self.graph, self.norm(stream, f"{name}.layer_norm1")), name)
        stream = self.graph.node("Add", [stream, attended], f"{name}.attended")
        x = as_element(self.graph, self.norm(stream, f"{name}.layer_norm2"))
        x = gelu(self.graph, self._linear(x, f"{name}.mlp.fc1"), f"{name}.mlp.gelu")
        return self.graph.node("Add", [stream, self._linear(x, f"{name}.mlp.fc2", self.factor)], f"{name}.stream")

    def norm(self, stream: str, name: str) -> str:
        """float32."""
        weight, bias = self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")
        return layer_norm(self.graph, as_float32(self.graph, stream), name, weight, bias, self.epsilon)

    def _attention(self, x: str, name: str) -> str:
        graph, vision = self.graph, self.vision
        size = vision.hidden // vision.heads
        parts = {}
        for which in ("q", "k", "v"):
            part = self._linear(x, f"{name}.self_attn.{which}_proj", np.float32(size**-0.5 if which == "q" else 1))
            part = reshape(graph, part, f"{name}.{which}_heads", (1, -1, vision.heads, size))
            parts[which] = transpose(graph, part, f"{name}.{which}", (0, 2, 3, 1) if which == "k" else (0, 2, 1, 3))
        scores = as_float32(graph, graph.node("MatMul", [parts["q"], parts["k"]], f"{name}.scores"))
        chances = as_element(graph, graph.node("Softmax", [scores], f"{name}.chances", axis=-1))
        mixed = graph.node("MatMul", [chances, parts["v"]], f"{name}.mixed")
        mixed = transpose(graph, mixed, f"{name}.mixed_by_place", (0, 2, 1, 3))
        mixed = reshape(graph, mixed, f"{name}.mixed_rows", (1, -1, vision.hidden))
        return self._linear(mixed, f"{name}.self_attn.out_proj", self.factor)

    def _linear(self, x: str, name: str, factor: np.float32 = _ONE) -> str:
        weight, bias = self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")
        weight *= factor
        bias *= factor
        return linear(self.graph, x, name, weight, self.form, self.block, bias)

    def _tensor(self, name: str) -> Float32:
        tensor: Float32 = self.weights.tensor(f"{_TOWER}.{name}")
        return tensor

"""The clip encoder as a graph that CPUs and GPUs run fast, and that computes what the published network does.

The class token is a stream of its own beside the grid of tokens, so no tensor is cut apart or put together in memory
for it; grids stay with their channels last, pooled by depthwise convolutions between two transposes that cost nothing
there. Not for: attention (attention.py), or types other than float32 (export/graph/precision.py).
n clips, L tokens of a grid, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from cathrt.export.models.study.graphs.attention import Attention, Streams
from cathrt.export.models.study.graphs.graph import Float32, Graph, Weights
from cathrt.export.models.study.shape import (
    BACKBONE_EPSILON,
    PATCH_PADDING,
    PATCH_STRIDE,
    POOL_KERNEL,
    Block,
    EncoderShape,
)
from cathrt.runtime.models.study.contract import CLIPS, CLIPS_SIZE, FEATURES

BACKBONE, PROJECTION = "video_encoder.model", "video_encoder.proj.1"


def encoder_graph(shape: EncoderShape, weights: Weights, clips: int | None = None) -> onnx.ModelProto:
    """clips: n; None leaves it open."""
    graph = Graph("clip encoder")
    size = clips or CLIPS_SIZE
    pixels = graph.input(CLIPS, (size, 3, shape.frames, shape.side, shape.side))
    streams = _patches(graph, shape, weights, pixels)
    for block in shape.blocks:
        streams = _BlockGraph(graph, weights, block).after(streams)
    found = []
    for name, stream in streams.items():
        normed = graph.norm(stream, f"norm.{name}", *_pair(weights, f"{BACKBONE}.norm"), BACKBONE_EPSILON, "norm")
        projected = graph.linear(normed, f"proj.{name}", *_pair(weights, PROJECTION), "proj")
        found.append(graph.node("Gelu", [projected], f"proj.{name}.gelu"))
    features = graph.node("Concat", found, "all_tokens", axis=1)
    graph.output(FEATURES, features, (size, shape.tokens, shape.features))
    return graph.model()


def _patches(graph: Graph, shape: EncoderShape, weights: Weights, pixels: str) -> Streams:
    """The class token, (n, 1, C), and the patches, (n, L, C)."""
    channels = shape.stages[0].channels
    kernel = graph.weight("patches.weight", weights[f"{BACKBONE}.conv_proj.weight"])
    bias = graph.weight("patches.bias", weights[f"{BACKBONE}.conv_proj.bias"])
    padding = [*PATCH_PADDING, *PATCH_PADDING]
    made = graph.node("Conv", [pixels, kernel, bias], "patches", strides=list(PATCH_STRIDE), pads=padding)
    placed = graph.transpose(made, "patches.channels_last", (0, 2, 3, 4, 1))
    token = graph.weight("class", weights[f"{BACKBONE}.pos_encoding.class_token"].reshape(1, 1, channels))
    count = graph.node("Shape", [pixels], "clips.count", start=0, end=1)
    each = graph.node("Concat", [count, graph.sizes("class.one", (1, 1))], "class.shape", axis=0)
    grid = graph.reshape(placed, "patches.tokens", (0, -1, channels))
    return Streams(graph.node("Expand", [token, each], "class.each"), grid)


@dataclass(slots=True)
class _BlockGraph:
    graph: Graph
    weights: Weights
    block: Block

    def after(self, streams: Streams) -> Streams:
        """The streams behind the block."""
        graph, block, name = self.graph, self.block, f"blocks.{self.block.number}"
        normed = streams.each(lambda part, stream: self._norm(stream, "norm1", part))
        skipped = streams
        if block.channels_in != block.channels:
            skipped = normed.each(lambda part, stream: self._linear(stream, "project", part))
        if block.stride > 1:
            skipped = Streams(skipped.first, self._largest(skipped.grid))
        attended = Attention(graph, self.weights, block, f"{BACKBONE}.{name}").mixed(normed)
        attended = attended.each(lambda part, stream: self._linear(stream, "attn.project.0", part))
        added = skipped.both(attended, lambda part, one, two: graph.node("Add", [one, two], f"{name}.attended.{part}"))
        inner = added.each(lambda part, stream: self._mlp(self._norm(stream, "norm2", part), part))
        return added.both(inner, lambda part, one, two: graph.node("Add", [one, two], f"{name}.out.{part}"))

    def _mlp(self, stream: str, part: str) -> str:
        wide = self._linear(stream, "mlp.0", part)
        bent = self.graph.node("Gelu", [wide], f"{wide}.gelu")
        return self._linear(bent, "mlp.3", part)

    def _largest(self, stream: str) -> str:
        """Max pooling of the skipped grid, as often as the queries are pooled."""
        graph, block, name = self.graph, self.block, f"blocks.{self.block.number}.skip"
        _, row, column = block.before
        # Frame by frame: of four axes OpenVINO turns a tensor in half the time that it takes for five.
        placed = graph.reshape(stream, f"{name}.placed", (-1, row, column, block.channels))
        placed = graph.transpose(placed, f"{name}.channels_first", (0, 3, 1, 2))
        pooled = graph.node(
            "MaxPool",
            [placed],
            f"{name}.pooled",
            kernel_shape=[POOL_KERNEL, POOL_KERNEL],
            strides=[block.stride, block.stride],
            pads=[POOL_KERNEL // 2] * 4,
        )
        pooled = graph.transpose(pooled, f"{name}.channels_last", (0, 2, 3, 1))
        return graph.reshape(pooled, f"{name}.rows", (-1, math.prod(block.after), block.channels))

    def _linear(self, stream: str, which: str, part: str) -> str:
        name = f"blocks.{self.block.number}.{which}"
        return self.graph.linear(stream, f"{name}.{part}", *_pair(self.weights, f"{BACKBONE}.{name}"), name)

    def _norm(self, stream: str, which: str, part: str) -> str:
        name = f"blocks.{self.block.number}.{which}"
        pair = _pair(self.weights, f"{BACKBONE}.{name}")
        return self.graph.norm(stream, f"{name}.{part}", *pair, BACKBONE_EPSILON, name)


def _pair(weights: Weights, name: str) -> tuple[Float32, Float32]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]

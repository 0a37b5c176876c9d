"""The sizes of a clip encoder, MViTv2 as published, block by block: channels, heads, strides and grids of tokens.

A block's tokens are a class token and a grid of (frames, rows, columns). Not for: weights, or what a block computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Grid = tuple[int, int, int]

MLP_RATIO = 4
PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING = (3, 7, 7), (2, 4, 4), (1, 3, 3)
POOL_KERNEL = 3  # of queries, keys and values, in each direction
BACKBONE_EPSILON = 1e-6  # of every norm up to the last; the head's norms have another (head.py)


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one resolution. kv_stride: in rows and columns, of the keys and values of every block.

    The first block of every stage but the first halves rows and columns of its queries.
    """

    blocks: int
    channels: int
    heads: int
    kv_stride: int


@dataclass(frozen=True, slots=True)
class Block:
    """before: grid of the tokens that come in. after: of those that go out, which are the queries. keys: of keys and
    values. stride: of the queries, in rows and columns."""

    number: int
    channels_in: int
    channels: int
    heads: int
    stride: int
    kv_stride: int
    before: Grid

    @property
    def after(self) -> Grid:
        return _pooled(self.before, self.stride)

    @property
    def keys(self) -> Grid:
        return _pooled(self.before, self.kv_stride)

    @property
    def head_width(self) -> int:
        return self.channels // self.heads

    @property
    def tables(self) -> Grid:
        """Rows of the tables of relative positions, by time, row and column."""
        time, row, column = (2 * max(q, k) - 1 for q, k in zip(self.after, self.keys, strict=True))
        return time, row, column


@dataclass(frozen=True)
class EncoderShape:
    """name: as a command takes it. frames, side: of a clip. features: what the projection gives for each token."""

    name: str
    stages: tuple[Stage, ...]
    frames: int = 16
    side: int = 224
    features: int = 512
    aggregator: int = field(default=1)  # blocks of a part that published checkpoints hold and findings do not use

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks in order."""
        found: list[Block] = []
        channels, grid = self.stages[0].channels, self.patches
        for place, stage in enumerate(self.stages):
            for first in (number == 0 for number in range(stage.blocks)):
                stride = 2 if first and place else 1
                # Where a stage begins, keys are pooled from the larger grid as often as the stage says.
                block = Block(len(found), channels, stage.channels, stage.heads, stride, stage.kv_stride, grid)
                found.append(block)
                channels, grid = stage.channels, block.after
        return tuple(found)

    @property
    def patches(self) -> Grid:
        """The grid that the first layer makes of a clip."""
        sizes = (self.frames, self.side, self.side)
        time, row, column = (
            (size + 2 * padding - kernel) // stride + 1
            for size, kernel, stride, padding in zip(sizes, PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING, strict=True)
        )
        return time, row, column

    @property
    def width(self) -> int:
        """Channels of the last block."""
        return self.stages[-1].channels

    @property
    def tokens(self) -> int:
        """Tokens of the output: the class token, then the last grid."""
        return 1 + math.prod(self.blocks[-1].after)


def _pooled(grid: Grid, stride: int) -> Grid:
    """Kernel 3 with one row of zeros around; time is never pooled."""
    time, row, column = grid
    return time, -(-row // stride), -(-column // stride)


MVIT_V2_S = EncoderShape(
    "mvit_v2_s", (Stage(1, 96, 1, 8), Stage(2, 192, 2, 4), Stage(11, 384, 4, 2), Stage(2, 768, 8, 1))
)
# The same network cut down, for demonstrations and tests: 0.6 million weights, a hundredth of the products.
MVIT_V2_MINI = EncoderShape(
    "mvit_v2_mini",
    (Stage(1, 24, 1, 8), Stage(1, 48, 2, 4), Stage(2, 96, 4, 2), Stage(1, 192, 8, 1)),
    side=112,
    features=128,
)
# Smaller yet, for the demonstration that is shipped: four frames, so that one CPU core trains it in minutes.
MVIT_V2_DEMO = EncoderShape(
    "mvit_v2_demo", (Stage(1, 32, 1, 8), Stage(1, 64, 2, 4), Stage(2, 128, 4, 2)), frames=4, side=112, features=128
)
ENCODERS: Mapping[str, EncoderShape] = {shape.name: shape for shape in (MVIT_V2_S, MVIT_V2_MINI, MVIT_V2_DEMO)}

"""MViTv2 with a projection, in PyTorch, in the published form and under the published names of its tensors.

The float32 network that has the last word on every exported graph. Not for: speed (graphs/ computes the same in
another order), or the head over a study's clips (head.py).
B clips, L tokens of a grid, C channels, D channels of a head of attention.
"""

# mypy: allow-subclassing-any
# (mypy skips torch, so nn.Module is Any here)
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cathrt.export.models.study.positions import offsets
from cathrt.export.models.study.shape import (
    BACKBONE_EPSILON,
    MLP_RATIO,
    PATCH_KERNEL,
    PATCH_PADDING,
    PATCH_STRIDE,
    POOL_KERNEL,
    Block,
    EncoderShape,
    Grid,
)


class ClipEncoder(nn.Module):
    """(B, 3, frames, side, side) to (B, tokens, features). Names below `model` and `proj` are the published ones."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.model = _Backbone(shape)
        self.proj = nn.Sequential(nn.Identity(), nn.Linear(shape.width, shape.features), nn.GELU())

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.proj(self.model(clips))
        return features


class _Backbone(nn.Module):
    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        width = shape.stages[0].channels
        self.conv_proj = nn.Conv3d(3, width, PATCH_KERNEL, PATCH_STRIDE, PATCH_PADDING)
        self.pos_encoding = nn.ParameterDict({"class_token": nn.Parameter(torch.zeros(width))})
        self.blocks = nn.ModuleList([_Block(block) for block in shape.blocks])
        self.norm = nn.LayerNorm(shape.width, eps=BACKBONE_EPSILON)

    def forward(self, clips: Tensor) -> Tensor:
        patches = self.conv_proj(clips).flatten(2).transpose(1, 2)
        first = self.pos_encoding["class_token"].expand(len(patches), 1, -1)
        tokens = torch.cat([first, patches], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


class _Block(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self._shape = block
        inner = MLP_RATIO * block.channels
        self.norm1 = nn.LayerNorm(block.channels_in, eps=BACKBONE_EPSILON)
        self.attn = _Attention(block)
        self.norm2 = nn.LayerNorm(block.channels, eps=BACKBONE_EPSILON)
        self.mlp = nn.Sequential(
            nn.Linear(block.channels, inner), nn.GELU(), nn.Identity(), nn.Linear(inner, block.channels)
        )
        if block.channels_in != block.channels:
            self.project = nn.Linear(block.channels_in, block.channels)

    def forward(self, tokens: Tensor) -> Tensor:
        block = self._shape
        normed = self.norm1(tokens)
        skipped = self.project(normed) if block.channels_in != block.channels else tokens
        if block.stride > 1:
            skipped = _on_grid(skipped, block.before, self._largest)
        tokens = skipped + self.attn(normed)
        after: Tensor = tokens + self.mlp(self.norm2(tokens))
        return after

    def _largest(self, grid: Tensor) -> Tensor:
        stride = (1, self._shape.stride, self._shape.stride)
        return functional.max_pool3d(grid, (1, POOL_KERNEL, POOL_KERNEL), stride, (0, 1, 1))


class _Pool(nn.Module):
    """A depthwise convolution over the grid, then a norm over each token. The class token is normed alone."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.Conv3d(width, width, POOL_KERNEL, (1, stride, stride), 1, groups=width, bias=False)
        self.norm_act = nn.Sequential(nn.LayerNorm(width, eps=BACKBONE_EPSILON))

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(B, heads, 1 + L, D) to (B, heads, 1 + pooled L, D)."""
        clips, heads = tokens.shape[:2]
        pooled = _on_grid(tokens.flatten(0, 1), grid, self.pool)
        normed: Tensor = self.norm_act(pooled.unflatten(0, (clips, heads)))
        return normed


class _Attention(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self._shape = block
        width = block.head_width
        self.qkv = nn.Linear(block.channels_in, 3 * block.channels)
        self.project = nn.Sequential(nn.Linear(block.channels, block.channels))
        self.pool_q = _Pool(width, block.stride)
        self.pool_k = _Pool(width, block.kv_stride)
        self.pool_v = _Pool(width, block.kv_stride)
        for name, rows in zip("thw", block.tables, strict=True):
            setattr(self, f"rel_pos_{name}", nn.Parameter(torch.zeros(rows, width)))

    def forward(self, tokens: Tensor) -> Tensor:
        block = self._shape
        parts = self.qkv(tokens).unflatten(-1, (3, block.heads, block.head_width)).permute(2, 0, 3, 1, 4)
        queries = self.pool_q(parts[0], block.before)
        keys, values = self.pool_k(parts[1], block.before), self.pool_v(parts[2], block.before)
        scores = (queries * block.head_width**-0.5) @ keys.transpose(2, 3)
        grid = scores[:, :, 1:, 1:] + self._by_position(queries[:, :, 1:])
        below = torch.cat([scores[:, :, 1:, :1], grid], dim=3)
        mixed = torch.cat([scores[:, :, :1], below], dim=2).softmax(-1) @ values
        # The queries are added to what attention gives, but for the class token's.
        mixed = torch.cat([mixed[:, :, :1], mixed[:, :, 1:] + queries[:, :, 1:]], dim=2)
        projected: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return projected

    def _by_position(self, queries: Tensor) -> Tensor:
        """What a query adds to the score of a key for where the key is: (B, heads, L of queries, L of keys)."""
        block = self._shape
        tables = self._tables()
        placed = queries.unflatten(2, block.after)
        time = torch.einsum("bnthwd,tkd->bnthwk", placed, tables[0])
        row = torch.einsum("bnthwd,hkd->bnthwk", placed, tables[1])
        column = torch.einsum("bnthwd,wkd->bnthwk", placed, tables[2])
        summed = time[..., :, None, None] + row[..., None, :, None] + column[..., None, None, :]
        return summed.flatten(5).flatten(2, 4)

    def _tables(self) -> list[Tensor]:
        """For time, row and column: (places of queries, places of keys, D)."""
        pairs = zip("thw", self._shape.after, self._shape.keys, strict=True)
        return [getattr(self, f"rel_pos_{name}")[torch.from_numpy(offsets(q, k))] for name, q, k in pairs]


def _on_grid(tokens: Tensor, grid: Grid, pool: nn.Module | object) -> Tensor:
    """Pool the tokens behind the first one as a grid: (B, 1 + L, C) to (B, 1 + pooled L, C)."""
    assert callable(pool)
    placed = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
    return torch.cat([tokens[:, :1], pool(placed).flatten(2).transpose(1, 2)], dim=1)

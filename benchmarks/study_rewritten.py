"""The clip encoder in torch with the rewrites that our graphs have: the fair peer of benchmarks/study.py.

The class token as a stream of its own, grids with their channels last, relative positions as columns of queries and
keys, torch's fused attention. The same weights, from the encoder in the published form. Not for: export.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cathrt.export.models.study.encoder import ClipEncoder
from cathrt.export.models.study.shape import Block, EncoderShape, Grid

Pair = tuple[Tensor, Tensor]  # of the class token, (n, 1, C), and of the grid, (n, L, C)


class RewrittenEncoder:
    """Called with (n, 3, frames, side, side) of the modules' type; gives (n, tokens, features)."""

    def __init__(self, shape: EncoderShape, encoder: ClipEncoder) -> None:
        self._shape, self._modules = shape, encoder
        self._blocks = [
            _Attention(block, module) for block, module in zip(shape.blocks, encoder.model.blocks, strict=True)
        ]

    def __call__(self, clips: Tensor) -> Tensor:
        model = self._modules.model
        grid = model.conv_proj(clips).flatten(2).transpose(1, 2).contiguous()
        pair = model.pos_encoding["class_token"].expand(len(grid), 1, -1), grid
        for block, module, attention in zip(self._shape.blocks, model.blocks, self._blocks, strict=True):
            pair = _block(block, module, attention, pair)
        features: Tensor = self._modules.proj(torch.cat([model.norm(one) for one in pair], dim=1))
        return features


def _block(block: Block, module: Any, attention: _Attention, pair: Pair) -> Pair:
    normed = module.norm1(pair[0]), module.norm1(pair[1])
    first, grid = (
        pair if block.channels_in == block.channels else (module.project(normed[0]), module.project(normed[1]))
    )
    if block.stride > 1:
        stride = (1, block.stride, block.stride)
        placed = _channels_first(grid, block.before)
        grid = _rows(functional.max_pool3d(placed, (1, 3, 3), stride, (0, 1, 1)))
    found = attention(*normed)
    added = first + found[0], grid + found[1]
    return added[0] + module.mlp(module.norm2(added[0])), added[1] + module.mlp(module.norm2(added[1]))


def _channels_first(grid: Tensor, size: Grid) -> Tensor:
    """(n, L, C) to (n, C, T, H, W), which lies in memory as before: channels last."""
    return grid.unflatten(1, size).permute(0, 4, 1, 2, 3)


def _rows(pooled: Tensor) -> Tensor:
    return pooled.permute(0, 2, 3, 4, 1).flatten(1, 3)


class _Attention:
    def __init__(self, block: Block, module: Any) -> None:
        self._block, self._module = block, module.attn
        attn, channels = module.attn, block.channels
        weight, bias = attn.qkv.weight, attn.qkv.bias
        self._linears = [(weight[:channels], bias[:channels]), (weight[channels:], bias[channels:])]
        pools = ((attn.pool_q,), (attn.pool_k, attn.pool_v))
        kernels = [torch.cat([pool.pool.weight.repeat(block.heads, 1, 1, 1, 1) for pool in one]) for one in pools]
        self._kernels = [one.contiguous(memory_format=torch.channels_last_3d) for one in kernels]
        self._scale = block.head_width**-0.5
        time, row, column = (table.transpose(1, 2).contiguous() for table in attn._tables())
        self._tables = time, row, column
        places = torch.cartesian_prod(*(torch.arange(size) for size in block.keys))
        ones = [functional.one_hot(places[:, axis], size) for axis, size in enumerate(block.keys)]
        of_grid = torch.cat(ones, dim=1).to(weight.dtype)
        self._places = torch.cat([torch.zeros_like(of_grid[:1]), of_grid])[None, None]

    def __call__(self, first: Tensor, grid: Tensor) -> Pair:
        block, module = self._block, self._module
        query = self._pooled(functional.linear(grid, *self._linears[0]), 0, block.stride)
        both = self._pooled(functional.linear(grid, *self._linears[1]), 1, block.kv_stride)
        key, value = both.chunk(2, dim=2)
        first_key, first_value = functional.linear(first, *self._linears[1]).chunk(2, dim=2)
        q = self._heads(query, module.pool_q)
        alone = self._heads(functional.linear(first, *self._linears[0]), module.pool_q)
        k = torch.cat([self._heads(first_key, module.pool_k), self._heads(key, module.pool_k)], dim=2)
        v = torch.cat([self._heads(first_value, module.pool_v), self._heads(value, module.pool_v)], dim=2)
        places = self._places.expand(*k.shape[:2], -1, -1)
        attend = functional.scaled_dot_product_attention
        wide = torch.cat([k * self._scale, places], dim=3)
        mixed = attend(self._with_positions(q), wide, functional.pad(v, (0, wide.shape[3] - v.shape[3])), scale=1.0)
        mixed = mixed[..., : block.head_width] + q
        return self._out(attend(alone, k, v)), self._out(mixed)

    def _pooled(self, grid: Tensor, which: int, stride: int) -> Tensor:
        placed, kernel = _channels_first(grid, self._block.before), self._kernels[which]
        return _rows(functional.conv3d(placed, kernel, None, (1, stride, stride), 1, groups=len(kernel)))

    def _heads(self, tokens: Tensor, pool: Any) -> Tensor:
        normed: Tensor = pool.norm_act(tokens.unflatten(2, (self._block.heads, self._block.head_width)))
        return normed.transpose(1, 2)

    def _with_positions(self, queries: Tensor) -> Tensor:
        placed = queries.unflatten(2, self._block.after)
        time = (placed.flatten(3, 4) @ self._tables[0]).flatten(2, 3)
        row = (placed @ self._tables[1]).flatten(2, 4)
        column = (placed.transpose(3, 4) @ self._tables[2]).transpose(3, 4).flatten(2, 4)
        return torch.cat([queries, time, row, column], dim=3)

    def _out(self, found: Tensor) -> Tensor:
        projected: Tensor = self._module.project(found.transpose(1, 2).flatten(2))
        return projected

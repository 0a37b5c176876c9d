"""The first stage: the vision network learns to see segments and narrowings, with heads that are left behind.

A word a picture teaches a network this small next to nothing; a map of 64 cells with 16 segments does. Then the soft
tokens hold what the decoder has to say. Not for: words (language_stage.py).
B pictures, S their side, T soft tokens, K segments; maps as in targets.py.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators
# (mypy skips torch, so what comes from it is Any here)
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.pictures import PICTURE
from cathrt.export.models.report.demo.shown import shown
from cathrt.export.models.report.demo.targets import DEGREES, SEGMENT_NUMBERS

_LESION_WEIGHT = 4.0  # of cells that hold a narrowing: there are few


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """images (N, S, S) uint8; maps (N, 2 K, h, h) uint8; degrees (N, K) int64; right (N,) float32, 1 for the right
    coronary artery."""

    images: Tensor
    maps: Tensor
    degrees: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.images)


class Heads(nn.Module):
    """Read from the vision network's patches and from its soft tokens what targets.py paints."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.patch = nn.Linear(width, 2 * SEGMENT_NUMBERS)
        self.cell = nn.Linear(width, 2 * SEGMENT_NUMBERS)
        self.question = nn.Parameter(0.02 * torch.randn(SEGMENT_NUMBERS, width))
        self.look = nn.MultiheadAttention(width, heads, batch_first=True)
        self.degree = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, DEGREES))
        self.side = nn.Linear(width, 1)

    def forward(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """patches (B, P, D), tokens (B, T, D) to maps of both, degrees (B, K, DEGREES) and the side's logit (B,)."""
        asked = self.question.expand(len(tokens), -1, -1)
        found, _ = self.look(asked, tokens, tokens, need_weights=False)
        return self.patch(patches), self.cell(tokens), self.degree(asked + found), self.side(tokens.mean(1))[:, 0]


def new_heads(network: Gemma3ForConditionalGeneration, seed: int) -> Heads:
    """Heads that fit the network's vision."""
    torch.manual_seed(seed)
    config = network.config.vision_config
    return Heads(config.hidden_size, config.num_attention_heads)


def soft_tokens(network: Gemma3ForConditionalGeneration, patches: Tensor) -> Tensor:
    """(B, P, D) to (B, T, D): pooled and normalised as the projector does, before it projects."""
    projector = network.model.multi_modal_projector
    side = projector.patches_per_image
    grid = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
    pooled: Tensor = projector.avg_pool(grid).flatten(2).transpose(1, 2)
    normed: Tensor = projector.mm_soft_emb_norm(pooled)
    return normed


def vision_loss(
    network: Gemma3ForConditionalGeneration, heads: Heads, scenes: Scenes, batch: int, dtype: torch.dtype
) -> Callable[[Generator], Tensor]:
    """The loss of a batch that the generator draws."""

    def loss_of(generator: Generator) -> Tensor:
        chosen = torch.randint(len(scenes), (batch,), generator=generator)
        pictures, maps = shown(scenes.images[chosen], scenes.maps[chosen], generator)
        degrees = still_inside(scenes.degrees[chosen], maps)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            patches = network.model.vision_tower(pixel_values=pictures).last_hidden_state
            found = heads(patches, soft_tokens(network, patches))
        return maps_loss(found, maps, degrees, scenes.right[chosen])

    return loss_of


def still_inside(degrees: Tensor, maps: Tensor) -> Tensor:
    """Degrees (B, K) without the narrowings that were moved out of the picture."""
    left = maps[:, SEGMENT_NUMBERS:].amax(dim=(2, 3)) >= 0.5
    return degrees * left


def maps_loss(found: tuple[Tensor, Tensor, Tensor, Tensor], maps: Tensor, degrees: Tensor, right: Tensor) -> Tensor:
    """Of what the heads found. maps (B, 2 K, h, h) float32; degrees (B, K); right (B,)."""
    by_patch, by_cell, by_segment, side = (one.float() for one in found)
    loss = torch.zeros(())
    for logits in (by_patch, by_cell):
        width = int(logits.shape[1] ** 0.5)
        there = (F.adaptive_max_pool2d(maps, width) >= 0.5).float().flatten(2).transpose(1, 2)
        weight = 1.0 + (_LESION_WEIGHT - 1.0) * there
        weight[..., :SEGMENT_NUMBERS] = 1.0
        loss = loss + 8.0 * F.binary_cross_entropy_with_logits(logits, there, weight)
    loss = loss + 2.0 * F.cross_entropy(by_segment.flatten(0, 1), degrees.flatten())
    return loss + 0.5 * F.binary_cross_entropy_with_logits(side, right)


@torch.no_grad()
def vision_scores(network: Gemma3ForConditionalGeneration, heads: Heads, scenes: Scenes) -> dict[str, float]:
    """On pictures as they are: share of sides right, and how well the places of narrowings are told apart (AUC)."""
    degrees, sides = [], []
    for begin in range(0, len(scenes), 32):
        pixels = normalised(scenes.images[begin : begin + 32].float() / 255.0)
        patches = network.model.vision_tower(pixel_values=pixels).last_hidden_state
        *_, degree, side = heads(patches, soft_tokens(network, patches))
        degrees.append(1.0 - degree.float().softmax(-1)[..., 0])
        sides.append(side)
    narrowed, truth = torch.cat(degrees).flatten(), (scenes.degrees > 0).flatten()
    right = float(((torch.cat(sides) > 0) == (scenes.right > 0.5)).float().mean())
    return {"side_right": right, "lesion_auc": _auc(narrowed, truth)}


def _auc(score: Tensor, truth: Tensor) -> float:
    rank = score.argsort().argsort().float()
    positive = int(truth.sum())
    above = float(rank[truth].sum()) - positive * (positive - 1) / 2.0
    return above / max(1, positive * (len(truth) - positive))


def normalised(grey: Tensor) -> Tensor:
    """(B, S, S) grey in [0, 1] to the network's pixels (B, 3, S, S)."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (PICTURE.mean, PICTURE.std))
    return (grey[:, None] - mean) / std

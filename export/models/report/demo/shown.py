"""Pictures as other laboratories would show them, drawn at random: moved, windowed, blurred or noisy; maps move along.

Never mirrored: a mirrored left coronary looks like no coronary there is. Not for: evaluation.
B pictures, S their side; M maps of side h.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cathrt.export.models.report.demo.pictures import PICTURE


def shown(images: Tensor, maps: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """(B, S, S) uint8 and (B, M, h, h) uint8 to pixels (B, 3, S, S) as the network takes them, and maps as float32."""
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    turn = _turn(uniform(-0.2, 0.2), uniform(-0.22, 0.22), uniform(-0.16, 0.16), uniform(-0.16, 0.16))
    grey = images[:, None].float() / 255.0
    grid = F.affine_grid(turn, [count, 1, *images.shape[1:]], align_corners=False)
    grey = F.grid_sample(grey, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    cells = F.affine_grid(turn, [count, 1, *maps.shape[2:]], align_corners=False)
    moved = F.grid_sample(maps.float(), cells, mode="bilinear", padding_mode="zeros", align_corners=False)

    grey = grey.clamp(1e-4, 1.0) ** torch.exp(uniform(-0.4, 0.4))[:, None, None, None]
    mean = grey.mean(dim=(2, 3), keepdim=True)
    gain, offset = torch.exp(uniform(-0.25, 0.25)), uniform(-0.1, 0.1)
    grey = (grey - mean) * gain[:, None, None, None] + mean + offset[:, None, None, None]
    strength = (uniform(0.0, 0.03) * (uniform(0.0, 1.0) < 0.5))[:, None, None, None]
    grey = (grey + strength * torch.randn(grey.shape, generator=generator)).clamp_(0.0, 1.0)
    mean_, std = (torch.tensor(values)[:, None, None] for values in (PICTURE.mean, PICTURE.std))
    return (grey - mean_) / std, moved


def _turn(angle: Tensor, log_zoom: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """(B, 2, 3) of affine_grid."""
    cos, sin = torch.cos(angle) * torch.exp(log_zoom), torch.sin(angle) * torch.exp(log_zoom)
    return torch.stack([cos, -sin, across, sin, cos, down], dim=1).view(-1, 2, 3)

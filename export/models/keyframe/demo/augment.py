"""Domain randomisation on batches of frames: what differs between laboratories, vendors and exports, drawn at random.

Never mirrored: a mirrored left coronary looks like no coronary there is. Every draw comes from the generator handed
in, so the same step of the same seed always sees the same frames. Not for: evaluation.
B frames, H = W pixels; grey in [0, 1].
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

BLUR_TAPS = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


def augment(images: Tensor, vessels: Tensor, side: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """(B, 1, H, H) uint8 to (B, 1, side, side) float32 in [0, 1], side <= H; vessels (B, 1, h, h) float move along."""
    grey = images.float() / 255.0
    if side != grey.shape[-1]:
        grey = F.interpolate(grey, size=(side, side), mode="area")
    grey, vessels = _move(grey, vessels, generator)
    grey = _illuminate(grey, generator)
    grey = _sharpen_or_blur(grey, generator)
    grey = _window(grey, generator)
    grey = _add_noise(grey, generator)
    grey = _cover(grey, generator)
    return grey.clamp_(0.0, 1.0), vessels


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _chance(count: int, probability: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) < probability


def _each(values: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _move(grey: Tensor, vessels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Patient, table and field of view: rotation to 15 degrees, zoom 0.75 to 1.3, 8 % of stretch, shift to 12 %."""
    count = len(grey)
    angle = _uniform(count, -math.radians(15.0), math.radians(15.0), generator)
    zoom = torch.exp(_uniform(count, math.log(0.75), math.log(1.3), generator))
    stretch = torch.exp(_uniform(count, -0.08, 0.08, generator))
    shift = torch.stack([_uniform(count, -0.24, 0.24, generator) for _ in range(2)], dim=1)  # of a width of 2
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = torch.stack([cos * stretch, -sin, shift[:, 0], sin, cos / stretch, shift[:, 1]], dim=1)
    turn = rows.view(count, 2, 3)
    grid = F.affine_grid(turn, list(grey.shape), align_corners=False)
    cells = F.affine_grid(turn, list(vessels.shape), align_corners=False)
    # What comes in from outside is the field's own edge or the collimator's black, one or the other for a whole batch.
    padding = "border" if torch.rand((), generator=generator) < 0.5 else "zeros"
    moved = F.grid_sample(grey, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return moved, F.grid_sample(vessels, cells, mode="bilinear", padding_mode="zeros", align_corners=False)


def _illuminate(grey: Tensor, generator: Generator) -> Tensor:
    """Slow changes of brightness over the field: other bodies, other equalisation filters."""
    coarse = torch.randn(len(grey), 1, 4, 4, generator=generator)
    field = F.interpolate(coarse, size=grey.shape[-2:], mode="bicubic", align_corners=True)
    strength = _each(_uniform(len(grey), 0.0, 0.22, generator))
    return grey * torch.exp(strength * field) + 0.5 * strength * field * grey.mean(dim=(2, 3), keepdim=True)


def _sharpen_or_blur(grey: Tensor, generator: Generator) -> Tensor:
    """Edge enhancement (amount above 0) or loss of sharpness (below), by difference from a 5-tap binomial blur."""
    vertical, horizontal = BLUR_TAPS.view(1, 1, 5, 1), BLUR_TAPS.view(1, 1, 1, 5)
    padded = F.pad(grey, (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, vertical), horizontal)
    return grey + _each(_uniform(len(grey), -1.0, 1.6, generator)) * (grey - blurred)


def _window(grey: Tensor, generator: Generator) -> Tensor:
    """Gamma 0.55 to 1.8, gain 0.7 to 1.5 about the mean, offset to 0.15: other windows and display curves."""
    count = len(grey)
    gamma = torch.exp(_uniform(count, math.log(0.55), math.log(1.8), generator))
    curved = grey.clamp(1e-4, 1.0) ** _each(gamma)
    mean = curved.mean(dim=(2, 3), keepdim=True)
    gain = torch.exp(_uniform(count, math.log(0.7), math.log(1.5), generator))
    return (curved - mean) * _each(gain) + mean + _each(_uniform(count, -0.15, 0.15, generator))


def _add_noise(grey: Tensor, generator: Generator) -> Tensor:
    """White noise of a standard deviation to 0.025, and blotches of noise three pixels wide to 0.015.

    More would bury the small arteries, whose contrast is a few hundredths.
    """
    count, side = len(grey), grey.shape[-1]
    white = torch.randn(count, 1, side, side, generator=generator)
    coarse = torch.randn(count, 1, side // 3, side // 3, generator=generator)
    blotches = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    fine_level = _each(_uniform(count, 0.0, 0.025, generator) * _chance(count, 0.7, generator))
    return grey + fine_level * white + _each(_uniform(count, 0.0, 0.015, generator)) * blotches


def _cover(grey: Tensor, generator: Generator) -> Tensor:
    """Collimator blades and a round field in black, and rectangles of any grey (overlays, drapes, leads)."""
    count, side = len(grey), grey.shape[-1]
    axis = torch.linspace(0.0, 1.0, side)
    row, column = axis.view(1, side, 1), axis.view(1, 1, side)
    blades = _uniform(4 * count, 0.0, 0.18, generator).view(4, count, 1, 1) * _chance(4 * count, 0.25, generator).view(
        4, count, 1, 1
    )
    outside = (row < blades[0]) | (row > 1 - blades[1]) | (column < blades[2]) | (column > 1 - blades[3])
    radius = torch.where(
        _chance(count, 0.15, generator), _uniform(count, 0.5, 0.7, generator), torch.full((count,), 2.0)
    ).view(count, 1, 1)
    outside = outside | ((row - 0.5) ** 2 + (column - 0.5) ** 2 > radius**2)
    grey = torch.where(outside[:, None], torch.zeros(()), grey)

    top, left = (_uniform(count, 0.0, 0.9, generator).view(count, 1, 1) for _ in range(2))
    height, width = (_uniform(count, 0.03, 0.25, generator).view(count, 1, 1) for _ in range(2))
    inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    inside = inside & _chance(count, 0.3, generator).view(count, 1, 1)
    return torch.where(inside[:, None], _each(_uniform(count, 0.0, 1.0, generator)), grey)

"""Domain randomisation on batches of frames: what differs between laboratories, vendors and exports, drawn at random.

Never mirrored: a mirrored left coronary looks like no coronary there is. Every draw comes from the generator handed
in, so the same step of the same seed always sees the same frames. Frames of one run that are compared with each other
get the same draws but for noise: the network shall learn which is the better frame, not the better display.
Not for: evaluation.
B frames of C planes, H = W pixels; grey in [0, 1]. Planes are the frame and what its run showed before (dataset.py):
one display shows them all, and only the frame itself has noise of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

BLUR_TAPS = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


class _Draws:
    """Random numbers for a batch of `count`; `alike` neighbours each get the same ones."""

    def __init__(self, count: int, alike: int, generator: Generator) -> None:
        self.count, self._alike, self.generator = count, alike, generator

    def uniform(self, low: float, high: float) -> Tensor:
        """(B,) in [low, high)."""
        drawn = torch.rand(self.count // self._alike, generator=self.generator) * (high - low) + low
        return drawn.repeat_interleave(self._alike)

    def chance(self, probability: float) -> Tensor:
        """(B,) bool."""
        return self.uniform(0.0, 1.0) < probability

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape)."""
        drawn = torch.randn(self.count // self._alike, *shape, generator=self.generator)
        return drawn.repeat_interleave(self._alike, dim=0)


def augment(
    images: Tensor, vessels: Tensor, side: int, generator: Generator, *, alike: int = 1
) -> tuple[Tensor, Tensor]:
    """(B, C, H, H) uint8 to (B, C, side, side) float32 in [0, 1], side <= H; vessels (B, 1, h, h) float move along.

    alike: how many neighbours of the batch are of one run; B is a multiple of it.
    """
    grey = images.float() / 255.0
    if side != grey.shape[-1]:
        grey = F.interpolate(grey, size=(side, side), mode="area")
    draws = _Draws(len(grey), alike, generator)
    grey, vessels = _move(grey, vessels, draws)
    grey = _illuminate(grey, draws)
    grey = _sharpen_or_blur(grey, draws)
    grey = _window(grey, draws)
    grey = _add_noise(grey, draws)
    grey = _cover(grey, draws)
    return grey.clamp_(0.0, 1.0), vessels


def _each(values: Tensor) -> Tensor:
    """(B,) to (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _mean_of_frame(grey: Tensor) -> Tensor:
    """(B, 1, 1, 1): of the frame itself, for all planes."""
    return grey[:, :1].mean(dim=(2, 3), keepdim=True)


def _move(grey: Tensor, vessels: Tensor, draws: _Draws) -> tuple[Tensor, Tensor]:
    """Patient, table and field of view: rotation to 15 degrees, zoom 0.65 to 1.3, 8 % of stretch, shift to 12 %."""
    count = len(grey)
    angle = draws.uniform(-math.radians(15.0), math.radians(15.0))
    zoom = torch.exp(draws.uniform(math.log(0.65), math.log(1.3)))
    stretch = torch.exp(draws.uniform(-0.08, 0.08))
    shift = torch.stack([draws.uniform(-0.24, 0.24) for _ in range(2)], dim=1)  # of a width of 2
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = torch.stack([cos * stretch, -sin, shift[:, 0], sin, cos / stretch, shift[:, 1]], dim=1)
    turn = rows.view(count, 2, 3)
    grid = F.affine_grid(turn, list(grey.shape), align_corners=False)
    cells = F.affine_grid(turn, list(vessels.shape), align_corners=False)
    # What comes in from outside is the field's own edge or the collimator's black, one or the other for a whole batch.
    padding = "border" if torch.rand((), generator=draws.generator) < 0.5 else "zeros"
    moved = F.grid_sample(grey, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    return moved, F.grid_sample(vessels, cells, mode="bilinear", padding_mode="zeros", align_corners=False)


def _illuminate(grey: Tensor, draws: _Draws) -> Tensor:
    """Slow changes of brightness over the field: other bodies, other equalisation filters."""
    coarse = draws.normal(1, 4, 4)
    field = F.interpolate(coarse, size=grey.shape[-2:], mode="bicubic", align_corners=True)
    strength = _each(draws.uniform(0.0, 0.28))
    return grey * torch.exp(strength * field) + 0.5 * strength * field * _mean_of_frame(grey)


def _sharpen_or_blur(grey: Tensor, draws: _Draws) -> Tensor:
    """Edge enhancement (amount above 0) or loss of sharpness (below), by difference from a 5-tap binomial blur."""
    planes = grey.shape[1]
    vertical, horizontal = (BLUR_TAPS.view(1, 1, *taps).expand(planes, -1, -1, -1) for taps in ((5, 1), (1, 5)))
    padded = F.pad(grey, (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, vertical, groups=planes), horizontal, groups=planes)
    return grey + _each(draws.uniform(-1.0, 1.6)) * (grey - blurred)


def _window(grey: Tensor, draws: _Draws) -> Tensor:
    """Gamma 0.55 to 1.8, gain 0.7 to 1.5 about the mean, offset to 0.15: other windows and display curves."""
    gamma = torch.exp(draws.uniform(math.log(0.55), math.log(1.8)))
    curved = grey.clamp(1e-4, 1.0) ** _each(gamma)
    mean = _mean_of_frame(curved)
    gain = torch.exp(draws.uniform(math.log(0.7), math.log(1.5)))
    return (curved - mean) * _each(gain) + mean + _each(draws.uniform(-0.15, 0.15))


def _add_noise(grey: Tensor, draws: _Draws) -> Tensor:
    """White noise of a standard deviation to 0.025, and blotches of noise three pixels wide to 0.015.

    More would bury the small arteries, whose contrast is a few hundredths.
    """
    count, side = len(grey), grey.shape[-1]
    white = torch.randn(count, 1, side, side, generator=draws.generator)
    coarse = torch.randn(count, 1, side // 3, side // 3, generator=draws.generator)
    blotches = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    fine_level = _each(draws.uniform(0.0, 0.025) * draws.chance(0.7))
    noise = fine_level * white + _each(draws.uniform(0.0, 0.015)) * blotches
    return torch.cat([grey[:, :1] + noise, grey[:, 1:]], dim=1)


def _cover(grey: Tensor, draws: _Draws) -> Tensor:
    """Collimator blades and a round field in black, and rectangles of any grey (overlays, drapes, leads)."""
    count, side = len(grey), grey.shape[-1]
    axis = torch.linspace(0.0, 1.0, side)
    row, column = axis.view(1, side, 1), axis.view(1, 1, side)
    blades = [(draws.uniform(0.0, 0.18) * draws.chance(0.25)).view(count, 1, 1) for _ in range(4)]
    outside = (row < blades[0]) | (row > 1 - blades[1]) | (column < blades[2]) | (column > 1 - blades[3])
    radius = torch.where(draws.chance(0.15), draws.uniform(0.5, 0.7), torch.full((count,), 2.0)).view(count, 1, 1)
    outside = outside | ((row - 0.5) ** 2 + (column - 0.5) ** 2 > radius**2)
    grey = torch.where(outside[:, None], torch.zeros(()), grey)

    top, left = (draws.uniform(0.0, 0.9).view(count, 1, 1) for _ in range(2))
    height, width = (draws.uniform(0.03, 0.25).view(count, 1, 1) for _ in range(2))
    inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    inside = inside & draws.chance(0.3).view(count, 1, 1)
    return torch.where(inside[:, None], _each(draws.uniform(0.0, 1.0)), grey)

"""What the first layer of the demonstration begins with: lines, spots and levels, instead of noise.

A network this small that begins with noise spends most of its training on finding out that arteries are dark lines.
They are weights like others and are trained on. Not for: networks that are given to us.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cathrt.export.models.study.shape import PATCH_KERNEL

_WIDTHS_PX = (1.0, 1.9)  # SD of a line's profile
_ANGLES = 6
_STEPS = (1, 2)  # of the kernel's three in time: the middle frame and the next one
Floats = NDArray[np.float64]
_CHANNELS = 3  # of a clip, all the same


def first_filters(count: int) -> Tensor:
    """(count, 3, time, rows, columns): the first `count` of the bank, noise where there are fewer."""
    bank = [placed for step in _STEPS for placed in _placed_at(step)]
    draw = torch.Generator().manual_seed(0)
    found = 0.02 * torch.randn(count, _CHANNELS, *PATCH_KERNEL, generator=draw)
    for place, one in enumerate(bank[:count]):
        found[place] = torch.from_numpy(one / (_CHANNELS * np.abs(one).sum()) * 4.0).float()
    return found


def _placed_at(step: int) -> list[Floats]:
    """Lines in all directions, spots and levels of one frame."""
    _, rows, columns = PATCH_KERNEL
    row, column = np.mgrid[:rows, :columns] - (rows // 2)
    flat = []
    for width in _WIDTHS_PX:
        for angle in np.pi * np.arange(_ANGLES) / _ANGLES:
            flat.append(_bowl(row * np.cos(angle) + column * np.sin(angle), width))
    away = np.hypot(row, column)
    flat += [_bowl(away, width) for width in _WIDTHS_PX]
    flat += [np.exp(-0.5 * (away / width) ** 2) for width in (1.5, 3.0)]
    found = []
    for one in flat:
        whole = np.zeros((_CHANNELS, *PATCH_KERNEL))
        whole[:, step] = one
        found.append(whole)
    return found


def _bowl(across: Floats, width: float) -> Floats:
    """Dark in the middle, bright beside it, nothing for what is level."""
    profile = (across / width) ** 2 - 1.0
    shaped = profile * np.exp(-0.5 * (across / width) ** 2)
    return np.asarray(shaped - shaped.mean())

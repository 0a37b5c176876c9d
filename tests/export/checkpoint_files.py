"""Files of weights as the libraries write them, for the tests of loading; the values are noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import Layout, name_in, shape_in

ATTO = "convnext_atto"


def made_up(arch: str = ATTO, classes: int = 6) -> dict[str, Tensor]:
    """Weights in timm's names, every value another one."""
    torch.manual_seed(3)
    return {k: torch.randn_like(v) for k, v in ConvNext(ARCHS[arch], classes=classes).state_dict().items()}


def published(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The state as that library stores it."""
    return {str(name_in(layout, k)): v.reshape(shape_in(layout, k, tuple(v.shape))) for k, v in state.items()}


def stored(path: Path, document: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(document, path)
    else:
        torch.save(document, path)
    return path

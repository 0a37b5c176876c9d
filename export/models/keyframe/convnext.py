"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s") as a plain torch module.

For: training and as the truth that every export is compared with. Its state_dict has timm's names and shapes, so a
checkpoint of the published network loads by key. Not for: the names of other libraries (convnext_names.py), and the
runtime, which never sees torch.
B batch, C channels, H rows, W columns.
"""

# mypy: allow-subclassing-any
# (mypy skips torch, so nn.Module is Any here)
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-6
DEPTHWISE_KERNEL = 7
MLP_RATIO = 4


@dataclass(frozen=True, slots=True)
class ConvNextArch:
    """Blocks per stage and channels per stage."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]


ARCHS: Mapping[str, ConvNextArch] = {
    "convnext_atto": ConvNextArch((2, 2, 6, 2), (40, 80, 160, 320)),
    "convnext_femto": ConvNextArch((2, 2, 6, 2), (48, 96, 192, 384)),
    "convnext_pico": ConvNextArch((2, 2, 6, 2), (64, 128, 256, 512)),
    "convnext_nano": ConvNextArch((2, 2, 8, 2), (80, 160, 320, 640)),
    "convnext_tiny": ConvNextArch((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": ConvNextArch((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": ConvNextArch((3, 3, 27, 3), (128, 256, 512, 1024)),
    "convnext_large": ConvNextArch((3, 3, 27, 3), (192, 384, 768, 1536)),
}


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over C of a (B, C, H, W) tensor. In channels-last memory the two permutes move nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them, over the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, MLP, layer scale, residual. (B, C, H, W) to the same."""

    def __init__(self, width: int, layer_scale: float) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, DEPTHWISE_KERNEL, padding=DEPTHWISE_KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width)
        self.gamma = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        branch = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + (branch * self.gamma).permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Halving of rows and columns (but in the first stage), then blocks."""

    def __init__(self, width_in: int, width: int, depth: int, layer_scale: float) -> None:
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if width_in != width:
            norm = ChannelNorm(width_in, eps=LAYER_NORM_EPS)
            self.downsample = nn.Sequential(norm, nn.Conv2d(width_in, width, 2, stride=2))
        self.blocks = nn.Sequential(*(Block(width, layer_scale) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


class Head(nn.Module):
    """Mean over H and W, LayerNorm, linear layer."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.norm(x.mean(dim=(2, 3))))
        return out


class ConvNext(nn.Module):
    """image (B, 3, H, W) float32, H and W multiples of 32, to logits (B, classes).

    layer_scale: first value of gamma. The paper's 1e-6 suits 300 epochs; a run of minutes needs 0.1 to 1, because
    blocks that start as nothing take thousands of steps to wake.
    The MLPs are linear layers in every size. timm stores those of atto to nano as 1x1 convolutions, (out, in, 1, 1):
    the same numbers, see `linear_mlps` in convnext_names.py.
    """

    def __init__(self, arch: ConvNextArch, *, classes: int, layer_scale: float = 1e-6) -> None:
        super().__init__()
        self.arch = arch
        self.classes = classes
        self.stem = nn.Sequential(
            nn.Conv2d(3, arch.widths[0], 4, stride=4), ChannelNorm(arch.widths[0], eps=LAYER_NORM_EPS)
        )
        widths_in = (arch.widths[0], *arch.widths[:-1])
        self.stages = nn.Sequential(
            *(Stage(*shape, layer_scale) for shape in zip(widths_in, arch.widths, arch.depths, strict=True))
        )
        self.head = Head(arch.widths[-1], classes)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(self.stem(image)))
        return logits


def _initialise(module: nn.Module) -> None:
    """Truncated normal of 0.02 and zero biases, as in the paper's appendix A."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def arch_of(state: Mapping[str, Tensor]) -> tuple[str, int]:
    """Name of the architecture and number of classes of a state in timm's names.

    Raises ValueError naming the depths and widths found if no published size has them.
    """
    blocks = {(int(m[1]), int(m[2])) for key in state if (m := re.match(r"stages\.(\d)\.blocks\.(\d+)\.gamma$", key))}
    depths = tuple(sum(stage == s for stage, _ in blocks) for s in range(4))
    widths = tuple(len(state[key]) if (key := f"stages.{s}.blocks.0.gamma") in state else 0 for s in range(4))
    for name, arch in ARCHS.items():
        if (arch.depths, arch.widths) == (depths, widths) and "head.fc.weight" in state:
            return name, len(state["head.fc.weight"])
    raise ValueError(
        f"no ConvNeXt in timm's names: found depths {depths}, widths {widths}, "
        f"head.fc.weight {'present' if 'head.fc.weight' in state else 'missing'}; expected one of {', '.join(ARCHS)}: "
        "load the file with cathrt.export.models.keyframe.checkpoint, which knows the other libraries' names"
    )

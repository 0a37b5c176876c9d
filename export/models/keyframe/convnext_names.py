"""The names ConvNeXt's weights go by in the libraries that publish them, and their way into timm's names and back.

One table per library and nothing else: another library is another entry. Not for: reading files (checkpoint/file.py)
and deciding whether a set of weights is whole (checkpoint.py).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext, ConvNextArch

Layout = Literal["timm", "torchvision", "transformers", "transformers_bare", "facebook"]


@dataclass(frozen=True, slots=True)
class _Names:
    """Where a library keeps each part. In the templates: {stage} 0 to 3, {odd} = 2 stage + 1, {even} = 2 stage.

    stem: convolution, norm. downsample: {part} is 0 for the norm, 1 for the convolution. gamma: the layer scale's name.
    """

    stem: tuple[str, str]
    downsample: str
    block: str
    conv_dw: str
    norm: str
    fc1: str
    fc2: str
    gamma: str
    head_norm: str
    head_fc: str


LAYOUTS: Mapping[Layout, _Names] = {
    "timm": _Names(
        stem=("stem.0", "stem.1"),
        downsample="stages.{stage}.downsample.{part}",
        block="stages.{stage}.blocks.{block}",
        conv_dw="conv_dw",
        norm="norm",
        fc1="mlp.fc1",
        fc2="mlp.fc2",
        gamma="gamma",
        head_norm="head.norm",
        head_fc="head.fc",
    ),
    # torchvision numbers its modules: features.0 is the stem, odd ones are stages, even ones the halvings between them.
    "torchvision": _Names(
        stem=("features.0.0", "features.0.1"),
        downsample="features.{even}.{part}",
        block="features.{odd}.{block}",
        conv_dw="block.0",
        norm="block.2",
        fc1="block.3",
        fc2="block.5",
        gamma="layer_scale",
        head_norm="classifier.0",
        head_fc="classifier.2",
    ),
    # ConvNextForImageClassification, transformers 4 and 5. Its last norm has eps 1e-12 by default where all other norms
    # have 1e-6; float32 does not feel it unless the pooled features hardly vary.
    "transformers": _Names(
        stem=("convnext.embeddings.patch_embeddings", "convnext.embeddings.layernorm"),
        downsample="convnext.encoder.stages.{stage}.downsampling_layer.{part}",
        block="convnext.encoder.stages.{stage}.layers.{block}",
        conv_dw="dwconv",
        norm="layernorm",
        fc1="pwconv1",
        fc2="pwconv2",
        gamma="layer_scale_parameter",
        head_norm="convnext.layernorm",
        head_fc="classifier",
    ),
    # ConvNextModel, which has no last layer of its own: whole only where its owner gave it one.
    "transformers_bare": _Names(
        stem=("embeddings.patch_embeddings", "embeddings.layernorm"),
        downsample="encoder.stages.{stage}.downsampling_layer.{part}",
        block="encoder.stages.{stage}.layers.{block}",
        conv_dw="dwconv",
        norm="layernorm",
        fc1="pwconv1",
        fc2="pwconv2",
        gamma="layer_scale_parameter",
        head_norm="layernorm",
        head_fc="classifier",
    ),
    # The authors' own code, facebookresearch/ConvNeXt: the stem is the first of four halvings.
    "facebook": _Names(
        stem=("downsample_layers.0.0", "downsample_layers.0.1"),
        downsample="downsample_layers.{stage}.{part}",
        block="stages.{stage}.{block}",
        conv_dw="dwconv",
        norm="norm",
        fc1="pwconv1",
        fc2="pwconv2",
        gamma="gamma",
        head_norm="norm",
        head_fc="head",
    ),
}

_STEM = re.compile(r"stem\.([01])\.(weight|bias)")
_DOWNSAMPLE = re.compile(r"stages\.([1-3])\.downsample\.([01])\.(weight|bias)")
_GAMMA = re.compile(r"stages\.([0-3])\.blocks\.(\d+)\.gamma")
_BLOCK = re.compile(r"stages\.([0-3])\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc1|mlp\.fc2)\.(weight|bias)")
_HEAD = re.compile(r"head\.(norm|fc)\.(weight|bias)")
_MLP_WEIGHT = re.compile(r"\.mlp\.fc[12]\.weight$")


def name_in(layout: Layout, timm_name: str) -> str | None:
    """What a library calls the parameter of this name in timm; None for a name that ConvNeXt has not."""
    names = LAYOUTS[layout]
    if m := _STEM.fullmatch(timm_name):
        return f"{names.stem[int(m[1])]}.{m[2]}"
    if m := _DOWNSAMPLE.fullmatch(timm_name):
        return f"{names.downsample.format(stage=m[1], even=2 * int(m[1]), part=m[2])}.{m[3]}"
    if m := _GAMMA.fullmatch(timm_name):
        return f"{_block(names, m)}.{names.gamma}"
    if m := _BLOCK.fullmatch(timm_name):
        parts = {"conv_dw": names.conv_dw, "norm": names.norm, "mlp.fc1": names.fc1, "mlp.fc2": names.fc2}
        return f"{_block(names, m)}.{parts[m[3]]}.{m[4]}"
    if m := _HEAD.fullmatch(timm_name):
        return f"{names.head_norm if m[1] == 'norm' else names.head_fc}.{m[2]}"
    return None


def _block(names: _Names, m: re.Match[str]) -> str:
    return names.block.format(stage=m[1], odd=2 * int(m[1]) + 1, block=m[2])


@functools.cache
def timm_names(layout: Layout) -> Mapping[str, str]:
    """A library's name to timm's, for every parameter that any published size has."""
    deepest = tuple(max(arch.depths[stage] for arch in ARCHS.values()) for stage in range(4))
    arch = ConvNextArch((deepest[0], deepest[1], deepest[2], deepest[3]), (1, 2, 3, 4))
    with torch.device("meta"):  # names only
        return {str(name_in(layout, name)): name for name in ConvNext(arch, classes=1).state_dict()}


def shape_in(layout: Layout, timm_name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape a library stores a parameter in, from that of the plain module; timm's 1x1 MLPs are not told apart."""
    return (*shape, 1, 1) if layout == "torchvision" and timm_name.endswith(".gamma") else shape


def timm_tensor(timm_name: str, tensor: Tensor) -> Tensor:
    """A view in the plain module's shape: a layer scale (C, 1, 1) as (C), an MLP of 1x1 convolutions as linear layers.

    Any other shape comes back as it is, for whoever checks it.
    """
    ones_from = 1 if timm_name.endswith(".gamma") else 2 if _MLP_WEIGHT.search(timm_name) else tensor.ndim
    return tensor.flatten(ones_from - 1) if tensor.shape[ones_from:] == (1, 1) else tensor


def linear_mlps(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A timm state whose MLPs are 1x1 convolutions, with them as linear layers; any other state as it is."""
    return {name: timm_tensor(name, value) for name, value in state.items()}


def torchvision_from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's names to torchvision's; gamma (C) becomes layer_scale (C, 1, 1). Raises ValueError on an unknown name."""
    renamed = _renamed(state, functools.partial(name_in, "torchvision"))
    return {key: value[:, None, None] if key.endswith(".layer_scale") else value for key, value in renamed.items()}


def timm_from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's names to timm's; layer_scale (C, 1, 1) becomes gamma (C). Raises ValueError on an unknown name."""
    return linear_mlps(_renamed(state, timm_names("torchvision").get))


def _renamed(state: Mapping[str, Tensor], name_of: Callable[[str], str | None]) -> dict[str, Tensor]:
    names = {key: name_of(key) for key in state}
    if unknown := sorted(key for key, name in names.items() if name is None):
        raise ValueError(f"not ConvNeXt names in this layout: {', '.join(unknown)}; check which library wrote them")
    return {str(names[key]): value for key, value in state.items()}

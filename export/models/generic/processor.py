"""A Hugging Face image processor's settings as the runtime's preprocessing, or a refusal that names what it cannot do.

The runtime resizes a whole frame by the antialiased bilinear filter; a centre crop becomes the graph's first node. What
is read here is held against the processor itself, picture by picture (source.py). Not for: running the processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.plain_text import shown

INPUT = "image"
PERCENTILES = (1.0, 99.0)  # of the exposed pixels, where a frame has no VOI
MASKED_VALUE = 0.0  # black: what the model has seen outside of pictures, if anything
_LARGEST = 255.0  # grey of the pictures that processors are made for
_BILINEAR = 2
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}  # as Pillow numbers them
_WARPED_FROM = 384  # ConvNeXt's processor crops smaller pictures, and stretches from this edge on
# Settings that change no tensor of a grey picture in three channels.
_WITHOUT_EFFECT = frozenset(
    {
        "image_processor_type",
        "feature_extractor_type",
        "processor_class",
        "do_convert_rgb",
        "do_flip_channel_order",
        "data_format",
        "input_data_format",
        "default_to_square",
        "return_tensors",
        "device",
        "disable_grouping",
    }
)
_READ = frozenset(
    {
        "do_resize",
        "size",
        "resample",
        "crop_pct",
        "do_center_crop",
        "crop_size",
        "do_rescale",
        "rescale_factor",
        "rescale_offset",
        "do_normalize",
        "image_mean",
        "image_std",
        "include_top",
    }
)
_ALSO_OFF = frozenset({"size_divisor", "pad_size"})  # settings of a step that its own switch turns off


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of the resized frame that the network reads, in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """preprocessing: of the graph's input, the whole resized frame. crop: the part of it that the network reads; None
    for all. square_frames: frames of another aspect would be treated otherwise. replaced: what is not as the model's
    own processor does it, in words; "" where nothing is."""

    preprocessing: Preprocessing
    crop: Crop | None
    square_frames: bool
    replaced: str


@dataclass(frozen=True, slots=True)
class _Geometry:
    resized: tuple[int, int]
    crop: Crop | None
    square_frames: bool


def prepared_as(
    processor: Mapping[str, Any],
    *,
    window: Literal["voi_else_percentile", "percentile"],
    approximate_resample: bool,
) -> Prepared:
    """Raises ConfigError naming every setting that cannot be represented."""
    name = shown(str(processor.get("image_processor_type", "the image processor")))
    refused = [f"{key} = {shown(str(processor[key]))[:80]}" for key in sorted(processor) if _unknown(key, processor)]
    if not processor.get("do_resize", True):
        refused.append("do_resize = False (the network reads one size, frames have any)")
    replaced = ""
    resample = processor.get("resample", _BILINEAR)
    if resample != _BILINEAR:
        named = _FILTERS.get(resample, str(resample)) if isinstance(resample, int) else str(resample)
        replaced = f"resized with the antialiased bilinear filter instead of {shown(named)}"
        if not approximate_resample:
            refused.append(f"resample = {shown(named)} (bilinear is done here: --approximate-resample replaces it)")
    geometry = _geometry(processor, refused)
    mean, std = _normalisation(processor, refused)
    if refused or geometry is None:
        raise ConfigError(f"{name}: cannot be represented: {'; '.join(refused)}")
    preprocessing = Preprocessing(INPUT, "NCHW", *geometry.resized, window, PERCENTILES, mean, std, MASKED_VALUE)
    return Prepared(preprocessing, geometry.crop, geometry.square_frames, replaced)


def _unknown(key: str, processor: Mapping[str, Any]) -> bool:
    """Whether the setting may do something that is not done here. A switch that is off does nothing."""
    if key.startswith("_") or key in _READ | _WITHOUT_EFFECT | _ALSO_OFF:
        return False
    return bool(processor[key])


def _geometry(processor: Mapping[str, Any], refused: list[str]) -> _Geometry | None:
    """What becomes of a square frame. None where `refused` says why."""
    size = processor.get("size")
    sides = {key: side for key, side in size.items() if side is not None} if isinstance(size, Mapping) else {}
    if not sides or not all(type(side) is int and 0 < side <= 4096 for side in sides.values()):
        refused.append(f"size = {shown(str(size))[:80]}")
        return None
    if sides.keys() == {"height", "width"}:
        resized, square = (sides["height"], sides["width"]), False
    elif sides.keys() == {"shortest_edge"}:
        resized, square = (sides["shortest_edge"],) * 2, True
    else:
        refused.append(f"size = {shown(str(size))[:80]}")
        return None
    cropped: tuple[int, int] | None = None
    if processor.get("do_center_crop"):
        cropped = _crop_size(processor.get("crop_size"), refused)
    share = processor.get("crop_pct")
    if share is not None and square:
        if not isinstance(share, int | float) or not 0.0 < share <= 1.0:
            refused.append(f"crop_pct = {shown(str(share))[:80]}")
            return None
        if cropped is None and "do_center_crop" not in processor and resized[0] >= _WARPED_FROM:
            square = False
        else:
            cropped = cropped or resized
            resized = (int(resized[0] / share),) * 2
    if cropped is None or cropped == resized:
        return _Geometry(resized, None, square)
    if cropped[0] > resized[0] or cropped[1] > resized[1]:
        refused.append(f"crop_size = {cropped} of a picture resized to {resized} (nothing is padded here)")
        return None
    top, left = (resized[0] - cropped[0]) // 2, (resized[1] - cropped[1]) // 2
    return _Geometry(resized, Crop(top, left, *cropped), square)


def _crop_size(found: Any, refused: list[str]) -> tuple[int, int] | None:
    sides = found if isinstance(found, Mapping) else {}
    height, width = (sides.get(key) for key in ("height", "width"))
    if type(height) is int and type(width) is int and 0 < height <= 4096 and 0 < width <= 4096:
        return height, width
    refused.append(f"crop_size = {shown(str(found))[:80]}")
    return None


def _normalisation(
    processor: Mapping[str, Any], refused: list[str]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """(mean, std) of grey in [0, 1], so that (grey - mean) / std is what the processor makes of grey * 255."""
    scale, shift = _LARGEST, 0.0
    if processor.get("do_rescale", True):
        factor = processor.get("rescale_factor", 1.0 / _LARGEST)
        if not isinstance(factor, int | float) or not factor > 0.0:
            refused.append(f"rescale_factor = {shown(str(factor))[:80]}")
            factor = 1.0
        scale, shift = _LARGEST * factor, -1.0 if processor.get("rescale_offset") else 0.0
    means: tuple[float, ...] = (0.0,) * 3
    stds: tuple[float, ...] = (1.0,) * 3
    if processor.get("do_normalize", True):
        means = _for_each_channel("image_mean", processor, refused) or means
        stds = _for_each_channel("image_std", processor, refused) or stds
    if processor.get("include_top"):  # EfficientNet's divides by std once more
        again = _for_each_channel("image_std", processor, refused) or (1.0,) * 3
        stds = tuple(std * one for std, one in zip(stds, again, strict=True))
    if min(stds) <= 0.0:
        refused.append(f"image_std = {list(stds)}")
        stds = (1.0,) * 3
    mean = tuple((one - shift) / scale for one in means)
    std = tuple(one / scale for one in stds)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _for_each_channel(key: str, processor: Mapping[str, Any], refused: list[str]) -> tuple[float, ...] | None:
    found = processor.get(key)
    listed = [found] * 3 if isinstance(found, int | float) else found
    if isinstance(listed, list) and len(listed) == 1:
        listed = listed * 3
    if isinstance(listed, list) and len(listed) == 3 and all(isinstance(one, int | float) for one in listed):
        return tuple(float(one) for one in listed)
    refused.append(f"{key} = {shown(str(found))[:80]}")
    return None

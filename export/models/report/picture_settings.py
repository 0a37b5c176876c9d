"""How a key frame becomes the vision network's input, from the settings of the model's own image processor.

What they ask for beside a resize to a square, a mean and a standard deviation is refused by name. Not for: the resize
(cathrt.runtime.models.report.picture).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cathrt.export.models.report.shape import GemmaShape
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.section import ReportPicture
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.plain_text import shown

# As transformers 5 writes it, with the image processor's settings in a table, and as earlier ones do.
_FILES = ("processor_config.json", "preprocessor_config.json")
_TABLE = "image_processor"
PERCENTILES = (1.0, 99.0)  # of the exposed pixels: what a key frame's darkest and brightest are
_HALF = (0.5, 0.5, 0.5)  # of Gemma3's own processor: mean and standard deviation
_SCALE = 1.0 / 255.0


def picture_of(base: Path, shape: GemmaShape) -> tuple[ReportPicture | None, tuple[str, ...]]:
    """The settings, and lines for the user; None for a text-only model. Raises ConfigError for what the runtime does
    not do, and for settings of another network."""
    if shape.vision is None:
        return None, ("the model reads text alone: drafts rest on the findings, and no picture is shown to it",)
    found = _settings(base)
    if found is None:
        note = f"no {' or '.join(_FILES)} in {base}: pictures get mean and standard deviation 0.5, as Gemma3's own"
        return _picture(shape.vision.side, shape.image_tokens, _HALF, _HALF), (note,)
    where, settings = found
    _require_plain(where, settings, shape.vision.side)
    mean, std = (_of_each_channel(where, settings, key) for key in ("image_mean", "image_std"))
    if min(std) <= 0.0:
        raise ConfigError(f"{where}: image_std is {list(std)}, expected numbers above 0")
    return _picture(shape.vision.side, shape.image_tokens, mean, std), ()


def _picture(
    side: int, tokens: int, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> ReportPicture:
    return ReportPicture(side=side, percentiles=PERCENTILES, mean=mean, std=std, tokens=tokens)


def _settings(base: Path) -> tuple[Path, Mapping[str, Any]] | None:
    for name in _FILES:
        path = base / name
        if not path.exists():
            continue
        try:
            document = json.loads(read_input_file(path).decode("utf-8"))
        except (OSError, ValueError, RecursionError) as exc:
            raise ConfigError(f"{path}: cannot be read as JSON ({exc}): fetch it again") from exc
        settings = document.get(_TABLE, document) if isinstance(document, dict) else None
        if not isinstance(settings, dict):
            raise ConfigError(f"{path}: holds no settings of an image processor: fetch it again")
        if "image_mean" in settings or name != _FILES[0]:
            return path, settings
    return None


def _require_plain(where: Path, settings: Mapping[str, Any], side: int) -> None:
    """Raises ConfigError where a picture is not stretched to the square, or a value not scaled to [0, 1] first."""
    size = settings.get("size", {"height": side, "width": side})
    sides = [size.get(key) for key in ("height", "width")] if isinstance(size, Mapping) else []
    refused = [] if sides == [side, side] else [f"size = {shown(str(size))[:80]} (the network reads {side} x {side})"]
    for key, expected in (("do_resize", True), ("do_rescale", True), ("do_normalize", True), ("do_pan_and_scan", None)):
        if settings.get(key, expected) not in (expected, None) and not (expected is None and settings[key] is False):
            refused.append(f"{key} = {shown(str(settings[key]))[:80]}")
    factor = settings.get("rescale_factor", _SCALE)
    if not isinstance(factor, int | float) or abs(factor - _SCALE) > 1e-6:
        refused.append(f"rescale_factor = {shown(str(factor))[:80]}")
    if refused:
        raise ConfigError(f"{where}: {'; '.join(refused)}: the runtime does not do that: give a model without it")


def _of_each_channel(where: Path, settings: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    found = settings.get(key)
    if isinstance(found, list) and len(found) == 3 and all(isinstance(one, int | float) for one in found):
        return float(found[0]), float(found[1]), float(found[2])
    raise ConfigError(f"{where}: {key} is {shown(str(found))[:80]}, expected three numbers")

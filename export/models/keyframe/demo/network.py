"""The demonstration network on phantom frames, as PyTorch computes it; which rows of its last layer are which output.

Not for: training it (training.py), or what its rows mean (evaluate.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.dataset import LABELS, PREPROCESSING, PhantomFrames
from cathrt.export.models.keyframe.demo.evaluate import DOMAIN, OUTPUT, READABILITY, Rows
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_REASONS
from cathrt.export.models.keyframe.demo.plan import LastLayer
from cathrt.export.models.keyframe.to_onnx import state_from_onnx
from cathrt.runtime.errors import ConfigError

ROWS = LastLayer(classes=len(LABELS), domain=1 + len(OUTSIDER_REASONS))
OUTPUTS = {OUTPUT: ROWS.classes, READABILITY: 1, DOMAIN: ROWS.domain}


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Weights in timm's names, and the hash of the file they came from."""

    state: dict[str, Tensor]
    sha256: str


def start_of(bundle: Path) -> Start:
    """The weights of an earlier demonstration bundle. Raises ConfigError where its graph does not hold them by name."""
    data = (bundle / "model.onnx").read_bytes()
    try:
        state = state_from_onnx(onnx.load_from_string(data))
    except ValueError as exc:
        raise ConfigError(f"{bundle}: {exc}: give a bundle that this program wrote") from exc
    return Start(state, hashlib.sha256(data).hexdigest())


def rows_of(state: Mapping[str, Tensor], arch: str, frames: PhantomFrames) -> Rows:
    """(N, rows) float32 of the last layer, as PyTorch computes them."""
    model = ConvNext(ARCHS[arch], classes=ROWS.total).eval()
    model.load_state_dict(dict(state))
    with torch.inference_mode():
        parts = [model(torch.from_numpy(network_input(images))) for images in _batches(frames.images)]
    return np.asarray(torch.cat(parts).numpy())


def network_input(images: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(N, H, W) stored grey to (N, 3, H, W) normalised, as the runtime's preprocessing would leave it."""
    grey = images[:, None].astype(np.float32) / np.float32(255.0)
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (PREPROCESSING.mean, PREPROCESSING.std))
    return np.asarray((grey - mean) / std, dtype=np.float32)


def _batches(images: np.ndarray[Any, np.dtype[np.uint8]]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return np.array_split(images, max(1, math.ceil(len(images) / 32)))

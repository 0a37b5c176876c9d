"""The demonstration network on phantom frames, as PyTorch computes it; which rows of its last layer are which output.

Not for: training it (training.py), or what its rows mean (evaluate.py).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.dataset import LABELS, PREPROCESSING, PhantomFrames
from cathrt.export.models.keyframe.demo.evaluate import DOMAIN, OUTPUT, READABILITY, Rows
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_REASONS
from cathrt.export.models.keyframe.demo.plan import LastLayer
from cathrt.export.models.keyframe.to_onnx import state_from_onnx
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.keyframe.section import CLASSIFIER

_FIRST = "stem.0.weight"  # of the first layer: (widths, 3, 4, 4)
ROWS = LastLayer(classes=len(LABELS), domain=1 + len(OUTSIDER_REASONS))
OUTPUTS = {OUTPUT: ROWS.classes, READABILITY: 1, DOMAIN: ROWS.domain}


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Weights in timm's names, and the hash of the file they came from."""

    state: dict[str, Tensor]
    sha256: str


def start_of(bundle: Path) -> Start:
    """The weights of an earlier demonstration bundle, its first layer as it is for a frame and its history.

    The weights of a network that saw the grey value alone, three times, read it once and its history not yet.
    Raises ConfigError where there is no such bundle, its graph does not hold them by name, or it saw another history.
    """
    try:
        data = (bundle / "model.onnx").read_bytes()
        (seen,) = json.loads((bundle / "manifest.json").read_bytes())["networks"][CLASSIFIER]["preprocessing"]
        state = state_from_onnx(onnx.load_from_string(data))
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ConfigError(
            f"{bundle}: no weights to begin with ({type(exc).__name__}: {exc}): give a bundle that this program wrote"
        ) from exc
    history = seen.get("history")
    if history is None and (seen["mean"], seen["std"]) != ([PREPROCESSING.mean[0]] * 3, [PREPROCESSING.std[0]] * 3):
        raise ConfigError(
            f"{bundle}: its network sees grey as (grey - {seen['mean']}) / {seen['std']}, "
            f"expected {PREPROCESSING.mean[0]} and {PREPROCESSING.std[0]} on each channel"
        )
    if history is None:
        grey = state[_FIRST].sum(dim=1, keepdim=True)
        state[_FIRST] = torch.cat([grey, torch.zeros_like(grey), torch.zeros_like(grey)], dim=1)
    elif history != json.loads(json.dumps(asdict(PREPROCESSING)["history"])):
        raise ConfigError(f"{bundle}: its network sees the history {history}, expected {PREPROCESSING.history}")
    return Start(state, hashlib.sha256(data).hexdigest())


def rows_of(state: Mapping[str, Tensor], arch: str, frames: PhantomFrames) -> Rows:
    """(N, rows) float32 of the last layer, as PyTorch computes them."""
    model = ConvNext(ARCHS[arch], classes=ROWS.total).eval()
    model.load_state_dict(dict(state))
    model = model.to(memory_format=torch.channels_last)  # half the time of planes
    with torch.inference_mode():
        parts = [
            model(input_of(images).contiguous(memory_format=torch.channels_last)) for images in _batches(frames.images)
        ]
    return np.asarray(torch.cat(parts).numpy())


def kept_rows(state: Mapping[str, Tensor], arch: str, runs: Sequence[PhantomFrames], folder: Path) -> list[Rows]:
    """rows_of each run, from `folder` where they lie already for these weights and pictures, else computed and left
    there: whoever sets thresholds anew need not wait for minutes again."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = hashlib.sha256()
    for name in sorted(state):
        weights.update(name.encode() + np.ascontiguousarray(state[name].numpy()).tobytes())
    found = []
    for run in runs:
        made_of = weights.copy()
        made_of.update(f"|{arch}|{PREPROCESSING!r}|".encode() + run.images.tobytes())
        path = folder / f"rows-{made_of.hexdigest()[:24]}.npy"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as stream:
                np.save(stream, rows_of(state, arch, run))
            partial.replace(path)
        found.append(np.load(path, allow_pickle=False))
    return found


def network_input(planes: Tensor) -> Tensor:
    """(N, 3, H, W) grey, background and recent mean in [0, 1] to what the runtime's preprocessing makes of them."""
    grey, background, recent = planes.unbind(dim=1)
    quantities = torch.stack([grey, grey - background, grey - recent], dim=1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (PREPROCESSING.mean, PREPROCESSING.std))
    return (quantities - mean) / std


def input_of(images: NDArray[np.uint8]) -> Tensor:
    """network_input of stored planes, (N, 3, H, W)."""
    return network_input(torch.from_numpy(images).float() / 255.0)


def _batches(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return np.array_split(images, max(1, math.ceil(len(images) / 32)))

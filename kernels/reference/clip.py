"""NumPy truth of the clips a video encoder is given: which frames of a run, and how they become its tensor.

The input of DeepCORO-CLIP's encoder, as its published preprocessing makes it. Not for: single frames, shutters or
percentile windows (ingest.py), slots of a batch that no run fills, or the encoder itself.

Differences, all of them on purpose: the published pipeline passes frames through MJPEG first and picks a random stride
in training, neither of which is repeated here; it reads 8-bit video only, so deeper stored values need a window, for
which the whole range of bits_stored is the likeliest (identity_line).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.kernels.reference.ingest import Float64, GreyFunction, normalise, resize, stored_values

CLIP_FRAMES = 16
CLIP_SIDE = 224
WHITE = 255.0  # what grey 1 is to the encoder


def identity_line(bits_stored: int) -> tuple[float, float, float]:
    """(origin, slope, intercept) of a window: 0 stays 0 and the largest stored value is 1, as in 8-bit video."""
    return 0.0, 1.0 / ((1 << bits_stored) - 1), 0.0


def channels_of(mean: float, std: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """mean, std of three equal channels of grey from a release's, which are scalars on the scale of 0 to 255."""
    return (mean / WHITE,) * 3, (std / WHITE,) * 3


def sample_frames(frame_count: int, frames: int = CLIP_FRAMES, stride: int = 1) -> tuple[int, ...]:
    """Which frames of a run make its clip: indices, `frames` of them, rising.

    Every stride-th frame is kept. Of more than `frames`, as many are taken evenly from the first to the last, each
    position rounded down; of fewer, the last is repeated. stride: 1 for the generic, stenosis, MACE and CTO products,
    2 for CathEF, DeepRV and SYNTAX; it belongs to the model's metadata.
    Raises ValueError unless all three are at least 1.
    """
    if frame_count < 1 or frames < 1 or stride < 1:
        raise ValueError(
            f"frame_count, frames and stride are {frame_count}, {frames} and {stride}: expected at least 1 each"
        )
    kept = range(0, frame_count, stride)
    last = len(kept) - 1
    if last < frames:
        return tuple(kept[min(i, last)] for i in range(frames))
    # Integers, so that a position which is a whole number is never rounded to the one below.
    return tuple(kept[i * last // max(frames - 1, 1)] for i in range(frames))


def clip(
    frames: Sequence[NDArray[Any]],
    bits_stored: int,
    window: GreyFunction,
    size: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    *,
    channels_last: bool,
) -> Float64:
    """The tensor of sampled frames (H, W), T of them: grey, an antialiased resize, (grey - mean) / std.

    window: stored values to grey, clamped to [0, 1] here.   size: (height, width), into which the picture is squeezed,
    not cropped.   Returns (T, height, width, 3), or (3, T, height, width).
    """
    grey = [np.clip(window(stored_values(frame, bits_stored).astype(np.float64)), 0.0, 1.0) for frame in frames]
    tensors = [normalise(resize(picture, *size), mean, std, channels_last=channels_last) for picture in grey]
    return np.concatenate(tensors) if channels_last else np.stack([tensor[0] for tensor in tensors], axis=1)

"""A clip of 16 frames of 512 x 512 for the video encoder: ours beside torch, OpenCV and the memory limit.

The peers' pipeline is the published one: stack, float32, antialiased bilinear resize, one mean and std, three equal
channels last. Not for: decoding or sampling, which cost all variants the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import measure
from cathrt.kernels._kernels import Clip, TensorLayout, Window
from cathrt.kernels.reference import clip as reference

SIDE = 512
CLIPS = 4  # in turn, so that no variant finds its frames in the second-level cache
RELEASED_MEAN, RELEASED_STD = 122.09012603759766, 28.790834426879883
MEAN, STD = reference.channels_of(RELEASED_MEAN, RELEASED_STD)

Frames = Sequence[NDArray[Any]]
Tensor = NDArray[np.float32]
Variant = Callable[[Frames, Tensor], object]
Results = Mapping[str, Mapping[str, measure.Samples]]  # by case, then by implementation


def ours() -> Variant:
    window = Window.linear(*reference.identity_line(8), False)
    layout = TensorLayout(reference.CLIP_SIDE, reference.CLIP_SIDE, True, MEAN, STD, 0.0)
    return Clip((SIDE, SIDE), 8, window, reference.CLIP_FRAMES, layout)


def torch_pipeline(frames: Frames, out: Tensor) -> None:
    """One channel is resized and then repeated, which the published code does with three."""
    video = torch.from_numpy(np.stack(frames))[:, None].float()
    side = (reference.CLIP_SIDE, reference.CLIP_SIDE)
    small = torch.nn.functional.interpolate(video, side, mode="bilinear", antialias=True)
    small.sub_(RELEASED_MEAN).div_(RELEASED_STD)
    torch.from_numpy(out).copy_(small[:, 0, :, :, None].expand(-1, -1, -1, 3))


def opencv_area(frames: Frames, out: Tensor) -> None:
    """The box filter, which is not the encoder's, but the fastest antialiasing that OpenCV has; in 8 bit."""
    for frame, slot in zip(frames, out, strict=True):
        small = cv2.resize(frame, (reference.CLIP_SIDE, reference.CLIP_SIDE), interpolation=cv2.INTER_AREA)
        grey = cv2.multiply(cv2.subtract(small, RELEASED_MEAN, dtype=cv2.CV_32F), 1.0 / RELEASED_STD)
        cv2.merge((grey, grey, grey), dst=slot)


VARIANTS: dict[str, Variant] = {
    "cathrt": ours(),
    "torch_antialias": torch_pipeline,
    "opencv_area": opencv_area,
}


def check(name: str, variant: Variant, frames: Frames) -> None:
    """Raise ValueError where ours is off by 1e-5, torch by 5e-4, OpenCV with its other filter by 5 levels of grey."""
    out = np.full((reference.CLIP_FRAMES, reference.CLIP_SIDE, reference.CLIP_SIDE, 3), np.nan, dtype=np.float32)
    variant(frames, out)
    side = (reference.CLIP_SIDE, reference.CLIP_SIDE)
    expected = reference.clip(frames, 8, lambda stored: stored / 255.0, side, MEAN, STD, channels_last=True)
    off = np.abs(out - expected)
    worst = (
        off.mean() * RELEASED_STD / 5 if name.startswith("opencv") else off.max() / (1e-5 if name == "cathrt" else 5e-4)
    )
    if not worst <= 1:
        raise ValueError(f"{name}: off by {off.max():.3g}, {off.mean():.3g} on average")


def run(rounds: int) -> Results:
    """Check, then time all variants and the limit in turn. The limit: read the frames once, write the tensor once."""
    rng = np.random.default_rng(12)
    smooth = 110 + 40 * np.sin(np.arange(SIDE) / 60) + 30 * np.cos(np.arange(SIDE)[:, None] / 45)
    clips = [
        [(smooth + rng.normal(0, 4, (SIDE, SIDE))).clip(0, 255).astype(np.uint8) for _ in range(reference.CLIP_FRAMES)]
        for _ in range(CLIPS)
    ]
    out = np.zeros((reference.CLIP_FRAMES, reference.CLIP_SIDE, reference.CLIP_SIDE, 3), dtype=np.float32)
    calls: dict[str, Callable[[int], object]] = {}
    for name, variant in VARIANTS.items():
        check(name, variant, clips[0])
        calls[name] = lambda number, variant=variant: variant(clips[number % CLIPS], out)
    nbytes = sum(frame.nbytes for frame in clips[0])
    samples = measure.interleave_with_limit(calls, rounds=rounds, read_bytes=nbytes, write_bytes=out.nbytes)
    return {"16x512_u8": samples}


def figures(results: Results) -> dict[str, float]:
    """Ratios of medians."""
    medians = {impl: samples.median_ms for impl, samples in results["16x512_u8"].items()}
    return {
        "clip_16x512_vs_torch": medians["cathrt"] / medians["torch_antialias"],
        "clip_16x512_vs_opencv": medians["cathrt"] / medians["opencv_area"],
        "clip_16x512_vs_limit": medians["cathrt"] / medians["limit"],
    }

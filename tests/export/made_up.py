"""Runs whose labels are given, and the rows of models whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import LABELS, PhantomFrames
from cathrt.export.models.keyframe.demo.outsiders import OUTSIDER_REASONS

COLUMN = {label.name: column for column, label in enumerate(LABELS)}
NEITHER = np.array([0, 0, 0.5, 0, 0, 0.5], np.float32)
READABLE = {"better": 0.8, "bad": 0.4, "others": 0.0}
RATE_HZ = 15.0  # of scene 0, which all made-up runs say they are of


def frames_of(
    names: Sequence[str | None], *, coronary: bool = True, readability: Sequence[float] | None = None
) -> PhantomFrames:
    """A run with these labels in order; None is a frame that shows no side. readability: by the labels' quality."""
    targets = np.stack([NEITHER if name is None else np.eye(6, dtype=np.float32)[COLUMN[name]] for name in names])
    count = len(names)
    if readability is None:
        readability = [READABLE[LABELS[column].quality] for column in targets.argmax(axis=1)]
    return PhantomFrames(
        images=np.zeros((count, 3, 1, 1), np.uint8),
        targets=targets,
        scene=np.zeros(count, np.int64),
        frame=np.arange(count),
        coronary=np.full(count, coronary),
        readability=np.array(readability, np.float32),
        vessels=np.zeros((count, 1, 1), np.uint8),
    )


def course(peak: int, count: int = 60, width: float = 12.0) -> list[float]:
    """Readability of a run that rises to 0.9 at `peak` and falls again."""
    return [round(max(0.0, 0.9 - 0.9 * abs(index - peak) / width), 4) for index in range(count)]


def filling(readability: Sequence[float], side: str = "RCA") -> list[str | None]:
    """The labels of a run with this readability."""
    best = max(readability)
    return [
        None if value < 0.07 else f"{side}-better" if value >= max(0.2, 0.8 * best) else f"{side}-bad"
        for value in readability
    ]


def logits_for(frames: PhantomFrames, sharpness: float = 6.0) -> NDArray[np.float32]:
    """Logits of a model that is right about every frame."""
    return (frames.targets * sharpness).astype(np.float32)


def rows_for(
    frames: PhantomFrames,
    *,
    logits: NDArray[np.float32] | None = None,
    readability: Sequence[float] | NDArray[np.float32] | None = None,
    angiogram: float = 0.999,
) -> NDArray[np.float32]:
    """The last layer's rows of a model that is right about every frame, but for what is given.

    angiogram: its score for that; the rest goes to the first reason.
    """
    wanted = np.clip(frames.readability if readability is None else readability, 0.001, 0.999).astype(np.float32)
    domain = np.full((len(frames), 1 + len(OUTSIDER_REASONS)), -30.0, np.float32)
    domain[:, 0], domain[:, 1] = np.log(angiogram), np.log(1.0 - angiogram)
    classes = logits_for(frames) if logits is None else logits
    return np.concatenate([classes, np.log(wanted / (1.0 - wanted))[:, None], domain], axis=1)

"""Runs whose labels are given, and the logits of models whose answers are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.dataset import LABELS, PhantomFrames

COLUMN = {label.name: column for column, label in enumerate(LABELS)}
NEITHER = np.array([0, 0, 0.5, 0, 0, 0.5], np.float32)


def frames_of(names: list[str | None], *, coronary: bool = True) -> PhantomFrames:
    """A run with these labels in order; None is a frame that shows no side."""
    targets = np.stack([NEITHER if name is None else np.eye(6, dtype=np.float32)[COLUMN[name]] for name in names])
    count = len(names)
    return PhantomFrames(
        images=np.zeros((count, 1, 1), np.uint8),
        targets=targets,
        scene=np.zeros(count, np.int64),
        frame=np.arange(count),
        coronary=np.full(count, coronary),
        vessels=np.zeros((count, 1, 1), np.uint8),
    )


def logits_for(frames: PhantomFrames, sharpness: float = 6.0) -> NDArray[np.float32]:
    """Logits of a model that is right about every frame."""
    return (frames.targets * sharpness).astype(np.float32)

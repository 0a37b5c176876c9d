"""What is truly so, where that is known: which coronary a frame shows, and which frames of a run are worth keeping.

By the phantom's labels, or by a still's file name. Not for: what a network says of it (comparison.py, worth.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cathrt.export.models.keyframe.demo.evaluate import BEST_SHARE, NOTHING_TO_READ
from cathrt.export.qualify.runs import Truths
from cathrt.runtime.phantom import FrameLabel

Side = Literal["left", "right"]

SIDE_OF_PREFIX: dict[str, Side] = {"lca": "left", "rca": "right"}


def side_shown(label: FrameLabel) -> Side | None:
    """Only a frame that shows the artery has a side to be right about."""
    return None if label.quality == "others" else label.laterality


def side_of_name(path: Path | None) -> Side | None:
    """The artery that a still's file name begins with, lca or rca in either case; None where it says none."""
    return None if path is None else SIDE_OF_PREFIX.get(path.name[:3].lower())


def best_frames(labels: Sequence[FrameLabel]) -> frozenset[int] | None:
    """The frames that a reader would keep: nearly as readable as the run's best. None where nothing can be read."""
    most = max(label.readability for label in labels)
    if most < NOTHING_TO_READ:
        return None
    return frozenset(index for index, label in enumerate(labels) if label.readability >= BEST_SHARE * most)


TRUTHS = Truths(side_shown, side_of_name, best_frames)

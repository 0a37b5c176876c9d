"""Which coronary a frame truly shows, where that is known: by the phantom's label, or by a still's file name.

Not for: what a network says of it (comparison.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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


TRUTHS = Truths(side_shown, side_of_name)

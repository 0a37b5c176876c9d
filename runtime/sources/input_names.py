"""What inputs are called where they are shown: file names and folders, made fit to be shown, told apart.

Not for: paths to open. No path is ever made from a name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 120


def shown_name(path: Path) -> str:
    """The file's name as it may be shown: no control characters, no undecodable bytes, at most 120 characters."""
    return _printable(path.name or str(path))[:_LONGEST]


def private_name(folder: Path, number: int, path: Path) -> str:
    """What a file of the watched folder `number` is called where patients may not be named, as file names may name one.

    The digits are the first of the sha256 of its path below the folder, so that whoever has the file finds the name.
    """
    below = os.fsencode(os.path.relpath(path, folder))
    return f"folder {number}" if path == folder else f"folder {number} file {hashlib.sha256(below).hexdigest()[:16]}"


def distinct_names(places: Sequence[tuple[Path, int]]) -> list[str]:
    """The end of each path, as it may be shown: so many parts of it, and as many more as tell it apart."""
    parts_of = [[_printable(part) for part in Path(os.path.abspath(path)).parts[1:]] or ["/"] for path, _ in places]
    counts = [least for _, least in places]
    while True:
        names = ["/".join(parts[-count:]) for parts, count in zip(parts_of, counts, strict=True)]
        times = Counter(names)
        more = [
            min(count + (times[name] > 1), len(parts))
            for parts, count, name in zip(parts_of, counts, names, strict=True)
        ]
        if more == counts:
            return [_shortened(name) for name in names]
        counts = more


def _shortened(name: str) -> str:
    """Without its first folders where it is too long."""
    while len(name) > _LONGEST and "/" in name:
        name = name.partition("/")[2]
    return name[:_LONGEST]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

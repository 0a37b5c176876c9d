"""Which stills of a folder are the frames of one run, as far as their names tell.

Not for: whether they are alike to look at, which the decoder finds out (likeness.py).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

StillsAre = Literal["auto", "run", "separate"]

_LAST_NUMBER = re.compile(r"(?s)(.*?)(\d{1,9})(\D*)\Z")
_DENSITY = 0.5


@dataclass(frozen=True, slots=True)
class StillSequence:
    """One still, or several in order; None is a number that is missing between the first and the last.

    path: of the still, or of all of them with their numbers in brackets. guessed: nothing but the names says so.
    """

    path: Path
    stills: tuple[Path | None, ...]
    guessed: bool = False


def sequences_of(stills: Iterable[Path], stills_are: StillsAre) -> Iterator[StillSequence]:
    """Every still, in a sequence or alone.

    Stills of one folder whose names differ only in their last number may be a sequence, if at least half of the
    numbers from first to last are there. "auto": also if no number is written twice and all are written with leading
    zeros to the same width, or without; they are then guessed. "run": without these two rules, and they are no guess.
    "separate": none is.
    """
    groups: dict[tuple[Path, str, str, str], list[tuple[int, str, Path]]] = defaultdict(list)
    for path in stills:
        match = None if stills_are == "separate" else _LAST_NUMBER.match(path.stem)
        if match is None:
            yield StillSequence(path, (path,))
        else:
            groups[path.parent, match[1], match[3], path.suffix.lower()].append((int(match[2]), match[2], path))
    for (folder, before, after, suffix), found in groups.items():
        numbered = {number: path for number, _, path in reversed(found)}  # of two with one number, the first
        first, last = min(numbered), max(numbered)
        dense = len(numbered) > 1 and len(numbered) >= _DENSITY * (last - first + 1)
        if dense and (stills_are == "run" or _is_plain(found)):
            pattern = folder / f"{before}[{first}-{last}]{after}{suffix}"
            in_order = tuple(numbered.get(number) for number in range(first, last + 1))
            yield StillSequence(pattern, in_order, guessed=stills_are == "auto")
        else:
            numbered = {}
        yield from (StillSequence(path, (path,)) for number, _, path in found if numbered.get(number) != path)


def _is_plain(found: list[tuple[int, str, Path]]) -> bool:
    width = min(len(digits) for _, digits, _ in found)
    return len({number for number, _, _ in found}) == len(found) and all(
        digits == f"{number:0{width}d}" for number, digits, _ in found
    )

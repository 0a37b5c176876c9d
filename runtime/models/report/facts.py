"""The facts of a draft: what both languages must state, and nothing else.

A closed vocabulary: what cannot be said in it cannot be in a draft. Not for: text (prompt.py, english.py, japanese.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen

Side = Literal["left", "right"]
Dominance = Literal["right", "left", "balanced"]
Artery = Literal["left_main", "lad", "lcx", "rca"]
# Coronary segments of the SYNTAX score (Sianos 2005).
Segment = Literal["1", "2", "3", "4", "16", "16a", "16b", "16c", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12",
                  "12a", "12b", "13", "14", "14a", "14b", "15"]  # fmt: skip
Percent = Annotated[int, Ge(0), Le(100)]
MOST_LESIONS = 8


@dataclass(frozen=True, slots=True, order=True)
class Lesion:
    """One narrowing. segment: None where only the artery is known. percent: diameter stenosis; None where not graded.

    occluded: no filling beyond it; percent is then 100. chronic: a chronic total occlusion (CTO).
    """

    artery: Artery
    segment: Segment | None
    percent: Percent | None
    occluded: bool = False
    chronic: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a draft states. sides: which coronary arteries were shown, each once, left first.

    lesions: each place once; () says that none was seen. dominance, grafts: None where nothing is known of them.
    """

    sides: Annotated[tuple[Side, ...], MaxLen(2)]
    lesions: Annotated[tuple[Lesion, ...], MaxLen(MOST_LESIONS)] = ()
    dominance: Dominance | None = None
    grafts: Annotated[int, Ge(0), Le(9)] | None = None


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame of a run that the draft rests on. run: 1-based number of the run in the study. frame_index: 0-based.

    run_id, pass_id: of the run's confirmed summary in the journal.
    """

    run: int
    run_id: str
    pass_id: str
    frame_index: int
    side: Side | None
    score: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What is confirmed of a study before anything is written, from the study's journal.

    key_frames: best first. known: facts that other models confirmed (sides always; lesions where a study model is
    there). runs: how many runs of the study were judged.
    """

    runs: int
    key_frames: tuple[KeyFrame, ...]
    known: Facts

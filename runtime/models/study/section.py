"""What a study bundle says of its model: how a run becomes a clip, how many clips a study has, what is asked of it.

Networks: "encoder" (clips to features, one row of features a token) and "head" (the features of a study's clips to
raw outputs). Not for: their tensors (contract.py), or reading the outputs (answers.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

from cathrt.runtime.bundle.manifest import Section

ENCODER, HEAD = "encoder", "head"  # roles

_Size = Annotated[int, Ge(1)]
_Side = Annotated[int, Ge(1), Le(4096)]
# "probability": the sigmoid of one column. "amount": one column as it is, held between low and high. "category": the
# likeliest of several columns.
Form = Literal["probability", "amount", "category"]
# What stands in the places that no run fills: nothing at all, or the features of an empty clip, which count as others.
Empty = Literal["hidden", "attended"]


@dataclass(frozen=True, slots=True)
class StudyClip:
    """How a run becomes one clip of the encoder's input: kernels/reference/clip.py.

    frames: of a clip. height, width: in pixels. stride: every so many frames of the run are taken before `frames` of
    them are chosen. mean, std: of grey values on the scale of 0 to 255, the same for all three channels.
    """

    frames: Annotated[int, Ge(1), Le(1024)]
    height: _Side
    width: _Side
    stride: _Size
    mean: float
    std: Annotated[float, Gt(0.0)]


@dataclass(frozen=True, slots=True)
class StudyQuestion:
    """One question, and how its columns of the output are read. name: as the weights call it.

    title: for people. asks: what is asked, such as "stenosis". segment: of the coronary arteries, by its key; None for
    a question about the whole study.
    threshold: a probability, or an amount, above which the answer is positive; None where nothing is called.
    low, high: of an amount; None for no bound. unit: of an amount, such as "%". categories: of a category, by column.
    """

    name: Annotated[str, MinLen(1)]
    title: Annotated[str, MinLen(1)]
    asks: Annotated[str, MinLen(1)]
    form: Form
    segment: str | None = None
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    categories: tuple[Annotated[str, MinLen(1)], ...] = ()

    @property
    def columns(self) -> int:
        """Of the output."""
        return len(self.categories) or 1


@dataclass(frozen=True, slots=True)
class StudySection(Section):
    """product: which published model it is. runs: clips that a study has at most, the first in order of time.

    empty: what stands where a study has fewer. views: rows of the table of views that the head adds to a clip's
    features (views.py); 0 for a head without one. questions: in the order of the output's columns.
    """

    kind: Literal["study"] = field(default="study", kw_only=True)
    product: Annotated[str, MinLen(1)]
    clip: StudyClip
    runs: Annotated[int, Ge(1), Le(64)]
    empty: Empty
    views: Annotated[int, Ge(0)]
    questions: Annotated[tuple[StudyQuestion, ...], MinLen(1)]

    @property
    def columns(self) -> int:
        """Of the head's output."""
        return sum(question.columns for question in self.questions)

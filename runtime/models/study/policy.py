"""Which runs of a study are read, and by which engine: the table [policy.study] of the configuration.

Not for: what a bundle's weights demand (section.py), applying the rule (choosing.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from cathrt.runtime.config import Policy


@dataclass(frozen=True, slots=True)
class StudyPolicy(Policy):
    """engine: runs the networks; "" for engine.name.

    Which runs count: of these modalities; with fluoroscopy too, or cine runs alone; of so many frames at least; and,
    with known_side, those of which a model has confirmed a coronary artery. order: by Series Time, Acquisition Time and
    arrival, or by arrival alone. Of these the first most_runs; 0 for as many as the bundle takes.
    """

    engine: str = ""
    modalities: tuple[str, ...] = ("XA",)
    fluoroscopy: bool = False
    min_frames: Annotated[int, Ge(1), Le(4000)] = 2
    known_side: bool = True
    order: Literal["time", "arrival"] = "time"
    most_runs: Annotated[int, Ge(0), Le(64)] = 0

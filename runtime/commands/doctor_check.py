"""What a check of `cathrt doctor` found. Not for: the checks themselves (doctor.py and its parts)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "missing"]
Figures = dict[str, float | int | str | list[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. figures holds what was measured, for --json."""

    name: str
    state: State
    detail: str
    figures: Figures

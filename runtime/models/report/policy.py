"""How drafts are written: the table [policy.report] of the configuration. Not for: what they may say (check.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from cathrt.runtime.config import Policy


@dataclass(frozen=True, slots=True)
class ReportPolicy(Policy):
    """engine: runs the networks; "" for engine.name. most_s: longest that one answer may take.

    temperature: 0 takes the likeliest token each time. top_p: above 0, tokens are drawn from the likeliest ones that
    together have this share. seed: of the drawing.
    """

    engine: str = ""
    most_s: Annotated[float, Gt(0.0), Le(86_400.0)] = 600.0
    temperature: Annotated[float, Ge(0.0), Le(2.0)] = 0.0
    top_p: Annotated[float, Gt(0.0), Le(1.0)] = 1.0
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 0

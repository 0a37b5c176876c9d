"""What the study reader puts into records: a reading of a study. Not for: how it comes about (reader.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import Reading


@dataclass(frozen=True, slots=True)
class ClipsReading(Reading):
    """What the clips of a study show together. product: which published model has read them."""

    kind: Literal["study"] = field(default="study", kw_only=True)
    product: str = field(kw_only=True)

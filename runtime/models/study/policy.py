"""How studies are read: the table [policy.study] of the configuration. Not for: what a bundle's weights demand."""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.runtime.config import Policy


@dataclass(frozen=True, slots=True)
class StudyPolicy(Policy):
    """All that such a bundle's answers rest on is in its manifest, so the table has no keys."""

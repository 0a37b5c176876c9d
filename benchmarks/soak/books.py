"""The books of a soak: every picture has its end, every record reached its readers, every stored run its result.

Not for: how fast anything was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_VERDICTS = ("met", "late", "dropped", "failed", "duplicate")
_OTHER_ENDS = ("lost", "refused")


@dataclass(slots=True)
class Books:
    """counts: of each source, as the box printed them at its end. outcomes: verdicts that the feed delivered, by source
    and outcome. faults_of_delivery: each row or record that a reader had not, or had twice, in words.
    """

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    faults_of_delivery: Sequence[str] = ()
    came_s: Sequence[float] = ()
    latencies_ms: Sequence[float] = ()
    stored: int = 0
    unconfirmed: int = 0

    @property
    def frames_accounted(self) -> float | None:
        """Of all pictures that were no held ones: the share with a verdict that was delivered, or counted as lost or
        refused. None where the box printed no counts."""
        frames = sum(one["received"] - one["held"] for one in self.counts.values())
        if not frames:
            return None
        delivered = sum(sum(one.values()) for one in self.outcomes.values())
        return (delivered + sum(self._count(end) for end in _OTHER_ENDS)) / frames

    @property
    def stores_confirmed(self) -> float:
        """Share of the runs that were taken by C-STORE that have a result of all their frames."""
        return (self.stored - self.unconfirmed) / self.stored if self.stored else 1.0

    def outcome_totals(self) -> dict[str, int]:
        """Over all sources: what the counts say of each end."""
        return {end: self._count(end) for end in (*_VERDICTS, *_OTHER_ENDS)}

    def disagreements(self) -> list[str]:
        """Where counts and delivered verdicts differ."""
        pairs = [
            (f"{source}, {end}", counts.get(end, 0), self.outcomes.get(source, {}).get(end.upper(), 0))
            for source, counts in self.counts.items()
            for end in _VERDICTS
        ]
        return [f"{what}: {counted} counted, {came} delivered" for what, counted, came in pairs if counted != came]

    def _count(self, end: str) -> int:
        return sum(one.get(end, 0) for one in self.counts.values())


def counts_from_lines(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The counts that the box printed last of each source."""
    return {line["source"]: {key: value for key, value in line.items() if isinstance(value, int)} for line in lines}


def outlet_faults(
    expected: Mapping[str, Mapping[str, set[str]]], taken: Mapping[str, Counter[str]], types: Sequence[str]
) -> list[str]:
    """Records that an outlet's receiver should have and has not. expected: ids by journal and type. At least once is
    the promise, so a record that came twice is none."""
    faults = []
    for journal, by_type in expected.items():
        for type_ in types:
            missing = by_type.get(type_, set()) - taken.get(journal, Counter()).keys()
            if missing:
                faults.append(f"outlet: {len(missing)} records of type {type_} of {journal} did not arrive")
    return faults

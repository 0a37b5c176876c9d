"""How an outlet is, for health, metrics and `cathrt outbox list`: a report that the gateway writes each second.

Not for: what is stored for good (outbox.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cathrt.runtime.config import OutletConfig

OUTLETS = "outlets"  # the name of the report


@dataclass(frozen=True, slots=True)
class OutletState:
    """One outlet.

    reachable: whether the last attempt reached the receiver; None: none yet. since: of `reachable`, seconds since 1970.
    error: why the last attempt failed; "" where it did not. faults: of journals that cannot be followed and of the
    outbox. rows_behind: behind the place, wanted or not. oldest_s: how long it has been behind. dead: dead letters.
    limited: rows that the rate limit kept back, ever. pruned: rows that were deleted before the outlet took them, ever
    (no outlet that is mandatory has any). delivered, repeats, failed: records that were acknowledged,
    attempts that were second or later ones of their record, attempts that failed; since the process began.
    """

    name: str
    kind: str
    mandatory: bool
    reachable: bool | None = None
    since: float | None = None
    error: str = ""
    faults: tuple[str, ...] = ()
    rows_behind: int = 0
    oldest_s: float = 0.0
    dead: int = 0
    limited: int = 0
    pruned: int = 0
    delivered: int = 0
    repeats: int = 0
    failed: int = 0


def reasons_and_notes(outlet: OutletConfig, state: dict[str, Any] | None) -> tuple[list[str], list[str]]:
    """Reasons against health, and notes. state: of the outlet in the report; None where it is not there."""
    if state is None:
        return ["no report of it: the gateway has not begun"], []
    reasons: list[str] = list(state["faults"])
    notes: list[str] = []
    if state["oldest_s"] > outlet.lag_s:
        behind = (
            f"{state['rows_behind']} rows behind for {state['oldest_s']:.0f} s, expected at most {outlet.lag_s:g} "
            f"(outlets.lag_s){': ' if state['error'] else ''}{state['error']}"
        )
        (reasons if outlet.mandatory else notes).append(behind)
    elif state["reachable"] is False:
        notes.append(f"not reached: {state['error']}")
    if state["dead"]:
        notes.append(f"{state['dead']} dead letters: `cathrt outbox list STATE` shows them")
    if state["limited"]:
        notes.append(f"{state['limited']} alerts or verdicts kept back by outlets.rate_per_minute")
    if state["pruned"]:
        notes.append(f"{state['pruned']} rows were deleted before it took them: set outlets.mandatory to keep them")
    return reasons, notes

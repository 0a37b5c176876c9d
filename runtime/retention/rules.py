"""The rules of retention as plain functions: what is over its limit, what may go, and why the rest stays.

Not for: journals (kept_journal.py), received objects (kept_objects.py), when it is looked at (keeper.py).
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86400.0
_STEP_S = 3600.0  # the wall clock has been set where it is off by so much from the steady one
_GRACE_S = 600.0  # after a start: a clock that came up wrong is set in this time, if anything sets it
_AFTER_STEP_S = 24 * 3600.0  # after a step: time for a person to see that it was a wrong one


@dataclass(frozen=True, slots=True)
class RowLimits:
    """Of one journal. aged: rows up to this one are over the limit by age. most_bytes: 0 for no limit by size.

    disk_is_short: all that may go goes, part by part, until it is not short any more.
    """

    aged: int
    most_bytes: int
    disk_is_short: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a journal: behind `anchor`, up to `head`, in so many bytes."""

    anchor: int
    head: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Rows up to which they may go, each for a reason of its own.

    delivered: mandatory outlets have taken them. grown: they are older than retention.keep_hours. needed: nothing of
    ours still needs them.
    """

    delivered: int
    grown: int
    needed: int


def over_the_limit(rows: Rows, limits: RowLimits) -> int:
    """The last row that should go, whether or not it may."""
    if limits.disk_is_short:
        return rows.head - 1
    there = rows.head - rows.anchor
    wanted = max(rows.anchor, limits.aged)
    if limits.most_bytes and rows.used_bytes > limits.most_bytes:
        over = rows.used_bytes - limits.most_bytes
        wanted = max(wanted, rows.anchor - (-over * there // rows.used_bytes))
    return min(wanted, rows.head - 1)


def may_go(rows: Rows, bars: Bars) -> int:
    """The last row that may go. The last row of all stays: numbers and chain go on from it."""
    return max(rows.anchor, min(bars.delivered, bars.grown, bars.needed, rows.head - 1))


def held_by(wanted: int, bars: Bars) -> str:
    """Why a row that should go stays; "" where it does not."""
    if bars.delivered < wanted:
        return "a mandatory outlet has not taken them (`cathrt outbox list`)"
    if bars.needed < wanted:
        return "a draft of their study is not written yet"
    if bars.grown < wanted:
        return "they are younger than retention.keep_hours"
    return ""


class TrustedClock:
    """Whether the wall clock may be believed when it says that something is old.

    A clock that jumps ahead would make all old. So nothing is removed for some minutes after a start, nor for a day
    after the wall clock went away from the steady one by an hour. Both in seconds; each call is a reading.
    """

    def __init__(self, wall_s: float, steady_s: float) -> None:
        self._offset_s = wall_s - steady_s
        self._from_s = steady_s + _GRACE_S
        self.step_s = 0.0  # the last one that was seen

    def is_trusted(self, wall_s: float, steady_s: float) -> bool:
        """At these two readings. To be asked every few minutes, also while there is nothing to remove."""
        step_s = wall_s - steady_s - self._offset_s
        if abs(step_s) >= _STEP_S:
            self.step_s, self._offset_s = step_s, wall_s - steady_s
            self._from_s = steady_s + _AFTER_STEP_S
        return steady_s >= self._from_s

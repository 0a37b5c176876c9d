"""What a soak does and how often. Not for: doing it (lab.py, and one file for each kind of load)."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_WARM_UP_S = 900.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds, but for what says otherwise.

    store_s: from one C-STORE of a whole run to the next. swap_s: from one hot swap to the next. up_s, down_s: how long
    the outlets' receivers are there and away. visit_s: how long a reader that comes and goes stays away; freeze_s: how
    long one that freezes takes nothing. settle_s: at the end, how long stores and outlets may take to catch up.
    """

    seconds: float
    matrix: int = 512
    runs: int = 6
    run_frames: int = 60
    stored_runs: int = 4
    sample_s: float = 10.0
    scrape_s: float = 15.0
    store_s: float = 20.0
    swap_s: float = 300.0
    up_s: float = 90.0
    down_s: float = 30.0
    visit_s: float = 5.0
    freeze_s: float = 45.0
    settle_s: float = 90.0

    @property
    def warm_up_s(self) -> float:
        """What comes before is no part of a figure: caches fill, libraries allocate what they keep."""
        return min(_LONGEST_WARM_UP_S, self.seconds / 4.0)


def short(plan: Plan) -> Plan:
    """The same for minutes: everything happens more often, so that each kind of load comes at least twice."""
    from dataclasses import replace

    shrunk = min(1.0, plan.seconds / 600.0)
    return replace(
        plan,
        sample_s=max(1.0, plan.sample_s * shrunk),
        scrape_s=max(2.0, plan.scrape_s * shrunk),
        store_s=max(4.0, plan.store_s * shrunk),
        swap_s=max(12.0, plan.swap_s * shrunk),
        up_s=max(8.0, plan.up_s * shrunk),
        down_s=max(4.0, plan.down_s * shrunk),
        freeze_s=max(15.0, plan.freeze_s * shrunk),
    )

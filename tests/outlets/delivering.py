"""An outlet driven step by step, with time that a test holds by the hand. Not for: threads (test_outlets.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import Alert, LiveUntil, News, Record
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.outlets.delivery import Delivery, Timing
from cathrt.runtime.outlets.opening import peer_opening, wanted_types
from cathrt.runtime.outlets.outbox import Outbox
from cathrt.runtime.outlets.studies import Studies
from tests.clocks import ManualClock
from tests.passes import alert, refusal, start, whole_pass, write

START_S = 1_000_000.0  # of the clock that tests hold
ALL_TYPES = ("pass", "verdict", "alert", "run", "refusal", "draft")
ALERTS: list[Record] = [alert(index) for index in range(5)]


def outlet(kind: str, address: str, **given: Any) -> OutletConfig:
    """An outlet that waits for nothing long."""
    quick: dict[str, Any] = {"timeout_s": 0.5, "rate_per_minute": 0, "types": ALL_TYPES}
    return OutletConfig(**{"name": "out", "kind": kind, "address": address, **quick, **given})


def live_alert(index: int, live_until_s: float) -> Alert[News]:
    """An alert that is live until that reading of the clock."""
    return replace(alert(index), late=False, live_until=LiveUntil(boot(), round(live_until_s * 1e9)))


class Driven:
    """A Delivery and its clock. Each step() that asks for a wait lets so much time pass, and at least `least_s`."""

    def __init__(self, delivery: Delivery, clock: ManualClock, outbox: Outbox) -> None:
        self.delivery, self.clock, self.outbox = delivery, clock, outbox

    def step(self, least_s: float = 0.0) -> None:
        wait_s = self.delivery.step()
        self.clock.advance(max(wait_s, least_s) if wait_s else 0.0)

    def until(self, condition: Callable[[], bool], least_s: float = 0.0) -> None:
        """Step until it holds."""
        for _ in range(5_000):
            if condition():
                return
            self.step(least_s)
        raise AssertionError(f"it does not come to that: {self.delivery.state}")

    def seconds(self) -> float:
        """That have passed since the start."""
        return self.clock.now / 1e9 - START_S


@contextmanager
def driven(
    settings: OutletConfig,
    folder: Path,
    journals: Mapping[str, Path] | None = None,
    chance: float = 1.0,
    studies: Studies | None = None,
) -> Iterator[Driven]:
    """An outlet of the journal folder/live.journal, or of those."""
    clock = ManualClock(round(START_S * 1e9))
    timing = Timing(clock.now_ns, lambda: clock.now / 1e9, lambda: chance)
    journals = journals or {"live": folder / "live.journal"}
    with closing(Outbox(folder / "outbox.db")) as outbox:
        opening = peer_opening(settings, studies)
        delivery = Delivery(settings, wanted_types(settings), journals, outbox, opening, timing)
        with closing(delivery):
            yield Driven(delivery, clock, outbox)


def journal_of(folder: Path, records: list[Record], name: str = "live") -> list[str]:
    """Write them into folder/NAME.journal. Returns their ids."""
    write(folder / f"{name}.journal", records)
    return [record.id for record in records]


def mixed() -> list[Record]:
    """A pass with verdicts, alerts and a summary, and a refusal."""
    return [start(), *whole_pass(20), refusal()]

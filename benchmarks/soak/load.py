"""Everything that works on the box of a soak, together. Not for: each kind of load (stores.py, readers.py, ...)."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from subprocess import TimeoutExpired
from typing import Any

from benchmarks.soak.activity import Activities
from benchmarks.soak.books import outlet_faults
from benchmarks.soak.lab import Lab
from benchmarks.soak.plan import Plan
from benchmarks.soak.readers import Follower, freeze, scrape, visit
from benchmarks.soak.receiver import TYPES, Receiver
from benchmarks.soak.stores import Modality
from benchmarks.soak.swaps import Swaps

_VISITED_RECORDS = 20


@dataclass(slots=True)
class Load:
    """Everything that works on the box."""

    lab: Lab
    activities: Activities
    followers: dict[str, Follower]
    modality: Modality
    swaps: Swaps
    receiver: Receiver
    scrapes: int = 0
    metrics_bytes: int = 0  # of the last scrape
    stays: threading.Event = field(default_factory=threading.Event)
    resting: threading.Event = field(default_factory=threading.Event)  # no new load

    def start(self, plan: Plan) -> None:
        """From now on, until the activities are ended."""
        activities, over = self.activities, self.activities.over
        for name, follower in self.followers.items():
            activities.all_along(f"follower of {name}", follower.run)
        activities.all_along("receiver", lambda: self.receiver.run(over, self.stays, plan.up_s, plan.down_s))
        lost = (OSError, http.client.HTTPException)
        activities.every(plan.store_s, "stores", self._unless_resting(self.modality.store), *lost)
        activities.every(plan.swap_s, "swaps", self._unless_resting(self.swaps.swap), TimeoutExpired)
        activities.every(plan.visit_s, "visitor", lambda: visit(self.lab, _VISITED_RECORDS), *lost)
        activities.every(1.0, "frozen reader", lambda: freeze(self.lab, over, plan.freeze_s), *lost)
        activities.every(plan.scrape_s, "scrapes", self._scrape, *lost)

    def settled(self) -> bool:
        """Every stored run has its result, and the outlet has what the feed has."""
        return not self.modality.unconfirmed(self.followers["study"].summaries) and not self.outlet_faults()

    def outlet_faults(self) -> list[str]:
        """What the outlet's receiver lacks of what the feed's readers have."""
        expected = {name: dict(follower.ids) for name, follower in self.followers.items()}
        return outlet_faults(expected, self.receiver.taken, TYPES)

    def document(self) -> dict[str, Any]:
        """What it did, for the row."""
        return {
            "stored_runs": len(self.modality.stored),
            "store_statuses": dict(self.modality.statuses),
            "swaps": self.swaps.done,
            "swaps_failed": dict(self.swaps.failed),
            "longest_swap_s": round(self.swaps.longest_s, 2),
            "scrapes": self.scrapes,
            "metrics_bytes": self.metrics_bytes,
            "feed_connections": {name: one.connections for name, one in self.followers.items()},
            "feed_refusals": {name: dict(one.refusals) for name, one in self.followers.items()},
            "rows": {name: one.rows for name, one in self.followers.items()},
            "outlet_taken": {name: len(ids) for name, ids in self.receiver.taken.items()},
            "outlet_again": sum(sum(ids.values()) - len(ids) for ids in self.receiver.taken.values()),
            "outlet_turned_away": self.receiver.turned_away,
            "outlet_forged": self.receiver.forged,
        }

    def _scrape(self) -> None:
        scrape(self.lab, "/health")
        self.metrics_bytes = len(scrape(self.lab, "/metrics"))
        self.scrapes += 1

    def _unless_resting(self, act: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self.resting.is_set() else act()

"""An outlet driven to a fail point in a process of its own: what the kill tests run.

Not for: judging what is left afterwards (test_outlet_kills.py).
"""

from __future__ import annotations

from pathlib import Path

from cathrt.runtime.failpoints import arm, kill
from tests.outlets.delivering import driven, outlet

PERIOD_NS = 10**9


def deliver(folder: str, kind: str, address: str, point: str, after: int) -> None:
    """Deliver folder/live.journal until nothing is left, or until the point has gone by so often."""
    if point:
        arm(point, kill, after)
    with driven(outlet(kind, address, first_wait_s=0.01, most_wait_s=0.01), Path(folder)) as driving:
        driving.step()
        driving.until(lambda: driving.delivery.state.rows_behind == 0 and driving.delivery.state.oldest_s == 0.0)

"""What the live process's main thread does for its ladders: tells health of them, takes swaps, ends for a new process.

Not for: what judges (line/live_ladder.py).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import Config
from cathrt.runtime.errors import EngineLostError
from cathrt.runtime.processes.engine_health import ENGINES
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.renewal import Renewal
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.swap_desk import Lane, SwapDesk


@dataclass(slots=True, eq=False)
class Keeping:
    """faults: why bundles that were swapped in are not in force, by kind."""

    lanes: Sequence[Lane]
    state: StateFolder
    config: Config
    clock: Clock
    stop: threading.Event
    faults: Mapping[str, str]
    began: bool = False
    report: KeptReport = field(init=False)  # for health
    desk: SwapDesk = field(init=False)
    renewal: Renewal = field(init=False)

    def __post_init__(self) -> None:
        self.report = KeptReport(self.state, ENGINES)
        self.desk = SwapDesk(self.state, self.config, self.lanes, self.clock, self.stop)
        self.renewal = Renewal(self.state, self.config.supervisor, self.clock.now_ns())

    def look(self) -> None:
        """To be called some times a second; never waits. Raises EngineLostError where only a new process helps."""
        ladders = [lane.ladder for lane in self.lanes if lane.ladder is not None]
        if not ladders or len(ladders) < len(self.lanes):
            return
        if not self.began:
            self.began = True
            self.desk.restart(self.faults)
        self.report.keep({ladder.source: ladder.report() for ladder in ladders})
        self.desk.look()
        if any(ladder.run_on for ladder in ladders):
            return
        needed, live_ai = any(each.needs_new_process for each in ladders), all(each.live_ai for each in ladders)
        if self.renewal.is_due(self.clock.now_ns(), needed=needed, live_ai=live_ai):
            raise EngineLostError("an engine is lost that this process cannot open again: a new process tries it")

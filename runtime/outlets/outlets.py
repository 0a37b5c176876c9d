"""The outlets of one gateway: a thread each, so that one that stands still delays nobody.

An outlet never ends the gateway: what it cannot do is in its state, and it tries again. Not for: delivering
(delivery.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outlets.delivery import Delivery, Timing
from cathrt.runtime.outlets.kinds import OBJECT_KINDS, follows
from cathrt.runtime.outlets.opening import peer_opening, wanted_types
from cathrt.runtime.outlets.outbox import Outbox
from cathrt.runtime.outlets.state import OutletState
from cathrt.runtime.outlets.studies import Studies

_log = logging.getLogger(__name__)

REPORT_S = 1.0
AGAIN_S = 5.0  # before an outlet that could not begin, or whose thread has ended, begins again
_PATIENCE_NS = 1.5e9  # for each second that an attempt may take: the attempt itself is to notice first
_STEPS = 20  # with answers of their own, which sending the objects of one study may take
_GRACE_S = 1.0  # for attempts that were aborted to return
_ABORT_EVERY_S = 0.05


class RunningOutlet:
    """One outlet and its thread. All methods are for the gateway's thread."""

    def __init__(
        self,
        settings: OutletConfig,
        journals: Mapping[str, Path],
        outbox: Path,
        timing: Timing,
        studies: Studies | None = None,
    ) -> None:
        """Begins at once. Raises nothing: what is wrong with it is in its state."""
        self.settings, self._outbox, self._timing, self._studies = settings, outbox, timing, studies
        self._journals = {name: path for name, path in journals.items() if follows(settings.kind, name)}
        self._patience_ns = settings.timeout_s * _PATIENCE_NS * (_STEPS if settings.kind in OBJECT_KINDS else 1)
        self._stop, self._hurry = threading.Event(), threading.Event()
        self._delivery: Delivery | None = None
        self._fault = ""
        self._started_s = 0.0
        self._start()

    def state(self) -> OutletState:
        """How it is."""
        delivery, settings = self._delivery, self.settings
        state = OutletState(settings.name, settings.kind, settings.mandatory) if delivery is None else delivery.state
        fault = self._fault
        if not fault and not self._thread.is_alive() and not self._stop.is_set():
            fault = "its thread has ended by a fault of ours, and begins again: report this bug"
        return replace(state, faults=(*state.faults, fault)) if fault else state

    def attend(self) -> None:
        """Break an attempt that takes longer than the time it has, and begin again where the thread has ended."""
        delivery = self._delivery
        since = 0 if delivery is None else delivery.sending_since_ns
        if delivery is not None and since and time.monotonic_ns() - since > self._patience_ns:
            delivery.abort()
        if not self._thread.is_alive() and time.monotonic() - self._started_s > AGAIN_S:
            self._start()

    def ask_to_stop(self) -> None:
        """Let it have its last try."""
        self._stop.set()

    def join(self, until_s: float) -> bool:
        """Wait for its end until that reading of the monotonic clock; then break what it does. Returns whether it has
        ended: if not, the thread is left, and what it sends may come again after the next start."""
        self._thread.join(max(0.0, until_s - time.monotonic()))
        self._hurry.set()
        while self._thread.is_alive() and time.monotonic() < until_s + _GRACE_S:
            if self._delivery is not None:
                self._delivery.abort()
            self._thread.join(_ABORT_EVERY_S)
        return not self._thread.is_alive()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._thread = threading.Thread(target=self._work, name=f"outlet {self.settings.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                with closing(Outbox(self._outbox)) as outbox:
                    self._deliver(outbox)
                return
            except CathrtError as exc:
                self._delivery = None
                if str(exc) != self._fault:
                    _log.warning("outlet %s: %s", self.settings.name, exc)
                self._fault = str(exc)
            if self._stop.wait(AGAIN_S):
                return

    def _deliver(self, outbox: Outbox) -> None:
        settings, opening = self.settings, peer_opening(self.settings, self._studies)
        delivery = Delivery(settings, wanted_types(settings), self._journals, outbox, opening, self._timing)
        with closing(delivery):
            self._delivery, self._fault = delivery, ""
            while not self._stop.wait(delivery.step()):
                pass
            delivery.last_try()
            until_s = time.monotonic() + settings.drain_s
            while not self._hurry.is_set() and delivery.step() == 0.0 and time.monotonic() < until_s:
                pass


class Outlets:
    """All outlets of a gateway.

    reported: is given how they are, about once a second: a list of OutletState as JSON has them. It raises nothing.
    """

    def __init__(
        self,
        outlets: Sequence[OutletConfig],
        journals: Mapping[str, Path],
        outbox: Path,
        reported: Callable[[dict[str, Any]], object],
        timing: Timing,
        studies: Studies | None = None,
    ) -> None:
        self._running = [RunningOutlet(settings, journals, outbox, timing, studies) for settings in outlets]
        self._reported = reported
        self._report_at_s = 0.0

    def attend(self) -> None:
        """To be called several times a second."""
        for outlet in self._running:
            outlet.attend()
        if time.monotonic() >= self._report_at_s:
            self._report_at_s = time.monotonic() + REPORT_S
            self._report()

    def close(self) -> None:
        """Give each its last try, all at the same time, and end them."""
        for outlet in self._running:
            outlet.ask_to_stop()
        began_s = time.monotonic()
        for outlet in self._running:
            if not outlet.join(began_s + outlet.settings.drain_s):
                _log.warning("outlet %s: did not end in time; it goes on at the next start", outlet.settings.name)
        self._report()

    def _report(self) -> None:
        if not self._running:
            return
        self._reported({"outlets": [asdict(outlet.state()) for outlet in self._running]})


@contextmanager
def opened_outlets(
    outlets: Sequence[OutletConfig],
    journals: Mapping[str, Path],
    outbox: Path,
    reported: Callable[[dict[str, Any]], object],
    timing: Timing | None = None,
    studies: Studies | None = None,
) -> Iterator[Outlets]:
    """Deliver the journals until the end of the block, and some moments longer for what is left.

    journals: by name, the most urgent first; none of them need exist yet. outbox: made if it is not there, and if there
    is an outlet at all. studies: what outlets of objects send; None where there is none.
    """
    opened = Outlets(outlets, journals, outbox, reported, timing or Timing(), studies)
    try:
        yield opened
    finally:
        opened.close()

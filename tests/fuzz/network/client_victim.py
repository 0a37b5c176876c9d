"""A process that comes to hostile servers, and to a good one meanwhile: python -m ...client_victim KIND HOSTILE GOOD.

What our process does to a source or an outlet, without the waits between attempts, so that many connections are made.
Twice a second it prints its counts as a JSON line. Whatever comes out of an adapter but its own errors ends the process
with a traceback. SIGTERM ends it well.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

from cathrt.runtime.config import LimitsConfig, OutletConfig, SourceConfig
from cathrt.runtime.errors import CathrtError, SourceError
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outlets.opening import peer_opening
from cathrt.runtime.outlets.peer import RefusedError, UnreachableError
from cathrt.runtime.ports import Missing
from cathrt.runtime.sources.capture.open_tap import tap_opening

THREADS = 6
_LIMITS = LimitsConfig(max_rows=512, max_columns=512)
_MOST_CALLS = 200  # on one connection
_MOST_REASON = 2000  # characters
_RECORD = {"type": "refusal", "id": "a1", "source": "x", "error": "SourceError", "message": "x" * 300}
_PAYLOAD = json.dumps({"journal": "study", "seq": 1, "record": _RECORD}).encode()
_MESSAGE = Message("a1", "refusal", "study", 1, 0, _PAYLOAD, _RECORD)

Calls = Callable[[], Iterator[str]]  # each call into the adapter on one connection: what came of it


def _tap(source: SourceConfig) -> Calls:
    def calls() -> Iterator[str]:
        with closing(tap_opening(source, _LIMITS)()) as tap:
            for _ in range(_MOST_CALLS):
                yield "missing" if isinstance(tap.next(), Missing) else "served"

    return calls


def _outlet(outlet: OutletConfig) -> Calls:
    def calls() -> Iterator[str]:
        with closing(peer_opening(outlet)()) as peer:
            for _ in range(_MOST_CALLS):
                peer.send(_MESSAGE)
                yield "served"
                peer.idle()

    return calls


def calls_of(kind: str, address: str, patience_s: float) -> Calls:
    if kind in ("webhook", "mqtt", "syslog"):
        return _outlet(OutletConfig(name="x", kind=kind, address=address, timeout_s=patience_s))
    return _tap(SourceConfig("x", kind, address, no_signal_s=patience_s, first_picture_s=patience_s))


class Visits:
    """counts: by name and what came of a call. since_s: of each thread, when its call began that is on now."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.since_s: dict[int, float] = {}
        self._lock = threading.Lock()

    def again_and_again(self, name: str, calls: Calls) -> None:
        """Connect for ever. Ends the process where an adapter raises what it may not."""
        try:
            while True:
                self.visit(name, calls)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def document(self) -> dict[str, float]:
        """For a line."""
        now_s = time.monotonic()
        longest_s = max((now_s - since_s for since_s in list(self.since_s.values())), default=0.0)
        with self._lock:
            return {**self.counts, "longest_call_s": round(longest_s, 2)}

    def visit(self, name: str, calls: Calls) -> None:
        """One connection."""
        self._begin()
        try:
            for came in calls():
                self._count(f"{name} {came}")
                self._begin()
        except (SourceError, RefusedError, UnreachableError) as exc:
            _require_reason(exc)
            self._count(f"{name} refused")
            time.sleep(0.001)

    def _begin(self) -> None:
        self.since_s[threading.get_ident()] = time.monotonic()

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def _require_reason(exc: CathrtError) -> None:
    reason = str(exc)
    if not reason or len(reason) > _MOST_REASON:
        raise AssertionError(f"a reason of {len(reason)} characters: {reason[:100]!r}") from exc


def main() -> None:
    kind, hostile, good_kind, good = sys.argv[1:]
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    visits = Visits()
    for name, calls in [("hostile", calls_of(kind, hostile, 0.5))] * THREADS + [
        ("good", calls_of(good_kind, good, 5.0))
    ]:
        threading.Thread(target=visits.again_and_again, args=(name, calls), daemon=True).start()
    while True:
        time.sleep(0.5)
        print(json.dumps(visits.document()), flush=True)


if __name__ == "__main__":
    main()

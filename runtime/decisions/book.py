"""gateway.journal as the gateway process has it open: records of people, durable before anybody is answered.

A journal that cannot be written holds up nothing else of the gateway: it is tried again, and health says why. Not for:
what may be written (desk.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cathrt.runtime.config import JournalConfig
from cathrt.runtime.decisions.asked import NotDurableError
from cathrt.runtime.decisions.standing import TYPES, Decisions, OfPerson
from cathrt.runtime.errors import JournalError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.journal.lookups import records_between
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.journal.writer import Journal

_log = logging.getLogger(__name__)

AGAIN_S = 5.0  # between two tries to open a journal that could not be opened or written
DECISIONS = "decisions"  # a report
_LAST = (1 << 63) - 1


class DecisionBook:
    """One process has it open. Thread-safe.

    decisions: the fold over all that is durable. fault: why nothing can be written; "" while it can.
    """

    def __init__(
        self,
        path: Path,
        config: JournalConfig,
        reported: Callable[[Mapping[str, Any]], object] = lambda _report: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open it, or make it. Raises nothing: what is wrong is in `fault`, and given to `reported`."""
        self.path, self._config, self._reported, self._now_s = path, config, reported, now_s
        self._lock = threading.RLock()
        self._journal: Journal | None = None
        self._again_at_s = now_s()
        self._closed = False
        self.decisions = Decisions()
        self.fault = ""
        with self._lock:
            self._open()

    @property
    def journal(self) -> Journal | None:
        """While it is open and well."""
        return self._journal

    def write(self, record: OfPerson) -> None:
        """Append it, and return once it is durable and in `decisions`. Raises NotDurableError."""
        with self._lock:
            journal = self.opened()
            try:
                failpoint("decision.checked")
                journal.append(record)
                journal.sync()
            except JournalError as exc:
                self._lose(exc)
                raise NotDurableError(f"the decision is not on the disk ({exc}): send it again") from exc
            self.decisions.take(record)
            failpoint("decision.durable")

    def opened(self) -> Journal:
        """The journal. Raises NotDurableError where it cannot be written now."""
        with self._lock:
            if self._journal is None and not self._closed and self._now_s() >= self._again_at_s:
                self._open()
            if self._journal is None:
                raise NotDurableError(f"decisions cannot be stored: {self.fault or 'the gateway is stopping'}")
            return self._journal

    def attend(self) -> None:
        """Try again what could not be opened. To be called now and then."""
        if self._journal is None and not self._closed and self._now_s() >= self._again_at_s:
            with self._lock:
                self._open()

    def close(self) -> None:
        """Close the journal. Idempotent. Raises JournalError as Journal.close() does."""
        with self._lock:
            self._closed = True
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()

    def _open(self) -> None:
        self._again_at_s = self._now_s() + AGAIN_S
        try:
            journal = Journal(self.path, self._config)
            try:
                journal.append(process_start("gateway"))
                journal.sync()
                decisions = decisions_in(self.path)
            except BaseException:
                journal.close()
                raise
        except (JournalError, OSError) as exc:
            self._tell(str(exc))
            return
        self._journal, self.decisions = journal, decisions
        self._tell("")

    def _lose(self, exc: JournalError) -> None:
        """The journal has stopped; what is durable in it is read again when it is opened anew."""
        journal, self._journal = self._journal, None
        self._again_at_s = self._now_s() + AGAIN_S
        self._tell(str(exc))
        if journal is not None:
            try:
                journal.close()
            except JournalError as second:
                _log.warning("%s: closing it: %s", self.path.name, second)

    def _tell(self, fault: str) -> None:
        if fault and fault != self.fault:
            _log.error("decisions cannot be stored: %s", fault)
        self.fault = fault
        self._reported({"fault": fault})


def decisions_in(path: Path) -> Decisions:
    """The fold over a journal's records of people. Nothing where there is no journal. Raises JournalError."""
    found = Decisions()
    if not path.exists():
        return found
    for row in records_between(path, 0, _LAST, TYPES):
        record = record_from_body(row.body, RecordParts())
        assert isinstance(record, OfPerson)
        found.take(record)
    return found


def decisions_said(report: Mapping[str, Any] | None) -> list[str]:
    """Reasons for health. report: of the gateway, None where there is none."""
    fault = (report or {}).get("fault", "")
    return [f"decisions of people cannot be stored: {fault}"] if fault else []

"""Keeps the gateway's page open: in a thread of its own, which opens it anew where it cannot be or has ended.

The listener, the feed and the outlets never wait for it. Where the page is, or why it is not, is in a report, which
health reads. Not for: the page itself (web/page.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.processes.health import PAGE
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.page import Page

_log = logging.getLogger(__name__)

RETRY_S = 10.0  # between two tries to open it
_LOOK_S = 0.2
_LAST_WAIT_S = 10.0  # at the stop, for the page to end; then the process ends without it

Opening = Callable[[], AbstractContextManager[Page]]


class PageKeeper:
    """Opens the page and looks after it until close()."""

    def __init__(self, opening: Opening, report: KeptReport, retry_s: float = RETRY_S) -> None:
        self._opening, self._report, self._retry_s = opening, report, retry_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="page-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the page, and wait for that, but not for ever."""
        self._stop.set()
        self._thread.join(_LAST_WAIT_S)
        if self._thread.is_alive():
            _log.warning("the page has not ended within %g s: the gateway ends without it", _LAST_WAIT_S)

    def _keep(self) -> None:
        fault = ""
        while not self._stop.is_set():
            try:
                with self._opening() as page:
                    if fault:
                        _log.info("page: it is there again, at %s", page.url)
                    self._report.write({"url": page.url, "fault": ""})
                    while page.is_running and not self._stop.wait(_LOOK_S):
                        pass
                fault = "ended by itself"
            except (CathrtError, OSError) as exc:
                fault = str(exc)
            except Exception as exc:  # a bug of the page ends neither the gateway nor, for good, the page
                _log.exception("the page has failed")
                fault = f"it failed with {type(exc).__qualname__}: report this bug, with the log"
            if not self._stop.is_set():
                _log.warning("page: %s; it is tried again in %g s", fault, self._retry_s)
                self._report.write({"url": None, "fault": fault})
                self._stop.wait(self._retry_s)


@contextmanager
def kept_page(opening: Opening, state: StateFolder) -> Iterator[PageKeeper]:
    """Keep the page until the end of the block."""
    keeper = PageKeeper(opening, KeptReport(state, PAGE))
    try:
        yield keeper
    finally:
        keeper.close()

"""Where audit messages go: a file that only grows, one message a line. What cannot be written is logged, and ends
nothing. Not for: what a message says (messages.py).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cathrt.runtime.audit.messages import Audited, Event, Party, audit_message

_log = logging.getLogger(__name__)

US = "cathrt"


class AuditTrail:
    """Thread-safe. path: of the file, made for its owner alone; None: nothing is kept. wall_s: seconds since 1970."""

    def __init__(self, path: Path | None, wall_s: Callable[[], float] = time.time) -> None:
        self._path, self._wall_s, self._lock = path, wall_s, threading.Lock()
        self._site = socket.gethostname()

    def started(self) -> None:
        """This program has begun."""
        self._add(Event.STARTED, 0, [Party(US, "", is_requestor=False)])

    def stopped(self) -> None:
        """It ends."""
        self._add(Event.STOPPED, 0, [Party(US, "", is_requestor=False)])

    def sent(self, to: Party, studies: Sequence[str], classes: Sequence[tuple[str, int]], *, well: bool) -> None:
        """Objects went out, or should have."""
        self._add(Event.SENT, 0 if well else 4, [Party(US, "", is_requestor=True), to], studies, classes)

    def received(self, sender: Party, classes: Sequence[tuple[str, int]], studies: Sequence[str] = ()) -> None:
        """Objects came in."""
        self._add(Event.RECEIVED, 0, [sender, Party(US, "", is_requestor=False)], studies or ("unknown",), classes)

    def alert(self, detail: str, by: Party) -> None:
        """Somebody was turned away."""
        self._add(Event.ALERT, 4, [by], detail=detail)

    def _add(
        self,
        event: Event,
        outcome: int,
        parties: Sequence[Party],
        studies: Sequence[str] = (),
        classes: Sequence[tuple[str, int]] = (),
        detail: str = "",
    ) -> None:
        if self._path is None:
            return
        line = audit_message(Audited(event, self._wall_s(), outcome, parties, studies, classes, detail), self._site)
        try:
            with self._lock:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    os.write(descriptor, line.encode() + b"\n")
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as exc:
            _log.error("%s: an audit message cannot be written (%s): make room", self._path, exc.strerror)

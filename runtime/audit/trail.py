"""Where audit messages go: a file that only grows, one message a line, and a receiver if there is one. What cannot be
written is logged and counted, and ends nothing. Not for: what a message says (messages.py), sending it (forwarding.py).
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cathrt.runtime.audit.forwarding import Forwarding, syslog_frame
from cathrt.runtime.audit.messages import Audited, Event, Party, audit_message
from cathrt.runtime.audit.state import AuditState

_log = logging.getLogger(__name__)

US = "cathrt"


class AuditTrail:
    """Thread-safe. path: of the file, made for its owner alone; None: nothing is kept. wall_s: seconds since 1970.

    forwarding: sends each message on; None for the file alone. It is not closed here.
    """

    def __init__(
        self, path: Path | None, wall_s: Callable[[], float] = time.time, forwarding: Forwarding | None = None
    ) -> None:
        self._path, self._wall_s, self._lock, self._forwarding = path, wall_s, threading.Lock(), forwarding
        self._site = socket.gethostname()
        self._unwritten, self._fault, self._torn = 0, "", False

    def state(self) -> AuditState:
        """How it is, for health."""
        on = self._forwarding
        if on is None:
            return AuditState(self._unwritten, self._fault)
        return AuditState(self._unwritten, self._fault, True, on.sent, on.waiting, on.lost, on.error)

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
        performing = Party(by.name, by.address, is_requestor=False)
        self._add(Event.ALERT, 4, [Party(US, "", is_requestor=True), performing], detail=detail)

    def viewed(self, who: Party, studies: Sequence[str], what: str) -> None:
        """A person sees data of patients on the page. what: in words, without a patient's data: "live pictures"."""
        self._add(Event.VIEWED, 0, [who], studies, detail=what)

    def logged_in(self, who: Party, *, well: bool) -> None:
        """A person has said who they are, and was believed or not."""
        self._add(Event.LOGGED_IN, 0 if well else 4, [who])

    def logged_out(self, who: Party) -> None:
        """A person's session is over."""
        self._add(Event.LOGGED_OUT, 0, [who])

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
        audited = Audited(event, self._wall_s(), outcome, parties, studies, classes, detail)
        message = audit_message(audited, self._site)
        self._write(self._path, message.encode() + b"\n")
        if self._forwarding is not None:
            self._forwarding.add(syslog_frame(message, audited.at, outcome, self._site))

    def _write(self, path: Path, line: bytes) -> None:
        """A line that was cut off, where the disk is full, is ended before the next one begins."""
        with self._lock:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    octets = b"\n" + line if self._torn else line
                    written = os.write(descriptor, octets)
                    self._torn = written not in (0, len(octets)) or (self._torn and written == 0)
                    if written != len(octets):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as exc:
                self._unwritten += 1
                self._fault = exc.strerror or type(exc).__name__
                _log.error("%s: an audit message cannot be written (%s): make room", path, self._fault)

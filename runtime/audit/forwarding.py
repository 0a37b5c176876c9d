"""Audit messages to an audit record repository of the hospital by syslog, as PS3.15 A.6 and A.7 have it.

What comes in waits in a short queue, and a thread of its own sends it: nobody waits for the receiver. What does not fit
is counted and stays in the file alone (trail.py). A message may come twice after trouble, in order all the same.
Not for: the connection, which is given.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Protocol

from cathrt.runtime.outside.plain_text import shown

MOST_WAITING = 10_000  # messages; one has about 1 kB
FIRST_WAIT_S, MOST_WAIT_S = 1.0, 60.0  # after a failed attempt; doubled each time
_FACILITY = 10  # security and authorization, as PS3.15 A.6 asks
_WARNING, _NOTICE = 4, 5
_LONGEST_ERROR = 200  # characters
_NOT_IN_A_NAME = re.compile("[^!-~]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # by which RFC 5424 knows a text in UTF-8


class Connection(Protocol):
    """To one receiver. send(): raises OSError. abort(): lets a send() in another thread fail soon."""

    def send(self, text: bytes) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class Forwarding:
    """Sends in a thread of its own. Any thread may call its methods; none of them waits but close()."""

    def __init__(self, connection: Connection, most_waiting: int = MOST_WAITING, first_wait_s: float = FIRST_WAIT_S):
        """Begins at once. first_wait_s: after the first attempt that failed."""
        self._connection, self._most, self._first_wait_s = connection, most_waiting, first_wait_s
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ends = self._hurries = False
        self.sent = self.lost = 0
        self.error = ""  # of the last attempt; "" where it did not fail
        self._thread = threading.Thread(target=self._work, name="audit forwarding", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Messages that were not sent yet."""
        return len(self._queue)

    def add(self, frame: bytes) -> None:
        """Let it be sent; one that does not fit is counted as lost."""
        with self._changed:
            if len(self._queue) >= self._most:
                self.lost += 1
                return
            self._queue.append(frame)
            self._changed.notify_all()

    def close(self, within_s: float = 2.0) -> None:
        """Send what waits, within so many seconds; what is left is counted as lost."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join(within_s)
        with self._changed:
            self._hurries = True
        self._connection.abort()
        self._thread.join(1.0)
        with self._changed:
            self.lost += len(self._queue)
            self._queue.clear()

    def _work(self) -> None:
        wait_s = 0.0
        while (frame := self._next(wait_s)) is not None:
            try:
                self._connection.send(frame)
            except OSError as exc:
                self._connection.close()
                self.error = shown(f"{type(exc).__name__}: {exc}")[:_LONGEST_ERROR]
                wait_s = min(MOST_WAIT_S, 2.0 * wait_s or self._first_wait_s)
                continue
            self.error, wait_s = "", 0.0
            with self._changed:
                self.sent += 1
                if self._queue:  # close() may have given up on it
                    self._queue.popleft()
        self._connection.close()

    def _next(self, wait_s: float) -> bytes | None:
        """The oldest message, after so many seconds; None at the end, which comes at once after trouble."""
        until_s = time.monotonic() + wait_s
        with self._changed:
            while not self._hurries:
                left_s = until_s - time.monotonic()
                if self._ends and (wait_s or not self._queue):
                    return None
                if self._queue and left_s <= 0.0:
                    return self._queue[0]
                self._changed.wait(left_s if self._queue else None)
        return None


def syslog_frame(message: str, at: float, outcome: int, host: str) -> bytes:
    """The RFC 5424 message around an audit message. at: of the event, seconds since 1970. outcome: 0 for success."""
    priority = _FACILITY * 8 + (_NOTICE if outcome == 0 else _WARNING)
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    named = _NOT_IN_A_NAME.sub("", host)[:255] or "-"
    header = f"<{priority}>1 {moment} {named} cathrt - DICOM+RFC3881 - "
    return header.encode("ascii") + _BYTE_ORDER_MARK + message.encode("utf-8", "backslashreplace")

"""The port of an outlet: a receiver that takes one message after the other, and the ways in which it may not.

Adapters in webhook.py, mqtt.py and syslog.py fit it by shape alone; they share one contract suite.
"""

from __future__ import annotations

from typing import Protocol

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outlets.message import Message
from cathrt.runtime.outside.plain_text import shown

_LONGEST_REASON = 200  # characters; what a receiver says of itself is in it


class RefusedError(CathrtError):
    """The receiver was there and does not want this record. Others it may take."""

    def __init__(self, reason: str) -> None:
        super().__init__(_fit_to_show(reason))


class UnreachableError(CathrtError):
    """The receiver did not take the record, and that says nothing of the record: later it may.

    wait_s: how long the receiver asked us to wait; None where it did not. heard: it was there, and failed over what it
    was sent; where that happens with one record and not with the next, it is the record after all. Silence is neither.
    """

    def __init__(self, reason: str, *, wait_s: float | None = None, heard: bool = False) -> None:
        super().__init__(_fit_to_show(reason))
        self.wait_s, self.heard = wait_s, heard


class Peer(Protocol):
    """A receiver. Opening one connects to nothing. After any error it is closed, and another one is opened.

    send(): returns once the receiver has acknowledged. Raises RefusedError, UnreachableError.
    idle(): called about once a second while there is nothing to send. Returns whether the receiver is known to be
    there. Raises UnreachableError.
    abort(): lets a send() in another thread fail soon. It may be called at any time, raises nothing.
    close(): says goodbye where the protocol has one, within a second; raises nothing.
    """

    def send(self, message: Message) -> None: ...
    def idle(self) -> bool: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


def _fit_to_show(reason: str) -> str:
    """As a terminal, a log and a report may have it: receivers write what they like."""
    text = shown(reason[: 2 * _LONGEST_REASON])
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."

"""Sends a conversation over a socket as a hostile peer would: in pieces, with or without patience, to some end.

Not for: what is sent.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

End = str  # "answered", "closed" by the other side, "left" without an answer, "reset" by us
_ANSWER_S, _GLANCE_S = 0.3, 0.005
_MOST_WAITED = 8  # answers that are waited for
_SEND_S = 5.0
_TAKEN = 1 << 16
_MOST_TAKEN = 1 << 20


def converse(
    connection: socket.socket, pieces: Sequence[bytes], random: Random, expects: Callable[[bytes], bool]
) -> End:
    """Send each message and take what comes back. Returns how it ended; closes the connection.

    expects: whether a message has an answer that is worth waiting for.
    """
    with contextlib.closing(connection):
        connection.settimeout(_SEND_S)
        answered, waited = False, 0
        try:
            for piece in pieces:
                _send(connection, piece, random)
                waits = waited < _MOST_WAITED and expects(piece)
                waited += waits
                answered |= _take(connection, _ANSWER_S if waits else _GLANCE_S)
        except (OSError, EOFError):
            return "closed"
        return _leave(connection, random, "answered" if answered else "left")


def _send(connection: socket.socket, piece: bytes, random: Random) -> None:
    """In one to four parts."""
    cuts = sorted(random.randrange(len(piece) + 1) for _ in range(random.choice((0, 0, 0, 1, 3))))
    for start, stop in zip([0, *cuts], [*cuts, len(piece)], strict=True):
        connection.sendall(piece[start:stop])


def _take(connection: socket.socket, wait_s: float) -> bool:
    """Whatever comes: wait for the first bytes, not for more. Raises EOFError where the other side has closed."""
    taken = 0
    while taken < _MOST_TAKEN and select.select([connection], [], [], 0.0 if taken else wait_s)[0]:
        count = len(connection.recv(_TAKEN))
        if not count:
            raise EOFError
        taken += count
    return taken > 0


def _leave(connection: socket.socket, random: Random, end: End) -> End:
    """Close in order, half, or with a reset."""
    how = random.randrange(4)
    with contextlib.suppress(OSError):
        if how == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "reset"
        if how == 1:
            connection.shutdown(socket.SHUT_WR)
            select.select([connection], [], [], 0.2)
    return end


def in_words(ends: Counter[End]) -> dict[str, int]:
    """For a row, the most frequent first."""
    return dict(ends.most_common())

"""Peers of the listener: how one is named, and how its request is refused.

Nothing else of what a peer sends is logged. Not for: what a request is about.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from cathrt.runtime.listener import statuses
from cathrt.runtime.listener.data_sets import DataSetError
from cathrt.runtime.outside.disk import takes_no_more
from cathrt.runtime.sources.syntax import printable

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request is not granted. status: of the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def title_of(peer: Any) -> str:
    """The AE title that a peer gives itself."""
    return printable(peer.ae_title.strip(), 16)


def address_of(peer: Any) -> str:
    """Where a peer connects from."""
    return str(peer.address)


def refused(status: int, peer: Any, what: str, reason: str) -> int:
    """Log a refusal. Returns the status."""
    _log.warning("%s from %s answered with 0x%04X: %s", what, title_of(peer), status, reason)
    return status


def answered(act: Callable[[], None], peer: Any, what: str) -> int:
    """Do what a peer asks for. Returns the status of the answer: success, or why not."""
    try:
        act()
    except RefusedError as exc:
        return refused(exc.status, peer, what, str(exc))
    except DataSetError as exc:
        return refused(statuses.PROCESSING_FAILURE, peer, what, str(exc))
    except (OSError, sqlite3.Error) as exc:
        status = statuses.RESOURCE_LIMITATION if takes_no_more(exc) else statuses.PROCESSING_FAILURE
        return refused(status, peer, what, f"cannot be made durable ({exc})")
    return statuses.SUCCESS

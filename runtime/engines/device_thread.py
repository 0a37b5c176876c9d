"""Makes calls that may never return on a thread of their own, so that the caller has a deadline.

Not for: work that the device does not finish (kernels/cuda/waiting.py notices that and returns).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
Outcome = tuple[object, BaseException | None]

_INTERRUPTED_S = 2.0


class DeviceThread:
    """One daemon thread that does what it is asked, one call after another. For one caller.

    A call that does not return keeps the thread, and all that the call was given, until the process ends.
    """

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[int, Callable[[], object]] | None] = SimpleQueue()
        self._answered: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        self._numbers = count()
        Thread(target=_work, args=(self._asked, self._answered), name=name, daemon=True).start()

    def call(self, work: Callable[[], T], within_ms: float) -> T:
        """What `work` returns or raises. Raises TimeoutError where it does neither within `within_ms`."""
        number = next(self._numbers)
        deadline = time.monotonic() + within_ms / 1e3
        self._asked.put((number, work))
        try:
            result, error = self._outcome(number, deadline)
        except TimeoutError:
            raise
        except BaseException:  # interrupted, as by Ctrl-C: what the caller lends is in use until the call returns
            with suppress(TimeoutError):
                self._outcome(number, min(deadline, time.monotonic() + _INTERRUPTED_S))
            raise
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def end(self) -> None:
        """End the thread after what it was asked. Does not wait for it."""
        self._asked.put(None)

    def _outcome(self, number: int, deadline: float) -> Outcome:
        while True:
            try:
                answered, outcome = self._answered.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty as exc:
                raise TimeoutError from exc
            if answered == number:  # else of a call whose caller was interrupted
                return outcome


def _work(
    asked: SimpleQueue[tuple[int, Callable[[], object]] | None], answered: SimpleQueue[tuple[int, Outcome]]
) -> None:
    # No name here outlives an iteration, so that nothing lent is held while the thread waits.
    while (request := asked.get()) is not None:
        answered.put((request[0], _outcome_of(request[1])))
        del request


def _outcome_of(work: Callable[[], object]) -> Outcome:
    try:
        return work(), None
    except BaseException as exc:
        return None, exc

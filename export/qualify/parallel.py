"""Work on numbered things in several threads, whose results come in the order of the numbers.

Threads, because networks and renderers compute without the interpreter's lock, and a network cannot be sent to a
process. Not for: what is done (measure.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

Tool = TypeVar("Tool")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Raised by work that was told to stop: nobody waits for its result."""


def in_order(
    count: int,
    tools: list[Callable[[], AbstractContextManager[Tool]]],
    work: Callable[[int, Tool, Event], Result],
) -> Generator[Result, None, None]:
    """work(0) ... work(count - 1), as many at a time as there are tools, each with a tool of its own.

    tools: opened in the calling thread, before the first result, and closed at the end. work(number, tool, stopping):
    raises StoppedError soon after `stopping` is set, which happens when the caller asks for no more. Raises what the
    tools and the work raise.
    """
    stopping = Event()
    with ExitStack() as stack:
        free: SimpleQueue[Tool] = SimpleQueue()
        for make in tools:
            free.put(stack.enter_context(make()))

        def one(number: int) -> Result:
            tool = free.get()
            try:
                return work(number, tool, stopping)
            finally:
                free.put(tool)

        pool = stack.enter_context(ThreadPoolExecutor(len(tools), "qualify"))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        stack.callback(stopping.set)  # first: callbacks run from the last to the first
        waiting: deque[Future[Result]] = deque()
        numbers = iter(range(count))
        for number in numbers:
            waiting.append(pool.submit(one, number))
            if len(waiting) > len(tools):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

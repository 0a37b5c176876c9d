"""How far an export is: a bar on a terminal, else a line every few seconds.

Not for: what is done (recipe/), or the progress of the runtime's commands (runtime/sinks/progress.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cathrt.runtime.commands.options import say
from cathrt.runtime.commands.standard_streams import styled

Say = Callable[[str], None]
Advance = Callable[[str, int, int], None]  # called with (what, done, total)

EVERY_S = 5.0


@contextmanager
def stage_bar(*, lines: bool) -> Iterator[tuple[Say, Advance]]:
    """Two functions for stderr: one says a line, the other shows how far it is (what, done, total).

    lines: False says nothing with the first, where standard output has it as JSON.
    """

    def said(text: str) -> None:
        if lines:
            say(text)

    if not sys.stderr.isatty():
        yield said, ProgressLines(say).advance
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=styled(sys.stderr)), transient=True) as bar:
        task = bar.add_task("building", total=None)
        yield said, (lambda what, done, total: bar.update(task, description=what, completed=done, total=total))


class ProgressLines:
    """Progress as lines of text, no more often than every EVERY_S, and one at the end of each stage."""

    def __init__(self, say: Say, now_s: Callable[[], float] = time.monotonic) -> None:
        self._say, self._now_s = say, now_s
        self._what, self._began_s, self._said_s = "", 0.0, 0.0

    def advance(self, what: str, done: int, total: int) -> None:
        now_s = self._now_s()
        if what != self._what:
            self._what, self._began_s, self._said_s = what, now_s, now_s
        if done < total and now_s - self._said_s < EVERY_S:
            return
        self._said_s = now_s
        took_s = now_s - self._began_s
        left = f", about {_time(took_s / done * (total - done))} left" if 0 < done < total else ""
        self._say(f"{what}: {done} of {total}, {_time(took_s)}{left}")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

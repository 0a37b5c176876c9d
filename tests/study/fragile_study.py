"""A study process whose engine reads brightness, and which dies by SIGKILL in a run of POISON_FRAMES frames:
python -m tests.study.fragile_study STATE [--config FILE]. Not for: its priority, which is that of the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cathrt.runtime.frame import Run
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models import load_config
from cathrt.runtime.processes.child import Process, ProcessArguments, process_main
from cathrt.runtime.processes.study import confirm
from tests import lines

POISON_FRAMES = 7


@dataclass(frozen=True)
class _FragileRun:
    """A model's part in one run, which dies at its fourth frame."""

    part: Any

    def finding(self, outputs: Any, engine: str, frame: Any) -> Any:
        if frame.index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.part.finding(outputs, engine, frame)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)


@dataclass(frozen=True)
class _FragileModel:
    model: Any

    def begin(self, run: Run) -> Any:
        part = self.model.begin(run)
        return _FragileRun(part) if run.frame_count == POISON_FRAMES else part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@contextmanager
def fragile_line() -> Iterator[Line]:
    line = lines.line()
    (served,) = line.models
    yield replace(line, models=(replace(served, model=_FragileModel(served.model)),))


def _work(running: Process, arguments: ProcessArguments) -> None:
    confirm(running, arguments.state, load_config(arguments.config), fragile_line)


if __name__ == "__main__":
    process_main("study", "normal", _work)

"""Whole processes of `cathrt run` in bad weather: the gateway, and a live process with a line and a source in memory.

Not for: what must hold (the tests beside this file).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.processes.counts_file import CountsRead, read_counts
from cathrt.runtime.processes.restarts import ProcessEvent
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.stop_event import Stopped
from cathrt.runtime.processes.supervisor import Supervisor
from tests.conftest import ROOT

PATIENCE_S = 120.0
SOURCE = "A"
# Few restarts, so that a process that is given up where it should not be is noticed soon.
CONFIG = SupervisorConfig(restarts=1, backoff_s=0.05, most_backoff_s=0.2, drain_s=60.0)
_LAB = f'[[sources]]\nname = "{SOURCE}"\nkind = "phantom"\nrate_hz = 60.0\nbudget_ms = 5000.0\nqueue_frames = 8\n'


def made_state(folder: Path) -> StateFolder:
    """A state folder whose memory is in a folder beside it, and a configuration of one source."""
    memory = folder / "memory"
    memory.mkdir()
    state = StateFolder(folder / "state")
    state.make(memory)
    (folder / "live.toml").write_text(_LAB)
    return state


def live_command(state: StateFolder) -> list[str]:
    """What starts a live process that plays runs of 45 pictures at 60 Hz and reads their brightness."""
    words = [sys.executable, "-m", "tests.processes.fragile_live", "-", "0", str(state.path)]
    return [*words, "--config", str(state.path.parent / "live.toml")]


@dataclass
class Live:
    """What a test sees of a live process."""

    state: StateFolder
    alive: Callable[[], bool]

    @property
    def counts(self) -> CountsRead | None:
        return read_counts(self.state.counts(SOURCE))

    def count(self, name: str) -> int:
        """One count, or moment; 0 where nothing was counted."""
        found = self.counts
        return 0 if found is None else found.values[name]  # type: ignore[index]

    def wait_for(self, what: Callable[[], object]) -> float:
        """Until it is so; returns after how many seconds."""
        began = time.monotonic()
        while not what():
            assert self.alive(), "it has ended"
            assert time.monotonic() - began < PATIENCE_S, "it did not come"
            time.sleep(0.01)
        return time.monotonic() - began

    def wait_for_more(self, name: str, by: int) -> float:
        """Until a count has risen by so much; returns after how many seconds."""
        wanted = self.count(name) + by
        return self.wait_for(lambda: self.count(name) >= wanted)


@contextmanager
def live(state: StateFolder, environment: Mapping[str, str]) -> Iterator[Live]:
    """The process alone, once it judges. It has to end well."""
    with subprocess.Popen(live_command(state), cwd=ROOT, env={**os.environ, **environment}) as child:
        try:
            running = Live(state, lambda: child.poll() is None)
            running.wait_for(lambda: running.count("met") > 0)
            yield running
            child.send_signal(signal.SIGTERM)
            assert child.wait(PATIENCE_S) == 0
        finally:
            child.kill()


@dataclass
class Supervised(Live):
    """The process under a supervisor. events: what that said."""

    events: list[ProcessEvent] = field(default_factory=list)
    stopped: Stopped = field(default_factory=Stopped)

    def ends(self) -> list[str]:
        """What was said of each end so far."""
        return [event.text for event in tuple(self.events) if event.what in ("ended", "given up")]


@contextmanager
def supervised_live(state: StateFolder, config: SupervisorConfig = CONFIG) -> Iterator[Supervised]:
    """The same under a supervisor in this process, once it judges."""
    running = Supervised(state, lambda: thread.is_alive())
    supervisor = Supervisor({"live": live_command(state)}, state, config, running.events.append)
    thread = threading.Thread(target=supervisor.run, args=(running.stopped,))
    thread.start()
    try:
        running.wait_for(lambda: running.count("met") > 0)
        yield running
    finally:
        running.stopped.stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()

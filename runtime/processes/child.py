"""What every process of `cathrt run` does first: end with its supervisor, hear its signals, take its priority.

    def live(process: Process, arguments: ProcessArguments) -> None: ...

    if __name__ == "__main__":
        process_main("live", "live", live)

Not for: starting them (supervisor.py).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.config import LogConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.models import load_config
from cathrt.runtime.processes.heartbeat import Heartbeat
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.log_lines import set_up_log
from cathrt.runtime.processes.priority import Grants, Priority, make_real_time, take_priority
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.stop_event import stopped_by_signals

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessArguments:
    """What a process is started with. supervisor_pid: None where a person starts it by hand.

    bundles: folders; none: the demonstration bundle.
    """

    state: StateFolder
    config: Path | None = None
    bundles: tuple[Path, ...] = ()
    supervisor_pid: int | None = None


def command_of(name: str, arguments: ProcessArguments) -> list[str]:
    """The command line that starts a process, which reads it with arguments_from()."""
    words = [sys.executable, "-m", f"cathrt.runtime.processes.{name}", str(arguments.state.path.absolute())]
    if arguments.config is not None:
        words += ["--config", str(arguments.config.absolute())]
    for bundle in arguments.bundles:
        words += ["--bundle", str(bundle.absolute())]
    if arguments.supervisor_pid is not None:
        words += ["--supervisor", str(arguments.supervisor_pid)]
    return words


def arguments_from(words: Sequence[str]) -> ProcessArguments:
    """Read the words after the module's name. Ends the process with 2 where they are not as command_of() makes them."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("state", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--bundle", type=Path, action="append", default=[])
    parser.add_argument("--supervisor", type=int)
    found = parser.parse_args(words)
    return ProcessArguments(StateFolder(found.state), found.config, tuple(found.bundle), found.supervisor)


class Process:
    """The running process as its own code sees it.

    stop: set when it is to end well: finish what is in hand, close everything, return.
    """

    def __init__(self, name: str, state: StateFolder, stop: threading.Event, grants: Grants) -> None:
        self.name, self.stop = name, stop
        self._kept, self._grants = KeptReport(state, name), grants
        self._heartbeat = Heartbeat(state.heartbeat(name))
        self._lock = threading.Lock()
        self._report()

    def beat(self) -> None:
        """Say that the process works: at least every second once it has begun (restarts.Patience). From any thread.

        Before the first beat it is starting, and may take as long as opening engines takes.
        """
        self._heartbeat.beat()

    def real_time(self, thread: str) -> None:
        """Put the calling thread ahead of all others where the system allows it (priority.make_real_time).

        For the threads that take pictures, run the line and write the journal, once the engine is open: threads that
        they start later do not get this process's priority.
        """
        with self._lock:
            make_real_time(self._grants, thread)
            self._report()

    def _report(self) -> None:
        self._kept.write({"pid": os.getpid(), **asdict(self._grants)})


@contextmanager
def process(name: str, state: StateFolder, priority: Priority, supervisor_pid: int | None = None) -> Iterator[Process]:
    """Around all that a process does, in its main thread and before it starts others.

    Raises SinkError where the state folder cannot be used.
    """
    if supervisor_pid is not None:
        die_with_parent(supervisor_pid)
    with stopped_by_signals() as stopped:
        state.make()
        yield Process(name, state, stopped.stop, take_priority(priority))


def process_main(
    name: str,
    priority: Priority,
    work: Callable[[Process, ProcessArguments], None],
    words: Sequence[str] | None = None,
) -> NoReturn:
    """Run `work` as a process of `cathrt run` and exit: 0 when it returns, an error's own code after a line on stderr.

    words: the command line's, sys.argv by default.
    """
    arguments = arguments_from(sys.argv[1:] if words is None else words)
    set_up_log(name, _log_settings(arguments.config))
    try:
        with process(name, arguments.state, priority, arguments.supervisor_pid) as running:
            work(running, arguments)
    except CathrtError as exc:
        _log.error("%s", exc, extra={"ends_process": True})
        sys.exit(exc.exit_code)
    sys.exit(0)


def _log_settings(config: Path | None) -> LogConfig:
    try:
        return load_config(config).log
    except CathrtError:  # the process says why, where it reads the configuration for itself
        return LogConfig()

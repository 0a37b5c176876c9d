"""Starts the processes of `cathrt run`, starts them again when they end or hang, and ends them well.

None outlives the supervisor, however that ends. Not for: when to start again (restarts.py), what the processes do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from cathrt.runtime.children.parent import end_child, exit_status, start_child
from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.errors import (
    CathrtError,
    ConfigError,
    EngineError,
    JournalError,
    ManifestError,
    SinkError,
    SourceError,
)
from cathrt.runtime.processes.heartbeat import Heartbeat, forget_beats, last_beat_ns
from cathrt.runtime.processes.restarts import IDLE, ProcessEvent, State, Watched
from cathrt.runtime.processes.service_manager import ServiceManager
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.stop_event import Stopped

PROCESSES = ("live", "study", "gateway")
LAST = ("gateway",)  # ends after the others, so that it still delivers what they write at their end
_LOOK_S = 0.05
_STANDARD_ERROR = 2
SUPERVISOR = "supervisor"  # the name of its report and its heartbeat
# Exit codes that say what was wrong; any other end of a process is a bug of ours, or a kill.
_KNOWN = {error.exit_code for error in (ConfigError, SourceError, ManifestError, EngineError, JournalError, SinkError)}


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What the supervisor knows of one process, for health (Watched says what the rest means). pid: None: none runs."""

    name: str
    state: State
    pid: int | None
    restarts: int
    why: str
    last_end: str


class Supervisor:
    """Runs processes by name until it is stopped. To be used in one thread, once."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        state: StateFolder,
        config: SupervisorConfig,
        told: Callable[[ProcessEvent], None],
        now_s: Callable[[], float] = time.monotonic,
        manager: ServiceManager | None = None,
        given: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """commands: of each process, what starts it. told: hears what happens, in the thread that runs.

        manager: who started this service; None: a person did. given: reports of what it was started with, by name,
        which are there already; they are written again where shared memory was cleared.
        """
        self._commands, self._state, self._config, self._told, self._now_s = commands, state, config, told, now_s
        self._manager = manager or ServiceManager("", None)
        self._given = dict(given or {})
        self._watched = [Watched(name, config, now_s()) for name in commands]
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, stopped: Stopped) -> int:
        """Supervise until `stop` is set or every process is given up; then end all. Returns the exit code.

        0: all ended well. Else the code of an error that ended one of them, or 1. `hurry`: what is left is killed.
        """
        heartbeat = Heartbeat(self._state.heartbeat(SUPERVISOR))
        try:
            while not stopped.stop.is_set() and any(each.state != "given up" for each in self._watched):
                if self._is_cleared():
                    heartbeat = self._begun_anew(heartbeat)
                heartbeat.beat()
                for watched in self._watched:
                    self._attend(watched)
                self._speak()
                stopped.stop.wait(_LOOK_S)
            self._manager.stopping()
            self._drain([each for each in self._watched if each.name not in LAST], stopped)
            self._drain([each for each in self._watched if each.name in LAST], stopped)
        finally:
            for name in tuple(self._children):
                self._reap(name)
        return self._exit_code()

    def _is_cleared(self) -> bool:
        """Whether shared memory was cleared under this process, and is there again: a process makes it at its start."""
        ours = (self._state.heartbeat(SUPERVISOR), *map(self._state.report, self._given))
        return os.path.isdir(self._state.memory) and not all(map(os.path.exists, ours))

    def _begun_anew(self, heartbeat: Heartbeat) -> Heartbeat:
        """All that this process keeps in shared memory; where that cannot be had, the next pass tries again."""
        self._write_reports()
        try:
            return Heartbeat(self._state.heartbeat(SUPERVISOR))
        except SinkError:
            return heartbeat

    def _speak(self) -> None:
        """At the end of a pass: every process that runs gave its heartbeat in time, or was killed in this pass.

        So the watchdog ends a supervisor that hangs, or that cannot end a process that hangs.
        """
        self._manager.alive()
        if all(each.settled for each in self._watched if each.name not in IDLE):
            self._manager.ready()

    def _attend(self, watched: Watched) -> None:
        """Look at one process and do what is due."""
        now_s, beats = self._now_s(), self._state.heartbeat(watched.name)
        if watched.is_due(now_s):
            self._start(watched)
        elif watched.runs:
            code = exit_status(self._children[watched.name], 0.0)
            if code is not None:
                self._reap(watched.name)
                self._tell(watched.ended(now_s, code))
            elif hung := watched.looked(now_s, last_beat_ns(beats), is_made=os.path.exists(beats)):
                self._reap(watched.name)
                self._tell(watched.ended(now_s, -signal.SIGKILL, f"killed, {hung}"))
            elif (event := watched.ready()) is not None:
                self._tell(event)

    def _start(self, watched: Watched) -> None:
        try:
            forget_beats(self._state.heartbeat(watched.name))
            self._children[watched.name] = start_child(partial(_started, self._commands[watched.name]))
        except OSError as exc:
            self._tell(watched.ended(self._now_s(), CathrtError.exit_code, f"cannot be started ({exc.strerror})"))
        else:
            self._tell(watched.started(self._now_s()))

    def _drain(self, watched: Sequence[Watched], stopped: Stopped) -> None:
        """Ask processes to end, wait for them, kill those that do not."""
        left = [each for each in watched if each.runs]
        for each in left:
            os.kill(self._children[each.name].pid, signal.SIGTERM)  # not reaped yet, so the number is no other's
        until_s = self._now_s() + self._config.drain_s
        while left and self._now_s() < until_s and not stopped.hurry.is_set():
            for each in left:
                if (code := exit_status(self._children[each.name], 0.0)) is not None:
                    self._reap(each.name)
                    self._tell(each.stopped(code))
            left = [each for each in left if each.runs]
            stopped.hurry.wait(_LOOK_S if left else 0.0)
        why = "asked to hurry" if stopped.hurry.is_set() else f"not ended within {self._config.drain_s:g} s of SIGTERM"
        for each in left:
            self._reap(each.name)
            self._tell(each.stopped(-signal.SIGKILL, why))

    def _reap(self, name: str) -> None:
        """End what is left of a process and of what it started."""
        end_child(self._children.pop(name))

    def _tell(self, event: ProcessEvent) -> None:
        """Write down how all processes are, for health; then say what happened."""
        if fault := self._write_reports():
            event = replace(event, text=f"{event.text} [not in the report: {fault}]")
        self._manager.status(", ".join(f"{each.name} {each.state}" for each in self._watched))
        self._told(event)

    def _write_reports(self) -> str:
        """Returns why one cannot be written, "" if all are: then the processes go on, and health shows older ones."""
        reports = [
            ProcessReport(each.name, each.state, self._pid(each.name), each.restarts, each.why, each.last_end)
            for each in self._watched
        ]
        document = {"pid": os.getpid(), "processes": [asdict(report) for report in reports]}
        try:
            for of, told in {SUPERVISOR: document, **self._given}.items():
                self._state.write_report(of, told)
        except SinkError as exc:
            return str(exc)
        return ""

    def _pid(self, name: str) -> int | None:
        return self._children[name].pid if name in self._children else None

    def _exit_code(self) -> int:
        codes = [each.exit_code for each in self._watched if not each.well]
        known = [code for code in codes if code in _KNOWN]
        return (known or [CathrtError.exit_code])[0] if codes else 0


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # Standard output is for records alone, so what a vendor's code prints goes to standard error.
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR, start_new_session=True)

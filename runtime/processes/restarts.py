"""When a process is started again, and when it is given up: what its supervisor decides, with the time passed in.

Not for: starting, ending and looking at processes (supervisor.py).
"""

from __future__ import annotations

import signal
from collections import deque
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.config import SupervisorConfig
from cathrt.runtime.errors import ConfigError, JournalError, ManifestError, SinkError

State = Literal["waiting", "starting", "running", "given up", "stopped"]
What = Literal["started", "ready", "ended", "given up", "killed", "stopped"]

IDLE = ("study",)  # has the CPU only when nobody else wants it, which may be seldom
_MOST_DOUBLINGS = 64  # of a wait: more would be no float any more
_LOOK_COUNTS_S = 1.0  # a machine that stood still for longer has held up the process as well as its supervisor
# Ends that the next start would only repeat: wrong usage, a configuration or a bundle that is refused.
_USAGE = 2
_FOR_GOOD = (_USAGE, ConfigError.exit_code, ManifestError.exit_code)
# Ends that say that the disk or the memory takes nothing. Room may be made at any time: these are never given up.
_CANNOT_PERSIST = (JournalError.exit_code, SinkError.exit_code)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a process may give no heartbeat: hung_s once there was one, since it beats every second.

    started_s: until the first. TensorRT-RTX finishes its plans on the device then.
    """

    hung_s: float = 10.0
    started_s: float = 180.0


def patience_with(process: str) -> Patience:
    """How long to wait for a process of that name."""
    return Patience(hung_s=60.0, started_s=1800.0) if process in IDLE else Patience()


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """What happened to a process, and a line about it that a person reads. restarts: how often it was started again."""

    process: str
    what: What
    text: str
    restarts: int


class Watched:
    """One process: what it does now, as far as its supervisor knows, and what comes next.

    state: "waiting" to be started, "starting" until its first heartbeat. why: what was last said of it. last_end: how
    it last ended without being asked to, "" if never. exit_code: of its last end, as Popen has it. well: whether that
    was the end that was asked for.
    """

    def __init__(self, name: str, config: SupervisorConfig, now_s: float) -> None:
        self.name, self._config, self._patience = name, config, patience_with(name)
        self.state: State = "waiting"
        self.restarts = 0
        self.exit_code: int | None = None
        self.well = True
        self.why = self.last_end = ""
        self._due_s = self._looked_s = now_s
        self._ends_s: deque[float] = deque()
        self._unwritten_s: deque[float] = deque()  # ends of _CANNOT_PERSIST
        self._beat_ns: int | None = None
        self._made = False  # the file of its heartbeat
        self._silent_s = 0.0
        self._was_ready = False

    @property
    def settled(self) -> bool:
        """Whether it has worked once, or will not, or waits for a disk that takes records."""
        return self._was_ready or self.state == "given up" or len(self._unwritten_s) > 0

    @property
    def runs(self) -> bool:
        """Whether there is a process now."""
        return self.state in ("starting", "running")

    def is_due(self, now_s: float) -> bool:
        """Whether to start it now."""
        return self.state == "waiting" and now_s >= self._due_s

    def started(self, now_s: float) -> ProcessEvent:
        """It was started."""
        self.restarts += self.exit_code is not None
        self.state, self._beat_ns, self._silent_s, self._looked_s = "starting", None, 0.0, now_s
        self._made = False
        again = f" (restart {self.restarts})" if self.restarts else ""
        return self._event("started", f"started{again}")

    def looked(self, now_s: float, beat_ns: int | None, *, is_made: bool = False) -> str | None:
        """Its last heartbeat was seen. is_made: whether the file of it is there, which a process makes at its start.

        Returns why it must be killed; None where it works.
        """
        if beat_ns is not None and beat_ns != self._beat_ns:  # one that is not there any more is no beat
            self._beat_ns, self._silent_s = beat_ns, 0.0
        else:
            self._silent_s += min(now_s - self._looked_s, _LOOK_COUNTS_S)
        if self._beat_ns is None and self._made and not is_made:
            self._beat_ns, self._silent_s = 0, 0.0  # the file was cleared away: no beat of this process can be seen
        self._looked_s, self._made = now_s, self._made or is_made
        if self._beat_ns is not None and self._silent_s > self._patience.hung_s:
            return f"no heartbeat for {self._patience.hung_s:g} s"
        if self._beat_ns is None and self._silent_s > self._patience.started_s:
            return f"not ready within {self._patience.started_s:g} s"
        return None

    def ready(self) -> ProcessEvent | None:
        """What to say at its first heartbeat; None at any other time."""
        if self.state != "starting" or not self._beat_ns:
            return None
        self.state, self._was_ready = "running", True
        return self._event("ready", "ready")

    def ended(self, now_s: float, exit_code: int, how: str = "") -> ProcessEvent:
        """It has ended without being asked to. how: in words, where the exit code does not say it."""
        self.exit_code, self.well = exit_code, False
        self.last_end = how = how or f"ended {how_ended(exit_code)}"
        if exit_code in _FOR_GOOD:
            return self._given_up(f"{how}: given up, since another start would end the same way")
        if exit_code in _CANNOT_PERSIST:
            wait_s = self._waits(self._unwritten_s, now_s)
            text = f"cannot persist ({how}): tried again in {wait_s:g} s, for as long as it takes"
            return self._event("ended", text)
        self._forget(self._ends_s, now_s)
        if len(self._ends_s) >= self._config.restarts:
            window = f"{self._config.restarts} restarts within {self._config.restart_window_s:g} s"
            return self._given_up(f"{how}: given up after {window}")
        return self._event("ended", f"{how}: starts again in {self._waits(self._ends_s, now_s):g} s")

    def stopped(self, exit_code: int, killed_for: str | None = None) -> ProcessEvent:
        """It has ended after SIGTERM. killed_for: why we killed it all the same."""
        never_ready = self.state == "starting" and exit_code == -signal.SIGTERM
        self.well = killed_for is None and (exit_code == 0 or never_ready)
        self.state, self.exit_code = "stopped", exit_code
        if killed_for:
            return self._event("killed", f"killed, {killed_for}: what it had in hand is lost")
        return self._event("stopped", "ended" if self.well else f"ended {how_ended(exit_code)}, expected exit status 0")

    def _waits(self, ends_s: deque[float], now_s: float) -> float:
        """Wait before the next start, twice as long after each end of this kind within the window. Returns how long."""
        self._forget(ends_s, now_s)
        wait_s = min(self._config.backoff_s * 2.0 ** min(len(ends_s), _MOST_DOUBLINGS), self._config.most_backoff_s)
        ends_s.append(now_s)
        self.state, self._due_s = "waiting", now_s + wait_s
        return wait_s

    def _forget(self, ends_s: deque[float], now_s: float) -> None:
        while ends_s and now_s - ends_s[0] > self._config.restart_window_s:
            ends_s.popleft()

    def _given_up(self, text: str) -> ProcessEvent:
        self.state = "given up"
        return self._event("given up", f"{text}; the others go on")

    def _event(self, what: What, text: str) -> ProcessEvent:
        self.why = text
        return ProcessEvent(self.name, what, f"{self.name}: {text}", self.restarts)


def how_ended(exit_code: int) -> str:
    """How a process ended, in words; exit_code as Popen has it."""
    if exit_code >= 0:
        return f"with exit status {exit_code}"
    try:
        return f"by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"by signal {-exit_code}"

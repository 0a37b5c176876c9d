"""How the system's time is shared out: live before everything, study only when nobody else wants the CPU or the disk.

Each step is asked for and noted as granted or refused; no refusal ends a process. Linux: priorities belong to threads,
and a new thread has those of the one that starts it.
`python -m cathrt.runtime.processes.priority live` tells as JSON what this process would be granted.
Not for: how many threads an engine takes (engines/cpu.py).
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast

Priority = Literal["live", "idle", "normal"]
LIVE_NICE = -5
_AUTOGROUP, _AUTOGROUPS = Path("/proc/self/autogroup"), Path("/proc/sys/kernel/sched_autogroup_enabled")
_FEWEST_CPUS = 4  # with fewer, a live process of its own CPUs has too few, and leaves too few
# https://www.kernel.org/doc/html/latest/block/ioprio.html: class idle, in the top three bits of sixteen
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13


@dataclass(slots=True)
class Grants:
    """What the system granted, and what it refused with the reason and what would change it."""

    granted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def ask(self, what: str, request: Callable[[], None], remedy: str) -> None:
        """Make a request and note how it went."""
        try:
            request()
        except OSError as exc:
            self.refused.append(f"{what}: {exc.strerror}: {remedy}")
        else:
            self.granted.append(what)


def take_priority(priority: Priority) -> Grants:
    """Give this process's threads their priority, those to come included. To be called before the engine is opened."""
    grants = Grants()
    if priority == "live":
        grants.ask(f"nice {LIVE_NICE}", _nicer, "give it CAP_SYS_NICE or a LimitNICE of -5")
        if sessions_share_alike():
            grants.ask(f"nice {LIVE_NICE} for its session", _nicer_session, "give it CAP_SYS_NICE")
    elif priority == "idle":
        grants.ask("idle CPU class", _idle_cpu, "the study may disturb live sources")
        grants.ask("idle disk class", _idle_disk, "the study may disturb the journals' syncs")
    if priority != "normal":
        _pin(priority, grants)
    return grants


def make_real_time(grants: Grants, thread: str) -> None:
    """Put the calling thread ahead of all others (SCHED_RR), but not the threads and processes that it starts.

    For threads that wait most of the time: one that computes without end would hold up the kernel's own threads, which
    write the journal. thread: what it is called among the grants.
    """
    grants.ask(f"real time for {thread}", _real_time, "give it CAP_SYS_NICE or a LimitRTPRIO of 1")


def shared_out(cpus: Set[int], siblings: Mapping[int, frozenset[int]]) -> tuple[frozenset[int], frozenset[int]]:
    """The CPUs of the live process and those of the study: whole cores, the first half for live; () where too few.

    siblings: of each CPU, those of the same core, itself among them.
    """
    cores = sorted({frozenset(siblings[cpu] & cpus) for cpu in cpus}, key=min)
    if len(cores) < _FEWEST_CPUS:
        return frozenset(), frozenset()
    half = (len(cores) + 1) // 2
    return _union(cores[:half]), _union(cores[half:])


def _pin(priority: Priority, grants: Grants) -> None:
    allowed = os.sched_getaffinity(0)
    live, study = shared_out(allowed, {cpu: _siblings(cpu) for cpu in allowed})
    if not live:
        grants.refused.append(f"CPUs of its own: there are {len(allowed)}: use {_FEWEST_CPUS} cores or more")
        return
    mine = live if priority == "live" else study
    listed = ",".join(map(str, sorted(mine)))
    grants.ask(f"CPUs {listed}", lambda: _of_all_threads(lambda tid: os.sched_setaffinity(tid, mine)), "see taskset(1)")


def _siblings(cpu: int) -> frozenset[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return cpus_in(path.read_text(encoding="ascii")) | {cpu}
    except (OSError, ValueError):
        return frozenset({cpu})  # a container that does not show its CPUs: each counts as a core


def cpus_in(listed: str) -> frozenset[int]:
    """The CPUs of a list as the kernel writes it: "0-1,8". Raises ValueError."""
    found: set[int] = set()
    for part in listed.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _nicer() -> None:
    _of_all_threads(lambda tid: os.setpriority(os.PRIO_PROCESS, tid, LIVE_NICE))


def sessions_share_alike(switch: Path = _AUTOGROUPS) -> bool:
    """Whether a thread's nice value counts within its session alone, as sched(7) says of autogroups."""
    try:
        return switch.read_text(encoding="ascii").strip() == "1"
    except (OSError, ValueError):
        return False


def _nicer_session() -> None:
    _AUTOGROUP.write_text(str(LIVE_NICE), encoding="ascii")


def _idle_cpu() -> None:
    _of_all_threads(lambda tid: os.sched_setscheduler(tid, os.SCHED_IDLE, os.sched_param(0)))


def _real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _idle_disk() -> None:
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        raise OSError(None, f"unknown on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)

    def set_idle(tid: int) -> None:
        if libc.syscall(number, _IOPRIO_WHO_PROCESS, tid, _IOPRIO_IDLE) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    _of_all_threads(set_idle)


def _of_all_threads(request: Callable[[int], None]) -> None:
    for tid in sorted(int(name) for name in os.listdir("/proc/self/task")):
        try:
            request(tid)
        except ProcessLookupError:
            continue  # that thread has ended


def _union(cores: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*cores)


def main(priority: Priority) -> int:
    """Take a priority and print how it went, for `cathrt doctor`."""
    grants = take_priority(priority)
    if priority == "live":
        make_real_time(grants, "its threads")
    print(json.dumps(asdict(grants)))
    return 0


if __name__ == "__main__":
    sys.exit(main(cast(Priority, sys.argv[1])))

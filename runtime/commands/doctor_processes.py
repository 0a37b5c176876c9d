"""`cathrt doctor`: what priorities the processes of `cathrt run` would be granted here, and its shared memory.

A process takes each priority as the real one does, and reports. Not for: what a running one was granted
(`cathrt health`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from cathrt.runtime.commands.doctor_check import Check
from cathrt.runtime.engines.asked_child import ask_child, how_it_ended
from cathrt.runtime.processes.state_folder import SHARED_MEMORY, SHARED_MEMORY_MIB, disk_free_mib

_PROGRAM = ("-P", "-m", "cathrt.runtime.processes.priority")
_WITHIN_S = 20.0
_CLASSES = {"live process": "live", "study process": "idle"}


def process_checks(*, program: Sequence[str] = _PROGRAM, shared_memory: Path = SHARED_MEMORY) -> Iterator[Check]:
    """ "warn" where a priority is refused: live sources go on, with more late frames on a busy machine.

    program: arguments to the child's Python; shared_memory: its folder; others are only of use to tests.
    """
    for name, priority in _CLASSES.items():
        yield _priority(name, (*program, priority))
    yield _shared_memory(shared_memory)


def _priority(name: str, program: Sequence[str]) -> Check:
    try:
        child = ask_child(program, _WITHIN_S)
    except TimeoutError:
        return Check(name, "warn", f"its priority was not taken within {_WITHIN_S:g} s", {})
    if child.returncode != 0:
        return Check(name, "warn", f"taking its priority ended with {how_it_ended(child)}", {})
    grants = json.loads(child.stdout)
    granted, refused = grants["granted"], grants["refused"]
    detail = ", ".join(granted) or "no priority"
    if refused:
        detail += f"; not granted: {'; '.join(refused)}"
    return Check(name, "warn" if refused else "ok", detail, {"granted": granted, "refused": refused})


def _shared_memory(folder: Path) -> Check:
    name, needed = "shared memory", f"`cathrt run` takes {SHARED_MEMORY_MIB} MiB for counts and heartbeats"
    try:
        free = disk_free_mib(folder)
    except OSError as exc:
        return Check(name, "missing", f"{folder}: {exc.strerror}, and {needed}: mount a tmpfs there", {})
    figures: dict[str, float | int | str | list[str]] = {"free_mib": free}
    if free < SHARED_MEMORY_MIB:
        return Check(name, "missing", f"{folder}: {free} MiB free, and {needed}: give it more (--shm-size)", figures)
    return Check(name, "ok", f"{folder}: {free} MiB free; {needed}", figures)

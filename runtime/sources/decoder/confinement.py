"""What the decoder process gives up before it looks at a file: memory, time, files, programs, processes, the network.

Applied by the child to itself when its input is open and its libraries are loaded, before the first foreign byte is
parsed; none of it can be taken back. `python -m cathrt.runtime.sources.decoder.confinement` says which walls stand
here. Not for: guarding the parent's side of the pipe (sandbox.py checks every message).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
from dataclasses import asdict, dataclass

from cathrt.runtime.sources.decoder.system_calls import refuse_other_calls

_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
# Landlock has the same system call numbers on every architecture (include/uapi/asm-generic/unistd.h).
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
# linux/landlock.h: what each version (ABI) can refuse.
_FILES = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))  # all, REFER, TRUNCATE, IOCTL_DEV
_NETWORK = ((4, 0b11),)  # bind and connect TCP
_SCOPES = ((6, 0b11),)  # abstract Unix sockets, signals


class ConfinementError(Exception):
    """A wall that this kernel has could not be put up."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What stands round a decoder beside its resource limits, which always do.

    seccomp: a filter of system calls. landlock: the version (ABI) of the kernel's Landlock, 0 for none.
    """

    seccomp: bool
    landlock: int


def confine(*, memory_mib: int, cpu_s: int, open_files: int = 64) -> Walls:
    """Give up everything that decoding does not need. The walls that this kernel does not have are missing in what is
    returned. Raises ConfinementError where it has one that cannot be put up.

    Limits: address space, CPU seconds (SIGXCPU, one second later SIGKILL), size of any file written (0), core dumps
    (0), open files.
    Capabilities: none, also for root.
    Landlock: no file can be opened, made, removed or executed anywhere; no TCP; no signals to others.
    seccomp: see system_calls.py. No file, socket, process or program; what was imported before is all there is.
    Landlock binds this thread and those it starts, the filter every thread.
    """
    stand: list[str] = []
    try:
        _limit(memory_mib, cpu_s, open_files)
        stand.append("resource limits")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        if libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)) != 0:
            raise OSError(ctypes.get_errno(), "capset")
        if landlock := _landlock(libc):
            stand.append(f"Landlock {landlock}")
        walls = Walls(seccomp=refuse_other_calls(), landlock=landlock)
        if not walls.seccomp:
            # The next best: no further process or thread of this user. Root is not bound by it.
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        return walls
    except (OSError, ValueError) as exc:
        raise ConfinementError(f"{exc}; {' and '.join(stand) or 'nothing'} stands") from exc


def _limit(memory_mib: int, cpu_s: int, open_files: int) -> None:
    for limit, soft, hard in (
        (resource.RLIMIT_AS, memory_mib << 20, memory_mib << 20),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, open_files, open_files),
    ):
        _, highest = resource.getrlimit(limit)
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(limit, (soft, hard))


def _landlock(libc: ctypes.CDLL) -> int:
    """Refuse all that this kernel's Landlock can. Returns its version; 0 before Linux 5.13, or where it is off."""
    abi = int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))
    if abi < 1:
        return 0
    # A ruleset without a rule: whatever it handles is refused everywhere.
    handled = [sum(bits for since, bits in rights if since <= abi) for rights in (_FILES, _NETWORK, _SCOPES)]
    length = 8 * (3 if abi >= 6 else 2 if abi >= 4 else 1)
    attributes = struct.pack("=QQQ", *handled)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(length), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    if libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return abi


if __name__ == "__main__":
    print(json.dumps(asdict(confine(memory_mib=512, cpu_s=5))))

"""What the decoder process gives up before it looks at a file: memory, time, writing, programs, the network.

Applied by the child to itself before the first foreign byte is read; none of it can be taken back.
Not for: guarding the parent's side of the pipe (sandbox.py checks every message).
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

_PR_SET_NO_NEW_PRIVS = 38
# Landlock has the same system call numbers on every architecture (include/uapi/asm-generic/unistd.h).
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
# linux/landlock.h. Reading (bits 2 and 3) stays allowed: Python still loads its modules and stills are opened in turn.
_ACCESS_FS_EXECUTE_WRITE = 0b11
_ACCESS_FS_REMOVE_AND_MAKE = 0b1_1111_1111 << 4
_ACCESS_FS_REFER = 1 << 13  # ABI 2
_ACCESS_FS_TRUNCATE = 1 << 14  # ABI 3
_ACCESS_NET_TCP = 0b11  # ABI 4: bind, connect


def confine(*, memory_mib: int, cpu_s: int) -> bool:
    """Give up everything decoding does not need. Returns False where the kernel has no Landlock (before Linux 5.13,
    or switched off); the resource limits hold in any case.

    Limits: address space, CPU seconds (SIGXCPU, one second later SIGKILL), size of any file written (0), core dumps
    (0), open files (64).
    Landlock: no file may be written, made, removed, truncated or executed anywhere, no TCP port bound or connected.
    """
    for limit, soft, hard in (
        (resource.RLIMIT_AS, memory_mib << 20, memory_mib << 20),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        _, highest = resource.getrlimit(limit)
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(limit, (soft, hard))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    abi = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if abi < 1:
        return False
    files = _ACCESS_FS_EXECUTE_WRITE | _ACCESS_FS_REMOVE_AND_MAKE
    files |= (_ACCESS_FS_REFER if abi >= 2 else 0) | (_ACCESS_FS_TRUNCATE if abi >= 3 else 0)
    # A ruleset without a rule: whatever it handles is refused everywhere.
    attributes = struct.pack("=QQ", files, _ACCESS_NET_TCP) if abi >= 4 else struct.pack("=Q", files)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    if libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return True

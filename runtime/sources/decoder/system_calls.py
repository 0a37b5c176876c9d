"""The system calls that a confined process may still make, as a seccomp filter: a list of what is allowed.

What is left: reading, writing and seeking in what is open already, memory, threads, locks, clocks, signals to itself,
its own end. Whatever is not listed is refused, also calls that no kernel has yet.
Not for: how much of all that (confinement.py sets the limits).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# linux/seccomp.h, linux/bpf_common.h, linux/audit.h
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32_BIT = 0x40000000
# Since Linux 5.1 new calls have the same number everywhere. Programs ask for these (clone3, statx's followers) and take
# the older ones where an older kernel says that it has none; so does this filter.
_FIRST_COMMON_NUMBER = 424

_CLONE_THREAD = 0x00000100 | 0x00000800 | 0x00010000  # CLONE_VM, CLONE_SIGHAND, CLONE_THREAD
_F_GETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 1, 3, 1030

# Instruction: code, jump if true, jump if false (instructions to skip), constant.
_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Numbers of one architecture: as the kernel names it to a filter, of seccomp(2), and of each allowed call."""

    audit: int
    seccomp: int
    x32: bool
    numbers: dict[str, int]


# Allowed whatever their arguments. asm/unistd_64.h of x86-64; asm-generic/unistd.h, which aarch64 follows.
_PLAIN = {
    # name: (x86_64, aarch64)
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "rseq": (334, 293),
}
# Allowed with some arguments only: see _filter_for().
_GUARDED = {"clone": (56, 220), "fcntl": (72, 25), "tgkill": (234, 131), "prlimit64": (302, 261)}

ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 317, True, {name: x for name, (x, _) in (_PLAIN | _GUARDED).items()}),
    "aarch64": Architecture(0xC00000B7, 277, False, {name: a for name, (_, a) in (_PLAIN | _GUARDED).items()}),
}


def refuse_other_calls() -> bool:
    """Install the filter in every thread of this process, for good. Needs no_new_privs.

    Returns False where the kernel has no seccomp filters, or this architecture has no table here. Raises OSError.
    """
    architecture = ARCHITECTURES.get(os.uname().machine)
    if architecture is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    filter_ = filter_for(architecture, os.getpid())
    instructions = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("HxxxxxxP", len(filter_) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    outcome = libc.syscall(architecture.seccomp, _SET_MODE_FILTER, _FLAG_TSYNC, program)
    if outcome > 0:
        raise OSError(errno.EBUSY, f"seccomp: thread {outcome} has a filter of its own")
    if outcome < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EINVAL):
        return False
    if outcome < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return True


def filter_for(architecture: Architecture, pid: int) -> bytes:
    """The classic BPF program, 8 bytes an instruction (struct sock_filter), for the process `pid`."""
    numbers = architecture.numbers
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        *_unless(_EQUAL, architecture.audit, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if architecture.x32:
        program += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL_PROCESS)]
    for name in _PLAIN:
        program += [(_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ALLOW)]
    # Threads, no processes and no namespaces; which ones the C library makes with clone3 it then makes with clone.
    program += _guarded(numbers["clone"], [*_argument(0), (_AND, 0, 0, _CLONE_THREAD)], [_CLONE_THREAD])
    # Copies of descriptors and their flags; neither locks nor who is sent a signal.
    program += _guarded(numbers["fcntl"], _argument(1), [_F_GETFD, _F_GETFL, _F_DUPFD_CLOEXEC])
    # Signals to itself: abort().
    program += _guarded(numbers["tgkill"], _argument(0), [pid])
    # Its own limits, to be read: the third argument, where new ones would stand, is null.
    no_new_limit = [*_argument(2), *_unless(_EQUAL, 0, _ERRNO | errno.EPERM), *_argument(2, upper=True)]
    of_itself = [*_argument(0), *_unless(_EQUAL, 0, _ERRNO | errno.EPERM)]
    program += _guarded(numbers["prlimit64"], [*of_itself, *no_new_limit], [0])
    program += [
        (_AT_LEAST, 0, 1, _FIRST_COMMON_NUMBER),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _argument(index: int, *, upper: bool = False) -> list[_Instruction]:
    """Load the lower or upper half of an argument. Both architectures are little endian."""
    return [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index + 4 * upper)]


def _unless(test: int, constant: int, outcome: int) -> list[_Instruction]:
    return [(test, 1, 0, constant), (_RETURN, 0, 0, outcome)]


def _guarded(number: int, value: list[_Instruction], allowed: Iterable[int]) -> list[_Instruction]:
    """One call, refused unless what `value` computes is among `allowed`. Falls through for every other call."""
    block = list(value)
    for constant in allowed:
        block += [(_EQUAL, 0, 1, constant), (_RETURN, 0, 0, _ALLOW)]
    block.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return [(_EQUAL, 0, len(block), number), *block]

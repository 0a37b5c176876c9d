"""What a decoder must not be able to do, tried one after the other with bare system calls.

`python -m tests.sources.forbidden_acts UID [CALL ...]` confines itself, tries everything and prints one JSON document.
UID: becomes this user first. CALL: a system call that the kernel is to lack (an outer filter answers ENOSYS), as an
older kernel lacks it. Not for: running unconfined.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from cathrt.runtime.sources.decoder.confinement import confine

# Name: number on x86-64, on aarch64 (None where it has no such call).
NUMBERS: dict[str, tuple[int, int | None]] = {
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "creat": (85, None), "stat": (4, None),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48),
    "readlinkat": (267, 78), "getdents64": (217, 61), "chdir": (80, 49), "chroot": (161, 51), "truncate": (76, 45),
    "mkdirat": (258, 34), "unlinkat": (263, 35), "renameat2": (316, 276), "linkat": (265, 37), "symlinkat": (266, 36),
    "mknodat": (259, 33), "fchmodat": (268, 53), "fchownat": (260, 54), "utimensat": (280, 88), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262), "open_tree": (428, 428), "fsopen": (430, 430),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "sendto": (44, 206),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "io_uring_setup": (425, 425), "io_setup": (206, 0),
    "fork": (57, None), "vfork": (58, None), "clone": (56, 220), "clone3": (435, 435), "execve": (59, 221),
    "execveat": (322, 281), "unshare": (272, 97), "setns": (308, 268),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "fcntl": (72, 25), "ioctl": (16, 29), "prctl": (157, 167),
    "prlimit64": (302, 261), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "setuid": (105, 146), "setgid": (106, 144), "capset": (126, 91), "setsid": (112, 157), "setpgid": (109, 154),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "seccomp": (317, 277), "landlock_create_ruleset": (444, 444), "personality": (135, 92),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "timer_create": (222, 107),
    "setitimer": (38, 103), "signalfd4": (289, 74), "eventfd2": (290, 19), "epoll_create1": (291, 20),
    "pipe2": (293, 59),
    "dup": (32, 23), "splice": (275, 76), "vmsplice": (278, 75), "tee": (276, 77), "sendfile": (40, 71),
    "copy_file_range": (326, 285), "reboot": (169, 142), "syslog": (103, 116), "uname": (63, 160),
    "sysinfo": (99, 179), "getrusage": (98, 165), "a call of the future": (600, 600),
}  # fmt: skip
_COLUMN = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
_AT_CWD, _CREATE, _THREAD_FLAGS = -100, 0o101, 0x10900
_F_SETOWN, _F_SETSIG, _F_SETFL, _F_SETLK, _O_ASYNC = 8, 10, 4, 6, 0o20000
_libc = ctypes.CDLL(None, use_errno=True)
_PASSWD, _NEW, _TRUE = b"/etc/passwd", b"/tmp/cathrt-forbidden", b"/bin/true"
_room = ctypes.create_string_buffer(4096)
_parent, _me = os.getppid(), os.getpid()


def call(name: str, *arguments: Any) -> str | None:
    """Make one system call. Returns the error it is refused with, None where it succeeds."""
    number = NUMBERS[name][_COLUMN]
    if number is None:
        return "ENOSYS"
    wide = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    ctypes.set_errno(0)
    outcome = _libc.syscall(ctypes.c_long(number), *wide)
    if os.getpid() != _me:
        os._exit(0)  # a child that should not be
    return errno.errorcode[ctypes.get_errno()] if outcome == -1 else None


def _address(family: int) -> bytes:
    if family == socket.AF_UNIX:
        return struct.pack("H", family) + b"\0cathrt-abstract"
    return struct.pack("=HH", family, socket.htons(9)) + socket.inet_aton("127.0.0.1") + bytes(8)


def _socket(family: int, kind: int) -> Callable[[], str | None]:
    return lambda: call("socket", family, kind, 0)


# Opening, or looking at what is not open.
FILES: dict[str, Callable[[], str | None]] = {
    "read a file": lambda: call("openat", _AT_CWD, _PASSWD, 0),
    "read a file by open": lambda: call("open", _PASSWD, 0),
    "read a file by openat2": lambda: call("openat2", _AT_CWD, _PASSWD, bytes(24), 24),
    "read a file by its handle": lambda: call("open_by_handle_at", _AT_CWD, _room, 0),
    "read another process's memory file": lambda: call("openat", _AT_CWD, b"/proc/%d/mem" % _parent, 0),
    "read a folder": lambda: call("openat", _AT_CWD, b"/", 0o200000),
    "make a file": lambda: call("openat", _AT_CWD, _NEW, _CREATE, 0o600),
    "make a file by creat": lambda: call("creat", _NEW, 0o600),
    "make a nameless file": lambda: call("openat", _AT_CWD, b"/tmp", 0o20200002, 0o600),
    "make a folder": lambda: call("mkdirat", _AT_CWD, _NEW, 0o700),
    "make a FIFO": lambda: call("mknodat", _AT_CWD, _NEW, 0o010600, 0),
    "remove a file": lambda: call("unlinkat", _AT_CWD, _NEW, 0),
    "rename a file": lambda: call("renameat2", _AT_CWD, _NEW, _AT_CWD, _NEW, 0),
    "link a file": lambda: call("linkat", _AT_CWD, _PASSWD, _AT_CWD, _NEW, 0),
    "make a symbolic link": lambda: call("symlinkat", _PASSWD, _AT_CWD, _NEW),
    "truncate a file": lambda: call("truncate", _NEW, 0),
    "change a file's mode": lambda: call("fchmodat", _AT_CWD, _NEW, 0o777),
    "change a file's owner": lambda: call("fchownat", _AT_CWD, _NEW, 0, 0, 0),
    "change a file's times": lambda: call("utimensat", _AT_CWD, _NEW, None, 0),
    "ask for a file's status": lambda: call("newfstatat", _AT_CWD, _PASSWD, _room, 0),
    "ask for a file's status by stat": lambda: call("stat", _PASSWD, _room),
    "ask for a file's status by statx": lambda: call("statx", _AT_CWD, _PASSWD, 0, 0xFFF, _room),
    "ask whether a file may be read": lambda: call("faccessat", _AT_CWD, _PASSWD, 4),
    "ask by access": lambda: call("access", _PASSWD, 4),
    "read a link": lambda: call("readlinkat", _AT_CWD, b"/proc/self/exe", _room, 4096),
    "list a folder": lambda: call("getdents64", 0, _room, 4096),
    "change folder": lambda: call("chdir", b"/"),
    "change root": lambda: call("chroot", b"/"),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "unmount": lambda: call("umount2", b"/mnt", 0),
    "change the root mount": lambda: call("pivot_root", b"/", b"/"),
    "open a mount tree": lambda: call("open_tree", _AT_CWD, b"/", 0),
    "open a file system": lambda: call("fsopen", b"tmpfs", 0),
    "watch files": lambda: call("inotify_init1", 0),
    "watch all files": lambda: call("fanotify_init", 0, 0),
    "make a file in memory": lambda: call("memfd_create", b"x", 0),
    "make a secret file in memory": lambda: call("memfd_secret", 0),
}
# The network, and other ways to be heard.
SOCKETS: dict[str, Callable[[], str | None]] = {
    **{
        f"{family} {kind}": _socket(number, type_)
        for family, number in {
            "Unix": 1, "IPv4": 2, "IPv6": 10, "netlink": 16, "packet": 17, "Bluetooth": 31, "crypto": 38, "vsock": 40,
            "XDP": 44,
        }.items()
        for kind, type_ in {"stream": 1, "datagram": 2, "raw": 3}.items()
    },
    "a pair of sockets": lambda: call("socketpair", 1, 1, 0, _room),
    "connect": lambda: call("connect", 0, _address(socket.AF_INET), 16),
    "bind": lambda: call("bind", 0, _address(socket.AF_INET), 16),
    "send": lambda: call("sendto", 0, b"x", 1, 0, _address(socket.AF_INET), 16),
    "send with rights": lambda: call("sendmsg", 0, _room, 0),
    "receive with rights": lambda: call("recvmsg", 0, _room, 0),
    "io_uring": lambda: call("io_uring_setup", 1, bytes(120)),
    "asynchronous I/O": lambda: call("io_setup", 1, _room),
    "a pipe": lambda: call("pipe2", _room, 0),
    "an event counter": lambda: call("eventfd2", 0, 0),
    "an epoll": lambda: call("epoll_create1", 0),
    "splice": lambda: call("splice", 0, None, 1, None, 1, 0),
    "vmsplice": lambda: call("vmsplice", 1, _room, 1, 0),
    "tee": lambda: call("tee", 0, 1, 1, 0),
    "sendfile": lambda: call("sendfile", 1, 0, None, 1),
    "copy_file_range": lambda: call("copy_file_range", 0, None, 1, None, 1, 0),
    "shared memory": lambda: call("shmget", 0, 4096, 0o1600),
    "a message queue": lambda: call("msgget", 0, 0o1600),
    "a semaphore": lambda: call("semget", 0, 1, 0o1600),
    "a POSIX message queue": lambda: call("mq_open", b"cathrt", _CREATE, 0o600, None),
}  # fmt: skip
# Programs and processes, and what would touch others.
PROCESSES: dict[str, Callable[[], str | None]] = {
    "fork": lambda: call("fork"),
    "vfork": lambda: call("vfork"),
    "fork by clone": lambda: call("clone", 17, None, None, None, None),
    "fork by clone, sharing all but the process": lambda: call("clone", 0x00000F00 | 17, None, None, None, None),
    "fork by clone3": lambda: call("clone3", struct.pack("=11Q", 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88),
    "a thread by clone3": lambda: call("clone3", struct.pack("=11Q", _THREAD_FLAGS, *[0] * 10), 88),
    "run a program": lambda: call("execve", _TRUE, None, None),
    "run an open program": lambda: call("execveat", _AT_CWD, _TRUE, None, None, 0),
    "own namespaces": lambda: call("unshare", 0x10000000),
    "join a namespace": lambda: call("setns", 0, 0),
    "signal the parent": lambda: call("kill", _parent, 0),
    "signal everyone": lambda: call("kill", -1, 0),
    "signal a thread": lambda: call("tkill", _parent, 0),
    "signal a thread of the parent": lambda: call("tgkill", _parent, _parent, 0),
    "queue a signal": lambda: call("rt_sigqueueinfo", _parent, 0, _room),
    "queue a signal for a thread": lambda: call("rt_tgsigqueueinfo", _parent, _parent, 0, _room),
    "hold a process": lambda: call("pidfd_open", _parent, 0),
    "signal a held process": lambda: call("pidfd_send_signal", 0, 0, None, 0),
    "take a descriptor": lambda: call("pidfd_getfd", 0, 0, 0),
    "advise on another's memory": lambda: call("process_madvise", 0, _room, 1, 4, 0),
    "be traced": lambda: call("ptrace", 0, 0, 0, 0),
    "read another's memory": lambda: call("process_vm_readv", _parent, _room, 1, _room, 1, 0),
    "write another's memory": lambda: call("process_vm_writev", _parent, _room, 1, _room, 1, 0),
    "compare processes": lambda: call("kcmp", _parent, _me, 0, 0, 0),
    "have a descriptor signal the parent": lambda: call("fcntl", 0, _F_SETOWN, _parent),
    "choose a descriptor's signal": lambda: call("fcntl", 0, _F_SETSIG, 9),
    "have a descriptor signal": lambda: call("fcntl", 0, _F_SETFL, _O_ASYNC),
    "lock a file": lambda: call("fcntl", 0, _F_SETLK, _room),
    "have a descriptor signal by ioctl": lambda: call("ioctl", 0, 0x8901, struct.pack("i", _parent)),
    "type into a terminal": lambda: call("ioctl", 0, 0x5412, b"x"),
    "outlive the parent": lambda: call("prctl", 1, 0, 0, 0, 0),
    "raise a limit": lambda: call("prlimit64", 0, 9, struct.pack("=QQ", 1 << 40, 1 << 40), None),
    "lower a limit of the parent": lambda: call("prlimit64", _parent, 4, struct.pack("=QQ", 0, 0), None),
    "ask for a limit of the parent": lambda: call("prlimit64", _parent, 4, None, _room),
    "change priority": lambda: call("setpriority", 0, 0, 0),
    "change the parent's CPUs": lambda: call("sched_setaffinity", _parent, 8, _room),
    "change the scheduler": lambda: call("sched_setscheduler", 0, 0, bytes(4)),
    "change user": lambda: call("setuid", 0),
    "change group": lambda: call("setgid", 0),
    "take capabilities": lambda: call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24)),
    "leave the session": lambda: call("setsid"),
    "leave the process group": lambda: call("setpgid", 0, 0),
    "load a BPF program": lambda: call("bpf", 0, _room, 64),
    "watch performance": lambda: call("perf_event_open", bytes(112), 0, -1, -1, 0),
    "handle page faults": lambda: call("userfaultfd", 0),
    "use keys": lambda: call("keyctl", 0, -1, 0),
    "add a key": lambda: call("add_key", b"user", b"x", b"x", 1, -1),
    "add a filter": lambda: call("seccomp", 1, 0, _room),
    "add a ruleset": lambda: call("landlock_create_ruleset", None, 0, 1),
    "change personality": lambda: call("personality", 0xFFFFFFFF),
    "set a timer": lambda: call("timer_create", 0, None, _room),
    "set an alarm": lambda: call("setitimer", 0, bytes(32), None),
    "take signals as data": lambda: call("signalfd4", -1, bytes(8), 8, 0),
    "read the kernel's log": lambda: call("syslog", 10, None, 0),
    "restart the machine": lambda: call("reboot", 0, 0, 0, None),
    "ask for the host's name": lambda: call("uname", _room),
    "ask for the machine's memory": lambda: call("sysinfo", _room),
    "a call of the future": lambda: call("a call of the future"),
}
FORBIDDEN = FILES | SOCKETS | PROCESSES


def _connect_tcp() -> str | None:
    with socket.socket() as open_socket:
        return errno.errorcode[open_socket.connect_ex(("127.0.0.1", 9))]


# What Landlock refuses where there is no filter of system calls (signals since its version 6, TCP since 4).
LANDLOCKED: dict[str, Callable[[], str | None]] = {
    **{act: FILES[act] for act in (
        "read a file", "read a file by open", "read another process's memory file", "read a folder", "make a file",
        "make a file by creat", "make a nameless file", "make a folder", "make a FIFO", "make a symbolic link",
    )},
    "run a program": PROCESSES["run a program"],
    "signal the parent": PROCESSES["signal the parent"],
    "connect by TCP": _connect_tcp,
}  # fmt: skip


def allowed_acts() -> dict[str, bool]:
    """What decoding needs and must still go: each with whether it did."""
    ran: list[int] = []
    thread = threading.Thread(target=lambda: ran.append(1))
    thread.start()
    thread.join()
    copy = _libc.syscall(ctypes.c_long(NUMBERS["fcntl"][_COLUMN] or 0), 0, 1030, 0)
    return {
        "a thread": ran == [1],
        "a copy of a descriptor": copy > 0 and os.close(copy) is None,
        "memory": len(bytearray(64 << 20)) == 64 << 20,
        "random numbers": len(os.urandom(8)) == 8,
        "reading": os.read(0, 3) == b"abc",
        "its own limits": call("prlimit64", 0, 9, None, _room) is None,
    }


def tried(acts: dict[str, Callable[[], str | None]] = FORBIDDEN) -> dict[str, str | None]:
    """Try everything; the error of each act, None for one that succeeds."""
    return {act: attempt() for act, attempt in acts.items()}


def lack(names: list[str], error: int = errno.ENOSYS) -> None:
    """Have the kernel refuse these system calls to this process, as one without them would."""
    numbers = [NUMBERS[name][_COLUMN] or 0 for name in names]
    tests = b"".join(struct.pack("<HBBIHBBI", 0x15, 0, 1, number, 0x06, 0, 0, 0x00050000 | error) for number in numbers)
    program = struct.pack("<HBBI", 0x20, 0, 0, 0) + tests + struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
    held = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    assert _libc.prctl(38, 1, 0, 0, 0) == 0
    assert _libc.syscall(ctypes.c_long(NUMBERS["seccomp"][_COLUMN] or 0), 1, 0, filter_) == 0


def main(arguments: list[str]) -> None:
    """Confine this process, try, and say what came of it."""
    user, lacking = int(arguments[0]), arguments[1:]
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    if lacking:
        lack(lacking)
    walls = confine(memory_mib=512, cpu_s=20)
    found: dict[str, Any] = {"walls": asdict(walls)}
    if walls.seccomp:
        found |= {"tried": tried(), "allowed": allowed_acts()}
    elif walls.landlock:
        found |= {"tried": tried(LANDLOCKED), "fork": call("clone", 17, None, None, None, None)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

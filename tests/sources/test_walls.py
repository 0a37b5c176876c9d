"""What a decoder has given up: every forbidden act is tried, wall by wall, and what decoding needs still goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.sources.forbidden_acts import FORBIDDEN, LANDLOCKED
from tests.sources.kernel_walls import kernel_has

NOBODY = 65534
CONFINED = "from cathrt.runtime.sources.decoder.confinement import confine; confine(memory_mib=512, cpu_s=5)\n"


def confined(code: str, before: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", before + CONFINED + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def attempts(user: int, *lacking: str) -> dict[str, Any]:
    """What forbidden_acts.py found out as this user, on a kernel that lacks these system calls."""
    if user and os.getuid():
        pytest.skip("only root can become another user: run the suite as root to see the walls for both")
    command = [sys.executable, "-m", "tests.sources.forbidden_acts", str(user), *lacking]
    done = subprocess.run(command, cwd=ROOT, input="abcdef", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("user", [0, NOBODY], ids=["as is", "nobody"])
@pytest.mark.parametrize("lacking", [(), ("landlock_create_ruleset",)], ids=["both walls", "seccomp alone"])
def test_the_filter_refuses_every_forbidden_act_and_lets_decoding_go_on(user: int, lacking: tuple[str, ...]) -> None:
    kernel_has("seccomp")
    found = attempts(user, *lacking)
    assert found["walls"]["seccomp"] is True
    assert bool(found["walls"]["landlock"]) is not bool(lacking)
    assert found["tried"].keys() == FORBIDDEN.keys()
    assert len(FORBIDDEN) > 130
    assert {act: error for act, error in found["tried"].items() if error not in ("EPERM", "ENOSYS")} == {}
    assert all(found["allowed"].values()), found["allowed"]


@pytest.mark.parametrize("user", [0, NOBODY], ids=["as is", "nobody"])
def test_landlock_alone_refuses_files_programs_tcp_and_signals(user: int) -> None:
    kernel_has("landlock")
    found = attempts(user, "seccomp")
    assert found["walls"]["seccomp"] is False
    late = {"signal the parent": 6, "connect by TCP": 4}  # since which version
    due = {act for act in LANDLOCKED if late.get(act, 1) <= found["walls"]["landlock"]}
    assert {act: found["tried"][act] for act in due if found["tried"][act] not in ("EACCES", "EPERM")} == {}
    if user:
        assert found["fork"] == "EAGAIN", "the limit on processes, which does not bind root"


def test_a_kernel_without_either_wall_leaves_the_limits_and_says_so() -> None:
    assert attempts(0, "seccomp", "landlock_create_ruleset") == {"walls": {"seccomp": False, "landlock": 0}}


@pytest.mark.parametrize(
    ("code", "error"),
    [("bytearray(1 << 30)", "MemoryError"), ("[os.dup(0) for _ in range(100)]", "Too many open files")],
)
def test_a_confined_process_allocates_and_opens_no_more(code: str, error: str) -> None:
    done = confined(code, before="import os\n")
    assert done.returncode == 1
    assert error in done.stderr


def test_a_confined_process_that_spins_is_stopped_by_its_cpu_limit() -> None:
    code = (
        "from cathrt.runtime.sources.decoder.confinement import confine\n"
        "confine(memory_mib=512, cpu_s=1)\nwhile True: pass"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGXCPU


def test_a_confined_process_can_abort_and_end_itself() -> None:
    assert confined("os.abort()", before="import os\n").returncode == -signal.SIGABRT
    assert confined("raise SystemExit(3)").returncode == 3


@pytest.mark.parametrize("bits", ["x32", "i386"])
def test_calls_of_another_architecture_end_the_process(bits: str) -> None:
    kernel_has("seccomp")
    if os.uname().machine != "x86_64":
        pytest.skip("x32 and i386 calls are made on x86-64 only")
    getpid = {
        "x32": "ctypes.CDLL(None).syscall(0x40000000 | 39)",
        # mov eax, 20 (getpid of i386); int 0x80; ret
        "i386": "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()",
    }[bits]
    before = (
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "code.write(bytes.fromhex('b814000000cd80c3'))\n"
    )
    unconfined = subprocess.run([sys.executable, "-c", before + getpid], capture_output=True, check=False)
    if unconfined.returncode != 0:
        pytest.skip(f"this kernel runs no {bits} calls at all (signal {-unconfined.returncode}): nothing to refuse")
    assert confined(getpid, before).returncode == -signal.SIGSYS

"""The filter of system calls, run by a small interpreter: what it decides on each architecture, call by call."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from cathrt.runtime.sources.decoder.system_calls import ARCHITECTURES, Architecture, filter_for

KILL, EPERM, ENOSYS, ALLOW = 0x80000000, 0x00050001, 0x00050026, 0x7FFF0000
PID = 4711
GUARDED = {"clone", "fcntl", "tgkill", "prlimit64"}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
AN_ADDRESS = 0x7F00_0000_1000


def decided(architecture: Architecture, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter answers to one call: an interpreter of the five instructions of classic BPF that it uses."""
    data = struct.pack("<iIQ6Q", number, audit or architecture.audit, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("<HBBI", filter_for(architecture, PID)))
    at, value = 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            value &= constant
        elif code == 0x15:
            at += if_true if value == constant else if_false
        elif code == 0x35:
            at += if_true if value >= constant else if_false
        else:
            assert code == 0x06
            return int(constant)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


def test_what_is_listed_is_allowed_and_nothing_else(architecture: Architecture) -> None:
    plain = {number for name, number in architecture.numbers.items() if name not in GUARDED}
    guarded = {architecture.numbers[name] for name in GUARDED}
    for number in range(1024):
        answer = decided(architecture, number, *[AN_ADDRESS] * 6)
        if number in plain:
            assert answer == ALLOW, number
        elif number in guarded:
            assert answer == EPERM, number
        else:
            assert answer == (ENOSYS if number >= 424 else EPERM), number


def test_calls_of_another_architecture_end_the_process(architecture: Architecture) -> None:
    others = {0x40000003, 0x40000028, 0xC000003E, 0xC00000B7, 0xC00000F3} - {architecture.audit}
    assert {decided(architecture, 0, audit=other) for other in others} == {KILL}


def test_x32_calls_end_the_process() -> None:
    for number in (0, 1, 39, 59, 519, 547):
        assert decided(ARCHITECTURES["x86_64"], 0x40000000 | number) == KILL


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("clone", (0x003D0F00, AN_ADDRESS), ALLOW),  # pthread_create of glibc
        ("clone", (0x007D0F00, AN_ADDRESS), ALLOW),  # and of musl
        ("clone", (0x01200011,), EPERM),  # fork of glibc
        ("clone", (17,), EPERM),
        ("clone", (0x00000100 | 0x00004000 | 17,), EPERM),  # vfork
        ("clone", (0x00000900 | 17,), EPERM),
        ("fcntl", (3, 1), ALLOW),
        ("fcntl", (3, 3), ALLOW),
        ("fcntl", (3, 1030), ALLOW),
        *((("fcntl", (3, command), EPERM)) for command in (0, 2, 4, 5, 6, 7, 8, 9, 10, 15, 1024, 1026, 1031, 1033)),
        ("tgkill", (PID, 1), ALLOW),
        ("tgkill", (PID + 1, 1), EPERM),
        ("tgkill", (0, 1), EPERM),
        ("prlimit64", (0, 7, 0, AN_ADDRESS), ALLOW),
        ("prlimit64", (0, 7, AN_ADDRESS, 0), EPERM),
        ("prlimit64", (0, 7, 0x7F00_0000_0000, 0), EPERM),  # its lower half alone is null
        ("prlimit64", (PID, 7, 0, AN_ADDRESS), EPERM),
        ("prlimit64", (1, 7, 0, AN_ADDRESS), EPERM),
    ],
)
def test_some_calls_are_allowed_by_their_arguments(
    architecture: Architecture, name: str, arguments: tuple[int, ...], answer: int
) -> None:
    assert decided(architecture, architecture.numbers[name], *arguments) == answer


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.is_file():
        pytest.skip(f"no {header}: install the kernel's headers (linux-libc-dev) to compare the numbers of {machine}")
    defined = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    numbers = ARCHITECTURES[machine].numbers | {"seccomp": ARCHITECTURES[machine].seccomp}
    assert {name: int(defined[name]) for name in numbers} == numbers

"""Asking for a device in a child process: what the child says, and what becomes of one that crashes or hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from cathrt.runtime.bundle.fingerprint import Device
from cathrt.runtime.engines import device_probe
from cathrt.runtime.engines.asked_child import ask_child
from cathrt.runtime.engines.device_probe import devices_in_child, probe_devices, probe_in_child
from cathrt.runtime.errors import EngineError

ADA, BLACKWELL = Device("NVIDIA RTX 4000", 89, "13.1"), Device("NVIDIA RTX 5000", 120, "13.1")


def answering(*devices: Device) -> tuple[str, str]:
    return "-c", f"print('driver chatter'); print({json.dumps([asdict(device) for device in devices])!r})"


def test_a_child_s_answer_is_the_devices() -> None:
    assert devices_in_child(program=answering(ADA, BLACKWELL)) == (ADA, BLACKWELL)


def test_a_device_is_had_by_its_number_or_refused_with_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_probe, "devices_in_child", lambda: (ADA, BLACKWELL))
    assert (probe_in_child(), probe_in_child(1)) == (ADA, BLACKWELL)
    for ordinal in (-1, 2):
        with pytest.raises(EngineError, match=f"CUDA device {ordinal} does not exist: the driver knows 2: check"):
            probe_in_child(ordinal)


def test_the_real_child_says_what_asking_here_says() -> None:
    def answer(ask: Callable[[], tuple[Device, ...]]) -> str:
        try:
            return str(ask())
        except EngineError as exc:
            return str(exc)

    assert answer(devices_in_child) == answer(probe_devices)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"ended with SIGSEGV \(no word\)"),
        ("raise SystemExit('libcuda is torn')", r"ended with exit status 1 \(libcuda is torn\)"),
        ("pass", r"ended with exit status 0 \(no word\)"),
    ],
)
def test_a_driver_that_kills_its_caller_kills_the_child_alone(program: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        devices_in_child(program=("-c", program))


def test_a_driver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_probe, "ANSWER_WITHIN_S", 0.2)
    with pytest.raises(EngineError, match=r"does not answer within 0\.2 s"):
        devices_in_child(program=("-c", "import time; time.sleep(60)"))


def test_a_child_that_does_not_even_die_of_a_kill_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []  # as by a driver, inside the kernel
    monkeypatch.setattr(os, "killpg", lambda pid, number: held.append(pid))
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError, match=r"no end within 0\.2 s"):
            ask_child(["-c", "import time; time.sleep(60)"], 0.2)
        assert time.monotonic() - began < 10.0
    finally:
        os.kill(held[0], signal.SIGKILL)


def test_the_program_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "cathrt.runtime.engines.device_probe"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode in (0, EngineError.exit_code)
    found = json.loads(child.stdout)
    assert found.keys() == {"error"} if child.returncode else isinstance(found, list)

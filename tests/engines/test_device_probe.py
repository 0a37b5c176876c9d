"""Asking for a device in a child process: what the child says, and what becomes of one that crashes or hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

import pytest

from cathrt.runtime import device_probe
from cathrt.runtime.device_probe import main, probe_in_child
from cathrt.runtime.engine_fingerprint import Device, probe_device
from cathrt.runtime.errors import EngineError

ADA = Device("NVIDIA RTX 4000", 89, "13.1")


def test_a_child_s_answer_is_the_device() -> None:
    assert probe_in_child(program=("-c", f"print('driver chatter'); print({json.dumps(asdict(ADA))!r})")) == ADA


def test_the_real_child_says_what_asking_here_says() -> None:
    def answer(ask: Callable[[], Device]) -> str:
        try:
            return str(ask())
        except EngineError as exc:
            return str(exc)

    assert answer(probe_in_child) == answer(probe_device)


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
        probe_in_child(program=("-c", program))


def test_a_driver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_probe, "PATIENCE_S", 0.2)
    with pytest.raises(EngineError, match=r"has not answered for 0\.2 s"):
        probe_in_child(program=("-c", "import time; time.sleep(60)"))


def test_the_ordinal_reaches_the_driver(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(device_probe, "probe_device", lambda ordinal: Device(f"number {ordinal}", 89, "13.1"))
    assert main(3) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "number 3"


def test_the_program_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "cathrt.runtime.device_probe", "0"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode in (0, EngineError.exit_code)
    assert json.loads(child.stdout).keys() in ({"error"}, {"name", "sm", "cuda_version"})

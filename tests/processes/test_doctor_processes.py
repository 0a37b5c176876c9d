"""`cathrt doctor`: what priorities would be granted, and the shared memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.commands import doctor_processes
from cathrt.runtime.commands.doctor_processes import process_checks


def answering(granted: list[str], refused: list[str]) -> tuple[str, str]:
    return "-c", f"import json; print(json.dumps({{'granted': {granted}, 'refused': {refused}}}))"


def test_what_the_processes_would_be_granted_here() -> None:
    live, study, memory = process_checks()
    for check, first in ((live, "nice -5"), (study, "idle CPU class")):
        granted, refused = check.figures["granted"], check.figures["refused"]
        assert isinstance(granted, list)
        assert isinstance(refused, list)
        asked = granted + [refusal.partition(":")[0] for refusal in refused]
        assert asked[0] == first
        assert check.state == ("warn" if refused else "ok")
    assert (memory.name, memory.state) == ("shared memory", "ok")


def test_a_refusal_is_a_warning_that_names_it() -> None:
    live, *_ = process_checks(program=answering(["nice -5"], ["real time: no: give it LimitRTPRIO"]))
    assert (live.state, live.detail) == ("warn", "nice -5; not granted: real time: no: give it LimitRTPRIO")


def test_all_granted_is_ok() -> None:
    live, study, _ = process_checks(program=answering(["nice -5", "CPUs 0-3"], []))
    assert (live.state, live.detail, study.state) == ("ok", "nice -5, CPUs 0-3", "ok")


def test_a_process_that_crashes_is_a_warning() -> None:
    live, *_ = process_checks(program=("-c", "import os; os.abort()"))
    assert (live.state, live.detail) == ("warn", "taking its priority ended with SIGABRT (no word)")


def test_missing_or_small_shared_memory_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, memory = process_checks(program=answering([], []), shared_memory=tmp_path / "none")
    assert memory.state == "missing"
    assert "No such file or directory" in memory.detail
    monkeypatch.setattr(doctor_processes, "SHARED_MEMORY_MIB", 10**9)
    *_, memory = process_checks(program=answering([], []), shared_memory=tmp_path)
    assert memory.state == "missing"
    assert "--shm-size" in memory.detail

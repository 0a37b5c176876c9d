"""The benchmark of confirmed results sends real runs, and its figure is the longest of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import Samples
from benchmarks.store_to_confirmed import CASES, MACHINES, Sent, busy, figures
from tests.conftest import ROOT


def test_the_figure_is_the_longest_of_all_cases_on_each_machine() -> None:
    took_s = {
        ("a", "idle machine"): (1.0, 2.0), ("b", "idle machine"): (1.5,),
        ("a", "one core busy"): (2.5,), ("b", "one core busy"): (2.75, 0.5),
    }  # fmt: skip
    sent = {turn: Sent(Samples([0] * len(took), [round(s * 1e9) for s in took])) for turn, took in took_s.items()}
    assert figures(sent) == {"store_to_confirmed_s": 2.0, "store_to_confirmed_one_core_busy_s": 2.75}


def test_busy_cores_are_idle_again_afterwards() -> None:
    with busy(cores=1) as processes:
        assert [process.poll() for process in processes] == [None]
    assert [process.returncode for process in processes] == [-9]
    with busy(cores=0) as processes:
        assert processes == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("storescu") is None, reason="no storescu of DCMTK: apt-get install dcmtk")
def test_a_small_run_times_each_case_on_each_machine(tmp_path: Path) -> None:
    small = ("--work", str(tmp_path), "--rounds", "1", "--frames", "4")
    command = [sys.executable, "-m", "benchmarks.store_to_confirmed", "--json", *small]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["case"], row["impl"]) for row in rows] == [(case.name, on) for case in CASES for on in MACHINES]
    assert all(row["frames"] == 4 and row["n"] == 1 for row in rows)
    assert last["headline"].keys() == {"store_to_confirmed_s", "store_to_confirmed_one_core_busy_s"}

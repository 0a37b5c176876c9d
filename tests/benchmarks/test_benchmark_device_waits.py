"""The benchmark of waits runs on the stub and names every figure that docs/status.md quotes."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import ROOT


def test_the_quick_run_reports_every_row() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.device_waits", "--json", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last["headline"].keys() == {"asking_adds_ms", "thread_adds_ms", "late_after_1_ms"}
    assert [row["case"] for row in rows] == ["idle"] * 2 + ["frame"] * 2 + ["noticed"] * 6
    assert all(row["n"] >= 10 and row["min_ms"] >= 0.0 for row in rows)

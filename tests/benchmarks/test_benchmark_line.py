"""The line's benchmark runs, names what the issue names, and accounts for every frame."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_the_quick_run_reports_every_row_and_accounts_for_every_frame() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.line", "--json", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(last["headline"]) == {"overhead_p50_ms", "overhead_p99_ms", "frames_accounted"}
    assert last["headline"]["frames_accounted"] == 1.0
    assert 0 < last["headline"]["overhead_p50_ms"] <= last["headline"]["overhead_p99_ms"]
    assert {(row["case"], row["impl"]) for row in rows} == {
        ("30 Hz", "line"),
        ("30 Hz", "line without journal"),
        ("as fast as judged", "line"),
        ("as fast as judged", "line without journal"),
        ("disk", "one sync of the disk"),
        ("disk", "alert: appended to shown"),
    }
    assert all(row["n"] > 0 for row in rows)

"""The journal's benchmark runs, and names append(), its parts and its peers."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import ROOT


def test_the_quick_run_reports_append_its_parts_and_its_peers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.journal", "--json", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(last["headline"]) == {
        "append_vs_check",
        "append_vs_dumps",
        "append_vs_asdict_dumps",
        "append_vs_sqlite_insert",
    }
    assert last["headline"]["append_vs_check"] > 1.0
    assert {row["impl"] for row in rows} == {
        "append()",
        "encoding and check",
        "check alone",
        "json.dumps of a dict",
        "json.dumps of asdict()",
        "bare SQLite insert",
    }
    assert all(row["n"] == 20 and row["us_per_verdict"] > 0 for row in rows)

"""The benchmark of replaying an archive runs, times everything it compares, and makes the same inputs each time."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from benchmarks.replay import IMPLEMENTATIONS
from benchmarks.replay_inputs import ARCHIVES, archive_folder
from tests.conftest import ROOT

SMALL = ("--runs", "2", "--frames", "6", "--rounds", "1")


def test_every_file_of_an_archive_is_another_run_and_is_written_once(tmp_path: Path) -> None:
    archive = replace(ARCHIVES[0], matrix=128, bits=8)
    folder = archive_folder(archive, tmp_path, 3, 2)
    files = sorted(folder.iterdir())
    written = [path.stat().st_mtime_ns for path in files]
    assert len({pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files}) == 3
    assert len({path.read_bytes() for path in files}) == 3
    assert archive_folder(archive, tmp_path, 3, 2) == folder
    assert [path.stat().st_mtime_ns for path in files] == written
    again = archive_folder(archive, tmp_path / "again", 3, 2)
    assert [path.read_bytes() for path in sorted(again.iterdir())] == [path.read_bytes() for path in files]


@pytest.mark.slow
def test_a_small_run_times_everything_that_is_compared(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.replay", "--json", "--work", str(tmp_path), *SMALL],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["case"], row["impl"]) for row in rows] == [
        (a.name, impl) for a in ARCHIVES for impl in IMPLEMENTATIONS
    ]
    assert all(row["frames"] == 12 for row in rows)
    assert last["headline"].keys() == {
        "replay_vs_plain_loop", "replay_vs_decode_limit", "replay_vs_plain_loop_512", "replay_vs_plain_loop_1024",
    }  # fmt: skip

"""Checks what only a GPU can show, on this machine's GPU: are kernels and engine right, and how fast are they.

`make gpu-check`, or `python -m benchmarks.gpu_check --out rows.jsonl [--quick]`. Exits 0 where all is right, 1 where
anything is not, 2 where there is no device to check. Not for: machines without one (tests/emulation, stub_driver).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.gpu_parts import PARTS
from cathrt.runtime.engines.device_probe import probe_in_child
from tests.gpu import why_no_gpu

FULL_ROUNDS, QUICK_ROUNDS = 1000, 50
NO_DEVICE = 2
PART_BUDGET_S = 1800.0  # an engine builds its plan first
_SMI = ("name", "driver_version", "clocks.sm", "clocks.mem", "power.draw", "power.limit", "temperature.gpu", "pstate")
_PACKAGES = ("numpy", "cuda-core", "cuda-bindings")
_SHOWN = ("median_ms", "p99_ms", "gb_per_s", "relative_error", "skipped", "why")

Row = dict[str, Any]


def rows(rounds: int) -> Iterator[Row]:
    """What every part gives, the tests that are skipped elsewhere, and the headline."""
    device = probe_in_child()
    before = smi()
    failed = 0
    medians: dict[str, float] = {}
    for row in _checks(rounds):
        failed += not row["ok"]
        if "median_ms" in row:
            medians[f"{row['case'].replace(' ', '_')}_ms"] = row["median_ms"]
        yield {"bench": "gpu", **row}
    yield {
        "bench": "gpu",
        "headline": {"failed": failed, **medians},
        "device": {"name": device.name, "sm": device.sm, "cuda": device.cuda_version, "smi": [before, smi()]},
        "machine": measure.machine(_PACKAGES),
        "commit": measure.commit(),
    }


def part_in_child(part: str, rounds: int) -> Iterator[Row]:
    """The part's rows; a child that ends badly is a failure of its own, with its last words."""
    command = [sys.executable, "-m", "benchmarks.gpu_parts", part, str(rounds)]
    try:
        done = subprocess.run(
            command, cwd=measure.ROOT, capture_output=True, text=True, timeout=PART_BUDGET_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield {"case": part, "ok": False, "why": f"no end after {PART_BUDGET_S:g} s"}
        return
    sys.stderr.write(done.stderr)
    for line in done.stdout.splitlines():
        yield json.loads(line)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        yield {"case": part, "ok": False, "why": f"ended with {done.returncode}: {last}"}


def suite_row() -> Row:
    """The tests that need a GPU, as one row."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "needs_gpu", "tests"]
    done = subprocess.run(command, cwd=measure.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return {"case": "pytest -m needs_gpu", "ok": done.returncode == 0, "why": last}


def smi() -> dict[str, str]:
    """What nvidia-smi says of the first device; empty without it."""
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(_SMI)}", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(zip(_SMI, (text.strip() for text in done.stdout.split(",")), strict=False))


def _checks(rounds: int) -> Iterator[Row]:
    for part in PARTS:
        yield from part_in_child(part, rounds)
    yield suite_row()


def _line(row: Row) -> str:
    if "headline" in row:
        device = row["device"]
        return f"{device['name']}, SM {device['sm'] / 10:.1f}, {device['smi'][-1]}: {row['headline']['failed']} failed"
    figures = ", ".join(f"{key} {row[key]}" for key in _SHOWN if key in row)
    return f"{'ok    ' if row['ok'] else 'FAILED'} {row['case']:<32} {figures}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file for the rows, one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="few rounds: no figure to quote")
    options = parser.parse_args()
    if (why := why_no_gpu()) is not None:
        print(f"gpu-check: nothing was checked, {why}", file=sys.stderr)
        return NO_DEVICE
    failed = 0
    with options.out.open("w", encoding="utf-8") as out:
        for row in rows(QUICK_ROUNDS if options.quick else FULL_ROUNDS):
            print(json.dumps(row), file=out, flush=True)
            print(_line(row), flush=True)
            failed += not row.get("ok", True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

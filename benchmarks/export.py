"""How long one waits for an export: an Atto of random weights in float32, then the same weights in int8, for OpenVINO.

`python -m benchmarks.export [--json] [--quick]`. Each is the command that a user types, with its defaults, in a process
of its own; the second finds what the first kept. Wall time, and CPU time of all its processes. --quick qualifies on two
runs. Not for: what the gate and the network's worth say of random weights; the rows tell it, so that nobody takes an
export that stopped early for a fast one.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from cathrt.export.bundle.sign import generate_key
from cathrt.export.commands.options import PHANTOM_RUNS

BENCH = "export"
SEED = 0
PACKAGES = ("openvino", "onnxruntime", "onnx", "torch", "numpy")
# Seven bits, so that a CPU without VNNI takes part.
PRECISIONS: dict[str, Sequence[str]] = {"fp32": (), "int8": ("--weight-bits", "7")}


def export(precision: str, folder: Path, runs: int) -> dict[str, Any]:
    """The row of one export. folder: has my.key, and takes the bundles and what is kept."""
    source = ["--arch", "convnext_atto", "--random-init", "--seed", str(SEED), "--precision", precision]
    given = ["--sign", folder / "my.key", "--sign-anyway", "--cache", folder / "cache", "--out", folder / precision]
    chosen = ["--target", "openvino", "--qualify-phantoms", str(runs), *PRECISIONS[precision], *map(str, given)]
    code = "from cathrt.export.commands.cli import main; main()"
    command = [sys.executable, "-c", code, "export", "keyframe", *source, *chosen, "--json"]
    before, began = _cpu_s(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    wall_s, cpu_s = time.monotonic() - began, _cpu_s() - before
    if done.returncode not in (0, 10):
        raise SystemExit(f"the export in {precision} ended with {done.returncode}: {done.stderr[-2000:]}")
    *_, told = map(json.loads, done.stdout.splitlines())
    report = json.loads((Path(told["report"]) / "qualification.json").read_text(encoding="utf-8"))
    return {
        "bench": BENCH,
        "case": "convnext_atto",
        "impl": f"openvino_{precision}",
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "exit_code": done.returncode,
        "fidelity": told["fidelity"],
        "worth": told["worth"],
        "runs": report["judge_set"]["runs"],
        "frames": report["judge_set"]["frames"],
        "kept_mib": round(sum(file.stat().st_size for file in (folder / "cache").iterdir()) / 2**20, 1),
    }


def rows(runs: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch, measure.Heartbeat() as heartbeat:
        folder = Path(scratch)
        generate_key(folder / "my.key")
        found = []
        for precision in PRECISIONS:
            found.append(export(precision, folder, runs))
            yield found[-1]
        first, second = found
        figures = {
            "export_atto_s": first["wall_s"],
            "export_second_precision_s": second["wall_s"],
            "export_atto_cpu_s": first["cpu_s"],
            "export_second_precision_cpu_s": second["cpu_s"],
        }
        heartbeat.finish()
        yield measure.headline(BENCH, figures, heartbeat, PACKAGES)


def _cpu_s() -> float:
    """Of all children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=2, full=PHANTOM_RUNS)

"""The benchmark of bundles names every figure that docs/status.md quotes, and its net fits the rules of a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bundle
from tests.conftest import ROOT


def test_the_net_s_weights_are_where_a_bundle_may_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "WIDTH", 64)
    bundle.write_large_net(tmp_path, 1 << 20)
    made = bundle.bundle_of(tmp_path)
    assert [tensor.name for tensor in made.external[bundle.GRAPH]] == ["w0", "w1"]
    assert made.file(bundle.WEIGHTS).size == 1 << 20


@pytest.mark.slow
def test_the_quick_run_reports_every_row() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bundle", "--json", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert last["headline"].keys() == {
        "open_vs_hash", "open_large_resident_mib", "openvino_private_vs_weights", "onnxruntime_private_vs_weights",
    }  # fmt: skip
    assert [row["impl"] for row in rows] == ["open_bundle", "hash", "open", "openvino", "onnxruntime"]
    assert last["headline"]["open_large_resident_mib"] < 200

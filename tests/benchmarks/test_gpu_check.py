"""gpu_check: it refuses to check what is not there, and its parts find what is wrong. On a stub of the driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_check, gpu_engine
from cathrt.export.targets.tensorrt import installed_version
from cathrt.runtime.engines.fake import FakeEngine, Tensors
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.tensor import TensorSpec
from tests.gpu import why_no_gpu
from tests.stub_driver.build import ROOT, run_under_stub

NEEDING = "tests/kernels/test_on_gpu.py"
IMAGE = TensorSpec("image", (2,), "float32")

here_without_gpu = pytest.mark.skipif(why_no_gpu() is None, reason="this machine has a GPU: `make gpu-check` uses it")


@here_without_gpu
def test_without_a_gpu_nothing_is_checked_and_it_says_so(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == gpu_check.NO_DEVICE
    assert done.stderr.startswith("gpu-check: nothing was checked, no NVIDIA driver: libcuda.so.1 cannot be loaded")
    assert not out.exists()


def test_on_the_stub_nothing_is_checked_and_it_says_so(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    done = run_under_stub("-m", "benchmarks.gpu_check", "--out", str(out))
    assert done.returncode == gpu_check.NO_DEVICE
    assert "nothing was checked, the driver is the tests' stub: it computes nothing" in done.stderr
    assert not out.exists()


def test_its_parts_tell_right_from_wrong_and_time_only_what_is_right() -> None:
    child = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/stub_driver/gpu_check_checks.py")
    assert child.returncode == 0, child.stdout + child.stderr


def test_a_part_that_dies_is_a_failure_with_its_last_words() -> None:
    (row,) = gpu_check.part_in_child("no_such_part", 1)
    assert not row["ok"]
    assert row["why"].startswith("ended with 1: ValueError: no part 'no_such_part': expected one of (")


@here_without_gpu
def test_tests_that_need_a_gpu_are_skipped_and_counted_at_the_end() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", NEEDING, "-k", "comes_back or events"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "needs_gpu: 2 tests skipped, no NVIDIA driver\n" in done.stdout
    assert "needs_gpu: no NVIDIA driver: libcuda.so.1 cannot be loaded" in done.stdout


def test_on_the_stub_tests_that_need_a_gpu_are_skipped_too() -> None:
    done = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", NEEDING, "-k", "comes_back")
    assert done.returncode == 0, done.stdout
    assert "needs_gpu: 1 tests skipped, the driver is the tests' stub\n" in done.stdout


@pytest.mark.parametrize(("last", "error"), [(2.0, 0.0), (1.0, 0.125), (float("nan"), float("inf"))])
def test_the_error_of_an_engine_is_that_of_its_worst_output(last: float, error: float) -> None:
    def engine(last: float) -> FakeEngine:
        def compute(inputs: Tensors, outputs: Tensors) -> None:
            outputs["first"][...] = 1.0
            outputs["second"][...] = [8.0, last]

        return FakeEngine(
            (IMAGE,), (TensorSpec("first", (1,), "float32"), TensorSpec("second", (2,), "float32")), compute
        )

    assert gpu_engine.relative_error(engine(2.0), engine(last), {"image": np.zeros(2, np.float32)}) == error


def test_the_engine_part_builds_a_bundle_for_the_device(tmp_path: Path) -> None:
    try:
        installed_version("tensorrt-rtx")
    except EngineError as exc:
        pytest.skip(str(exc))
    bundle = gpu_engine.bundle_for("tensorrt-rtx", 86, tmp_path / "bundle")
    (plan,) = bundle.manifest.network(CLASSIFIER).artifacts["tensorrt-rtx"].plans
    assert plan.fingerprint.sm == (86,)
    assert len(bundle.read(plan.file)) > 1000

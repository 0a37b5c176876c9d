"""The stream on the CUDA driver, on a stub of the driver: what it does, and that no fault anywhere loses a frame.

A process has its driver for good, so all of it runs in child processes (tests/stub_driver/). Not for: kernels, which
the stub does not run (tests/emulation/).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cathrt.kernels.cuda.driver import open_stream
from cathrt.kernels.cuda.driver_calls import LOST
from cathrt.kernels.cuda.stream import CudaError
from tests.gpu import why_no_gpu
from tests.stub_driver.build import check_against_cuda_h, run_under_stub, sanitizer_runtime
from tests.stub_driver.scenario import FRAMES, REFUSED

ALL = list(range(FRAMES))
RING = 2  # frames in flight
# A handle that is given back harms no frame, and by then there is nobody left to tell.
GIVING_BACK = {"cuEventDestroy", "cuStreamDestroy", "cuGraphDestroy"}
CUDA_H = next(
    (path for path in (Path("/usr/local/cuda/include"), Path("/usr/include")) if (path / "cuda.h").is_file()), None
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A run without a fault, then one for every fault."""
    child = run_under_stub("-m", "tests.stub_driver.scenario")
    assert child.returncode == 0, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]


@pytest.fixture(scope="module")
def clean(rows: list[Row]) -> Row:
    return rows[0]


@pytest.fixture(scope="module")
def broken(rows: list[Row]) -> list[Row]:
    return rows[1:]


def told(row: Row) -> str:
    return f"{row['fault']} at {row['report']['struck']}: {row['delivered']}, {row['failed']}, {row['errors']}"


def frame_at_hand(row: Row) -> int:
    """The frame whose turn it was when the fault struck; -1 before the first, FRAMES after the last."""
    return sum(begun < row["report"]["struck_at"] for begun in row["begun"]) - 1


@pytest.mark.parametrize("checks", ["stream_checks", "hang_checks"])
def test_a_stream_on_a_driver_behaves(checks: str) -> None:
    child = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/stub_driver/{checks}.py")
    assert child.returncode == 0, child.stdout + child.stderr


sanitizer = pytest.mark.skipif(sanitizer_runtime() is None, reason="the C compiler has no shared AddressSanitizer")


@sanitizer
def test_whatever_breaks_no_copy_touches_host_memory_that_is_gone() -> None:
    child = run_under_stub("-m", "tests.stub_driver.scenario", sanitized=True)
    assert child.returncode == 0, child.stderr[:4000]
    assert len(child.stdout.splitlines()) > 300


@sanitizer
def test_the_sanitizer_sees_a_copy_from_host_memory_that_is_gone() -> None:
    code = (
        "import numpy as np\n"
        "from cuda.bindings import driver\n"
        "from cuda.core import Device\n"
        "Device(0).set_current()\n"
        "stream = Device(0).create_stream()\n"
        "address, array = driver.cuMemAlloc(5000)[1], np.zeros(5000, np.uint8)\n"
        "driver.cuMemcpyHtoDAsync(address, array.ctypes.data, 5000, stream.handle)\n"
        "del array\n"
        "driver.cuStreamSynchronize(stream.handle)"
    )
    child = run_under_stub("-c", code, sanitized=True)
    assert "AddressSanitizer: heap-use-after-free" in child.stderr, child.stderr


@pytest.mark.skipif(CUDA_H is None, reason="cuda.h is not installed: the stub's prototypes are not compared with it")
def test_the_stub_has_the_interface_of_cuda_h() -> None:
    assert CUDA_H is not None
    checked = check_against_cuda_h(CUDA_H)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(why_no_gpu() is None, reason="this machine has an NVIDIA driver")
def test_without_a_driver_opening_says_what_to_do() -> None:
    with pytest.raises(
        CudaError, match=r"no NVIDIA driver that knows cuInit .*: install or update the driver, or choose"
    ):
        open_stream()


def test_a_machine_without_a_device_says_so() -> None:
    code = (
        "from cathrt.kernels.cuda.driver import open_stream\n"
        "from cathrt.kernels.cuda.stream import DeviceLostError\n"
        "try: open_stream()\n"
        "except DeviceLostError as exc: print(exc)"
    )
    child = run_under_stub("-c", code, CATHRT_STUB_DEVICES="0")
    assert child.stdout.startswith("cuInit ended with CUDA_ERROR_NO_DEVICE"), child.stderr


def test_at_the_end_of_a_process_the_stub_reports_what_leaked(tmp_path: Path) -> None:
    code = (
        "from cuda.bindings import driver\n"
        "from cuda.core import Device\n"
        "Device(0).set_current()\n"
        "address = driver.cuMemAlloc(100)[1]\n"
        "driver.cuMemFree(driver.cuMemAlloc(100)[1])\n"
        "driver.cuMemFree(1)"
    )
    run_under_stub("-c", code, CATHRT_STUB_REPORT=str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["live"]["memory"] == 1
    assert (report["misuses"], report["first_misuse"]) == (1, "freed what is not alive: memory 0x1")


def test_without_a_fault_every_frame_is_delivered(clean: Row) -> None:
    assert (clean["delivered"], clean["failed"], clean["wrong"], clean["errors"]) == (ALL, [], [], [])
    assert min(clean["counts"].values()) > 0, "every class of calls has its part in the run"


def test_every_call_of_the_run_was_broken_once_each_way(clean: Row, broken: list[Row]) -> None:
    expected = {(what, nth) for what, count in clean["counts"].items() for nth in range(1, count + 1)}
    for sticky in (False, True):
        struck = {
            (row["fault"]["what"], row["fault"]["nth"])
            for row in broken
            if row["fault"]["sticky"] == sticky and not row["fault"]["later"] and row["report"]["struck"]
        }
        assert struck == expected
    assert {row["report"]["struck"] for row in broken} >= set(clean["report"]["calls"]) - {"cuDriverGetVersion"}
    assert {row["fault"]["what"] for row in broken if not row["fault"]["later"]} == set(REFUSED)


def test_every_frame_is_delivered_or_failed_exactly_once_whatever_breaks(rows: list[Row]) -> None:
    wrong = [told(row) for row in rows if row["wrong"] or sorted(row["delivered"] + row["failed"]) != ALL]
    assert not wrong, "\n".join(wrong)


def test_nothing_leaks_and_nothing_is_freed_twice_whatever_breaks(rows: list[Row]) -> None:
    # cuda-core never unloads code: it says that doing so at the wrong time crashes.
    wrong = [
        f"{told(row)} {row['report']}"
        for row in rows
        if row["report"]["misuses"] or any(count for kind, count in row["report"]["live"].items() if kind != "library")
    ]
    assert not wrong, "\n".join(wrong)


def test_every_refusal_is_told_by_call_and_name(broken: list[Row]) -> None:
    for row in broken:
        if row["errors"]:
            kind, message = row["errors"][0]
            assert kind in ("CudaError", "DeviceLostError")
            assert "CUDA_ERROR_" in message, told(row)
        else:
            assert row["report"]["struck"] in GIVING_BACK, told(row)
            assert row["delivered"] == ALL, told(row)


def test_a_refusal_while_frames_run_costs_one_frame_at_most(broken: list[Row]) -> None:
    refused = [row for row in broken if not row["fault"]["sticky"] and frame_at_hand(row) >= 0]
    assert len(refused) > 100
    for row in refused:
        assert len(row["failed"]) <= 1, told(row)
        assert {kind for kind, _ in row["errors"]} <= {"CudaError"}, told(row)


def test_a_fatal_error_is_a_lost_device_at_once_and_costs_only_the_frames_in_flight(broken: list[Row]) -> None:
    fatal = [row for row in broken if row["fault"]["sticky"] and row["errors"]]
    assert len(fatal) > 100
    for row in fatal:
        assert row["errors"][0][0] == "DeviceLostError", told(row)
        hit = frame_at_hand(row)
        assert row["delivered"] == list(range(len(row["delivered"]))), told(row)
        if not row["fault"]["later"]:
            assert hit - RING <= len(row["delivered"]) <= max(hit, 0), told(row)
        assert row["report"]["lost"] == row["fault"]["result"], told(row)


def test_work_that_fails_on_the_device_fails_its_own_frame_and_none_before(broken: list[Row]) -> None:
    late = [row for row in broken if row["fault"]["later"] and frame_at_hand(row) >= 0]
    assert len(late) > 20
    for row in late:
        assert row["delivered"] == ALL[: frame_at_hand(row)], told(row)


def test_every_fatal_error_was_met(broken: list[Row]) -> None:
    met = {error.split(" ended with ")[1].split(":")[0] for row in broken for _, error in row["errors"]}
    assert met >= set(LOST)


# Doctor and the opening of plans ask through the same child process.
ASK = (
    "import json\n"
    "from dataclasses import asdict\n"
    "from cathrt.runtime.engines import device_probe\n"
    "from cathrt.runtime.errors import EngineError\n"
    "device_probe.ANSWER_WITHIN_S = {within_s}\n"
    "try: print(json.dumps([asdict(device) for device in device_probe.devices_in_child()]))\n"
    "except EngineError as exc: print(exc)"
)


def test_the_probe_sees_every_device() -> None:
    child = run_under_stub("-c", ASK.format(within_s=30.0), CATHRT_STUB_SM="120", CATHRT_STUB_DEVICES="2")
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == [
        {"name": f"STUB {ordinal} (computes nothing)", "sm": 120, "cuda_version": "13.0"} for ordinal in (0, 1)
    ]


def test_the_probe_says_what_a_driver_without_a_device_answers() -> None:
    child = run_under_stub("-c", ASK.format(within_s=30.0), CATHRT_STUB_DEVICES="0")
    assert child.stdout.splitlines() == [
        "the NVIDIA driver refuses: cuInit ended with CUDA error 100: check nvidia-smi, or choose an engine for the CPU"
    ], child.stderr


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceGetAttribute"])
def test_a_driver_that_hangs_at_any_question_is_given_up_in_time(call: str) -> None:
    child = run_under_stub("-c", ASK.format(within_s=1.0), timeout_s=20.0, CATHRT_STUB_HANG=call)
    assert child.stdout.startswith("the NVIDIA driver does not answer within 1 s: look at nvidia-smi"), child.stderr


@pytest.mark.parametrize(("engine", "state", "status"), [("openvino", "ok", 0), ("tensorrt", "missing", 1)])
def test_doctor_goes_on_where_the_driver_hangs(tmp_path: Path, engine: str, state: str, status: int) -> None:
    (tmp_path / "cathrt.toml").write_text(f'engine.name = "{engine}"\n')
    code = (
        "from cathrt.runtime.engines import device_probe\n"
        "from cathrt.runtime.commands.cli import app\n"
        "device_probe.ANSWER_WITHIN_S = 1.0\n"
        f"app(['doctor', '--config', {str(tmp_path / 'cathrt.toml')!r}, '--folder', {str(tmp_path)!r}])"
    )
    child = run_under_stub("-c", code, timeout_s=60.0, CATHRT_STUB_HANG="cuInit")
    assert child.returncode == status, child.stderr
    (gpu,) = (line for line in child.stdout.splitlines() if line[8:].startswith("gpu "))
    assert gpu.startswith(state)
    assert "the NVIDIA driver does not answer within 1 s" in gpu
    assert "Effective configuration" in child.stdout

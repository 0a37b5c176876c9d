"""The TensorRT engine on the driver's stub, in a child process; and that the fake device speaks as the driver does."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from cathrt.kernels.cuda.driver import DriverStream
from tests.engines.fake_device import FakeStream
from tests.stub_driver.build import run_under_stub
from tests.stub_driver.hang_scenario import OPEN_WITHIN_MS, PHASES, SCORES, SLOWER, WAIT_MS

Row = dict[str, Any]
SLACK_S = 5.0  # a loaded machine wakes threads late
FALLBACK = "fake (fallback for tensorrt)"


def test_the_engine_runs_on_a_real_stream_of_the_driver() -> None:
    child = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/stub_driver/engine_checks.py")
    assert child.returncode == 0, child.stdout + child.stderr


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A pass of the line without a hang, then one for every hang. The process must end by itself with hung threads."""
    child = run_under_stub("-m", "tests.stub_driver.hang_scenario")
    assert child.returncode == 0, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]


def about(row: Row) -> str:
    return f"{row['fault']}: {row['frames']}, {row['phases']}, {row['returned']}"


def test_without_a_hang_every_frame_is_the_gpu_s(rows: list[Row]) -> None:
    assert [(outcome, engine) for outcome, engine, _, _ in rows[0]["frames"]] == [("MET", "tensorrt")] * 2 * len(SCORES)
    assert rows[0]["returned"] == list(range(len(SCORES)))


def test_a_hang_at_any_call_costs_one_frame_at_most_and_the_fallback_judges_the_rest(rows: list[Row]) -> None:
    assert len(rows) > 100
    for row in rows[1:]:
        assert row["struck"] == row["fault"]["what"], about(row)
        outcomes, engines, reasons, _ = zip(*row["frames"], strict=True)
        assert len(outcomes) == 2 * len(SCORES), about(row)
        assert set(outcomes) <= {"MET", "FAILED"}, about(row)
        assert outcomes.count("FAILED") <= 1, about(row)
        on_gpu = engines.count("tensorrt")
        rest = [FALLBACK] * (len(engines) - on_gpu)
        if "FAILED" in outcomes:
            rest[0] = None
            assert "the device does not answer" in reasons[on_gpu], about(row)
            assert "fake takes over with the next frame" in reasons[on_gpu], about(row)
        assert list(engines) == ["tensorrt"] * on_gpu + rest, about(row)


def test_a_hang_is_over_within_its_deadline_in_every_phase(rows: list[Row]) -> None:
    longest = dict.fromkeys(PHASES, SLOWER * WAIT_MS / 1000.0) | {"open": OPEN_WITHIN_MS / 1e3}
    for row in rows:
        late = {phase: took for phase, took in row["phases"].items() if took > longest[phase] + SLACK_S}
        assert not late, about(row)


def test_a_lent_frame_that_a_hung_device_may_read_never_goes_back_and_all_others_do(rows: list[Row]) -> None:
    held = 0
    for row in rows[1:]:
        failed = [index for index, frame in enumerate(row["frames"][len(SCORES) :]) if frame[0] == "FAILED"]
        assert sorted([*row["returned"], *failed]) == list(range(len(SCORES))), about(row)
        held += len(failed)
    assert held > 5


def test_a_driver_that_hangs_gets_no_call_at_the_closing(rows: list[Row]) -> None:
    lost_before = [row for row in rows[1:] if row["frames"][-1][1] != "tensorrt"]
    assert len(lost_before) > 80
    assert all(row["calls_after"] == 0 for row in lost_before), [
        about(row) for row in lost_before if row["calls_after"]
    ]


def test_the_fake_stream_takes_what_the_driver_s_stream_takes() -> None:
    def parameters(stream: type, name: str) -> list[tuple[str, object, object]]:
        found = inspect.signature(getattr(stream, name)).parameters.values()
        return [(parameter.name, parameter.kind, parameter.default) for parameter in found]

    offered = {name for name, member in vars(FakeStream).items() if callable(member) and not name.startswith("_")}
    shared = offered - {"enqueue"}  # the fake TensorRT's way in
    assert {"capture", "replay", "record", "elapsed_ms", "wait_for", "pinned", "synchronise"} <= shared
    for name in shared:
        assert parameters(FakeStream, name) == parameters(DriverStream, name), name


def test_a_gpu_that_is_lost_or_hangs_leads_to_the_next_rung_of_the_live_ladder() -> None:
    child = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/stub_driver/ladder_checks.py")
    assert child.returncode == 0, child.stdout + child.stderr

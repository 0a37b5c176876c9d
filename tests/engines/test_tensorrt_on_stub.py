"""The TensorRT engine on the driver's stub, in a child process; and that the fake device speaks as the driver does."""

from __future__ import annotations

import inspect

from cathrt.kernels.cuda.driver import DriverStream
from tests.engines.fake_device import FakeStream
from tests.stub_driver.build import run_under_stub


def test_the_engine_runs_on_a_real_stream_of_the_driver() -> None:
    child = run_under_stub("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/stub_driver/engine_checks.py")
    assert child.returncode == 0, child.stdout + child.stderr


def test_the_fake_stream_takes_what_the_driver_s_stream_takes() -> None:
    def parameters(stream: type, name: str) -> list[tuple[str, object, object]]:
        found = inspect.signature(getattr(stream, name)).parameters.values()
        return [(parameter.name, parameter.kind, parameter.default) for parameter in found]

    offered = {name for name, member in vars(FakeStream).items() if callable(member) and not name.startswith("_")}
    shared = offered - {"enqueue"}  # the fake TensorRT's way in
    assert {"capture", "replay", "record", "elapsed_ms", "wait_for", "pinned", "synchronise"} <= shared
    for name in shared:
        assert parameters(FakeStream, name) == parameters(DriverStream, name), name

"""The whole line on a GPU engine: the same verdicts as on the CPU, and no frame lost wherever the device is.

Kernels in the emulator, the device and TensorRT fake, everything between them real.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from cathrt.kernels.cuda.stream import DeviceLostError, DeviceMemory
from cathrt.runtime.alert import Outcome
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.engines import ENGINES
from cathrt.runtime.errors import EngineLostError
from cathrt.runtime.frame import Frame
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.emulation.stream import EmulatedStream, emulated
from tests.engines import gpu
from tests.engines.fake_device import FakeStream
from tests.engines.gpu import Machine
from tests.lines import (
    MANIFEST,
    SIZE,
    ArraySource,
    ListJournal,
    brightness,
    engine_of,
    fake_engine,
    finding_of,
    line,
    picture,
    result_of,
)

FALLBACK = "fake"  # what stands in openvino's place, by the name it gives itself
SCORES = [0.1, 0.7, 0.9, 0.7, 0.1]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    manifest = replace(MANIFEST.with_artifacts(CLASSIFIER, gpu.artifacts("tensorrt")), files={})
    return gpu.bundle_with_plans(tmp_path_factory.mktemp("plans") / "bundle", manifest)


@pytest.fixture(scope="module")
def below() -> Iterator[EmulatedStream]:
    with emulated("plain") as stream:
        yield stream


@contextmanager
def lined(
    bundle: Bundle,
    below: EmulatedStream,
    fallback: str = "",
    *,
    device_wait_ms: float = 60_000.0,
    left_behind: bool = False,
) -> Iterator[tuple[Line, Machine]]:
    """left_behind: the device is not given back what the engine holds."""
    config = replace(Config(), engine=EngineConfig("tensorrt", fallback=fallback, device_wait_ms=device_wait_ms))
    with pytest.MonkeyPatch.context() as patch:
        machine = gpu.machine(patch, manifest=MANIFEST, compute=brightness, below=below)
        patch.setitem(ENGINES, "openvino", lambda request: fake_engine())
        with opened_line([bundle], config, "max") as opened:
            yield opened, machine
        assert machine.device.idle is not left_behind


def test_verdicts_alerts_and_summary_are_those_of_the_cpu(bundle: Bundle, below: EmulatedStream) -> None:
    on_gpu, on_cpu = ListJournal(), ListJournal()
    with lined(bundle, below) as (opened, _):
        watch(ArraySource(SCORES), opened, on_gpu)
    watch(ArraySource(SCORES), line(), on_cpu)
    for ours, theirs in zip(on_gpu.verdicts, on_cpu.verdicts, strict=True):
        assert finding_of(ours) is not None
        assert finding_of(theirs) is not None
        assert engine_of(ours) == "tensorrt"
        assert finding_of(ours).score == pytest.approx(finding_of(theirs).score, abs=1e-5)
        assert (ours.outcome, finding_of(ours).laterality) == (theirs.outcome, finding_of(theirs).laterality)
        assert ours.latency_ms.infer == 1.0, "by the device's own clock"
    assert [alert.frame_index for alert in on_gpu.alerts] == [alert.frame_index for alert in on_cpu.alerts] == [2]
    assert result_of(on_gpu.summaries[0]).marked_frames == result_of(on_cpu.summaries[0]).marked_frames


class Lent:
    """A frame that another library holds on the device."""

    def __init__(self, memory: DeviceMemory) -> None:
        self.__cuda_array_interface__ = {
            "version": 3, "data": (memory.address, False), "shape": (SIZE, SIZE), "typestr": "|u1", "stream": None,
        }  # fmt: skip


def test_frames_that_lie_on_the_device_go_through_the_line(bundle: Bundle, below: EmulatedStream) -> None:
    on_gpu, on_cpu = ListJournal(), ListJournal()
    with lined(bundle, below) as (opened, machine):
        lender = machine.device.open_stream(priority="high")
        lent = [lender.allocate(SIZE * SIZE) for _ in SCORES]
        for index, (score, memory) in enumerate(zip(SCORES, lent, strict=True)):
            lender.upload(picture(score, index), memory)
        lender.synchronise()
        watch(LentSource([Lent(memory) for memory in lent]), opened, on_gpu)
        lender.close()
    watch(ArraySource(SCORES), line(), on_cpu)
    scores = [[finding_of(v) and finding_of(v).score for v in journal.verdicts] for journal in (on_gpu, on_cpu)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


class LentSource(ArraySource):
    """A run of frames that are no arrays of the host."""

    def frames(self) -> Iterator[Frame]:
        for index, pixels in enumerate(self.items):
            yield Frame(pixels, index, 0)


def calls_of_a_run(bundle: Bundle, below: EmulatedStream) -> list[tuple[str, int]]:
    """(call, its number in a run from the run's first on) of everything a run asks of the driver."""
    with lined(bundle, below) as (opened, machine):
        before = machine.device.calls.copy()
        watch(ArraySource(SCORES), opened, ListJournal())
        spent = machine.device.calls - before
    return [(call, nth) for call, times in sorted(spent.items()) for nth in range(times)]


def test_a_device_lost_at_any_call_of_a_run_costs_one_frame_at_most(bundle: Bundle, below: EmulatedStream) -> None:
    tried = calls_of_a_run(bundle, below)
    assert len(tried) > 40
    for call, nth in tried:
        journal = ListJournal()
        with lined(bundle, below, fallback="openvino") as (opened, machine):
            machine.device.fail(call, nth, DeviceLostError(f"lost at {call} {nth}"))
            watch(ArraySource(SCORES), opened, journal)
            assert machine.device.lost is not None
        verdicts = journal.verdicts
        assert [verdict.frame_index for verdict in verdicts] == list(range(len(SCORES)))
        failed = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAILED]
        assert len(failed) <= 1
        for verdict in failed:
            assert f"lost at {call} {nth}; {FALLBACK} takes over" in str(verdict.reason)
        engines = [engine_of(verdict) for verdict in verdicts if finding_of(verdict)]
        on_gpu = engines.count("tensorrt")
        expected = ["tensorrt"] * on_gpu + [f"{FALLBACK} (fallback for tensorrt)"] * (
            len(SCORES) - on_gpu - len(failed)
        )
        assert engines == expected
        assert sum(journal.summaries[0].verdicts.values()) == len(SCORES)


def test_a_device_lost_without_a_fallback_fails_every_later_frame_of_every_run(
    bundle: Bundle, below: EmulatedStream
) -> None:
    first, second = ListJournal(), ListJournal()
    with pytest.raises(EngineLostError, match="fell off the bus"):
        with lined(bundle, below) as (opened, machine):
            machine.device.fail("replay", 7, DeviceLostError("it fell off the bus"))
            watch(ArraySource(SCORES), opened, first)
            watch(ArraySource(SCORES, name="another"), opened, second)
    assert [v.outcome for v in first.verdicts] == ["MET"] * 3 + ["FAILED"] * 2
    assert [v.outcome for v in second.verdicts] == ["FAILED"] * 5
    assert all("fell off the bus" in str(v.reason) for v in [*first.verdicts[3:], *second.verdicts])


@pytest.mark.parametrize("fallback", ["", "openvino"])
def test_a_device_that_hangs_in_the_middle_of_a_run_does_not_hold_the_line_up(
    bundle: Bundle, below: EmulatedStream, fallback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, frames, journal = threading.Event(), count(), ListJournal()
    replay = FakeStream.replay

    def hanging(stream: FakeStream, graph: list[Any]) -> None:
        if next(frames) == 5:  # the second graph of the third frame
            over.wait(60.0)
            stream.device.lost = DeviceLostError("the test is over")
        replay(stream, graph)

    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(over.set)
        if not fallback:
            stack.enter_context(
                pytest.raises(EngineLostError, match="the device does not answer: a frame has not ended")
            )
        opened, _ = stack.enter_context(lined(bundle, below, fallback, device_wait_ms=2000.0, left_behind=True))
        monkeypatch.setattr(FakeStream, "replay", hanging)
        watch(ArraySource(SCORES), opened, journal)
    assert time.monotonic() - began < 30.0
    rest = [f"{FALLBACK} (fallback for tensorrt)"] * 2 if fallback else [None] * 2
    assert [engine_of(verdict) for verdict in journal.verdicts] == ["tensorrt", "tensorrt", None, *rest]
    assert "a frame has not ended within 2100 ms" in str(journal.verdicts[2].reason)


def test_a_gpu_that_is_not_there_is_stood_in_for_from_the_start(bundle: Bundle, below: EmulatedStream) -> None:
    journal = ListJournal()
    config = replace(Config(), engine=EngineConfig("tensorrt", fallback="openvino"))
    with pytest.MonkeyPatch.context() as patch:
        gpu.machine(patch, manifest=MANIFEST, below=below).trt.faults.add("engine")
        patch.setitem(ENGINES, "openvino", lambda request: fake_engine())
        with opened_line([bundle], config, "max") as opened:
            watch(ArraySource(SCORES), opened, journal)
    assert {engine_of(verdict) for verdict in journal.verdicts} == {f"{FALLBACK} (fallback for tensorrt)"}


def test_the_pedal_s_pauses_keep_the_device_warm(bundle: Bundle, below: EmulatedStream) -> None:
    with lined(bundle, below) as (opened, machine):
        assert opened.keep_warm is not None
        opened.keep_warm.worked()  # however long ago it was opened
        executions = machine.trt.contexts[0].executions
        opened.keep_warm.wait_until(opened.clock.now_ns() + 120_000_000)
        assert machine.trt.contexts[0].executions in (executions + 1, executions + 2)

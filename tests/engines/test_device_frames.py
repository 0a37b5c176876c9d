"""Frames straight to the device: the same outputs as preprocessing on the CPU, in the right order, for every frame.

The ingest kernels run in the emulator, everything around them on the fake device, which does nothing before it must.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError, DeviceMemory
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines.device_frames import DeviceFrameStep
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.engines.tensorrt import TensorRtEngine, open_tensorrt
from cathrt.runtime.errors import EngineError, EngineLostError, SourceError
from cathrt.runtime.frame import Grayscale, LookupTable, Rescale, Run, Timing, VoiWindow
from cathrt.runtime.frame_step import CpuFrameStep, frame_step
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.emulation.stream import EmulatedStream, emulated
from tests.engines import gpu
from tests.engines.fake_device import FakeDevice
from tests.engines.gpu import Machine
from tests.golden import OUTPUT, golden_manifest

SPEC = golden_manifest().network(CLASSIFIER).preprocessing[0]
TOLERANCE = 1e-4  # tensors agree within 1e-5 (docs/kernels.md); the network sums 27 products of them and averages


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return gpu.bundle_with_plans(tmp_path_factory.mktemp("plans") / "bundle")


@pytest.fixture(scope="module")
def below() -> Iterator[EmulatedStream]:
    with emulated("plain") as stream:
        yield stream


@contextmanager
def opened(bundle: Bundle, below: Any) -> Iterator[tuple[TensorRtEngine, Machine]]:
    with pytest.MonkeyPatch.context() as patch:
        machine = gpu.machine(patch, below=below)
        engine = open_tensorrt("tensorrt", NetworkRequest.of(bundle, CLASSIFIER, "tensorrt", EngineConfig(threads=1)))
        yield engine, machine
        engine.close()
        assert machine.device.idle


def run_of(bits: int = 8, shape: tuple[int, int] = (37, 53), **changes: Any) -> Run:
    grayscale = replace(Grayscale(bits, voi=VoiWindow(2.0 ** (bits - 1), 2.0**bits, "LINEAR_EXACT")), **changes)
    return Run("run", "test", None, *shape, grayscale, Timing(15.0, "FrameTime"))


def pixels_of(run: Run, seed: int) -> NDArray[Any]:
    bits = run.grayscale.bits_stored
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 1 << bits, (run.rows, run.columns), dtype)


def on_the_cpu(run: Run, frames: list[NDArray[Any]]) -> list[NDArray[Any]]:
    manifest = golden_manifest()
    step = CpuFrameStep(
        FakeEngine(manifest.network(CLASSIFIER).input_specs(), manifest.network(CLASSIFIER).output_specs(), gpu.golden),
        run,
        [SPEC],
        lambda: 0,
    )
    found = []
    for pixels in frames:
        outputs = step(pixels).outputs
        assert outputs is not None
        found.append(outputs[OUTPUT].copy())
    return found


RUNS = {
    "8 bits": run_of(8),
    "10 bits": run_of(10),
    "12 bits, percentiles": run_of(12, voi=None),
    "16 bits, inverted": run_of(16, photometric_interpretation="MONOCHROME1"),
    "sigmoid": run_of(12, voi=VoiWindow(2000.0, 900.0, "SIGMOID")),
    "shutter": run_of(12, voi=None, exposed=np.array([[4, 40]] * 30 + [[0, 0]] * 7, np.int32)),
}


@pytest.mark.parametrize("name", RUNS)
def test_frames_on_the_device_give_what_the_cpu_s_preprocessing_gives(
    bundle: Bundle, below: EmulatedStream, name: str
) -> None:
    run = RUNS[name]
    frames = [pixels_of(run, seed) for seed in range(3)]
    with opened(bundle, below) as (engine, _):
        step = frame_step(engine, run, [SPEC], lambda: 0)
        assert isinstance(step, DeviceFrameStep)
        for pixels, expected in zip(frames, on_the_cpu(run, frames), strict=True):
            outputs = step(pixels).outputs
            assert outputs is not None
            np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)


def test_a_frame_is_two_replays_three_events_and_one_wait(bundle: Bundle, below: EmulatedStream) -> None:
    run, clock = run_of(8), iter(range(0, 10**9, 2_000_000))
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: next(clock))
        before = machine.device.calls.copy()
        stepped = step(pixels_of(run, 0))
        spent = machine.device.calls - before
    assert spent == {"record": 3, "replay": 2, "synchronise": 1, "elapsed_ms": 2}
    # The fake device's events are 1 ms apart, the host's clock takes 2 ms from reading to reading.
    assert (stepped.preprocess_ms, stepped.infer_ms) == (3.0, 1.0)


def test_the_caller_s_frame_may_change_as_soon_as_the_step_has_returned(bundle: Bundle, below: EmulatedStream) -> None:
    run = run_of(8)
    frames = [pixels_of(run, seed) for seed in range(2)]
    expected = on_the_cpu(run, frames)
    with opened(bundle, below) as (engine, _):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        pixels = frames[0].copy()
        step(pixels)
        pixels[...] = 0
        outputs = step(frames[1]).outputs
        assert outputs is not None
        np.testing.assert_allclose(outputs[OUTPUT], expected[1], rtol=0, atol=TOLERANCE)


def test_bytes_above_eight_stored_bits_are_left_out_of_wider_frames(bundle: Bundle, below: EmulatedStream) -> None:
    run = run_of(8)
    pixels = pixels_of(run, 4)
    (expected,) = on_the_cpu(run, [pixels])
    with opened(bundle, below) as (engine, _):
        outputs = engine.frame_step(run, [SPEC], lambda: 0)(pixels.astype(np.uint16) | 0xAB00).outputs
        assert outputs is not None
        np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)


class Lent:
    """A frame that lies on the device, as another library would lend it."""

    def __init__(self, memory: DeviceMemory, shape: tuple[int, int], stream: int | None) -> None:
        self.__cuda_array_interface__ = {
            "version": 3, "data": (memory.address, False), "shape": shape, "typestr": "|u1", "stream": stream,
        }  # fmt: skip


@pytest.mark.parametrize("ordered", [False, True], ids=["ready", "behind its producer's stream"])
def test_a_frame_that_is_on_the_device_already_is_read_where_it_lies(
    bundle: Bundle, below: EmulatedStream, ordered: bool
) -> None:
    run = run_of(8)
    frames = [pixels_of(run, seed) for seed in range(3)]
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        producer = machine.device.open_stream(priority="high")
        memory = producer.allocate(run.rows * run.columns)
        for pixels, expected in zip(frames, on_the_cpu(run, frames), strict=True):
            producer.upload(pixels, memory)
            if not ordered:
                producer.synchronise()
            before = machine.device.calls.copy()
            outputs = step(Lent(memory, pixels.shape, producer.handle if ordered else None)).outputs
            assert outputs is not None
            np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)
            assert (machine.device.calls - before)["upload"] == 0
        producer.close()


class Watched(Lent):
    """A lent frame that knows whether its borrower's streams had work left on it when it was given back."""

    def __init__(self, memory: DeviceMemory, shape: tuple[int, int], device: FakeDevice, found: list[bool]) -> None:
        super().__init__(memory, shape, None)
        weakref.finalize(self, lambda: found.append(any(stream.busy for stream in device.streams)))


@pytest.mark.parametrize("call", ["keep", "record", "launch", "replay", "synchronise", "elapsed_ms"])
@pytest.mark.parametrize("error", [CudaError("not now"), DeviceLostError("gone"), KeyboardInterrupt()], ids=repr)
def test_a_lent_frame_goes_back_when_nothing_reads_it_any_more_whatever_went_wrong(
    bundle: Bundle, below: EmulatedStream, call: str, error: BaseException
) -> None:
    run = run_of(8)
    with opened(bundle, below) as (engine, machine):
        device = machine.device
        step = engine.frame_step(run, [SPEC], lambda: 0)
        lender = device.open_stream(priority="high")
        memory = lender.allocate(run.rows * run.columns)
        lender.upload(pixels_of(run, 0), memory)
        lender.synchronise()
        before = device.calls.copy()
        step(Lent(memory, (run.rows, run.columns), None))
        for nth in range((device.calls - before)[call]):
            busy_when_given_back: list[bool] = []
            device.fail(call, nth, error)
            with pytest.raises((EngineError, KeyboardInterrupt)):
                step(Watched(memory, (run.rows, run.columns), device, busy_when_given_back))
            assert not any(stream.busy for stream in device.streams), "the lender may write over it now"
            error.with_traceback(None)  # whose frames hold what was lent
            gc.collect()
            device.lost = None
            step(pixels_of(run, 1))  # a frame that was kept is let go with the next one at the latest
            gc.collect()
            assert busy_when_given_back == [False]
        lender.close()


def test_a_lent_frame_stays_with_a_stream_that_cannot_be_waited_for(bundle: Bundle, below: EmulatedStream) -> None:
    run = run_of(8)
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        lender = machine.device.open_stream(priority="high")
        memory, given_back = lender.allocate(run.rows * run.columns), list[bool]()
        error = CudaError("not now")
        machine.device.fail("synchronise", 0, error, times=2)
        with pytest.raises(EngineError, match="not now"):
            step(Watched(memory, (run.rows, run.columns), machine.device, given_back))
        error.with_traceback(None)
        gc.collect()
        assert given_back == [], "its work is still queued"
        step(pixels_of(run, 1))
        gc.collect()
        assert given_back == [False]
        lender.close()


def test_where_nothing_is_exposed_the_device_is_left_alone(bundle: Bundle, below: EmulatedStream) -> None:
    run = run_of(8, exposed=np.zeros((37, 2), np.int32))
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        before = machine.device.calls.copy()
        assert step(pixels_of(run, 0)).outputs is None
        assert machine.device.calls == before


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((37, 52), np.uint16), r"pixels are uint16 \(37, 52\): expected uint8 or uint16 \(37, 53\)"),
        (np.zeros((37, 53), np.float32), "pixels are float32"),
        (np.zeros((37, 53), np.uint8), "uint8 but the run stores more than 8 bits"),
    ],
)
def test_a_frame_that_is_not_of_the_run_is_refused_and_the_next_one_is_judged(
    bundle: Bundle, below: EmulatedStream, pixels: NDArray[Any], message: str
) -> None:
    run = run_of(12)
    (expected,) = on_the_cpu(run, [pixels_of(run, 1)])
    with opened(bundle, below) as (engine, _):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        with pytest.raises(ValueError, match=message):
            step(pixels)
        outputs = step(pixels_of(run, 1)).outputs
        assert outputs is not None
        np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)


def table(step: int) -> LookupTable:
    return LookupTable(0, np.arange(0, 4096 * step, step, dtype=np.float32), 12)


OTHERS = {
    "size": run_of(12, (37, 52)),
    "depth": run_of(10),
    "inverted": run_of(12, photometric_interpretation="MONOCHROME1"),
    "window": run_of(12, voi=VoiWindow(2000.0, 900.0)),
    "no window": run_of(12, voi=None),
    "rescale": run_of(12, modality=Rescale(2.0, 0.0)),
    "modality LUT": run_of(12, modality=table(1)),
    "another modality LUT": run_of(12, modality=table(2)),
    "shutter": run_of(12, exposed=np.array([[4, 40]] * 37, np.int32)),
    "another shutter": run_of(12, exposed=np.array([[4, 41]] * 37, np.int32)),
}


def test_runs_of_one_kind_share_a_recording_and_no_others_do(bundle: Bundle, below: EmulatedStream) -> None:
    def now_ns() -> int:
        return 0

    with opened(bundle, below) as (engine, _):
        first = engine.frame_step(run_of(12), [SPEC], now_ns)
        assert engine.frame_step(replace(run_of(12), run_id="another", source="another"), [SPEC], now_ns) is first
        for run in OTHERS.values():
            step = engine.frame_step(run, [SPEC], now_ns)
            assert step is not first
            assert engine.frame_step(replace(run), [SPEC], now_ns) is step
            first = step
        assert engine.frame_step(run, [replace(SPEC, masked_value=0.25)], now_ns) is not first


def test_a_run_of_another_kind_frees_what_was_recorded_before(bundle: Bundle, below: EmulatedStream) -> None:
    with opened(bundle, below) as (engine, machine):
        engine.frame_step(run_of(12), [SPEC], lambda: 0)
        held = machine.device.held_bytes
        for _ in range(3):
            engine.frame_step(run_of(10), [SPEC], lambda: 0)
            engine.frame_step(run_of(12), [SPEC], lambda: 0)
        assert machine.device.held_bytes == held


def test_a_run_that_does_not_fit_the_kernels_is_the_source_s_fault_and_leaves_nothing(
    bundle: Bundle, below: EmulatedStream
) -> None:
    with opened(bundle, below) as (engine, machine):
        held = machine.device.held_bytes
        with pytest.raises(SourceError, match="describes its frames wrongly"):
            engine.frame_step(run_of(12, exposed=np.full((37, 2), 99, np.int32)), [SPEC], lambda: 0)
        assert machine.device.held_bytes == held


@pytest.mark.parametrize("call", ["record", "replay", "synchronise", "elapsed_ms"])
@pytest.mark.parametrize("lost", [False, True])
def test_a_driver_that_refuses_any_call_fails_the_frame_at_hand(
    bundle: Bundle, below: EmulatedStream, call: str, lost: bool
) -> None:
    run = run_of(8)
    (expected,) = on_the_cpu(run, [pixels_of(run, 1)])
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        machine.device.fail(call, 0, DeviceLostError("gone") if lost else CudaError("not now"))
        with pytest.raises(EngineLostError if lost else EngineError, match=r"tensorrt: .*(gone|not now)"):
            step(pixels_of(run, 0))
        if lost:
            with pytest.raises(EngineLostError):
                step(pixels_of(run, 1))
        else:
            outputs = step(pixels_of(run, 1)).outputs
            assert outputs is not None
            np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=TOLERANCE)


def test_a_driver_that_refuses_any_call_while_a_run_is_prepared_leaves_nothing_behind(
    bundle: Bundle, below: EmulatedStream
) -> None:
    with opened(bundle, below) as (engine, machine):
        held = machine.device.held_bytes
        for call in ("open_stream", "allocate", "pinned", "upload", "record", "synchronise", "capture", "launch"):
            machine.device.fail(call, 0, CudaError("no more of it"))
            with pytest.raises(EngineError, match="tensorrt: no more of it"):
                engine.frame_step(run_of(8), [SPEC], lambda: 0)
            assert machine.device.held_bytes == held, call

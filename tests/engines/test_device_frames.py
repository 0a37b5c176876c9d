"""Frames straight to the device: the same outputs as preprocessing on the CPU, in the right order, for every frame.

The ingest kernels run in the emulator, everything around them on the fake device, which does nothing before it must.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import CudaError, DeviceLostError, DeviceMemory
from cathrt.runtime.bundle.manifest import History, Preprocessing
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
from tests.engines.pycuda_array import GPUArray
from tests.golden import OUTPUT, golden_manifest

SPEC = golden_manifest().network(CLASSIFIER).preprocessing[0]
TOLERANCE = 1e-4  # tensors agree within 1e-5 (docs/kernels.md); the network sums 27 products of them and averages
REMEMBERING = replace(SPEC, history=History(("grey", "contrast", "change"), rise_s=0.4, fall_s=3.0, recent_s=0.2))
REMEMBERED = 2 * TOLERANCE  # with a history they agree within 2e-5


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


def on_the_cpu(
    run: Run, frames: list[NDArray[Any]], spec: Preprocessing = SPEC, grayscales: Sequence[int] = (0,) * 9
) -> list[NDArray[Any]]:
    manifest = golden_manifest()
    step = CpuFrameStep(
        FakeEngine(manifest.network(CLASSIFIER).input_specs(), manifest.network(CLASSIFIER).output_specs(), gpu.golden),
        run,
        [spec],
        lambda: 0,
    )
    found = []
    for pixels, grayscale in zip(frames, grayscales, strict=False):
        outputs = step(pixels, grayscale).outputs
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


SHUTTERS = [np.tile(np.array([span], np.int32), (37, 1)) for span in ((0, 31), (9, 53))]


def changing(bits: int = 12) -> Run:
    """A run of four grey scales: two windows, one of them under two shutters, and percentiles."""
    run = run_of(bits)
    others = (
        replace(run.grayscale, exposed=SHUTTERS[0]),
        replace(run.grayscale, exposed=SHUTTERS[1], photometric_interpretation="MONOCHROME1"),
        replace(run.grayscale, voi=None),
    )
    return replace(run, other_grayscales=others)


@pytest.mark.parametrize("spec", [SPEC, REMEMBERING], ids=["grey", "history"])
def test_each_frame_is_looked_at_by_its_own_grey_scale(
    bundle: Bundle, below: EmulatedStream, spec: Preprocessing
) -> None:
    run, order = changing(), (0, 1, 2, 3, 1, 0)
    frames = [pixels_of(run, seed) for seed in range(len(order))]
    with opened(bundle, below) as (engine, machine):
        step = frame_step(engine, run, [spec], lambda: 0)
        assert isinstance(step, DeviceFrameStep)
        expected = on_the_cpu(run, frames, spec, order)
        before = machine.device.calls.copy()
        for pixels, grayscale, wanted in zip(frames, order, expected, strict=True):
            outputs = step(pixels, grayscale).outputs
            assert outputs is not None
            np.testing.assert_allclose(outputs[OUTPUT], wanted, rtol=0, atol=REMEMBERED)
        spent = machine.device.calls - before
    # No upload, launch or capture of its own: what changes the grey scale is which recording is replayed.
    each = {"record": 3, "replay": 2, "synchronise": 1, "elapsed_ms": 2}
    assert spent == {call: number * len(order) for call, number in each.items()}


def test_a_recording_serves_only_runs_of_the_same_grey_scales(bundle: Bundle, below: EmulatedStream) -> None:
    run, now_ns = changing(), lambda: 0
    with opened(bundle, below) as (engine, _):
        first = engine.frame_step(run, [SPEC], now_ns)
        assert engine.frame_step(changing(), [SPEC], now_ns) is first
        assert engine.frame_step(replace(run, other_grayscales=run.other_grayscales[:2]), [SPEC], now_ns) is not first


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


@pytest.mark.parametrize("padding", [0, 11], ids=["rows together", "rows apart"])
def test_a_frame_in_an_array_of_pycuda_is_read_where_it_lies(
    bundle: Bundle, below: EmulatedStream, padding: int
) -> None:
    run = run_of(8)
    pixels = pixels_of(run, 0)
    pitch = run.columns + padding
    rows = np.zeros((run.rows, pitch), np.uint8)
    rows[:, : run.columns] = pixels
    (expected,) = on_the_cpu(run, [pixels])
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [SPEC], lambda: 0)
        producer = machine.device.open_stream(priority="high")
        memory = producer.allocate(rows.nbytes)
        producer.upload(rows, memory)
        producer.synchronise()  # PyCUDA names no stream, so its caller has to wait
        before = machine.device.calls.copy()
        outputs = step(GPUArray(pixels.shape, np.uint8, memory.address, (pitch, 1))).outputs
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


@pytest.mark.parametrize("call", ["keep", "launch", "synchronise"])
@pytest.mark.parametrize("error", [CudaError("not now"), DeviceLostError("gone"), KeyboardInterrupt()], ids=repr)
def test_a_lent_frame_that_is_remembered_goes_back_in_the_same_way(
    bundle: Bundle, below: EmulatedStream, call: str, error: BaseException
) -> None:
    run = run_of(8)
    with opened(bundle, below) as (engine, machine):
        device = machine.device
        step = engine.frame_step(run, [REMEMBERING], lambda: 0)
        lender = device.open_stream(priority="high")
        memory, given_back = lender.allocate(run.rows * run.columns), list[bool]()
        lender.upload(pixels_of(run, 0), memory)
        lender.synchronise()
        device.fail(call, 0, error)
        with pytest.raises((EngineError, KeyboardInterrupt)):
            step.remember(Watched(memory, (run.rows, run.columns), device, given_back))  # type: ignore[arg-type]
        assert not any(stream.busy for stream in device.streams), "the lender may write over it now"
        error.with_traceback(None)  # whose frames hold what was lent
        gc.collect()
        device.lost = None
        step.remember(pixels_of(run, 1))
        gc.collect()
        assert given_back == [False]
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


def assert_outputs(outputs: Any, expected: NDArray[Any]) -> None:
    assert outputs is not None
    np.testing.assert_allclose(outputs[OUTPUT], expected, rtol=0, atol=REMEMBERED)


@pytest.mark.parametrize("name", RUNS)
def test_frames_of_a_run_with_a_history_give_what_the_cpu_s_preprocessing_gives(
    bundle: Bundle, below: EmulatedStream, name: str
) -> None:
    run = RUNS[name]
    frames = [pixels_of(run, seed) for seed in range(4)]
    with opened(bundle, below) as (engine, _):
        step = engine.frame_step(run, [REMEMBERING], lambda: 0)
        assert isinstance(step, DeviceFrameStep)
        for pixels, expected in zip(frames, on_the_cpu(run, frames, REMEMBERING), strict=True):
            assert_outputs(step(pixels).outputs, expected)


def test_the_next_run_on_the_same_recording_begins_with_an_empty_history(bundle: Bundle, below: EmulatedStream) -> None:
    run, now_ns = run_of(12), lambda: 0
    frames = [pixels_of(run, seed) for seed in range(3)]
    expected = on_the_cpu(run, frames, REMEMBERING)
    with opened(bundle, below) as (engine, _):
        first = engine.frame_step(run, [REMEMBERING], now_ns)
        for _ in range(3):
            step = engine.frame_step(replace(run, run_id="another"), [REMEMBERING], now_ns)
            assert step is first
            for pixels, answer in zip(frames, expected, strict=True):
                assert_outputs(step(pixels).outputs, answer)
        outputs = step(frames[0]).outputs
        assert outputs is not None
        assert np.abs(outputs[OUTPUT] - expected[0]).max() > 10 * REMEMBERED, "else this test would show nothing"


@pytest.mark.parametrize("lent", [False, True], ids=["of the host", "on the device"])
def test_frames_that_were_remembered_are_seen_as_if_they_had_been_judged(
    bundle: Bundle, below: EmulatedStream, lent: bool
) -> None:
    run = run_of(8)
    frames = [pixels_of(run, seed) for seed in range(4)]
    expected = on_the_cpu(run, frames, REMEMBERING)
    with opened(bundle, below) as (engine, machine):
        step: Any = engine.frame_step(run, [REMEMBERING], lambda: 0)
        producer = machine.device.open_stream(priority="high")
        for pixels in frames[:-1]:
            frame: Any = pixels
            if lent:
                memory = producer.allocate(pixels.nbytes)
                producer.upload(pixels, memory)
                frame = Lent(memory, pixels.shape, producer.handle)
            step.remember(frame)
        assert_outputs(step(frames[-1]).outputs, expected[-1])
        producer.close()


def test_a_frame_to_remember_is_one_replay_and_one_wait_and_the_caller_s_again(
    bundle: Bundle, below: EmulatedStream
) -> None:
    run = run_of(8)
    frames = [pixels_of(run, seed) for seed in range(3)]
    expected = on_the_cpu(run, frames, REMEMBERING)
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [REMEMBERING], lambda: 0)
        before, executions = machine.device.calls.copy(), machine.trt.contexts[-1].executions
        pixels = frames[0].copy()
        step.remember(pixels)
        assert machine.device.calls - before == {"replay": 1, "synchronise": 1}
        assert machine.trt.contexts[-1].executions == executions
        pixels[...] = 0
        for pixels, answer in zip(frames[1:], expected[1:], strict=True):
            assert_outputs(step(pixels).outputs, answer)


def test_keeping_warm_between_frames_leaves_the_history_alone(bundle: Bundle, below: EmulatedStream) -> None:
    run = run_of(8)
    frames = [pixels_of(run, seed) for seed in range(3)]
    with opened(bundle, below) as (engine, _):
        step = engine.frame_step(run, [REMEMBERING], lambda: 0)
        for pixels, expected in zip(frames, on_the_cpu(run, frames, REMEMBERING), strict=True):
            assert_outputs(step(pixels).outputs, expected)
            engine.keep_warm()


@pytest.mark.parametrize(
    ("run", "spec"),
    [(run_of(8), SPEC), (run_of(8, exposed=np.zeros((37, 2), np.int32)), REMEMBERING)],
    ids=["no history", "nothing exposed"],
)
def test_where_there_is_nothing_to_remember_the_device_is_left_alone(
    bundle: Bundle, below: EmulatedStream, run: Run, spec: Preprocessing
) -> None:
    with opened(bundle, below) as (engine, machine):
        step: Any = engine.frame_step(run, [spec], lambda: 0)
        before = machine.device.calls.copy()
        for pixels in (pixels_of(run, 0), np.zeros((1, 1), np.uint8), object()):
            step.remember(pixels)
        assert machine.device.calls == before


def test_another_frame_rate_is_another_recording_where_there_is_a_history(
    bundle: Bundle, below: EmulatedStream
) -> None:
    run, now_ns = run_of(12), lambda: 0
    faster = replace(run, timing=Timing(30.0, "FrameTime"))
    frames = [pixels_of(run, seed) for seed in range(3)]
    with opened(bundle, below) as (engine, _):
        plain = engine.frame_step(run, [SPEC], now_ns)
        assert engine.frame_step(faster, [SPEC], now_ns) is plain
        step = engine.frame_step(run, [REMEMBERING], now_ns)
        assert step is not plain
        other = engine.frame_step(faster, [REMEMBERING], now_ns)
        assert other is not step
        for pixels, expected in zip(frames, on_the_cpu(faster, frames, REMEMBERING), strict=True):
            assert_outputs(other(pixels).outputs, expected)
        longer = replace(REMEMBERING, history=replace(REMEMBERING.history, recent_s=0.4))  # type: ignore[type-var]
        assert engine.frame_step(faster, [longer], now_ns) is not other


@pytest.mark.parametrize("call", ["replay", "synchronise"])
@pytest.mark.parametrize("lost", [False, True])
def test_a_driver_that_refuses_to_remember_raises_as_it_does_for_a_frame(
    bundle: Bundle, below: EmulatedStream, call: str, lost: bool
) -> None:
    run = run_of(8)
    with opened(bundle, below) as (engine, machine):
        step = engine.frame_step(run, [REMEMBERING], lambda: 0)
        machine.device.fail(call, 0, DeviceLostError("gone") if lost else CudaError("not now"))
        with pytest.raises(EngineLostError if lost else EngineError, match=r"tensorrt: .*(gone|not now)"):
            step.remember(pixels_of(run, 0))
        if not lost:
            step.remember(pixels_of(run, 1))
            with pytest.raises(ValueError, match=r"pixels are uint8 \(3, 3\): expected uint8 or uint16 \(37, 53\)"):
                step.remember(np.zeros((3, 3), np.uint8))


def test_a_run_whose_history_cannot_be_emptied_does_not_begin_and_the_next_one_does(
    bundle: Bundle, below: EmulatedStream
) -> None:
    run, now_ns = run_of(8), lambda: 0
    frames = [pixels_of(run, seed) for seed in range(2)]
    with opened(bundle, below) as (engine, machine):
        engine.frame_step(run, [REMEMBERING], now_ns)(frames[1])
        machine.device.fail("upload", 0, CudaError("not now"))
        with pytest.raises(EngineError, match="tensorrt: not now"):
            engine.frame_step(run, [REMEMBERING], now_ns)
        step = engine.frame_step(run, [REMEMBERING], now_ns)
        for pixels, expected in zip(frames, on_the_cpu(run, frames, REMEMBERING), strict=True):
            assert_outputs(step(pixels).outputs, expected)


def test_an_upload_that_is_refused_while_a_run_with_a_history_is_prepared_leaves_nothing_behind(
    bundle: Bundle, below: EmulatedStream
) -> None:
    with opened(bundle, below) as (engine, machine):
        held, before = machine.device.held_bytes, machine.device.calls["upload"]
        engine.frame_step(run_of(10), [REMEMBERING], lambda: 0)
        uploads = machine.device.calls["upload"] - before
        for nth in range(uploads):
            machine.device.fail("upload", nth, CudaError("no more of it"))
            with pytest.raises(EngineError, match="tensorrt: no more of it"):
                engine.frame_step(run_of(8), [REMEMBERING], lambda: 0)
            assert machine.device.held_bytes == held, nth

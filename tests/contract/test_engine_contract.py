"""What every engine promises, whatever is behind it. A new engine passes by adding one line to OPENERS."""

from __future__ import annotations

import gc
import statistics
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import ENGINES, open_engine
from cathrt.runtime.engines.fake import FakeEngine, Tensors
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.ports import Engine
from tests.engines import gpu
from tests.golden import INPUT, LABELS, OUTPUT, conv_reference, golden_frame

# Three hundred float32 terms of order 1 summed in another order than float64 NumPy does; measured 6e-7 at most.
TOLERANCE = 1e-5


def _compute(inputs: Tensors, outputs: Tensors) -> None:
    outputs[OUTPUT][...] = conv_reference(inputs[INPUT])


Bucket = dict[str, int] | None
Frames = Callable[..., NDArray[np.float32]]


def _fake(bundle: Bundle, bucket: Bucket) -> Engine:
    network = bundle.manifest.network(CLASSIFIER)
    return FakeEngine(network.input_specs(bucket or {}), network.output_specs(bucket or {}), _compute)


OPENERS: dict[str, Callable[[Bundle, Bucket], Engine]] = {
    "openvino": lambda bundle, bucket: open_engine("openvino", bundle, CLASSIFIER, EngineConfig(threads=1), bucket),
    "onnxruntime": lambda bundle, bucket: open_engine(
        "onnxruntime", bundle, CLASSIFIER, EngineConfig(threads=1), bucket
    ),
    # On a fake device with a fake TensorRT or onnxruntime-gpu: the engine's own half of the contract.
    "onnxruntime on cuda": lambda bundle, bucket: open_engine(
        "onnxruntime", bundle, CLASSIFIER, EngineConfig(threads=1, provider="cuda"), bucket
    ),
    "tensorrt-rtx": lambda bundle, bucket: open_engine("tensorrt-rtx", bundle, CLASSIFIER, EngineConfig(), bucket),
    "tensorrt": lambda bundle, bucket: open_engine("tensorrt", bundle, CLASSIFIER, EngineConfig(), bucket),
    "fake": _fake,
}
ON_THIS_CPU = ("openvino", "onnxruntime")  # fakes allocate what their functions allocate
BUCKETS: dict[str, Bucket] = {"fixed": None, "N=1": {"N": 1}, "N=4": {"N": 4}}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Bundle]:
    """By whether the shapes are open."""
    folder = tmp_path_factory.mktemp("contract")
    return {False: gpu.bundle_with_plans(folder / "fixed"), True: gpu.bundle_with_buckets(folder / "open")}


@pytest.fixture(params=BUCKETS, autouse=True)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    chosen = BUCKETS[request.param]
    gpu.machine(monkeypatch, profiles=[] if chosen is None else [(1, 1, 1), (2, 4, 8)])
    return chosen


@pytest.fixture
def bundle(bundles: dict[bool, Bundle], bucket: Bucket) -> Bundle:
    return bundles[bucket is not None]


@pytest.fixture
def frames(bucket: Bucket) -> Frames:
    """Makes as many frames of noise as the bucket holds, (N, 3, H, W)."""
    count = bucket["N"] if bucket else 1
    return lambda seed=0: np.concatenate([golden_frame(seed + 1000 * number) for number in range(count)])


@pytest.fixture(params=OPENERS)
def open_one(request: pytest.FixtureRequest, bundle: Bundle, bucket: Bucket) -> Callable[[], Engine]:
    return lambda: OPENERS[request.param](bundle, bucket)


@pytest.fixture
def engine(open_one: Callable[[], Engine]) -> Iterator[Engine]:
    opened = open_one()
    yield opened
    opened.close()


def test_every_engine_of_the_table_is_under_this_contract() -> None:
    assert set(ENGINES) | {"fake", "onnxruntime on cuda"} == set(OPENERS)


def test_name_and_tensors_are_those_of_table_and_manifest(engine: Engine, bundle: Bundle, bucket: Bucket) -> None:
    assert engine.name in OPENERS
    assert engine.inputs == bundle.manifest.network(CLASSIFIER).input_specs(bucket or {})
    assert engine.outputs == bundle.manifest.network(CLASSIFIER).output_specs(bucket or {})


@pytest.mark.parametrize("seed", range(3))
def test_results_agree_with_numpy(engine: Engine, seed: int, frames: Frames) -> None:
    frame = frames(seed)
    logits = engine.infer({INPUT: frame})[OUTPUT]
    assert (logits.shape, logits.dtype) == ((len(frame), LABELS), np.float32)
    np.testing.assert_allclose(logits, conv_reference(frame), rtol=0, atol=TOLERANCE)


def test_the_same_frame_gives_the_same_bits(engine: Engine, frames: Frames) -> None:
    first = engine.infer({INPUT: frames(1)})[OUTPUT].copy()
    engine.infer({INPUT: frames(2)})
    assert engine.infer({INPUT: frames(1)})[OUTPUT].tobytes() == first.tobytes()


def test_input_buffers_are_page_aligned_and_of_the_input_specs(engine: Engine) -> None:
    assert list(engine.input_buffers) == [spec.name for spec in engine.inputs]
    for spec in engine.inputs:
        buffer = engine.input_buffers[spec.name]
        assert (buffer.shape, buffer.dtype) == (spec.shape, np.dtype(spec.dtype))
        assert buffer.flags.c_contiguous
        assert buffer.flags.writeable
        assert buffer.ctypes.data % 4096 == 0


def test_a_frame_written_into_the_buffer_and_a_frame_fed_give_the_same(engine: Engine, frames: Frames) -> None:
    fed = engine.infer({INPUT: frames(3)})[OUTPUT].copy()
    engine.input_buffers[INPUT].fill(0)
    blank = engine.infer(engine.input_buffers)[OUTPUT].copy()
    engine.input_buffers[INPUT][...] = frames(3)
    assert engine.infer(engine.input_buffers)[OUTPUT].tobytes() == fed.tobytes()
    assert blank.tobytes() != fed.tobytes()


def test_a_fed_array_is_left_alone(engine: Engine, frames: Frames) -> None:
    frame = frames(4)
    frame.flags.writeable = False
    engine.infer({INPUT: frame})
    assert frame.tobytes() == frames(4).tobytes()


def test_a_frame_of_any_stride_may_be_fed(engine: Engine, frames: Frames) -> None:
    frame = frames(5)
    expected = engine.infer({INPUT: frame})[OUTPUT].copy()
    channels_last = np.ascontiguousarray(frame.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not channels_last.flags.c_contiguous
    assert engine.infer({INPUT: channels_last})[OUTPUT].tobytes() == expected.tobytes()


def test_buffers_and_outputs_stay_the_same_objects(engine: Engine, frames: Frames) -> None:
    buffer, first = engine.input_buffers[INPUT], engine.infer({INPUT: frames(0)})
    output, address = first[OUTPUT], first[OUTPUT].ctypes.data
    for seed in range(5):
        result = engine.infer({INPUT: frames(seed)})
        assert result[OUTPUT] is output
        assert result[OUTPUT].ctypes.data == address
        assert engine.input_buffers[INPUT] is buffer


@pytest.mark.parametrize("open_one", ON_THIS_CPU, indirect=True)
def test_engines_that_run_networks_allocate_nothing_per_call(engine: Engine) -> None:
    feeds = engine.input_buffers
    for _ in range(200):
        engine.infer(feeds)
    gc.collect()
    tracemalloc.start()
    try:
        peaks = []
        start, _ = tracemalloc.get_traced_memory()
        for _ in range(500):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            engine.infer(feeds)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A copy of the input would be 15,360 bytes; what is left are Python's own call frames. `peaks` is in the growth.
    assert statistics.median(peaks) < 1024
    assert max(peaks) < 4096
    assert end - start < 500 * 64


MISFITS: dict[str, tuple[Callable[[NDArray[np.float32]], Tensors], str]] = {
    "missing": (lambda _: {}, r"fed \[\], expected exactly \['frame'\]"),
    "other name": (lambda frame: {"image": frame}, r"fed \['image'\]"),
    "extra": (lambda frame: {INPUT: frame, "mask": frame}, r"fed \['frame', 'mask'\]"),
    "rank": (lambda frame: {INPUT: frame[0]}, r"fed \(3, 32, 40\) float32, expected \(N, 3, 32, 40\) float32"),
    "one frame more": (
        lambda frame: {INPUT: np.concatenate([frame, frame[:1]])},
        r"float32, expected \(N, 3, 32, 40\)",
    ),
    "channels": (lambda frame: {INPUT: frame[:, :1]}, r"fed \(N, 1, 32, 40\)"),
    "transposed": (lambda frame: {INPUT: frame.transpose(0, 1, 3, 2)}, r"fed \(N, 3, 40, 32\)"),
    "float64": (lambda frame: {INPUT: frame.astype(np.float64)}, "float64, expected"),
    "uint8": (lambda frame: {INPUT: np.zeros(frame.shape, np.uint8)}, "uint8, expected"),
    "byte order": (lambda frame: {INPUT: frame.astype(">f4")}, ">f4, expected"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_feed_that_does_not_fit_is_refused_and_the_engine_goes_on(
    engine: Engine, frames: Frames, misfit: str
) -> None:
    make, message = MISFITS[misfit]
    with pytest.raises(EngineError, match=message.replace("N", str(len(frames())))):
        engine.infer(make(frames()))
    frame = frames(6)
    np.testing.assert_allclose(engine.infer({INPUT: frame})[OUTPUT], conv_reference(frame), rtol=0, atol=TOLERANCE)


def test_a_frame_that_is_not_finite_shows_in_the_output(engine: Engine, frames: Frames) -> None:
    frame = frames()
    frame[0, :, 5, 5] = np.inf
    with np.errstate(invalid="ignore"):  # inf - inf, in the fake's NumPy
        assert not np.isfinite(engine.infer({INPUT: frame})[OUTPUT]).all()


def test_a_closed_engine_refuses_to_infer(open_one: Callable[[], Engine], frames: Frames) -> None:
    engine = open_one()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer({INPUT: frames()})


def test_closing_twice_is_closing_once(open_one: Callable[[], Engine]) -> None:
    engine = open_one()
    engine.close()
    engine.close()


def test_arrays_of_a_closed_engine_stay_readable(open_one: Callable[[], Engine], frames: Frames) -> None:
    engine = open_one()
    frame = frames(7)
    buffer, output = engine.input_buffers[INPUT], engine.infer({INPUT: frame})[OUTPUT]
    engine.close()
    del engine
    gc.collect()
    assert buffer.tobytes() == frame.tobytes()
    np.testing.assert_allclose(output, conv_reference(frame), rtol=0, atol=TOLERANCE)


def test_two_engines_do_not_disturb_each_other(open_one: Callable[[], Engine], frames: Frames) -> None:
    one, other = open_one(), open_one()
    first = one.infer({INPUT: frames(8)})[OUTPUT]
    second = other.infer({INPUT: frames(9)})[OUTPUT]
    assert not np.shares_memory(one.input_buffers[INPUT], other.input_buffers[INPUT])
    np.testing.assert_allclose(first, conv_reference(frames(8)), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(second, conv_reference(frames(9)), rtol=0, atol=TOLERANCE)
    other.close()
    one.infer({INPUT: frames(9)})
    np.testing.assert_allclose(first, conv_reference(frames(9)), rtol=0, atol=TOLERANCE)
    one.close()

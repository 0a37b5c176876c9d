"""What every sized engine promises, whatever is behind it. A new one passes by adding one line to OPENERS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import SIZED_ENGINES, open_sized_engine
from cathrt.runtime.engines.sized import Tensors
from cathrt.runtime.engines.sized_fake import FakeSizedEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.ports import SizedEngine
from tests.engines import gpu
from tests.golden import INPUT, LABELS, OUTPUT, conv_reference, golden_frame

TOLERANCE = 1e-5  # as in test_engine_contract.py
SIZES = (1, 4, 9)
ONE_THREAD = EngineConfig(threads=1)


def _compute(inputs: Tensors, outputs: Tensors) -> None:
    outputs[OUTPUT][...] = conv_reference(inputs[INPUT])


def _fake(bundle: Bundle) -> SizedEngine:
    network = bundle.manifest.network(CLASSIFIER)
    return FakeSizedEngine(network.inputs, network.outputs, network.buckets, _compute)


# Has one network of its own, a decoder, which is none of these: tests of its own hold it to the port.
ELSEWHERE = {"cathrt"}
OPENERS: dict[str, Callable[[Bundle], SizedEngine]] = {
    "openvino": lambda bundle: open_sized_engine("openvino", bundle, CLASSIFIER, ONE_THREAD),
    "onnxruntime": lambda bundle: open_sized_engine("onnxruntime", bundle, CLASSIFIER, ONE_THREAD),
    "fake": _fake,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return gpu.bundle_with_buckets(tmp_path_factory.mktemp("contract") / "bundle", SIZES)


@pytest.fixture(params=OPENERS)
def open_one(request: pytest.FixtureRequest, bundle: Bundle) -> Callable[[], SizedEngine]:
    return lambda: OPENERS[request.param](bundle)


@pytest.fixture
def engine(open_one: Callable[[], SizedEngine]) -> Iterator[SizedEngine]:
    opened = open_one()
    yield opened
    opened.close()


def frames(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.concatenate([golden_frame(seed + number) for number in range(count)])


def test_every_sized_engine_of_the_table_is_under_this_contract() -> None:
    assert set(SIZED_ENGINES) - ELSEWHERE | {"fake"} == set(OPENERS)


def test_name_tensors_and_buckets_are_those_of_table_and_manifest(engine: SizedEngine, bundle: Bundle) -> None:
    network = bundle.manifest.network(CLASSIFIER)
    assert engine.name in OPENERS
    assert (engine.inputs, engine.outputs, engine.buckets) == (network.inputs, network.outputs, network.buckets)


def test_one_engine_runs_in_all_buckets_in_any_order(engine: SizedEngine) -> None:
    for number, count in enumerate((4, 1, 9, 1, 4, 9)):
        given = frames(count, number)
        logits = engine.run({INPUT: given})[OUTPUT]
        assert (logits.shape, logits.dtype) == ((count, LABELS), np.float32)
        np.testing.assert_allclose(logits, conv_reference(given), rtol=0, atol=TOLERANCE)


def test_the_same_feed_gives_the_same_bits_whatever_ran_between(engine: SizedEngine) -> None:
    first = engine.run({INPUT: frames(4, 1)})[OUTPUT].copy()
    engine.run({INPUT: frames(9, 2)})
    engine.run({INPUT: frames(1, 3)})
    assert engine.run({INPUT: frames(4, 1)})[OUTPUT].tobytes() == first.tobytes()


def test_an_array_that_is_changed_in_place_is_read_anew(engine: SizedEngine) -> None:
    """So are the caches of a decoder."""
    given = frames(4, 1)
    engine.run({INPUT: given})
    given[...] = frames(4, 2)
    np.testing.assert_allclose(engine.run({INPUT: given})[OUTPUT], conv_reference(given), rtol=0, atol=TOLERANCE)


def test_a_fed_array_is_left_alone_also_one_that_is_read_only(engine: SizedEngine) -> None:
    given = frames(4, 4)
    given.flags.writeable = False
    logits = engine.run({INPUT: given})[OUTPUT]
    np.testing.assert_allclose(logits, conv_reference(given), rtol=0, atol=TOLERANCE)
    assert given.tobytes() == frames(4, 4).tobytes()


def test_an_array_that_is_gone_is_not_read(engine: SizedEngine) -> None:
    engine.run({INPUT: frames(9, 5)})
    given = frames(9, 6)
    np.testing.assert_allclose(engine.run({INPUT: given})[OUTPUT], conv_reference(given), rtol=0, atol=TOLERANCE)


def test_an_array_of_any_stride_may_be_fed(engine: SizedEngine) -> None:
    given = frames(4, 5)
    channels_last = np.ascontiguousarray(given.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not channels_last.flags.c_contiguous
    logits = engine.run({INPUT: channels_last})[OUTPUT]
    np.testing.assert_allclose(logits, conv_reference(given), rtol=0, atol=TOLERANCE)


MISFITS: dict[str, tuple[Callable[[], Tensors], str]] = {
    "missing": (lambda: {}, r"fed \[\], expected exactly \['frame'\]"),
    "extra": (lambda: {INPUT: frames(1), "mask": frames(1)}, r"fed \['frame', 'mask'\]"),
    "rank": (lambda: {INPUT: frames(1)[0]}, r"fed \(3, 32, 40\) float32, expected \('N', 3, 32, 40\) float32"),
    "channels": (lambda: {INPUT: frames(1)[:, :1]}, r"fed \(1, 1, 32, 40\)"),
    "no bucket": (lambda: {INPUT: frames(5)}, r"fed sizes {'N': 5}, which are no bucket of the network: pad to one"),
    "float64": (lambda: {INPUT: frames(1).astype(np.float64)}, "float64, expected"),
    "byte order": (lambda: {INPUT: frames(1).astype(">f4")}, ">f4, expected"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_feed_that_does_not_fit_is_refused_and_the_engine_goes_on(engine: SizedEngine, misfit: str) -> None:
    make, message = MISFITS[misfit]
    with pytest.raises(EngineError, match=message):
        engine.run(make())
    given = frames(4, 6)
    np.testing.assert_allclose(engine.run({INPUT: given})[OUTPUT], conv_reference(given), rtol=0, atol=TOLERANCE)


def test_a_closed_engine_refuses_to_run_and_closing_twice_is_closing_once(engine: SizedEngine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({INPUT: frames(1)})


def test_two_engines_do_not_disturb_each_other(open_one: Callable[[], SizedEngine]) -> None:
    one, other = open_one(), open_one()
    first = one.run({INPUT: frames(4, 8)})[OUTPUT]
    second = other.run({INPUT: frames(4, 9)})[OUTPUT]
    np.testing.assert_allclose(first, conv_reference(frames(4, 8)), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(second, conv_reference(frames(4, 9)), rtol=0, atol=TOLERANCE)
    other.close()
    one.run({INPUT: frames(4, 9)})
    one.close()

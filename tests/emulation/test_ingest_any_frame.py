"""CUDA ingest and histogram on frames drawn at random, in emulation: any size to any size, any spans, any pitch.

The fixed cases that every build runs: exercise_ingest.py, exercise_histogram.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cathrt.kernels._kernels import History
from tests.emulation import exercise_histogram, exercise_ingest
from tests.emulation.exercise_histogram import noise
from tests.emulation.exercise_ingest import percentile_case
from tests.emulation.stream import EmulatedStream, emulated


@pytest.fixture(scope="module")
def stream() -> Iterator[EmulatedStream]:
    with emulated("plain") as opened:
        yield opened


def histories() -> st.SearchStrategy[History]:
    weight = st.floats(2.0**-6, 1.0, width=32)
    channels = st.tuples(*[st.sampled_from(["grey", "contrast", "change"])] * 3)
    return st.builds(History, channels.filter(lambda names: set(names) != {"grey"}), weight, weight, weight)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_frame_any_spans_any_pitch_agree_with_the_reference(stream: EmulatedStream, data: Any) -> None:
    shape = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    bits = data.draw(st.integers(1, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pixels = noise(rng, shape, np.uint8 if bits <= 8 and data.draw(st.booleans()) else np.uint16)
    if data.draw(st.booleans()):
        pixels &= pixels.dtype.type(data.draw(st.integers(0, 255)))
    exposed = None
    if data.draw(st.booleans()):
        exposed = np.sort(rng.integers(0, shape[1] + 1, (shape[0], 2)), axis=1).astype(np.int32)
    lies = {
        "gap": data.draw(st.integers(0, 9)) * pixels.itemsize,
        "offset": data.draw(st.integers(0, 9)) * pixels.itemsize,
        "bottom_up": data.draw(st.booleans()),
    }
    element = data.draw(st.sampled_from(["float32", "float16", "int8"]))
    exercise_ingest.check(
        stream,
        percentile_case(
            pixels,
            bits,
            exposed=exposed,
            descending=data.draw(st.booleans()),
            invert=data.draw(st.booleans()),
            size=data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70))),
            channels_last=data.draw(st.booleans()),
            element=element,
            scale=0.02 if element == "int8" else 1.0,
            history=data.draw(st.none() | histories()),
            **lies,
        ),
    )
    if exposed is None or (exposed[:, 1] > exposed[:, 0]).any():
        low = data.draw(st.floats(0.0, 99.0))
        high = data.draw(st.floats(low + 0.5, 100.0))
        exercise_histogram.check(
            stream, exercise_histogram.Case(pixels, bits, exposed, percentiles=(low, high), **lies)
        )
    stream.close()


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 65535), (1, 22)), ((65535, 2), (22, 1)), ((1, 65535), (3, 40)), ((3, 4099), (224, 5))],
    ids=str,
)
def test_the_longest_rows_and_columns_of_dicom_agree_with_the_reference(
    stream: EmulatedStream, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    pixels = noise(np.random.default_rng(sum(shape)), shape, np.uint16)
    exercise_ingest.check(stream, percentile_case(pixels, 16, size=size))
    stream.close()

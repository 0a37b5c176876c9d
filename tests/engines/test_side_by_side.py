"""OpenVINO with several inferences under way: the same numbers, to the last bit, as one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.engines.openvino import OpenVinoEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER

INPUTS = np.random.default_rng(5).normal(0.4, 0.2, (8, 1, 3, 224, 224)).astype(np.float32)


def opened(threads: int, *, side_by_side: bool) -> OpenVinoEngine:
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    engine = open_engine("openvino", bundle, CLASSIFIER, EngineConfig(threads=threads), side_by_side=side_by_side)
    assert isinstance(engine, OpenVinoEngine)
    return engine


@pytest.mark.parametrize(("threads", "requests"), [(1, 2), (2, 3), (9, 5)])
def test_one_request_more_than_streams_and_the_same_outputs(threads: int, requests: int) -> None:
    alone, engine = opened(threads, side_by_side=False), opened(threads, side_by_side=True)
    assert (len(alone.requests), len(engine.requests)) == (1, requests)
    found = []
    for first in range(0, len(INPUTS), requests):
        under_way = list(zip(engine.requests, INPUTS[first : first + requests]))  # noqa: B905 - the last round is short
        for request, image in under_way:
            request.input_buffers["image"][...] = image
            request.start()
        found += [{name: array.copy() for name, array in request.wait().items()} for request, _ in under_way]
    for image, outputs in zip(INPUTS, found, strict=True):
        for name, expected in alone.infer({"image": image}).items():
            np.testing.assert_array_equal(outputs[name], expected)
    alone.close()
    engine.close()


def test_an_inference_that_was_given_up_leaves_the_next_one_right() -> None:
    engine = opened(2, side_by_side=True)
    request = engine.requests[0]
    request.input_buffers["image"][...] = INPUTS[0]
    request.start()
    request.start()
    given_up = request.wait()["logits"].copy()
    np.testing.assert_array_equal(engine.infer({"image": INPUTS[0]})["logits"], given_up)
    engine.close()


def test_an_engine_that_is_closed_with_inferences_under_way_ends_them() -> None:
    engine = opened(2, side_by_side=True)
    for request in engine.requests:
        request.start()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer({"image": INPUTS[0]})

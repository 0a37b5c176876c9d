"""Every op's CUDA kernels, run on the CPU, agree with the reference and the CPU twin, and no sanitizer complains."""

from __future__ import annotations

import pytest

from tests.emulation.ops import OPS
from tests.emulation.stream import emulated


@pytest.mark.parametrize("build", ["plain", "address", "thread"])
@pytest.mark.parametrize("op", OPS)
def test_small_cases_agree_with_the_reference(op, build):
    with emulated(build) as stream:
        OPS[op].exercise.small(stream)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize("op", OPS)
def test_the_order_of_threads_changes_nothing(op, seed):
    with emulated("plain", seed=seed) as stream:
        OPS[op].exercise.small(stream)


# ThreadSanitizer is left out: at this size it takes minutes, and no kernel does more in a large frame than in a small.
@pytest.mark.parametrize("build", ["plain", pytest.param("address", marks=pytest.mark.slow)])
@pytest.mark.parametrize("op", OPS)
def test_full_frames_agree_with_the_reference(op, build):
    with emulated(build) as stream:
        OPS[op].exercise.full_frame(stream)

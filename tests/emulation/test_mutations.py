"""Every barrier, bound test, atomic and fence of the CUDA kernels is needed, and its op's exercise would miss it."""

from __future__ import annotations

import time

import pytest

from tests.emulation import mutation
from tests.emulation.build import BUILDS, KERNELS, missing
from tests.emulation.ops import OPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("op", OPS)
def test_whatever_is_broken_in_a_kernel_is_noticed(op):
    for build in BUILDS:
        if (why := missing(build)) is not None:
            pytest.skip(f"emulation build {build!r}: {why}")
    exercise, sources = OPS[op]
    started = time.monotonic()
    sites = mutation.sites_of([KERNELS / source for source in sources])
    executed = {site for site in mutation.executed_sites(exercise.small) if site.split()[1].split(":")[0] in sources}
    assert executed == {*sites.tested, *sites.equivalent}, "the exercise must reach what the source has, and no other"
    outcomes = mutation.try_all(exercise.small, sites.tested)
    told = mutation.report(op, outcomes, sites.equivalent, time.monotonic() - started)
    print(told)
    assert all(outcome.noticed_by for outcome in outcomes), told

"""Every decision that a kernel's source takes is held by its op's exercise: taken wrongly, it is noticed."""

from __future__ import annotations

import time

import pytest

from tests.emulation import decision
from tests.emulation.build import KERNELS, missing

CHANGES = decision.listed()


def test_every_kernel_source_has_its_list():
    assert set(CHANGES) == {path.name for path in KERNELS.glob("*.cu")} | {"tensor.cuh"}


def test_a_change_of_what_no_longer_stands_in_the_source_is_refused(tmp_path):
    path = tmp_path / "clip.cu.txt"
    path.write_text("# a comment\n\nno such text => something else\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"clip.cu.txt:3: 'no such text' stands 0 times in clip.cu"):
        decision.read(path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", CHANGES)
def test_whatever_is_decided_wrongly_in_a_kernel_is_noticed(source):
    for build in ("plain", "address"):
        if (why := missing(build)) is not None:
            pytest.skip(f"emulation build {build!r}: {why}")
    started = time.monotonic()
    outcomes = decision.try_all(CHANGES[source])
    told = decision.report(outcomes, time.monotonic() - started)
    print(told)
    assert all(outcome.noticed_by for outcome in outcomes), told

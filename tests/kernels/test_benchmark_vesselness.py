"""The benchmark of the vesselness: every variant finds the reference's number, and what does not is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kernel_ops import vesselness
from benchmarks.kernel_ops.ingest import Case, angiogram_like

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the peers


@pytest.mark.parametrize("case", [Case("small", 256, 8), Case("halved", 512, 12)], ids=lambda case: case.name)
def test_every_variant_finds_the_same(case):
    pixels = angiogram_like(np.random.default_rng(1), case)
    variants = vesselness.variants(case)
    assert len(variants) == 4
    for name, variant in variants.items():
        vesselness.check(case, name, variant, pixels)


def test_a_variant_that_finds_something_else_is_turned_away():
    case = Case("small", 256, 12)
    pixels = angiogram_like(np.random.default_rng(1), case)
    ours = vesselness.variants(case)["cathrt"]
    with pytest.raises(ValueError, match=r"small off: 0.\d+, expected 0.\d+"):
        vesselness.check(case, "off", lambda pixels: 1.001 * ours(pixels), pixels)

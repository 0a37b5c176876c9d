"""The benchmarks of temporal filter and mask subtraction: every variant does the same, and what does not is noticed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kernel_ops import subtraction, temporal

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the peers


@pytest.mark.parametrize("bits", [8, 12])
def test_every_temporal_variant_filters_alike(bits):
    case = temporal.Case("small", 96, bits)
    frames = temporal.fluoroscopy(case)
    for name, variant in temporal.variants(case).items():
        temporal.check(case, name, variant, frames, temporal.truth(case, name, frames))


def test_a_constant_gain_is_not_taken_for_the_adaptive_filter():
    case = temporal.Case("small", 96, 12)
    frames = temporal.fluoroscopy(case)
    with pytest.raises(ValueError, match="small constant: off by"):
        temporal.check(case, "constant", temporal.opencv_constant(case), frames, temporal.truth(case, "", frames))


@pytest.mark.parametrize("relationship", ["LIN", "LOG"])
@pytest.mark.parametrize("bits", [8, 12])
def test_every_subtraction_variant_subtracts_alike(bits, relationship):
    case = subtraction.Case("small", 96, bits, relationship)
    masks, live = frames_of(case)
    expected = subtraction.truth(case, masks, live)
    variants = subtraction.variants(case, masks)
    assert len(variants) >= 5
    for name, variant in variants.items():
        subtraction.check(case, name, variant, live, expected)


def test_an_unshifted_mask_is_turned_away():
    case = subtraction.Case("small", 96, 12)
    masks, live = frames_of(case)
    mask = np.mean(masks, axis=0)
    with pytest.raises(ValueError, match="small unshifted: off by"):
        subtraction.check(
            case,
            "unshifted",
            lambda pixels, out: np.copyto(out, case.gain * (pixels - mask) + 2048.0, casting="unsafe"),
            live,
            subtraction.truth(case, masks, live),
        )


def frames_of(case):
    rng = np.random.default_rng(2)
    return [subtraction.angiogram(rng, case, 0.0) for _ in range(2)], subtraction.angiogram(rng, case, 0.6)

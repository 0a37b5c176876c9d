"""The benchmark's own honesty: what it times computes the tensor, and what does not is turned away."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.kernel_ops import histogram
from benchmarks.kernel_ops import ingest as kernels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the peers


@pytest.mark.parametrize("case", kernels.CASES, ids=lambda case: case.name)
def test_every_variant_computes_the_same_tensor(case):
    pixels = kernels.angiogram_like(np.random.default_rng(1), case)
    expected = kernels.truth(case, pixels)
    variants = {"cathrt": kernels.ours(case)} | kernels.opencv_variants(case) | kernels.other_variants(case)
    assert len(variants) >= 5
    for name, variant in variants.items():
        kernels.check(case, name, variant, pixels, expected)


@pytest.mark.parametrize("case", kernels.HISTORY_CASES, ids=lambda case: case.name)
def test_a_run_with_a_history_is_checked_frame_by_frame_and_compared_with_one_without(case):
    frames = kernels.frames_of(case)[:3]
    kernels.check_history(case, kernels.ours(case, kernels.HISTORY), frames)
    with pytest.raises(ValueError, match=r"history frame 0: off by .*, expected at most 2e-5"):
        kernels.check_history(case, kernels.ours(case), frames)
    samples = {name: measure.Samples([0], [took]) for name, took in (("cathrt", 30), ("plain", 20), ("limit", 10))}
    ratios = kernels.figures({case.name: samples})
    assert ratios == {f"ingest_{case.name}_vs_plain": 1.5, f"ingest_{case.name}_vs_limit": 3.0}


@pytest.mark.parametrize("case", histogram.CASES, ids=lambda case: case.name)
def test_every_variant_counts_the_same(case):
    pixels = kernels.frames_of(case)[0]
    expected = np.bincount(pixels.ravel(), minlength=1 << case.bits)
    for name, variant in histogram.variants_of(case).items():
        np.testing.assert_array_equal(variant(pixels), expected, err_msg=name)


def test_frames_of_a_run_are_alike_and_never_the_same():
    alike, unlike = (kernels.frames_of(kernels.Case("x", 128, 12, alike=alike)) for alike in (True, False))
    means = [np.std([frame.mean() for frame in frames]) for frames in (alike, unlike)]
    assert means[0] < means[1] / 2
    assert all((a != b).any() for a, b in pairwise(alike))


def test_a_variant_that_computes_something_else_is_turned_away():
    case = kernels.CASES[0]
    pixels = kernels.angiogram_like(np.random.default_rng(1), case)
    with pytest.raises(ValueError, match="opencv_none: grey off by"):
        kernels.check(case, "opencv_none", lambda _, out: out.fill(0.0), pixels, kernels.truth(case, pixels))
    slightly = kernels.ours(case)

    def shifted(pixels, out):
        slightly(pixels, out)
        out += 1e-4

    with pytest.raises(ValueError, match="cathrt: off by"):
        kernels.check(case, "cathrt", shifted, pixels, kernels.truth(case, pixels))


def test_each_round_calls_every_variant_once_and_warm_up_is_dropped():
    calls: list[tuple[str, int]] = []
    variants = {name: lambda number, name=name: calls.append((name, number)) for name in "abc"}
    samples = measure.interleave(variants, rounds=7, warm_up=2)
    assert sorted(calls) == [(name, number) for name in "abc" for number in range(9)]
    assert all(len(s.took_ns) == len(s.began_ns) == 7 for s in samples.values())


def test_a_sample_is_stalled_only_if_it_overlaps_a_stall():
    with measure.Heartbeat() as heartbeat:
        pass
    heartbeat.stalls = [(100, 200)]
    samples = measure.Samples(began_ns=[0, 50, 150, 200], took_ns=[100, 60, 10, 5])
    assert heartbeat.hits(samples) == 2

"""The study reader's benchmark: its peers compute the same network, its limit is the work that there is."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks import study
from benchmarks.compute_limit import product_flops
from benchmarks.engines import elements_here
from benchmarks.study_peers import PEERS, Work, work_of
from benchmarks.study_rewritten import RewrittenEncoder
from cathrt.export.models.study.drawn import drawn_weights
from cathrt.export.models.study.graphs.encoder import encoder_graph
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.reference import reference_modules
from cathrt.export.models.study.shape import MVIT_V2_MINI, MVIT_V2_S
from cathrt.runtime.engines.cpu import cpu_flags
from tests.conftest import ROOT

SMALL = drawn_weights(MVIT_V2_MINI, HeadShape((("one", 1),), 16, MVIT_V2_MINI.features))


def test_the_rewritten_peer_is_the_network() -> None:
    encoder, _ = reference_modules(SMALL)
    clips = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 16, 112, 112), np.float32))
    with torch.inference_mode():
        torch.testing.assert_close(RewrittenEncoder(MVIT_V2_MINI, encoder)(clips), encoder(clips), rtol=0, atol=2e-5)


@pytest.mark.slow
def test_the_published_encoder_is_as_much_work_as_counted_elsewhere() -> None:
    weights = drawn_weights(MVIT_V2_S, HeadShape((("one", 1),), 16))
    work = work_of(encoder_graph(MVIT_V2_S, weights.tensors, 1))
    assert work.linears / 2e9 == pytest.approx(47.9, rel=0.02)
    assert (work.linears + work.rest) / 2e9 == pytest.approx(64.2, rel=0.03)


def test_limits_are_the_work_at_the_pace_of_the_best_product() -> None:
    flops = product_flops(10)
    times = {
        "product_torch_fp32": np.array([4.0, 4.0]),
        "product_openvino_fp32": np.array([2.0, 2.0]),
        "product_torch_bf16": np.array([3.0, 3.0]),
        "product_openvino_int8": np.array([1.0, 1.0]),
    }
    found = study.limits(times, 10, Work(linears=3 * flops, rest=flops))
    assert {name: values.tolist() for name, values in found.items()} == {
        "limit_fp32": [8.0, 8.0],
        "limit_bf16": [12.0, 12.0],
        "limit_int8": [5.0, 5.0],  # the rest in float32, which is faster here than bfloat16
    }


def test_ratios_take_the_fastest_that_is_within_its_bound() -> None:
    times = {
        "torch_bf16": np.array([900.0]),
        "torch_bf16_rewritten": np.array([700.0]),
        "ours_fp32": np.array([800.0]),
        "ours_bf16": np.array([450.0]),
        "ours_int8": np.array([300.0]),
        "limit_bf16": np.array([225.0]),
        "limit_int8": np.array([200.0]),
    }
    assert study.ratios(times, frozenset())["clip_vs_torch_bf16"] == pytest.approx(1 / 3)
    assert study.ratios(times, frozenset())["clip_vs_limit"] == pytest.approx(1.5)
    without = study.ratios(times, frozenset({"ours_int8"}))
    assert without["clip_vs_torch_bf16"] == pytest.approx(0.5)
    assert without["clip_vs_limit"] == pytest.approx(2.0)
    assert "clip_vs_openvino_plain" not in without


def test_an_error_without_an_end_is_beyond_every_bound() -> None:
    reference = np.ones((2, 3), np.float32)
    assert study.noise(np.full_like(reference, np.nan), reference) == float("inf")
    assert study.noise(reference * np.float32(1.1), reference) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_run_reports_every_variant_within_its_bound() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.study", "--quick", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=880, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    variants = {row["impl"]: row for row in rows if row["case"] == "clip, mvit_v2_mini"}
    here = elements_here(cpu_flags())
    assert list(variants) == [name for name, peer in PEERS.items() if peer.element in here]
    for row in variants.values():
        assert row["noise"] <= row["bound"]
        assert row["n"] == study.QUICK_ROUNDS
    assert {"clip_vs_torch_bf16", "clip_vs_limit"} <= last["headline"].keys() or "bf16" not in here
    assert last["limits_ms"].keys() == {f"limit_{element}" for element in here}

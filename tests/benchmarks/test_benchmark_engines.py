"""The engines' benchmark: what it times is checked, what it divides by is the network's limit, and turns are fair."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import compute_limit, engine_peers, engines
from benchmarks.compute_limit import check_product, network_flops, operands, product_flops
from benchmarks.engine_peers import PEERS
from benchmarks.turns import Variant, peak_rss_mb, take_turns
from cathrt.export.models.keyframe.checkpoint import random_checkpoint
from cathrt.export.models.keyframe.to_onnx import onnx_from_state
from cathrt.runtime.engines.cpu import cpu_flags, multiplies_bfloat16, rest_here
from tests.conftest import ROOT

HERE = engines.elements_here(cpu_flags())


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a Variant out of the lines that shall stand in its process before it serves."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def make(body: str) -> Variant:
        (tmp_path / "made_up_variant.py").write_text(f"from benchmarks.turns import serve, take_stdout\n{body}\n")
        return Variant("made_up_variant")

    return make


@pytest.mark.slow
def test_the_quick_run_reports_every_variant_and_every_ratio_it_may() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", "--quick", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    variants = {row["impl"]: row for row in rows if row["case"] == "convnext_atto"}
    absent = engines.left_out(HERE, nncf=False)
    assert list(variants) == [name for name in PEERS if name not in absent]
    for name, reason in absent.items():
        assert f"left out: {name}: {reason}" in done.stderr
    products = {row["impl"] for row in rows} - variants.keys()
    assert products == {f"product_{library}_{element}" for library in ("torch", "openvino") for element in HERE}
    for row in rows:
        assert row["n"] == engines.QUICK_ROUNDS
        assert 0 < row["min_ms"] <= row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
    for name, row in variants.items():
        assert row["load_ms"] > 0
        assert row["peak_rss_mb"] > 30
        withheld = row["logit_error"] > row["bound"]
        assert (row["vs_limit"] is None) == withheld == (f"{name}: logits off by" in done.stderr)
    for name in ("torch_fp32", "ort_fp32", "openvino_plain_fp32", "ours_fp32"):
        assert variants[name]["logit_error"] <= 1e-4
    held = {name for name, row in variants.items() if row["vs_limit"] is not None}
    held |= {best for best, prefix in engines.BEST.items() if any(name.startswith(prefix) for name in held)}
    keys = {
        key for key, (ours, other) in engines.RATIOS.items() if ours in held and (other in held or "limit" in other)
    }
    assert set(last["headline"]) == keys | {f"{key}_by_round" for key in keys}
    assert last["gflop"] == pytest.approx(1.094, abs=1e-3)


def test_a_cpu_without_bf16_products_leaves_the_variants_in_bf16_out() -> None:
    assert engines.elements_here(frozenset({"avx2"})) == ("fp32", "int8")
    assert engines.elements_here(frozenset({"avx512_bf16"})) == ("fp32", "bf16", "int8")
    absent = engines.left_out(("fp32", "int8"), nncf=True)
    assert {"torch_bf16", "openvino_plain_bf16", "ours_bf16"} <= absent.keys()
    assert ("ours_int8_bf16_rest" in absent) is not multiplies_bfloat16()
    assert not {"ours_int8", "ours_fp32", "nncf_default"} & absent.keys()


def test_nncf_is_left_out_with_the_option_that_brings_it() -> None:
    absent = engines.left_out(HERE, nncf=False)
    assert [name for name, reason in absent.items() if "--nncf-python" in reason] == [
        "nncf_default",
        "nncf_mixed",
        "nncf_transformer",
    ]


def test_a_python_without_nncf_ends_the_benchmark_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"No module named 'nncf'\), expected an environment with `pip install nncf"):
        engine_peers.write_files(tmp_path, "convnext_atto", Path(sys.executable))


@pytest.mark.slow
@pytest.mark.skipif("CATHRT_NNCF_PYTHON" not in os.environ, reason="set CATHRT_NNCF_PYTHON to a Python with nncf")
def test_nncfs_default_is_a_network_within_the_bound_of_int8(tmp_path: Path) -> None:
    engine_peers.write_files(tmp_path, "convnext_atto", Path(os.environ["CATHRT_NNCF_PYTHON"]))
    frames = np.load(tmp_path / engine_peers.FRAMES)
    logits = {}
    for name in ("torch_fp32", "nncf_default"):
        feed, infer = PEERS[name].open(tmp_path, PEERS[name])
        found = []
        for frame in frames:
            feed(frame)
            found.append(np.array(infer(), np.float64).ravel())
        logits[name] = np.array(found)
    errors, outside = engines.checked(logits)
    assert not outside
    assert errors["nncf_default"] > 1e-3  # it is quantised


def test_the_peers_of_nncf_have_the_rest_that_openvino_takes_by_itself() -> None:
    nncf = [peer for name, peer in PEERS.items() if name.startswith("nncf_")]
    assert [peer.file for peer in nncf] == [f"nncf_{name}.xml" for name in ("default", "mixed", "transformer")]
    assert {peer.rest for peer in nncf} == {rest_here("bfloat16")}


def test_a_variant_beyond_its_bound_is_named_and_so_is_one_that_is_not_finite() -> None:
    reference = np.array([[1.0, -2.0], [0.5, 2.0]])
    logits = {
        "torch_fp32": reference,
        "ort_fp32": reference + 3e-4,  # 1.5e-4 of the largest
        "openvino_plain_fp32": reference + 1e-4,
        "ours_bf16": reference * np.nan,
        "ours_int8": reference + np.array([[0.0, 0.0], [0.21, 0.0]]),
        "ort_int8": reference + 0.19,
    }
    errors, outside = engines.checked(logits)
    assert outside == {"ort_fp32", "ours_bf16", "ours_int8"}
    assert errors["torch_fp32"] == 0
    assert errors["ours_int8"] == pytest.approx(0.105)


def test_ratios_are_of_medians_and_of_rounds_and_withheld_where_a_side_is_wrong_or_missing() -> None:
    times = {
        "ours_int8": np.array([1.0, 2.0, 6.0]),
        "openvino_plain_bf16": np.array([2.0, 8.0, 6.0]),
        "ours_int8_bf16_rest": np.array([9.0, 9.0, 9.0]),
        "nncf_default": np.array([4.0, 4.0, 4.0]),
        "nncf_mixed": np.array([3.0, 3.0, 3.0]),
        "ours_bf16": np.array([3.0, 3.0, 3.0]),
        "ort_fp32": np.array([8.0, 8.0, 8.0]),
    }
    found = engines.ratios(times, frozenset({"ort_fp32", "nncf_mixed"}))
    assert found == {
        "int8_vs_openvino_plain_bf16": pytest.approx(2 / 6),
        "int8_vs_openvino_plain_bf16_by_round": 0.5,
        "int8_vs_best_nncf": 0.5,
        "int8_vs_best_nncf_by_round": 0.5,
        "bf16_vs_openvino_plain_bf16": 0.5,
        "bf16_vs_openvino_plain_bf16_by_round": 0.5,
    }


def test_the_limit_is_the_best_product_of_the_precision_scaled_to_the_network() -> None:
    times = {
        "product_torch_fp32": np.array([9.0, 9.0, 9.0]),
        "product_torch_int8": np.array([1.0, 5.0, 5.0]),
        "product_openvino_int8": np.array([4.0, 4.0, 4.0]),
    }
    found = engines.add_limits(times, flops=product_flops(8) * 3, side=8)
    assert found["limit_fp32"].tolist() == [27.0, 27.0, 27.0]
    assert found["limit_int8"].tolist() == [12.0, 12.0, 12.0]
    assert "limit_bf16" not in found


def test_the_flops_of_a_network_are_those_that_are_published() -> None:
    state = random_checkpoint("convnext_atto", 1000, seed=0).state
    plain = onnx.load_from_string(onnx_from_state(state, height=224, width=224))
    assert network_flops(plain) / 2e9 == pytest.approx(0.55, abs=0.005)  # timm's table of models, multiply-adds


@pytest.mark.parametrize("element", HERE)
@pytest.mark.parametrize("library", ["torch", "openvino"])
def test_every_product_of_the_limit_computes_the_product(library: str, element: compute_limit.Element) -> None:
    make = {"torch": compute_limit.torch_products, "openvino": compute_limit.openvino_products}[library]
    ((made, call),) = make(40, (element,))  # checks itself; not a multiple of any vector's length
    assert made == element
    call()


def test_a_product_that_is_another_one_is_not_timed() -> None:
    left, right = operands(16, "int8")
    product = left.astype(np.int64) @ right.astype(np.int64)
    check_product("right", product, left, right, "int8")
    clipped = np.clip(product, -(2**13), 2**13 - 1)  # 7-bit sums of 16 products lie within 16 bits
    assert (clipped != product).any()
    with pytest.raises(ValueError, match="clipped: product off by"):
        check_product("clipped", clipped, left, right, "int8")


def test_variants_are_called_in_turns_one_untimed_call_before_each_timed_one(child) -> None:
    body = """
calls, answers = [], take_stdout()
serve(answers, {"load_ms": 7.0}, {name: lambda name=name: calls.append(name) for name in "ab"}, lambda _: calls)
"""
    with child(body) as variant:
        assert variant.facts == {"load_ms": 7.0}
        turns = take_turns({"first": (variant, "a"), "second": (variant, "b")}, rounds=3, warm_up=2)
        calls = variant.ask("result")
        assert variant.ask("memory")["peak_rss_mb"] > 1
    assert calls[::2] == calls[1::2]
    assert all({*pair} == {"a", "b"} for pair in zip(calls[::4], calls[2::4], strict=True))
    assert len(calls) == 2 * 2 * (3 + 2)
    for turn in turns.values():
        assert len(turn.samples.took_ns) == len(turn.samples.began_ns) == len(turn.idle_cpu_ns) == 3


def test_a_process_that_burns_the_cpu_while_others_have_their_turn_shows(child) -> None:
    quiet = "serve(take_stdout(), {}, {'call': lambda: None}, str)"
    spin = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()\n"
    sleeper = "import time\nserve(take_stdout(), {}, {'call': lambda: time.sleep(0.05)}, str)"
    burnt = {}
    for name, body in {"quiet": quiet, "spinning": spin + quiet}.items():
        with child(body) as variant, child(sleeper) as other:
            turns = take_turns({"it": (variant, "call"), "other": (other, "call")}, rounds=4, warm_up=1)
        burnt[name] = np.median(turns["it"].idle_cpu_ns) / 1e6
    assert burnt["quiet"] < 5 < burnt["spinning"]


def test_what_a_library_prints_is_no_answer(child) -> None:
    body = 'answers = take_stdout()\nprint("hello from a library")\nserve(answers, {}, {}, lambda text: text.upper())'
    with child(body) as variant:
        assert variant.ask("result", "yes") == "YES"


def test_a_process_that_dies_ends_the_benchmark_with_its_command_and_exit_code(child) -> None:
    with pytest.raises(SystemExit, match="python -m made_up_variant ended with exit code 3"):
        child("raise SystemExit(3)")
    with child("import os\nserve(take_stdout(), {}, {}, lambda _: os._exit(4))") as variant:
        with pytest.raises(SystemExit, match="ended with exit code 4"):
            variant.ask("result")


def test_a_kernel_that_does_not_count_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nVmHWM:\t  2048 kB\n")
    assert peak_rss_mb(tmp_path) == 2.0
    (tmp_path / "proc/self/status").write_text("Name:\tpython\n")
    with pytest.raises(SystemExit, match="has no VmHWM"):
        peak_rss_mb(tmp_path)

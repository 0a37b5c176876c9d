"""The report engine's speed benchmark: true sizes, fair prompts, limits counted right, ratios the right way round."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure, report
from benchmarks.bandwidth_limit import READS, read_call
from benchmarks.report import Taken, best_ours, headline_figures, plan_of
from benchmarks.report_limits import LimitRounds, elements_here, work_of
from benchmarks.report_ours import asked_for, decoder_bytes, make_bundle, targets_of
from benchmarks.report_peers import PEERS, REFERENCE
from benchmarks.report_plan import ENGINES, Plan, made, ours_of, write_prompts
from benchmarks.report_shapes import BEGIN, END, END_OF_TURN, SHAPES
from benchmarks.report_weights import stored_sizes, tensor_sizes, text_of, write_random_model, write_tokenizer
from benchmarks.turns import Turns, Variant
from cathrt.runtime.engines.cpu import rest_here
from tests.conftest import ROOT

MS = 1_000_000
PLAN = Plan("tiny", ours_of(["openvino"], ["int8", "bf16"]), ("llama_cpp_q4_0", "openvino_genai_int4"), 2, 96, 8, 64, 1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder."""
    folder = tmp_path_factory.mktemp("sizes") / "weights"
    write_random_model("tiny", folder)
    return folder


# Weights and prompts


def test_the_weights_have_the_names_and_sizes_that_transformers_asks_for(tiny: Path) -> None:
    assert stored_sizes(tiny) == tensor_sizes(SHAPES["tiny"])


def test_true_sizes_are_those_of_the_published_models() -> None:
    parameters = {}
    for size in ("270m", "1b", "4b"):
        sizes = tensor_sizes(SHAPES[size])
        parameters[size] = sum(int(np.prod(one)) for one in sizes.values())
    assert {size: round(count / 1e6) for size, count in parameters.items()} == {"270m": 268, "1b": 1000, "4b": 4300}


def test_no_token_that_ends_an_answer_can_be_the_likeliest(tiny: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny / "model-00001-of-00001.safetensors", "pt") as stored:
        table = stored.get_tensor("model.language_model.embed_tokens.weight").float()
    assert table[[END, END_OF_TURN]].abs().max() == 0.0
    assert (table.abs().sum(dim=1) == 0.0).sum() == 2


def test_text_that_is_given_for_ids_has_these_ids_for_everybody(tmp_path: Path) -> None:
    from llguidance import LLTokenizer
    from tokenizers import Tokenizer

    shape = SHAPES["tiny"]
    write_tokenizer(shape, tmp_path)
    ids = [*shape.words[:3], 1234, shape.words[-1]]
    document = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert Tokenizer.from_str(document).encode(text_of(ids)).ids == ids
    assert LLTokenizer(document, n_vocab=2048, eos_token=[END]).tokenize_str(text_of(ids)) == ids


def test_no_two_prompts_begin_alike_so_that_nothing_is_computed_before(tmp_path: Path) -> None:
    write_prompts(Plan("4b", (), (), 3), tmp_path / "prompts.json")
    asked = json.loads((tmp_path / "prompts.json").read_text())
    prompts = [*asked["prompts"], asked["warm"], *asked["checks"]]
    assert [len(prompt) for prompt in prompts] == [600] * 4 + [48] * 3 + [600]
    assert {prompt[0] for prompt in prompts} == {BEGIN}
    assert len({prompt[1] for prompt in prompts}) == len(prompts)
    assert all(token in SHAPES["4b"].words for prompt in prompts for token in prompt[1:])


# Files


def test_files_are_made_once_and_what_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    told: list[str] = []

    def break_off(part: Path) -> None:
        part.mkdir()
        (part / "half").touch()
        raise KeyboardInterrupt

    def make(part: Path) -> None:
        part.mkdir()
        (part / "whole").touch()

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "x", break_off, told.append)
    assert not (tmp_path / "x").exists()
    for _ in range(2):
        made(tmp_path / "x", make, told.append)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["whole"]
    assert told == ["making x", "making x"]


def options(*words: str) -> argparse.Namespace:
    before, sys.argv = sys.argv, ["report", *words]
    try:
        return report._options()
    finally:
        sys.argv = before


def test_peers_without_their_environment_are_left_out_by_name() -> None:
    told: list[str] = []
    plan, pythons = plan_of(options("--llama-python", "/x/python"), told.append)
    assert plan.peers == (REFERENCE, "llama_cpp_q4_0", "llama_cpp_q8_0")
    assert pythons == {"llama": Path("/x/python")}
    assert told == [
        f"left out: openvino_genai_{form}: no environment was named: --genai-python PYTHON" for form in ("int4", "int8")
    ]
    assert (plan.size, plan.prompt, plan.tokens, plan.rounds) == ("4b", 600, 150, 3)


def test_the_quick_plan_is_small_and_the_reference_is_always_there() -> None:
    plan, _ = plan_of(options("--quick", "--peers"), lambda _: None)
    assert (plan.size, plan.rounds) == ("tiny", 1)
    assert plan.variants[0] == REFERENCE


# Limits


def test_work_is_counted_as_by_hand() -> None:
    shape = SHAPES["4b"]
    one = work_of(shape, tensor_sizes(shape), 1, {})
    many = work_of(shape, tensor_sizes(shape), 601, {})
    attention = 2 * 34 * 8 * 256 * (601**2 - 1)
    assert (many.prefill_flops - one.prefill_flops - attention) / 600 == pytest.approx(6.42e9, rel=0.01)
    assert one.vision_flops / 2 == pytest.approx(2.73e12, rel=0.02)  # ../shared facts: 2.73 TMAC a picture
    assert work_of(SHAPES["1b"], tensor_sizes(SHAPES["1b"]), 600, {}).vision_flops == 0


def test_limits_are_the_best_pace_of_this_run() -> None:
    limits = LimitRounds(64, 1)
    limits.read_bytes = 1000
    for element in elements_here():
        limits.turns[f"product_torch_{element}"] = turns(4.0)
        limits.turns[f"product_openvino_{element}"] = turns(2.0)
    limits.turns |= {"read_largest": turns(5.0), "read_sum": turns(10.0)}
    work = report.work_of(SHAPES["tiny"], tensor_sizes(SHAPES["tiny"]), 96, {"int8": 3000})
    bounds = limits.bounds(work)
    assert bounds["prefill"] == pytest.approx(2.0 * work.prefill_flops / (2 * 64**3))
    assert bounds["decode_int8"] == pytest.approx(15.0)
    assert bounds["vision"] in {bounds[f"vision_at_{element}"] for element in elements_here()}


def turns(*ms: float) -> Turns:
    return Turns(samples(*ms))


def samples(*ms: float) -> measure.Samples:
    return measure.Samples([0] * len(ms), [round(one * MS) for one in ms])


def test_every_part_of_the_buffer_is_read() -> None:
    buffer = np.arange(1001, dtype=np.float32)
    with ThreadPoolExecutor(2) as pool:
        assert read_call(buffer, "sum", pool)() == buffer.sum()
        assert read_call(buffer, "largest", pool)() == 500.0 + 1000.0


def test_reads_are_timed_in_a_process_of_their_own() -> None:
    with Variant("benchmarks.bandwidth_limit", "4") as process:
        assert process.facts["bytes"] == 4 << 20
        taken = Turns()
        for way in READS:
            process.time(way, taken)
    assert min(taken.samples.took_ns) > 0


# Rows and headline


def taken(vision: float, prefill: float, decode: float, draft: float, rank: int = 0) -> Taken:
    found = Taken(peak_rss_mb=1000.0, load_ms=[1.0], ranks=(rank, 0), tokens=[5, 6, 7])
    times = {"vision": vision, "prefill": prefill, "decode": decode, "draft": draft}
    found.samples = {metric: samples(ms, ms) for metric, ms in times.items() if ms}
    return found


def gathered(**changed: Taken) -> dict[str, Taken]:
    found = {
        REFERENCE: taken(80.0, 10.0, 9.0, 100.0),
        "llama_cpp_q4_0": taken(0.0, 30.0, 3.0, 60.0),
        "openvino_genai_int4": taken(40.0, 40.0, 4.0, 80.0),
        "ours_openvino_int8": taken(20.0, 8.0, 2.0, 30.0),
        "ours_openvino_bf16": taken(15.0, 5.0, 6.0, 50.0),
    }
    return found | changed


BOUNDS = {"vision": 10.0, "prefill": 4.0, "decode_ours_openvino_int8": 1.0, "prefill_at_int8": 2.0}


def test_speeds_are_ours_of_the_best_peer_of_each_and_times_the_other_way_round() -> None:
    found = gathered()
    ours = best_ours(PLAN, found, frozenset())
    assert ours == "ours_openvino_int8"
    figures = headline_figures(PLAN, found, BOUNDS, frozenset(), ours)
    assert figures == {
        "vision_vs_best_peer": 0.5,
        "vision_vs_limit": 2.0,
        "prefill_vs_best_peer": 1.25,
        "prefill_vs_limit": 2.0,
        "decode_vs_best_peer": 1.5,
        "decode_vs_limit": 2.0,
        "draft_vs_best_peer": 0.5,
        "memory_vs_least_peer": 1.0,
        "draft_after_study_s": 0.03,
    }


def test_whoever_answers_as_another_network_is_withheld_on_both_sides() -> None:
    found = gathered(llama_cpp_q4_0=taken(0.0, 1.0, 1.0, 1.0, rank=400))
    outside = frozenset({"llama_cpp_q4_0"})
    assert headline_figures(PLAN, found, BOUNDS, outside, "ours_openvino_int8")["draft_vs_best_peer"] == 0.375
    assert best_ours(PLAN, found, frozenset({"ours_openvino_int8"})) == "ours_openvino_bf16"
    assert best_ours(PLAN, found, frozenset(PLAN.ours)) is None
    assert headline_figures(PLAN, found, BOUNDS, outside, None) == {}


def test_four_bits_of_random_weights_may_be_further_off_than_eight() -> None:
    ranks = {form: report.most_rank(form, 262_144) for form in ("bf16", "int8", "q8_0", "int4", "int4-f32", "q4_0")}
    assert set(ranks.values()) == {262, 2621}
    assert [form for form, rank in ranks.items() if rank == 2621] == ["int4", "int4-f32", "q4_0"]
    assert report.most_rank("bf16", 2048) == 20


def test_a_text_only_model_has_no_figure_of_pictures() -> None:
    found = {name: taken(0.0, 1.0, 1.0, 1.0) for name in PLAN.variants}
    figures = headline_figures(PLAN, found, BOUNDS, frozenset(), PLAN.ours[0])
    assert not [key for key in figures if key.startswith("vision")]


def test_our_process_writes_what_it_is_asked_for_and_computes_each_prompt_anew(tiny: Path) -> None:
    folder = tiny.parent
    plan = Plan("tiny", ("ours_onnxruntime_int8",), (), 1, 96, 4)
    made(plan.bundle(folder, "int8"), lambda part: make_bundle(tiny, "int8", plan.context, part), lambda _: None)
    assert decoder_bytes(plan.bundle(folder, "int8"), "onnxruntime") > 1_000_000
    write_prompts(plan, folder / "prompts.json")
    with Variant("benchmarks.report_peers", plan.ours[0], str(folder), str(folder / "prompts.json"), "-") as process:
        assert process.facts["vision"]
        assert process.ask("result", "vision")["vision_ms"] > 0
        assert len(process.ask("result", "check")["tokens"]) == 4
        process.ask("result", "warm")
        drafted = process.ask("result", "draft:0")
    assert len(drafted["tokens"]) == 4
    assert 0 < drafted["prefill_ms"] < drafted["draft_ms"]
    assert drafted["decode_ms"] * 3 + drafted["prefill_ms"] == pytest.approx(drafted["draft_ms"])


@pytest.mark.parametrize(
    ("form", "precision", "block", "engines"),
    [
        ("bf16", "bfloat16", None, {"openvino"}),
        ("int8", "int8", None, {"cathrt", "openvino", "onnxruntime"}),
        ("int4", "int4", 32, {"cathrt", "openvino", "onnxruntime"}),
        ("int4-f32", "int4", 32, {"openvino"}),
    ],
)
def test_forms_are_asked_of_the_exporter(form: str, precision: str, block: int | None, engines: set[str]) -> None:
    asked = asked_for(Path("weights"), form, 700)
    assert (asked.precision, asked.block, asked.context) == (precision, block, 700)
    assert asked.rest == ("float32" if form in ("bf16", "int4-f32") else rest_here("bfloat16"))
    assert set(targets_of(form)) == engines
    assert set(ours_of(ENGINES, [form])) == {f"ours_{engine}_{form}" for engine in engines}


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_the_quick_run_reports_every_variant_limits_and_ratios(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.report", "--quick", "--precision", "int8", "--json"]
    done = subprocess.run(
        [*command, "--work", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=270, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    variants = {REFERENCE, *ours_of(ENGINES, ["int8"])}
    cases = {(row["impl"], row["case"]) for row in found if row["impl"] in variants}
    assert cases == {(name, f"tiny {metric}") for name in variants for metric in report.METRICS}
    assert all(max(row["ranks"]) <= row["most_rank"] for row in found if "ranks" in row)
    assert {row["impl"] for row in found} - variants >= {"read_sum", "product_torch_fp32"}
    ratios = {f"{metric}_vs_{what}" for metric in report.METRICS for what in ("best_peer", "limit")}
    assert set(last["headline"]) == ratios - {"draft_vs_limit"} | {"memory_vs_least_peer", "draft_after_study_s"}
    assert last["withheld"] == []
    for name, peer in PEERS.items():
        assert (f"left out: {name}:" in done.stderr) is (peer.environment is not None)

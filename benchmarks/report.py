"""One draft by one Gemma3 on two threads: ours beside transformers, OpenVINO GenAI, llama-cpp and two limits.

`python -m benchmarks.report --model 4b --precision int4 int8 --work DIR --genai-python P --llama-python P --json`.
Timed: a picture's embedding, a prompt, tokens after it, a whole draft; and memory. Weights are random: only speed is
measured here. Every turn is a process of its own, so that one model is in memory at a time. Files in --work are made
once. Not for: what drafts say (report_quality.py).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.report_limits import LimitRounds, work_of
from benchmarks.report_peers import LOGITS, PEERS, REFERENCE, WEIGHTS, Other
from benchmarks.report_plan import ENGINES, FORMS, Plan, make_files, ours_of, weight_bytes, write_prompts
from benchmarks.report_shapes import SHAPES
from benchmarks.report_weights import stored_sizes
from benchmarks.turns import Variant

BENCH = "report"
PACKAGES = ("openvino", "onnxruntime", "torch", "transformers", "numpy")
METRICS = ("vision", "prefill", "decode", "draft")
# Of the vocabulary: how far down the reference's list another engine's first token may stand.
_RANK_SHARE, _RANK_SHARE_OF_4_BITS = 1e-3, 1e-2


@dataclass(slots=True)
class Taken:
    """What was measured of one variant. ranks: of its first tokens in the reference's list, 0 is the likeliest."""

    samples: dict[str, measure.Samples] = field(default_factory=dict)
    peak_rss_mb: float = 0.0
    load_ms: list[float] = field(default_factory=list)
    ranks: tuple[int, ...] = ()
    tokens: list[int] = field(default_factory=list)  # of the first round's draft
    versions: dict[str, str] = field(default_factory=dict)  # of what another environment runs

    def add(self, answer: Mapping[str, Any]) -> None:
        """One answer of a process: whatever it has timed."""
        for metric in METRICS:
            if f"{metric}_ms" in answer:
                one = self.samples.setdefault(metric, measure.Samples())
                one.began_ns.append(answer["began_ns"])
                one.took_ns.append(round(answer[f"{metric}_ms"] * 1e6))
        self.peak_rss_mb = max(self.peak_rss_mb, answer.get("peak_rss_mb", 0.0))


def most_rank(form: str, vocabulary: int) -> int:
    """A first token further down the reference's list is another network's. Of random weights 4 bits keep less."""
    return max(20, round((_RANK_SHARE_OF_4_BITS if "4" in form else _RANK_SHARE) * vocabulary))


def carry_out(
    plan: Plan, folder: Path, pythons: Mapping[Other, Path], say: Callable[[str], object]
) -> tuple[dict[str, Taken], LimitRounds]:
    """Every variant's turn of every round, and the limits' in between. Checks come first, in the first round."""
    prompts = folder / f"prompts-{plan.prompt}-{plan.tokens}-{plan.rounds}.json"
    write_prompts(plan, prompts)
    taken = {name: Taken() for name in plan.variants}
    limits = LimitRounds(plan.side, plan.mebibytes)
    shuffle = random.Random(0).shuffle
    for number in range(plan.rounds):
        order = list(plan.variants)
        if number:
            shuffle(order)
        for name in order:
            say(f"round {number + 1} of {plan.rounds}: {name}")
            peer = PEERS.get(name)
            python = str(pythons[peer.environment]) if peer is not None and peer.environment is not None else "-"
            with Variant("benchmarks.report_peers", name, str(folder), str(prompts), python) as process:
                _turn(process, taken[name], number, folder)
        limits.take()
    return taken, limits


def _turn(process: Variant, taken: Taken, number: int, folder: Path) -> None:
    taken.load_ms.append(process.facts["load_ms"])
    taken.versions = process.facts.get("versions", {})
    if number == 0:
        first = process.ask("result", "check")["tokens"]
        logits = np.load(folder / LOGITS)
        taken.ranks = tuple(int((of > of[token]).sum()) for of, token in zip(logits, first, strict=True))
    if process.facts["vision"]:
        if number == 0:
            process.ask("result", "vision")  # the first one fills caches
        taken.add(process.ask("result", "vision"))
    process.ask("result", "warm")
    drafted = process.ask("result", f"draft:{number}")
    taken.add(drafted)
    taken.tokens = taken.tokens or drafted["tokens"]


def rows(
    plan: Plan, taken: Mapping[str, Taken], limits: LimitRounds, folder: Path, heartbeat: measure.Heartbeat
) -> Iterator[dict[str, Any]]:
    """A row for each variant and metric, the limits, and the headline."""
    forms = {name: PEERS[name].form if name in PEERS else name.split("_")[2] for name in taken}
    most = {name: most_rank(form, SHAPES[plan.size].text["vocab_size"]) for name, form in forms.items()}
    outside = frozenset(name for name, one in taken.items() if max(one.ranks) > most[name])
    reference = taken[REFERENCE].tokens
    for name, one in taken.items():
        more = {
            "form": forms[name],
            "peak_rss_mb": one.peak_rss_mb,
            "load_ms": round(float(np.median(one.load_ms)), 1),
            "ranks": one.ranks,
            "most_rank": most[name],
            "same_tokens": _same(one.tokens, reference),
            **one.versions,
        }
        for metric, samples in one.samples.items():
            positions = {"prefill": plan.prompt, "decode": 1}.get(metric)
            speed = {} if positions is None else {"tokens_s": round(1000.0 * positions / samples.median_ms, 2)}
            yield measure.row(BENCH, f"{plan.size} {metric}", name, samples, heartbeat, **more, **speed)
    work = work_of(SHAPES[plan.size], stored_sizes(folder / WEIGHTS), plan.prompt, weight_bytes(plan, folder))
    yield from limits.rows(BENCH, heartbeat)
    bounds = limits.bounds(work)
    ours = best_ours(plan, taken, outside)
    figures = headline_figures(plan, taken, bounds, outside, ours)
    last = measure.headline(BENCH, figures, heartbeat, PACKAGES)
    facts = {
        "model": plan.size,
        "ours": ours,
        "withheld": sorted(outside),
        "prompt": plan.prompt,
        "tokens": plan.tokens,
    }
    yield last | facts | {"limits_ms": {name: round(value, 3) for name, value in bounds.items()}}


def best_ours(plan: Plan, taken: Mapping[str, Taken], outside: frozenset[str]) -> str | None:
    """The one of ours with the shortest draft: all ratios are its own."""
    here = [name for name in plan.ours if name in taken and name not in outside]
    return min(here, key=lambda name: taken[name].samples["draft"].median_ms, default=None)


def headline_figures(
    plan: Plan,
    taken: Mapping[str, Taken],
    bounds: Mapping[str, float],
    outside: frozenset[str],
    ours: str | None,
) -> dict[str, float]:
    """Ratios of medians. ..._vs_best_peer: speeds for prefill and decode, times for draft and vision. What was not
    measured has no key."""
    if ours is None:
        return {}
    peers = [name for name in plan.variants if name in PEERS and name not in outside]
    figures = {}
    for metric, samples in taken[ours].samples.items():
        times = [taken[name].samples[metric].median_ms for name in peers if metric in taken[name].samples]
        if times:
            own, best = samples.median_ms, min(times)
            figures[f"{metric}_vs_best_peer"] = best / own if metric in ("prefill", "decode") else own / best
        if bound := bounds.get(f"{metric}_{ours}", bounds.get(metric)):
            figures[f"{metric}_vs_limit"] = samples.median_ms / bound
    figures["draft_after_study_s"] = taken[ours].samples["draft"].median_ms / 1000.0
    if peers:
        figures["memory_vs_least_peer"] = taken[ours].peak_rss_mb / min(taken[name].peak_rss_mb for name in peers)
    return figures


def _same(tokens: Sequence[int], reference: Sequence[int]) -> int:
    """How many tokens are the reference's before the first other one."""
    return next((at for at, pair in enumerate(zip(tokens, reference, strict=False)) if pair[0] != pair[1]), len(tokens))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.report")
    parser.add_argument("--model", choices=list(SHAPES), help="size (4b; with --quick tiny)")
    parser.add_argument("--precision", nargs="+", choices=FORMS, default=["int4", "int8"], help="of our weights")
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES), help="that runs ours")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="all by default")
    parser.add_argument("--genai-python", type=Path, help="of an environment with optimum-intel and openvino-genai")
    parser.add_argument("--llama-python", type=Path, help="of an environment with llama-cpp-python and gguf")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each variant")
    parser.add_argument("--prompt", type=int, default=600, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=150, help="tokens of the draft")
    parser.add_argument("--work", type=Path, help="folder that keeps weights and exports; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="tiny model, one round: no figure to quote")
    return parser.parse_args()


def plan_of(options: argparse.Namespace, say: Callable[[str], object]) -> tuple[Plan, dict[Other, Path]]:
    """The plan, and the environments' Pythons. Peers without their environment are left out by name."""
    named: dict[Other, Path | None] = {"genai": options.genai_python, "llama": options.llama_python}
    pythons = {name: path.absolute() for name, path in named.items() if path is not None}
    peers = []
    for name in options.peers:
        environment = PEERS[name].environment
        if environment is not None and environment not in pythons:
            say(f"left out: {name}: no environment was named: --{environment}-python PYTHON")
        else:
            peers.append(name)
    if options.quick:
        ours = ours_of(options.engine, options.precision[:1])
        return Plan(options.model or "tiny", ours, tuple(peers), 1, 96, 8, 256, 16), pythons
    ours = ours_of(options.engine, options.precision)
    plan = Plan(options.model or "4b", ours, tuple(peers), options.rounds, options.prompt, options.tokens)
    return plan, pythons


def main() -> None:
    options = _options()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    plan, pythons = plan_of(options, say)
    with TemporaryDirectory(prefix="cathrt-bench-") as scratch:
        folder = (options.work or Path(scratch)).absolute() / plan.size
        make_files(plan, folder, pythons, say)
        with measure.Heartbeat() as heartbeat:
            taken, limits = carry_out(plan, folder, pythons, say)
            heartbeat.finish()
        measure.report(list(rows(plan, taken, limits, folder, heartbeat)), as_json=options.json)


if __name__ == "__main__":
    main()

"""One ConvNeXt at batch 1 on two threads: ours beside PyTorch, ONNX Runtime, OpenVINO and the compute limit.

`python -m benchmarks.engines [--model convnext_base] [--nncf-python PYTHON] [--json] [--quick]`. Each variant has its
own process and is held against PyTorch's float32 logits before it is timed. Weights are random: not for accuracy
(export/qualify/measure.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.compute_limit import ELEMENTS, LIBRARIES, Element, product_flops
from benchmarks.engine_peers import CHECKED_FRAMES, PEERS, weight_bits, write_files
from benchmarks.turns import Turns, Variant, take_turns
from cathrt.export.models.keyframe.convnext import ARCHS
from cathrt.runtime.engines.cpu import cpu_flags, rest_here

BENCH = "engines"
PACKAGES = ("openvino", "onnxruntime", "torch", "onnx", "numpy")
REFERENCE = "torch_fp32"
FULL_MODEL, QUICK_MODEL = "convnext_base", "convnext_atto"
FULL_ROUNDS, QUICK_ROUNDS = 60, 2
WARM_UP = 1  # rounds; every turn has an untimed call of its own
FULL_SIDE, QUICK_SIDE = 2048, 256  # of the limit's matrices

# Largest difference of a logit over all frames, relative to the reference's largest logit. They tell a network computed
# in that precision from another one (clipped sums were off by 0.15, misread pairs by 0.40: docs/engines.md,
# docs/export.md), not a good export from a bad one.
BOUNDS: Mapping[Element, float] = {"fp32": 1e-4, "bf16": 0.03, "int8": 0.1}

# Headline key: ours to another variant, or to the limit of its precision. `best_...`: the fastest of BEST.
RATIOS: Mapping[str, tuple[str, str]] = {
    "int8_vs_openvino_plain_bf16": ("best_ours_int8", "openvino_plain_bf16"),
    "int8_vs_openvino_plain_fp32": ("best_ours_int8", "openvino_plain_fp32"),
    "int8_vs_best_nncf": ("best_ours_int8", "best_nncf"),
    "int8_vs_ort_fp32": ("best_ours_int8", "ort_fp32"),
    "bf16_vs_openvino_plain_bf16": ("ours_bf16", "openvino_plain_bf16"),
    "int8_vs_limit": ("best_ours_int8", "limit_int8"),
    "bf16_vs_limit": ("ours_bf16", "limit_bf16"),
}

# Of the variants that begin so, the one with the smallest median that is within its bound.
BEST: Mapping[str, str] = {"best_ours_int8": "ours_int8", "best_nncf": "nncf_"}

Logits = NDArray[np.float64]
Times = Mapping[str, NDArray[np.float64]]


def elements_here(flags: frozenset[str]) -> tuple[Element, ...]:
    """Precisions that this CPU multiplies by itself. Every CPU has int8, some with weights of 7 bits."""
    bf16 = not flags.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
    return tuple(element for element in ELEMENTS if element != "bf16" or bf16)


def left_out(here: tuple[Element, ...], *, nncf: bool) -> dict[str, str]:
    """The variants that are not timed, by name, and why. nncf: whether there is an environment with NNCF."""
    reasons = {}
    for name, peer in PEERS.items():
        if peer.precision not in here:
            reasons[name] = f"this CPU has no {peer.precision} products of its own, so its time would say nothing"
        elif peer.rest != rest_here(peer.rest):
            reasons[name] = "this CPU has no bf16 products of its own, so its rest would be computed in float32"
        elif name.startswith("nncf_") and not nncf:
            reasons[name] = "no environment with NNCF was named: --nncf-python PYTHON"
    return reasons


def logit_error(found: Logits, reference: Logits) -> float:
    """Infinite where a logit is not finite."""
    error = float(np.abs(found - reference).max() / np.abs(reference).max())
    return error if np.isfinite(error) else float("inf")


def checked(logits: Mapping[str, Logits]) -> tuple[dict[str, float], frozenset[str]]:
    """Each variant's logit error, and the variants whose error is beyond the bound of their precision."""
    errors = {name: logit_error(found, logits[REFERENCE]) for name, found in logits.items()}
    return errors, frozenset(name for name, error in errors.items() if error > BOUNDS[PEERS[name].precision])


def add_limits(times: Times, flops: int, side: int) -> dict[str, NDArray[np.float64]]:
    """The times of all variants, and `limit_<precision>`: what the network would take at the pace of the best product.

    The best is the product of that precision with the smallest median; round by round the limit is its time of that
    round, scaled by the flops.
    """
    limits = {}
    for element in ELEMENTS:
        products = [times[name] for name in times if name.startswith("product_") and name.endswith(element)]
        if products:
            limits[f"limit_{element}"] = min(products, key=np.median) * (flops / product_flops(side))
    return {**times, **limits}


def add_best(times: Times, outside: frozenset[str]) -> dict[str, NDArray[np.float64]]:
    """The times of all variants, and those of BEST under their names."""
    best = {}
    for name, prefix in BEST.items():
        candidates = [times[one] for one in times if one.startswith(prefix) and one not in outside]
        if candidates:
            best[name] = min(candidates, key=np.median)
    return {**times, **best}


def ratios(times: Times, outside: frozenset[str]) -> dict[str, float]:
    """The headline's ratios of medians, and as `<key>_by_round` the medians of the ratios within each round.

    A ratio is left out where one of its sides was not measured or is outside its bound.
    """
    figures, times = {}, add_best(times, outside)
    for key, (ours, other) in RATIOS.items():
        if times.keys() >= {ours, other} and outside.isdisjoint({ours, other}):
            figures[key] = float(np.median(times[ours]) / np.median(times[other]))
            figures[f"{key}_by_round"] = float(np.median(times[ours] / times[other]))
    return figures


def rows(
    model: str, rounds: int, side: int, nncf_python: Path | None, say: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """Result rows and the headline. side: of the limit's matrices. say: called with what is left out and why."""
    here = elements_here(cpu_flags())
    absent = left_out(here, nncf=nncf_python is not None)
    chosen = [name for name in PEERS if name not in absent]
    for name, reason in absent.items():
        say(f"left out: {name}: {reason}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cathrt-bench-")))
        flops = write_files(folder, model, nncf_python)
        peers = {name: stack.enter_context(Variant("benchmarks.engine_peers", str(folder), name)) for name in chosen}
        errors, outside = checked({name: _logits(peer) for name, peer in peers.items()})
        for name in sorted(outside):
            bound = BOUNDS[PEERS[name].precision]
            say(f"{name}: logits off by {errors[name]:.2g}, expected at most {bound:g}: its ratios are withheld")
        variants = {name: (peer, "infer") for name, peer in peers.items()} | _products(stack, side, here)
        heartbeat = stack.enter_context(measure.Heartbeat())
        turns = take_turns(variants, rounds=rounds, warm_up=WARM_UP)
        memory = {name: process.ask("memory")["peak_rss_mb"] for name, (process, _) in variants.items()}
        heartbeat.finish()
    times = add_limits({name: np.array(t.samples.took_ns) / 1e6 for name, t in turns.items()}, flops, side)
    for name, taken in turns.items():
        more = _spread(taken) | {"peak_rss_mb": memory[name]}
        if name in peers:
            precision = PEERS[name].precision
            limit = float(np.median(times[f"limit_{precision}"]))
            more |= {
                "precision": precision,
                "vs_limit": None if name in outside else round(taken.samples.median_ms / limit, 4),
                "logit_error": float(f"{errors[name]:.3g}"),
                "bound": BOUNDS[precision],
                "load_ms": peers[name].facts["load_ms"],
            }
            yield measure.row(BENCH, model, name, taken.samples, heartbeat, **more)
        else:
            more["gflop_s"] = round(product_flops(side) / taken.samples.median_ms / 1e6, 1)
            yield measure.row(BENCH, f"product {side}", name, taken.samples, heartbeat, **more)
    last = measure.headline(BENCH, ratios(times, outside), heartbeat, PACKAGES)
    limits = {name: round(float(np.median(times[name])), 3) for name in times if name.startswith("limit_")}
    facts = {"model": model, "gflop": round(flops / 1e9, 3), "int8_weight_bits": weight_bits()}
    yield last | facts | {"limits_ms": limits}


def _logits(peer: Variant) -> Logits:
    return np.array([peer.ask("result", str(index)) for index in range(CHECKED_FRAMES)])


def _products(stack: ExitStack, side: int, here: tuple[Element, ...]) -> dict[str, tuple[Variant, str]]:
    """The limit's matrix products: one process a library."""
    products = {}
    for library in LIBRARIES:
        process = stack.enter_context(Variant("benchmarks.compute_limit", library, str(side), *here))
        products |= {f"product_{library}_{element}": (process, element) for element in here}
    return products


def _spread(turns: Turns) -> dict[str, Any]:
    took = np.array(turns.samples.took_ns) / 1e6
    low, high = np.quantile(took, (0.1, 0.9))
    return {
        "p10_ms": round(float(low), 4),
        "p90_ms": round(float(high), 4),
        "spread": round(float((high - low) / np.median(took)), 4),
        "idle_cpu_ms": round(float(np.max(turns.idle_cpu_ns)) / 1e6, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(ARCHS), help=f"default {FULL_MODEL}, with --quick {QUICK_MODEL}")
    parser.add_argument("--nncf-python", type=Path, help="Python of an environment with nncf and openvino")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="few rounds, small products: no figure to quote")
    options = parser.parse_args()
    model = options.model or (QUICK_MODEL if options.quick else FULL_MODEL)
    count, side = (QUICK_ROUNDS, QUICK_SIDE) if options.quick else (FULL_ROUNDS, FULL_SIDE)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    measure.report(rows(model, count, side, options.nncf_python, say), as_json=options.json)


if __name__ == "__main__":
    main()

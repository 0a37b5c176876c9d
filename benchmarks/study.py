"""One clip through a study reader's encoder on two threads: ours beside PyTorch, OpenVINO and the compute limit.

`python -m benchmarks.study [--rounds N] [--json] [--quick]`. Each variant has its own process, is held against
PyTorch's float32 features, and is then timed in turns with the others. Weights are random: not for accuracy. Not for:
whole studies from files, which take decoding too.
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
from benchmarks.compute_limit import LIBRARIES, Element, product_flops
from benchmarks.engine_peers import weight_bits
from benchmarks.engines import elements_here
from benchmarks.study_peers import PEERS, Peer, Work, write_files
from benchmarks.turns import Turns, Variant, take_turns
from cathrt.runtime.engines.cpu import cpu_flags

BENCH = "study"
PACKAGES = ("openvino", "torch", "onnx", "numpy")
REFERENCE = "torch_fp32"
FULL_ENCODER, QUICK_ENCODER = "mvit_v2_s", "mvit_v2_mini"
FULL_ROUNDS, QUICK_ROUNDS = 12, 2
FULL_SIDE, QUICK_SIDE = 2048, 256  # of the limit's matrices
WARM_UP = 1
# Root mean square error of the features, relative to their size: what tells a network computed in that precision from
# another one, not a good export from a bad one.
BOUNDS: Mapping[Element, float] = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.15}
_FASTEST = "fastest_ours"
RATIOS: Mapping[str, tuple[str, str]] = {
    "clip_vs_torch_bf16": (_FASTEST, "torch_bf16"),
    "clip_vs_torch_bf16_rewritten": (_FASTEST, "torch_bf16_rewritten"),
    "clip_vs_best_torch": (_FASTEST, "best_torch"),
    "clip_vs_openvino_plain": (_FASTEST, "best_openvino_plain"),
    "clip_bf16_vs_torch_bf16": ("ours_bf16", "torch_bf16"),
    "clip_vs_limit": (_FASTEST, "limit_of_fastest"),
}
_BEST: Mapping[str, str] = {_FASTEST: "ours_", "best_torch": "torch_", "best_openvino_plain": "openvino_plain_"}

Times = Mapping[str, NDArray[np.float64]]


def noise(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Infinite where a feature is not finite."""
    error = float(np.linalg.norm(found.astype(np.float64) - reference) / np.linalg.norm(reference.astype(np.float64)))
    return error if np.isfinite(error) else float("inf")


def limits(times: Times, side: int, work: Work) -> dict[str, NDArray[np.float64]]:
    """By variant of ours, round by round: its products at the pace of the best product of their precision.

    Of int8, the linear layers at int8's pace, and all else at that of the faster of what it may be computed in.
    """
    pace = {}
    for element in ("fp32", "bf16", "int8"):
        products = [times[name] for name in times if name.startswith("product_") and name.endswith(element)]
        if products:
            pace[element] = min(products, key=np.median) / product_flops(side)
    found = {f"limit_{element}": pace[element] * (work.linears + work.rest) for element in pace if element != "int8"}
    if "int8" in pace:
        rest = min((pace[name] for name in ("fp32", "bf16") if name in pace), key=np.median)
        found["limit_int8"] = pace["int8"] * work.linears + rest * work.rest
    return found


def ratios(times: Times, outside: frozenset[str]) -> dict[str, float]:
    """The headline's ratios of medians; one is left out where a side was not measured or is outside its bound."""
    within = {name: taken for name, taken in times.items() if name not in outside}
    for best, prefix in _BEST.items():
        candidates = {name: taken for name, taken in within.items() if name.startswith(prefix)}
        if candidates:
            name = min(candidates, key=lambda one: float(np.median(candidates[one])))
            within[best] = candidates[name]
            if best == _FASTEST and (limit := f"limit_{PEERS[name].element}") in within:
                within["limit_of_fastest"] = within[limit]
    return {
        key: float(np.median(within[ours]) / np.median(within[other]))
        for key, (ours, other) in RATIOS.items()
        if within.keys() >= {ours, other}
    }


def rows(encoder: str, rounds: int, side: int, say: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Result rows and the headline. side: of the limit's matrices. say: called with what is left out and why."""
    here = elements_here(cpu_flags())
    chosen = {name: peer for name, peer in PEERS.items() if peer.element in here}
    for name in PEERS.keys() - chosen.keys():
        say(f"left out: {name}: this CPU has no {PEERS[name].element} products of its own")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cathrt-bench-")))
        work = write_files(folder, encoder, chosen)
        peers = {
            name: stack.enter_context(Variant("benchmarks.study_peers", str(folder), encoder, name)) for name in chosen
        }
        errors = _errors(folder, peers)
        outside = frozenset(name for name, error in errors.items() if error > BOUNDS[PEERS[name].element])
        for name in sorted(outside):
            bound = BOUNDS[PEERS[name].element]
            say(f"{name}: features off by {errors[name]:.2g}, expected at most {bound:g}: its ratios are withheld")
        variants = {name: (peer, "clip") for name, peer in peers.items()}
        for library in LIBRARIES:
            process = stack.enter_context(Variant("benchmarks.compute_limit", library, str(side), *here))
            variants |= {f"product_{library}_{element}": (process, element) for element in here}
        heartbeat = stack.enter_context(measure.Heartbeat())
        turns = take_turns(variants, rounds=rounds, warm_up=WARM_UP)
        memory = {name: process.ask("memory")["peak_rss_mb"] for name, (process, _) in variants.items()}
        heartbeat.finish()
    times = {name: np.array(taken.samples.took_ns) / 1e6 for name, taken in turns.items()}
    times |= limits(times, side, work)
    for name, taken in turns.items():
        more = {"peak_rss_mb": memory[name], "idle_cpu_ms": round(float(np.max(taken.idle_cpu_ns)) / 1e6, 3)}
        if name in peers:
            more |= _of_peer(PEERS[name], taken, times) | {
                "noise": float(f"{errors[name]:.3g}"),
                "bound": BOUNDS[PEERS[name].element],
                "load_ms": peers[name].facts["load_ms"],
            }
        case = f"clip, {encoder}" if name in peers else f"product {side}"
        yield measure.row(BENCH, case, name, taken.samples, heartbeat, **more)
    last = measure.headline(BENCH, ratios(times, outside), heartbeat, PACKAGES)
    facts = {"encoder": encoder, "gflop": round((work.linears + work.rest) / 1e9, 3),
             "gflop_in_int8": round(work.linears / 1e9, 3), "int8_weight_bits": weight_bits()}  # fmt: skip
    yield (
        last
        | facts
        | {"limits_ms": {name: round(float(np.median(times[name])), 3) for name in times if name.startswith("limit_")}}
    )


def _errors(folder: Path, peers: Mapping[str, Variant]) -> dict[str, float]:
    """Each variant's features against those of REFERENCE."""
    found = {name: np.load(peer.ask("result", str(folder / f"{name}.npy"))) for name, peer in peers.items()}
    return {name: noise(features, found[REFERENCE]) for name, features in found.items()}


def _of_peer(peer: Peer, taken: Turns, times: Times) -> dict[str, Any]:
    limit = float(np.median(times[f"limit_{peer.element}"]))
    return {"precision": peer.element, "rest": peer.rest, "vs_limit": round(taken.samples.median_ms / limit, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", choices=[FULL_ENCODER, QUICK_ENCODER], help="default: the published one")
    parser.add_argument("--rounds", type=int, help=f"default {FULL_ROUNDS}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="a small encoder, few rounds: no figure to quote")
    options = parser.parse_args()
    encoder = options.encoder or (QUICK_ENCODER if options.quick else FULL_ENCODER)
    count = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    side = QUICK_SIDE if options.quick else FULL_SIDE

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    measure.report(rows(encoder, count, side, say), as_json=options.json)


if __name__ == "__main__":
    main()

"""The limits of a draft on this machine: its multiplications at the best product's pace, its weights at memory's pace.

Measured in turns with the engines, in processes of their own. For: benchmarks/report.py. Not for: the products
themselves (compute_limit.py) and the reads (bandwidth_limit.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.bandwidth_limit import READS
from benchmarks.compute_limit import ELEMENTS, LIBRARIES, Element, product_flops
from benchmarks.report_shapes import Shape
from benchmarks.turns import Turns, Variant
from cathrt.runtime.engines.cpu import cpu_flags

_TURNS = 3  # timed calls of each in a round


@dataclass(frozen=True, slots=True)
class Work:
    """What must be done at least. *_flops: multiplications and additions. decode_bytes: by variant of ours."""

    vision_flops: int
    prefill_flops: int
    decode_bytes: Mapping[str, int]


def work_of(shape: Shape, sizes: Mapping[str, tuple[int, ...]], prompt: int, decode_bytes: Mapping[str, int]) -> Work:
    """Matrices times positions, and the attention's two products. The head is needed for one position only.

    sizes: of the weights, by name. Causal attention is counted as half of the square; a sliding window is not
    taken off.
    """
    text, vision = 0, 0
    for name, size in sizes.items():
        if len(size) < 2 or "position_embedding" in name or "embed_tokens" in name:
            continue
        if "vision_tower" in name or "multi_modal" in name:
            # The projector sees only the pooled tokens; every other matrix all patches.
            vision += math.prod(size) * (shape.image_tokens if "multi_modal" in name else _patches(shape))
        else:
            text += math.prod(size)
    own = shape.text
    attention = own["num_hidden_layers"] * own["num_attention_heads"] * own["head_dim"] * prompt * prompt
    head = own["vocab_size"] * own["hidden_size"]
    if shape.vision is not None:
        vision += 2 * shape.vision["num_hidden_layers"] * shape.vision["hidden_size"] * _patches(shape) ** 2
    return Work(2 * vision, 2 * (text * prompt + attention + head), decode_bytes)


def _patches(shape: Shape) -> int:
    assert shape.vision is not None
    return int((shape.vision["image_size"] // shape.vision["patch_size"]) ** 2)


def elements_here() -> tuple[Element, ...]:
    """Precisions that this CPU multiplies by itself."""
    bf16 = not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
    return tuple(element for element in ELEMENTS if element != "bf16" or bf16)


@dataclass(slots=True)
class LimitRounds:
    """Times of products of side², and of reads of so many MiB, gathered round by round."""

    side: int
    mebibytes: int
    turns: dict[str, Turns] = field(default_factory=dict)
    read_bytes: int = 0

    def take(self) -> None:
        """One round."""
        here = elements_here()
        for library in LIBRARIES:
            with Variant("benchmarks.compute_limit", library, str(self.side), *here) as process:
                self._time(process, {f"product_{library}_{element}": element for element in here})
        with Variant("benchmarks.bandwidth_limit", str(self.mebibytes)) as process:
            self.read_bytes = process.facts["bytes"]
            self._time(process, {f"read_{way}": way for way in READS})

    def _time(self, process: Variant, calls: Mapping[str, str]) -> None:
        for name, call in calls.items():
            for _ in range(_TURNS):
                process.time(call, self.turns.setdefault(name, Turns()))

    def rows(self, bench: str, heartbeat: measure.Heartbeat) -> Iterator[dict[str, Any]]:
        for name, taken in self.turns.items():
            median_ms = taken.samples.median_ms
            if name.startswith("read_"):
                case, more = f"read {self.mebibytes} MiB", {"gb_s": round(self.read_bytes / median_ms / 1e6, 2)}
            else:
                case, more = f"product {self.side}", {"gflop_s": round(product_flops(self.side) / median_ms / 1e6, 1)}
            yield measure.row(bench, case, name, taken.samples, heartbeat, **more)

    def bounds(self, work: Work) -> dict[str, float]:
        """Milliseconds: "vision" and "prefill" at the best pace of bfloat16, or of float32 where the CPU has none,
        as "..._at_<precision>" at the best pace of each; "decode_<variant>" of one token."""
        found: dict[str, float] = {}
        flops = {"vision": work.vision_flops, "prefill": work.prefill_flops}
        for element in elements_here():
            per_flop = self._best(f"_{element}") / product_flops(self.side)
            found |= {f"{metric}_at_{element}": count * per_flop for metric, count in flops.items() if count}
        widest = "bf16" if "bf16" in elements_here() else "fp32"
        found |= {metric: found[f"{metric}_at_{widest}"] for metric, count in flops.items() if count}
        per_byte = min(self._median(f"read_{way}") for way in READS) / self.read_bytes
        return found | {f"decode_{name}": count * per_byte for name, count in work.decode_bytes.items()}

    def _best(self, end: str) -> float:
        return min(self._median(name) for name in self.turns if name.startswith("product_") and name.endswith(end))

    def _median(self, name: str) -> float:
        return float(np.median(self.turns[name].samples.took_ns)) / 1e6

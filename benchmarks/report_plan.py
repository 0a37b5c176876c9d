"""What the report benchmark runs, and the files that it needs: made once, and found again by the next command.

Not for: running it (report.py), or what a variant's process does (report_peers.py).
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.report_ours import decoder_bytes, make_bundle, targets_of
from benchmarks.report_peers import PEERS, REFERENCE, TEXT, WEIGHTS, Other, make_peer_file
from benchmarks.report_shapes import BEGIN, SHAPES, Size
from benchmarks.report_weights import write_random_model, write_text_model

FORMS = ("bf16", "int8", "int4", "int8-f32", "int4-f32")  # -f32: computed in float32 by OpenVINO
ENGINES = ("cathrt", "openvino", "onnxruntime")  # cathrt: our own decoder
_CHECKS, _CHECK_TOKENS = 4, 48


@dataclass(frozen=True, slots=True)
class Plan:
    """prompt, tokens: positions of a prompt, and of the answer after it. side: of the limit's matrices.
    mebibytes: that the limit reads at once."""

    size: Size
    ours: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    prompt: int = 600
    tokens: int = 150
    side: int = 2048
    mebibytes: int = 1024

    @property
    def context(self) -> int:
        """Positions that our bundle has room for."""
        return self.prompt + self.tokens + 8

    @property
    def forms(self) -> tuple[str, ...]:
        """Of our weights."""
        return tuple(dict.fromkeys(name.split("_")[2] for name in self.ours))

    def bundle(self, folder: Path, form: str) -> Path:
        return folder / f"ours-{form}-{self.context}"

    @property
    def variants(self) -> tuple[str, ...]:
        """The reference is always there: the others are held against it."""
        return tuple(dict.fromkeys((REFERENCE, *self.peers, *self.ours)))


def ours_of(engines: Sequence[str], forms: Sequence[str]) -> tuple[str, ...]:
    """Every engine in every form that the exporter makes for it."""
    return tuple(f"ours_{engine}_{form}" for engine in engines for form in forms if engine in targets_of(form))


def made(path: Path, make: Callable[[Path], object], say: Callable[[str], object]) -> Path:
    """The file or folder, made once: what was cut short is made anew."""
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
        say(f"making {path.name}")
        make(part)
        part.rename(path)
    return path


def make_files(plan: Plan, folder: Path, pythons: Mapping[Other, Path], say: Callable[[str], object]) -> None:
    """Weights, and what every variant makes of them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = made(folder / WEIGHTS, partial(write_random_model, plan.size), say)
    if SHAPES[plan.size].vision is not None and any(PEERS[name].environment == "genai" for name in plan.peers):
        made(weights / TEXT, partial(write_text_model, weights), say)
    for name in plan.peers:
        peer = PEERS[name]
        if peer.environment is not None:
            made(folder / peer.file, partial(make_peer_file, peer, weights, pythons[peer.environment]), say)
    for form in plan.forms:
        made(plan.bundle(folder, form), partial(make_bundle, weights, form, plan.context), say)


def write_prompts(plan: Plan, path: Path) -> None:
    """Ids drawn of plain words: a prompt a round, one to warm up on, and the checks. No two begin alike."""
    draw, words = random.Random(0), SHAPES[plan.size].words

    def prompt(length: int) -> list[int]:
        return [BEGIN, *draw.choices(words, k=length - 1)]

    document = {
        "tokens": plan.tokens,
        "context": plan.context,
        "prompts": [prompt(plan.prompt) for _ in range(plan.rounds)],
        "warm": prompt(plan.prompt),
        "checks": [*(prompt(min(_CHECK_TOKENS, plan.prompt)) for _ in range(_CHECKS - 1)), prompt(plan.prompt)],
    }
    path.write_text(json.dumps(document), encoding="utf-8")


def weight_bytes(plan: Plan, folder: Path) -> dict[str, int]:
    """What decoding a token must read, by variant of ours."""
    return {name: decoder_bytes(plan.bundle(folder, name.split("_")[2]), name.split("_")[1]) for name in plan.ours}

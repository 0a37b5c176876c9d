"""Holds one target of a bundle against the float32 network, on generated texts and pictures.

What the network says of the texts is computed once for all targets and forms, and kept on disk. Not for: what is
compared (comparison.py), how much may differ (gate.py), or the texts (cases.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.answers import EngineAnswers
from cathrt.export.models.report.cases import Case, cases_for, grey_pictures
from cathrt.export.models.report.comparison import Comparison, ComparisonSoFar
from cathrt.export.models.report.gate import POSITIONS
from cathrt.export.models.report.reference import FloatNetwork, Forced
from cathrt.export.models.report.source import Source
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models.report.picture import pixels

_GREEDY_CASES = 3  # the first study's facts, and its prose in each language
_GREEDY_TOKENS = 96

Advance = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the float32 network says. folder: one file of logits a case, and of embeddings a picture. name: of it."""

    cases: tuple[Case, ...]
    pixels: tuple[NDArray[np.float32], ...]
    folder: Path
    name: str
    set_sha256: str

    def logits(self, number: int) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.load(self.folder / f"logits-{number}.npy", mmap_mode="r")
        return found

    def picture(self, number: int) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.load(self.folder / f"picture-{number}.npy")
        return found


def expected_of(cache: StageCache, source: Source, base: Path, advance: Advance) -> Expected:
    """The network's own answers to the texts and pictures of this bundle. Raises EngineError where they are not
    numbers."""
    section = source.section
    cases = cases_for(section, source.tokenizer, POSITIONS)
    greys = grey_pictures() if section.picture is not None else ()
    shown = tuple(pixels(grey, section.picture) for grey in greys if section.picture is not None)
    set_sha256 = _sha256_of(cases, shown)

    def make(folder: Path) -> None:
        network = FloatNetwork(base, source.weights)
        pictures = network.pictures(shown)
        for number, found in enumerate(pictures):
            np.save(folder / f"picture-{number}.npy", found)
        texts = [_text(source, case, case.answer, pictures) for case in cases]
        for number, found in enumerate(network.logits(texts)):
            np.save(folder / f"logits-{number}.npy", found)
            advance("asking the float32 network", number + 1, len(texts))
        (folder / "reference.json").write_text(json.dumps({"name": network.name}), encoding="utf-8")

    inputs = {"weights": source.sha256, "set": set_sha256, "transformers": version("transformers")}
    folder = cache.result("reference", inputs, make)
    told = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    return Expected(cases, shown, folder, told["name"], set_sha256)


def compared(
    bundle: Bundle, engine: str, config: EngineConfig, expected: Expected, source: Source, base: Path, advance: Advance
) -> Comparison:
    """The engine's answers beside the network's. Raises EngineError where this machine cannot run the artifacts."""
    found, what = ComparisonSoFar(), f"comparing {engine}"
    with EngineAnswers(bundle, engine, config, source.tokenizer) as answers:
        pictures = [answers.picture(one) for one in expected.pixels]
        for number, one in enumerate(pictures):
            found.picture(expected.picture(number), one)
        for number, case in enumerate(expected.cases):
            found.forced(case.name, expected.logits(number), answers.forced(case, pictures))
            advance(what, number + 1, len(expected.cases))
        own = expected.cases[:_GREEDY_CASES]
        written = [answers.greedy(case, pictures, _GREEDY_TOKENS) for case in own]
    # Up to its first divergence the network would have written the engine's tokens by itself.
    seen = [expected.picture(number) for number in range(len(pictures))]
    texts = [_text(source, case, tokens, seen) for case, tokens in zip(own, written, strict=True)]
    network = FloatNetwork(base, source.weights)
    for case, tokens, logits in zip(own, written, network.logits(texts), strict=True):
        found.greedy(case.name, tokens, logits)
    return found.result()


def _text(source: Source, case: Case, answer: Sequence[int], pictures: Sequence[NDArray[np.float32]]) -> Forced:
    """A prompt with an answer behind it, as the network reads it. pictures: its own embeddings."""
    layout = case.layout(source.section, source.tokenizer, pictures)
    ids = np.concatenate([layout.ids, np.asarray(answer[:-1], np.int64)])
    return Forced(ids, layout.pictures, len(answer))


def _sha256_of(cases: Sequence[Case], shown: Sequence[NDArray[np.float32]]) -> str:
    total = hashlib.sha256(json.dumps([[case.name, case.parts, case.answer] for case in cases]).encode())
    for one in shown:
        total.update(np.ascontiguousarray(one).data)
    return total.hexdigest()

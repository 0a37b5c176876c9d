"""A study reader whose networks are a few lines of NumPy: they count what they encode, and can be told to fail or wait.

Not for: graphs and engines (test_on_engines.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.models.study.contract import encoder_tensors, head_tensors
from cathrt.runtime.models.study.policy import StudyPolicy
from cathrt.runtime.models.study.reader import ClipsReader, Tensors
from cathrt.runtime.models.study.section import ENCODER, HEAD, StudyClip, StudyQuestion, StudySection

TOKENS, FEATURES = 3, 4
QUESTIONS = (
    StudyQuestion("prox_lad_stenosis", "Proximal LAD: stenosis", "stenosis", "amount", "prox_lad", low=0.0, high=100.0,
                  unit="%"),
    StudyQuestion("prox_lad_stenosis_binary", "Proximal LAD: significant stenosis", "significant stenosis",
                  "probability", "prox_lad", threshold=0.1145),
    StudyQuestion("syntax", "SYNTAX score", "syntax score", "amount", low=0.0, unit="points", threshold=16.9),
    StudyQuestion("dominance", "Dominance", "dominance", "category", categories=("right", "left")),
)  # fmt: skip
SECTION = StudySection(
    product="made up",
    clip=StudyClip(4, 8, 8, 1, 127.5, 25.5),
    runs=4,
    empty="hidden",
    views=0,
    questions=QUESTIONS,
)


def study_manifest(section: StudySection = SECTION, engine: str = "fake", **changes: Any) -> Manifest[StudySection]:
    """As an export writes one."""
    given, found = encoder_tensors(section, TOKENS, FEATURES)
    inputs, outputs = head_tensors(section, TOKENS, FEATURES)
    networks = {
        ENCODER: Network({engine: Artifact("encoder.onnx", "float32")}, (given,), (found,), ({"n": 1}, {"n": 4})),
        HEAD: Network({engine: Artifact("head.onnx", "float32")}, inputs, outputs, ({"N": section.runs},)),
    }
    manifest = Manifest(SCHEMA_VERSION, "made up study", {}, networks, section, True, {}, {})
    return replace(manifest, **changes)


def study_bundle(section: StudySection = SECTION, sha256: str = "5" * 64, **changes: Any) -> Bundle:
    return Bundle(Path("nowhere"), study_manifest(section, **changes), sha256, "0" * 64)


def _nothing(clip: int) -> None:
    """At no clip anything happens."""


@dataclass
class NumpyNetworks:
    """Fits reader.Networks. at_clip(number): while each clip is encoded. encoded: hashes of the clips, in order.

    log: a file that gets a line for each clip that was encoded, for processes that are killed. stop: of the clip in
    hand.
    """

    section: StudySection = SECTION
    at_clip: Callable[[int], None] = _nothing
    encoded: list[int] = field(default_factory=list)
    asked: list[dict[str, np.ndarray]] = field(default_factory=list)
    log: Path | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    opened: int = 0
    closed: int = 0

    def encode(self, feeds: Tensors, stop: threading.Event) -> Tensors | None:
        self.stop = stop
        self.at_clip(len(self.encoded) + 1)
        if stop.is_set():
            return None
        clips = feeds["clips"]
        self.encoded.append(hash(clips.tobytes()))
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{np.float64(clips.sum()).hex()}\n")
        rows = [clips.mean(), clips.std(), clips[:, :, 0].mean(), clips[:, :, -1].mean()]
        features = np.tile(np.array(rows, np.float32), (1, TOKENS, 1))
        features += np.arange(TOKENS, dtype=np.float32)[None, :, None] / 8
        return {"features": features}

    def ask(self, feeds: Tensors) -> Tensors:
        """An attention over the clips that are there."""
        self.asked.append({name: np.array(tensor) for name, tensor in feeds.items()})
        rows, there = feeds["features"].astype(np.float64), feeds["there"]
        scores = np.where(there, rows.mean(axis=(2, 3)), -np.inf)
        counted = np.exp(scores - scores.max())
        counted /= counted.sum()
        pooled = (counted[:, :, None] * rows.mean(axis=2)).sum(axis=1)
        columns = self.section.columns
        logits = pooled @ np.linspace(-3.0, 5.0, FEATURES * columns).reshape(FEATURES, columns)
        if "views" in feeds:
            logits = logits + (counted * feeds["views"]).sum()
        return {"logits": logits.astype(np.float32), "counted": counted.astype(np.float32)}

    def close(self) -> None:
        self.closed += 1


def clips_reader(
    networks: NumpyNetworks | None = None,
    policy: StudyPolicy | None = None,
    section: StudySection = SECTION,
    sha256: str = "5" * 64,
    **changes: Any,
) -> ClipsReader:
    """A reader whose networks are these."""
    given = networks or NumpyNetworks(section)

    def opened() -> NumpyNetworks:
        given.opened += 1
        return given

    return ClipsReader(study_bundle(section, sha256, **changes), EngineConfig(name="fake"), policy, opened)

"""A whole line in memory for tests: a source made of arrays, an engine that reads brightness, a journal that is a list.

The engine's answer is a plain function of the picture, so every test can say which verdicts must come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.runtime.alert import Alert, Record, RunSummary, StoredRecord, Verdict
from cathrt.runtime.bundle.manifest import (
    SCHEMA_VERSION,
    Artifact,
    DeclaredTensor,
    History,
    Manifest,
    Network,
    Preprocessing,
)
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, LadderConfig
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.frame import Frame, Geometry, Grayscale, LostFrame, Run, Timing, VoiWindow
from cathrt.runtime.identity import run_id
from cathrt.runtime.journal.records import body_from_record
from cathrt.runtime.line.ladder_place import Place, Rung
from cathrt.runtime.line.pipeline import Line, ServedModel
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyframeResult
from cathrt.runtime.models.keyframe.run import KeyframeOnFrames
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeLabel, KeyframeSection
from cathrt.runtime.ports import Engine

SIZE = 8
LABELS = tuple(
    KeyframeLabel(f"{side}-{quality}", side, quality)
    for side in ("left", "right")
    for quality in ("better", "bad", "others")
)
MANIFEST = Manifest(
    schema_version=SCHEMA_VERSION,
    name="brightness",
    files={},
    networks={
        CLASSIFIER: Network(
            artifacts={"fake": Artifact("none", "float32")},
            inputs=(DeclaredTensor("image", (1, 3, SIZE, SIZE), "float32"),),
            outputs=(DeclaredTensor("logits", (1, 6), "float32"),),
            preprocessing=(
                Preprocessing(
                    "image", "NCHW", SIZE, SIZE, "voi_else_percentile", (0.5, 99.5), (0.0,) * 3, (1.0,) * 3, 0.0
                ),
            ),
        )
    },
    model=KeyframeSection("logits", LABELS, 0.6, 0.3, 0.5),
    demonstration=True,
    provenance={},
    evidence={},
)
BUNDLE = Bundle(path=Path("nowhere"), manifest=MANIFEST, manifest_sha256="f" * 64, signed_by="0" * 64)
HISTORY = History(("grey", "contrast", "change"), rise_s=0.4, fall_s=3.0, recent_s=0.2)


def remembering(bundle: Bundle = BUNDLE, history: History = HISTORY) -> Bundle:
    """The same network, whose channels show what the run showed before."""
    network = bundle.manifest.network(CLASSIFIER)
    network = replace(network, preprocessing=(replace(network.preprocessing[0], history=history),))
    manifest = replace(bundle.manifest, networks={CLASSIFIER: network})
    return replace(bundle, manifest=manifest, manifest_sha256="e" * 64)


Tensors = Mapping[str, np.ndarray]


def brightness(inputs: Tensors, outputs: Tensors) -> None:
    """P(left better) is the picture's mean grey, the rest is "left others"."""
    _answer(outputs, float(inputs["image"].mean()))


def contrast(inputs: Tensors, outputs: Tensors) -> None:
    """P(left better) is 0.5 for a picture like those before, 1 for a white one after black ones. Of remembering()."""
    _answer(outputs, 0.5 + 0.5 * float(inputs["image"][0, 1].mean()))


def _answer(outputs: Tensors, better: float) -> None:
    scores = np.full(6, 1e-6)
    scores[0], scores[2] = max(better, 1e-6), max(1.0 - better, 1e-6)
    outputs["logits"][0] = np.log(scores / scores.sum())


def fake_engine(compute: Any = brightness) -> FakeEngine:
    return FakeEngine(MANIFEST.network(CLASSIFIER).input_specs(), MANIFEST.network(CLASSIFIER).output_specs(), compute)


def served(bundle: Bundle = BUNDLE, engine: Engine | None = None, config: Config | None = None) -> ServedModel:
    """A keyframe bundle as the line serves it."""
    network = bundle.manifest.network(CLASSIFIER)
    model = KeyframeOnFrames(bundle, (config or Config()).policy.get("keyframe"))
    return ServedModel(bundle, engine or fake_engine(), model, network.preprocessing)


def line(compute: Any = brightness, *, bundle: Bundle = BUNDLE, engine: Engine | None = None, **changes: Any) -> Line:
    config = changes.pop("config", Config())
    models = (served(bundle, engine or fake_engine(compute), config),)
    return replace(Line(models, record_parts(), config, MonotonicClock()), **changes)


def places_of(made: Line) -> list[Place]:
    """Each model of a line as the only rung of its ladder. What was lost once is gone for good."""

    def lost() -> Engine:
        raise EngineError("it cannot be opened again")

    return [
        Place([Rung(served.engine.name, served, lost, engine=served.engine)], LadderConfig(), made.clock,
              made.config.line.budget_ms, all_signs=False)
        for served in made.models
    ]  # fmt: skip


def finding_of(verdict: Verdict) -> KeyframeFinding | None:
    """What the keyframe model found; None where it answered nothing."""
    return next((found for found in verdict.findings if isinstance(found, KeyframeFinding)), None)


def result_of(summary: RunSummary) -> KeyframeResult:
    """The keyframe model's result."""
    (result,) = summary.results
    assert isinstance(result, KeyframeResult)
    return result


def picture(score: float, noise: int = 0) -> np.ndarray:
    """A frame whose mean grey, windowed, is `score`; `noise` makes pictures of the same score differ."""
    pixels = np.full((SIZE, SIZE), round(score * 200), np.uint8)
    pixels[noise // SIZE % SIZE, noise % SIZE] += noise % 3 + 1
    return pixels


@dataclass
class ArraySource:
    """A run made of scores, arrays or lost frames; None leaves the index out."""

    items: Sequence[float | np.ndarray | LostFrame | None]
    frame_count: int | None = None
    name: str = "array"
    closed: bool = False
    geometry: Geometry = field(default_factory=Geometry)

    @property
    def run(self) -> Run:
        count = len(self.items) if self.frame_count is None else self.frame_count
        # LINEAR_EXACT over 0..200, so that a picture's mean grey comes through as its score
        grayscale = Grayscale(8, voi=VoiWindow(100.0, 200.0, "LINEAR_EXACT"))
        timing = Timing(15.0, "FrameTime")
        return Run(run_id(self.name), self.name, count, SIZE, SIZE, grayscale, timing, self.geometry)

    def frames(self) -> Iterator[Frame | LostFrame]:
        clock = MonotonicClock()
        for index, item in enumerate(self.items):
            if item is None:
                continue
            if isinstance(item, LostFrame):
                yield item
                continue
            pixels = item if isinstance(item, np.ndarray) else picture(float(item), index)
            yield Frame(pixels, index, clock.now_ns())

    def close(self) -> None:
        self.closed = True


@dataclass
class ListJournal:
    """Keeps records by id, as the real one does: the first of an id stands."""

    records: dict[str, Record] = field(default_factory=dict)

    def append(self, record: Record) -> None:
        self.records.setdefault(record.id, record)

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:
        of_pass = [r for r in self.records.values() if getattr(r, "pass_id", None) == pass_id]
        return tuple(StoredRecord(seq, r.id, r.type, body_from_record(r)) for seq, r in enumerate(of_pass, 1))

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records.values() if isinstance(record, kind)]

    @property
    def verdicts(self) -> list[Verdict[KeyframeFinding]]:
        return self.of(Verdict)

    @property
    def alerts(self) -> list[Alert]:
        return self.of(Alert)

    @property
    def summaries(self) -> list[RunSummary]:
        return self.of(RunSummary)


def engine_of(verdict: Verdict) -> str | None:
    """The engine that computed the keyframe finding; None where there is none."""
    finding = finding_of(verdict)
    return None if finding is None else finding.engine

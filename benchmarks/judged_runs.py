"""Judges one run with the line itself (pipeline.watch) and keeps its verdicts in memory.

Sides and key frames are those of verdicts, alerts and summary, as an operator would get them. Not for: counting what
was right (figures.py) and where runs come from (real_runs.py, phantom_runs.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cathrt.export.models.keyframe.demo.evaluate import HIT_FRAMES
from cathrt.runtime.alert import Alert, Finding, Record, RunSummary, StoredRecord, Verdict
from cathrt.runtime.config import Config, EngineConfig
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.finding import KeyframeModel
from cathrt.runtime.models.keyframe.records import KeyframeFinding, KeyframeResult, Laterality
from cathrt.runtime.models.keyframe.section import section_of
from cathrt.runtime.ports import Source


@dataclass(frozen=True, slots=True)
class LineRecipe:
    """How to open a line, in this process or another. trusted: public keys that may have signed the bundle."""

    bundle: Path
    trusted: tuple[str, ...]
    engine: str

    @contextmanager
    def opened(self, threads: int = 0) -> Iterator[Line]:
        """The line as `cathrt replay` opens it, as fast as it judges. threads: 0 takes the CPU quota."""
        config = replace(Config(), engine=EngineConfig(self.engine, threads))
        with opened_line([open_bundle(self.bundle, self.trusted)], config, "max") as line:
            yield line


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """What one verdict says. found: its side. forced: the likelier side. Both are "unknown" where nothing was judged.

    finding: None for a frame that ended DROPPED, FAILED or DUPLICATE.
    """

    found: Laterality
    forced: Laterality
    finding: KeyframeFinding | None


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """One entry of `frames` per frame of the run, in order. announced: frames alerted while it ran."""

    summary: RunSummary
    frames: tuple[JudgedFrame, ...]
    announced: tuple[int, ...]

    @property
    def result(self) -> KeyframeResult:
        """The keyframe model's result of the run."""
        (result,) = (found for found in self.summary.results if isinstance(found, KeyframeResult))
        return result

    @property
    def key_frames(self) -> list[int]:
        """Every frame an operator was shown as a key frame, live or in the summary, each once."""
        return sorted({*self.announced, *self.result.marked_frames})


@dataclass(slots=True)
class _Kept:
    """The recorder: keeps what it is given and holds nothing of an earlier pass."""

    verdicts: list[Verdict] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def append(self, record: Record) -> None:
        if isinstance(record, Verdict):
            self.verdicts.append(record)
        elif isinstance(record, Alert):
            self.alerts.append(record)

    def stored(self, pass_id: str) -> tuple[StoredRecord, ...]:  # noqa: ARG002 (the port's name)
        return ()


def judge(source: Source, line: Line) -> JudgedRun:
    """Take a run through the line; the source is closed afterwards."""
    kept, model = _Kept(), KeyframeModel(section_of(line.models[0].bundle.manifest))
    try:
        summary = watch(source, line, kept)
    finally:
        source.close()
    frames = tuple(_judged(verdict.findings, model) for verdict in kept.verdicts)
    return JudgedRun(summary, frames, tuple(alert.frame_index for alert in kept.alerts))


def hit(run: JudgedRun, wanted: Sequence[int]) -> bool:
    """Whether the run's first-ranked key frame lies within HIT_FRAMES of a wanted frame."""
    ranked = run.result.marked_frames
    return bool(ranked) and min(abs(ranked[0] - frame) for frame in wanted) <= HIT_FRAMES


def _judged(findings: Sequence[Finding], model: KeyframeModel) -> JudgedFrame:
    finding = next((found for found in findings if isinstance(found, KeyframeFinding)), None)
    if finding is None:
        return JudgedFrame("unknown", "unknown", None)
    return JudgedFrame(finding.laterality, "left" if model.left_score(finding) >= 0.5 else "right", finding)

"""An image classifier's part in the line: the likeliest label of each frame, and of the run the one it has most.

It raises no news: nothing says which of somebody's labels an operator should be told of. Not for: reading logits
(finding.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Policy
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.model_kind import Judged, Raised
from cathrt.runtime.models.generic.finding import finding_of
from cathrt.runtime.models.generic.records import GenericFinding, GenericResult
from cathrt.runtime.models.generic.section import section_of

MARKED = 3  # frames of a run at most
MIN_GAP_MS = 330.0  # between two of them: five frames at 15 frames/s
_SLACK_MS = 1e-3  # due times are multiples of a frame's time, with rounding errors

_MEANS = "an image classifier's label, without clinical meaning"
_MEANS_JA = "画像のラベル、臨床使用不可"


@dataclass(frozen=True, slots=True)
class GenericPolicy(Policy):
    """Nothing is decided over time, so the table has no keys."""


class GenericOnFrames:
    """A bundle of this kind: fits model_kind.FrameModel."""

    def __init__(self, bundle: Bundle, policy: Policy | None) -> None:  # noqa: ARG002 (there is nothing in it)
        """Raises ManifestError for a bundle of another kind."""
        self.bundle = bundle
        self.section = section_of(bundle.manifest)

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """All that findings rest on is in the manifest, which is identified by its hash."""
        return {}

    @property
    def score_threshold(self) -> float | None:
        return None

    def begin(self, run: Run) -> GenericRun:
        """Raises SourceError for frames that the model's own preprocessing would crop and ours would squeeze."""
        if self.section.square_frames and run.rows != run.columns:
            raise SourceError(
                f"{run.source}: frames of {run.rows} x {run.columns}, bundle {self.bundle.manifest.name} takes square "
                "ones: its model crops others, which is not done here: give square frames"
            )
        return GenericRun(self)


class GenericRun:
    """One run: fits model_kind.ModelRun."""

    def __init__(self, model: GenericOnFrames) -> None:
        self._model = model
        self._judged: list[Judged] = []

    def finding(self, outputs: Mapping[str, NDArray[Any]], engine: str, frame: Frame) -> GenericFinding:  # noqa: ARG002
        return finding_of(self._model.section, outputs, engine)

    def remember(self, frame: Frame) -> None:
        """Nothing is measured from one frame to the next."""

    def observe(self, judged: Judged) -> Sequence[Raised]:
        self._judged.append(judged)
        return ()

    def finish(self) -> Sequence[Raised]:
        return ()

    def result(self, engine: str) -> GenericResult:
        held = most_held([(judged, _label(judged)) for judged in self._judged])
        marked = best_apart(held) if held else []
        label = _label(held[0]) if held else None
        text, text_ja = _words(label, held, len(self._judged))
        return GenericResult(
            bundle=self._model.bundle.manifest.name,
            manifest_sha256=self._model.bundle.manifest_sha256,
            engine=engine,
            marked_frames=tuple(judged.index for judged in marked),
            marked_scores=tuple(judged.finding.score for judged in marked),
            text=text,
            text_ja=text_ja,
            label=label,
            label_share=len(held) / len(self._judged) if held else 0.0,
        )


def most_held(frames: Sequence[tuple[Judged, str]]) -> list[Judged]:
    """The frames of the label that most frames have; of equals, that of the higher sum of scores, then the first."""
    by_label: defaultdict[str, list[Judged]] = defaultdict(list)
    for judged, label in frames:
        by_label[label].append(judged)
    return max(by_label.values(), key=lambda held: (len(held), sum(one.finding.score for one in held)), default=[])


def best_apart(frames: Sequence[Judged]) -> list[Judged]:
    """The best scores first, at most MARKED frames, at least MIN_GAP_MS between any two."""
    chosen: list[Judged] = []
    for judged in sorted(frames, key=lambda one: (-one.finding.score, one.index)):
        if all(abs(judged.due_ms - other.due_ms) >= MIN_GAP_MS - _SLACK_MS for other in chosen):
            chosen.append(judged)
        if len(chosen) == MARKED:
            break
    return chosen


def _label(judged: Judged) -> str:
    assert isinstance(judged.finding, GenericFinding)
    return judged.finding.label


def _words(label: str | None, held: Sequence[Judged], judged: int) -> tuple[str, str]:
    if label is None:
        return f"no frame judged, no label ({_MEANS})", f"判定できたフレームなし、ラベル なし（{_MEANS_JA}）"
    mean = sum(one.finding.score for one in held) / len(held)
    counted, scored = f"{len(held)} of {judged} frames", f"mean score {mean:.2f}"
    return (
        f"label most held: {label}, {counted}, {scored} ({_MEANS})",
        f"ラベル：{label}、{len(held)}/{judged}フレーム、スコア {mean:.2f}（{_MEANS_JA}）",
    )

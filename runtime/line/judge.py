"""One frame's way from pixels to its verdict, with its stage times.

Not for: what a run of verdicts means (policy.py, ledger.py) or where they go (journal/writer.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cathrt.kernels._kernels import same_pixels
from cathrt.runtime.alert import Finding, Outcome, StageTimes, Verdict
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.frame_step import FrameStep
from cathrt.runtime.identity import record_id
from cathrt.runtime.model_kind import ModelRun

_log = logging.getLogger(__name__)


JUDGED = (Outcome.MET, Outcome.LATE)


@dataclass(frozen=True, slots=True)
class RunningModel:
    """A model in one run: the step that computes its outputs, and the part that says what they mean."""

    kind: str
    step: FrameStep
    part: ModelRun


class Judge:
    """Judges the frames of one pass in order, with every model. Built once per run; not thread-safe."""

    def __init__(
        self,
        *,
        pass_id: str,
        run_id: str,
        models: Sequence[RunningModel],
        budget_ms: float | None,
        now_ns: Callable[[], int],
    ) -> None:
        """models: at least one, each with its step for this run. budget_ms: None for no deadline."""
        self._pass_id = pass_id
        self._run_id = run_id
        self._models = tuple(models)
        self._budget_ms = budget_ms
        self._now_ns = now_ns
        self._seen: Frame | None = None  # the newest picture, if it was judged; the first of its repeats
        self._gaps: set[str] = set()  # kinds of models that a stored frame could not be shown to

    def __call__(self, item: Frame | LostFrame, waited_ms: float) -> Verdict:
        """The one verdict of this frame; whatever goes wrong with it, there is one. waited_ms: for the source.

        Only a picture that was judged makes the next frame a DUPLICATE: the repeat of a failed or covered frame is
        tried again. A frame that was lost in between changes nothing.
        """
        if isinstance(item, LostFrame):
            outcome = Outcome.FAILED if item.failed else Outcome.DROPPED
            return self._unjudged(item, waited_ms, outcome, item.reason, retry=item.failed and item.ours)
        seen, self._seen = self._seen, None
        try:
            if seen is not None and _repeats(seen, item):
                self._seen = seen
                return self._unjudged(item, waited_ms, Outcome.DUPLICATE, f"same pixels as frame {seen.index}")
            verdict = self._judged(item, waited_ms)
        except Exception as exc:  # a frame that cannot be judged is FAILED, and the line goes on
            _log.exception("frame %d of run %s failed", item.index, self._run_id)
            reason = f"{type(exc).__name__}: {exc}"
            return self._unjudged(item, waited_ms, Outcome.FAILED, reason, retry=True)
        if verdict.outcome in JUDGED:
            self._seen = item
        return verdict

    def stands(self, item: Frame | LostFrame, verdict: Verdict) -> None:
        """Remember the picture of a frame whose verdict is stored already, as if it had been judged here."""
        picture = item if isinstance(item, Frame) else None
        if picture is not None and verdict.outcome in (*JUDGED, Outcome.FAILED):
            found = {finding.kind for finding in verdict.findings}  # of a FAILED frame by some of the models
            for model in self._models:
                self._remember(model, picture)
                if model.kind in found:
                    model.part.remember(picture.pixels)
        if verdict.outcome in JUDGED:
            self._seen = picture
        elif picture is not None and (self._seen is None or not _repeats(self._seen, picture)):
            # A stored DUPLICATE is a repeat of a judged picture, which may not have come this time.
            self._seen = picture if verdict.outcome is Outcome.DUPLICATE else None

    def _remember(self, model: RunningModel, frame: Frame) -> None:
        """Raises nothing: a frame that is FAILED may fail here, too, and the next ones can do without it."""
        try:
            model.step.remember(frame.pixels)
        except Exception as exc:  # whatever made the frame FAILED
            if model.kind not in self._gaps:
                self._gaps.add(model.kind)
                why = f"{type(exc).__name__}: {exc}"
                _log.warning("%s has not seen every frame of run %s: %s", model.kind, self._run_id, why)

    def _judged(self, frame: Frame, waited_ms: float) -> Verdict:
        """Every model answers; where one of them cannot, the frame is FAILED and keeps what the others found."""
        findings: list[Finding] = []
        faults: list[str] = []
        preprocess_ms = infer_ms = postprocess_ms = 0.0
        for model in self._models:
            try:
                stepped = model.step(frame.pixels)
                preprocess_ms, infer_ms = preprocess_ms + stepped.preprocess_ms, infer_ms + stepped.infer_ms
                if stepped.outputs is None:
                    reason = "no exposed pixel: shutter and collimator cover the frame"
                    return self._unjudged(frame, waited_ms, Outcome.DROPPED, reason)
                inferred = self._now_ns()
                failpoint("line.inferred")
                findings.append(model.part.finding(stepped.outputs, stepped.engine, frame.pixels))
                postprocess_ms += _ms(inferred, self._now_ns())
            except Exception as exc:  # one model's fault must not cost the answers of the others
                _log.exception("frame %d of run %s failed in model %s", frame.index, self._run_id, model.kind)
                named = f"{model.kind}: " if len(self._models) > 1 else ""
                faults.append(f"{named}{type(exc).__name__}: {exc}")
        if not findings:
            return self._unjudged(frame, waited_ms, Outcome.FAILED, "; ".join(faults), retry=True)
        times = StageTimes(waited_ms, preprocess_ms, infer_ms, postprocess_ms, _ms(frame.acquired_ns, self._now_ns()))
        late = self._budget_ms is not None and times.end_to_end > self._budget_ms
        over = f"{times.end_to_end:.1f} ms, budget {self._budget_ms:g} ms" if late else None
        return Verdict(
            id=self._id(frame),
            pass_id=self._pass_id,
            run_id=self._run_id,
            frame_index=frame.index,
            outcome=Outcome.FAILED if faults else Outcome.LATE if late else Outcome.MET,
            reason="; ".join(faults) or over,
            findings=tuple(findings),
            latency_ms=times,
            retry=bool(faults),
        )

    def _unjudged(
        self, item: Frame | LostFrame, waited_ms: float, outcome: Outcome, reason: str, *, retry: bool = False
    ) -> Verdict:
        end_to_end = max(_ms(item.acquired_ns, self._now_ns()), 0.0)
        return Verdict(
            id=self._id(item),
            pass_id=self._pass_id,
            run_id=self._run_id,
            frame_index=item.index,
            outcome=outcome,
            reason=reason,
            findings=(),
            latency_ms=StageTimes(waited_ms, preprocess=0.0, infer=0.0, postprocess=0.0, end_to_end=end_to_end),
            retry=retry,
        )

    def _id(self, item: Frame | LostFrame) -> str:
        return record_id(self._pass_id, "verdict", str(item.index))


def _repeats(seen: Frame, frame: Frame) -> bool:
    """Whether every pixel is the same. Of frames that differ, as live ones do, only the first pixels are read.

    Never of frames that lie on a device, where the host does not look.
    """
    before, now = seen.pixels, frame.pixels
    if not (isinstance(before, np.ndarray) and isinstance(now, np.ndarray)):
        return False
    if before.shape != now.shape or before.dtype != now.dtype:
        return False
    return same_pixels(before, now, 8 * now.dtype.itemsize)  # a source has already cleared the unused bits


def _ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e6

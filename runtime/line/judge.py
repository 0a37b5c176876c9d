"""One frame's way from pixels to its verdict, with its stage times.

Not for: what a run of verdicts means (policy.py, ledger.py) or where they go (journal/writer.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np

from cathrt.kernels._kernels import same_pixels
from cathrt.runtime.alert import JUDGED, Finding, Outcome, StageTimes, Verdict
from cathrt.runtime.errors import EngineLostError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.frame_step import FrameStep, Stepped, begin_of, in_flight
from cathrt.runtime.identity import record_id
from cathrt.runtime.model_kind import ModelRun

COVERED = "no exposed pixel: shutter and collimator cover the frame"  # why such a frame is DROPPED
_log = logging.getLogger(__name__)


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
        self._in_flight = in_flight(models[0].step) if len(models) == 1 else 1
        self._begin_step = begin_of(models[0].step)
        self._budget_ms = budget_ms
        self._now_ns = now_ns
        self._seen: Frame | None = None  # the newest picture, if it was judged; the first of its repeats
        self._begun: Frame | None = None  # the newest picture, while it has no verdict
        self._loss = ""  # of an engine, logged last
        self._gaps: set[str] = set()  # kinds of models that a stored frame could not be shown to

    @property
    def in_flight(self) -> int:
        """How many frames may be begun before the first of them is finished."""
        return self._in_flight

    def __call__(self, item: Frame | LostFrame, waited_ms: float) -> Verdict:
        """The one verdict of this frame; whatever goes wrong with it, there is one. waited_ms: for the source.

        Only a picture that was judged makes the next frame a DUPLICATE: the repeat of a failed or covered frame is
        tried again. A frame that was lost in between changes nothing.
        """
        return self.begin(item, waited_ms)()

    def rests_on_unfinished(self, item: Frame | LostFrame) -> bool:
        """Whether what becomes of this frame rests on one that was begun: that one must be finished first."""
        return self._begun is not None and isinstance(item, Frame) and _repeats(self._begun, item)

    def begin(self, item: Frame | LostFrame, waited_ms: float) -> Callable[[], Verdict]:
        """Begin a frame; what is returned gives its verdict. Frames are finished in the order in which they began."""
        if isinstance(item, LostFrame):
            lost = self._unjudged(item, waited_ms, _outcome_of(item), item.reason, retry=item.failed and item.ours)
            return lambda: lost
        seen, self._seen = self._seen, None
        if seen is not None and _repeats(seen, item):
            self._seen = seen
            repeat = self._unjudged(item, waited_ms, Outcome.DUPLICATE, f"same pixels as frame {seen.index}")
            return lambda: repeat
        self._begun, steps = item, self._begin_steps(item)

        def finish() -> Verdict:
            verdict = self._finished(item, waited_ms, steps)
            if self._begun is item:
                self._begun = None
                self._seen = item if verdict.outcome in JUDGED else None
            return verdict

        return finish

    def _begin_steps(self, frame: Frame) -> list[Callable[[], Stepped]]:
        """What gives each model's outputs. Of several models, each begins when the one before it has answered."""
        if len(self._models) > 1:
            return [partial(model.step, frame.pixels, frame.grayscale) for model in self._models]
        try:
            return [self._begin_step(frame.pixels, frame.grayscale)]
        except Exception as exc:  # it is the frame's fault when its verdict is made
            return [partial(_raise, exc)]

    def _finished(self, frame: Frame, waited_ms: float, steps: Sequence[Callable[[], Stepped]]) -> Verdict:
        try:
            return self._judged(frame, waited_ms, steps)
        except Exception as exc:  # a frame that cannot be judged is FAILED, and the line goes on
            _log.exception("frame %d of run %s failed", frame.index, self._run_id)
            return self._unjudged(frame, waited_ms, Outcome.FAILED, f"{type(exc).__name__}: {exc}", retry=True)

    def stands(self, item: Frame | LostFrame, verdict: Verdict) -> None:
        """Remember the picture of a frame whose verdict is stored already, as if it had been judged here."""
        picture = item if isinstance(item, Frame) else None
        if picture is not None and verdict.outcome in (*JUDGED, Outcome.FAILED):
            found = {finding.kind for finding in verdict.findings}  # of a FAILED frame by some of the models
            for model in self._models:
                self._remember(model, picture)
                if model.kind in found:
                    model.part.remember(picture)
        if verdict.outcome in JUDGED:
            self._seen = picture
        elif picture is not None and (self._seen is None or not _repeats(self._seen, picture)):
            # A stored DUPLICATE is a repeat of a judged picture, which may not have come this time.
            self._seen = picture if verdict.outcome is Outcome.DUPLICATE else None

    def _remember(self, model: RunningModel, frame: Frame) -> None:
        """Raises nothing: a frame that is FAILED may fail here, too, and the next ones can do without it."""
        try:
            model.step.remember(frame.pixels, frame.grayscale)
        except Exception as exc:  # whatever made the frame FAILED
            if model.kind not in self._gaps:
                self._gaps.add(model.kind)
                why = f"{type(exc).__name__}: {exc}"
                _log.warning("%s has not seen every frame of run %s: %s", model.kind, self._run_id, why)

    def _judged(self, frame: Frame, waited_ms: float, steps: Sequence[Callable[[], Stepped]]) -> Verdict:
        """Every model answers; where one of them cannot, the frame is FAILED and keeps what the others found."""
        findings: list[Finding] = []
        faults: list[str] = []
        preprocess_ms = infer_ms = postprocess_ms = 0.0
        for model, step in zip(self._models, steps, strict=True):
            try:
                stepped = step()
                preprocess_ms, infer_ms = preprocess_ms + stepped.preprocess_ms, infer_ms + stepped.infer_ms
                if stepped.outputs is None:
                    return self._unjudged(frame, waited_ms, Outcome.DROPPED, COVERED)
                inferred = self._now_ns()
                failpoint("line.inferred")
                findings.append(model.part.finding(stepped.outputs, stepped.engine, frame))
                postprocess_ms += _ms(inferred, self._now_ns())
            except Exception as exc:  # one model's fault must not cost the answers of the others
                self._log_fault(frame, model.kind, exc)
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
            acquired_ns=frame.acquired_ns,
        )

    def _log_fault(self, frame: Frame, kind: str, exc: Exception) -> None:
        """With its traceback. A loss that every later frame meets too is logged once a run."""
        if not isinstance(exc, EngineLostError) or str(exc) != self._loss:
            _log.error("frame %d of run %s failed in model %s", frame.index, self._run_id, kind, exc_info=exc)
        if isinstance(exc, EngineLostError):
            self._loss = str(exc)

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
            acquired_ns=item.acquired_ns,
        )

    def _id(self, item: Frame | LostFrame) -> str:
        return record_id(self._pass_id, "verdict", str(item.index))


def _outcome_of(lost: LostFrame) -> Outcome:
    if lost.repeat:
        return Outcome.DUPLICATE
    return Outcome.FAILED if lost.failed else Outcome.DROPPED


def _raise(error: Exception) -> NoReturn:
    raise error


def _repeats(seen: Frame, frame: Frame) -> bool:
    """Whether every pixel is the same and looked at alike. Of frames that differ, as live ones do, only the first
    pixels are read.

    Never of frames that lie on a device, where the host does not look.
    """
    before, now = seen.pixels, frame.pixels
    if not (isinstance(before, np.ndarray) and isinstance(now, np.ndarray)):
        return False
    if before.shape != now.shape or before.dtype != now.dtype or seen.grayscale != frame.grayscale:
        return False
    return same_pixels(before, now, 8 * now.dtype.itemsize)  # a source has already cleared the unused bits


def _ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e6

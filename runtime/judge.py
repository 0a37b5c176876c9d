"""One frame's way from pixels to its verdict, with its stage times.

Not for: what a run of verdicts means (policy.py, ledger.py) or where they go (journal.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from cathrt.kernels._kernels import same_pixels
from cathrt.runtime.alert import KeyframeFinding, Outcome, StageTimes, Verdict
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.frame_step import FrameStep
from cathrt.runtime.identity import record_id
from cathrt.runtime.models.keyframe import KeyframeModel

_log = logging.getLogger(__name__)


class Judge:
    """Judges the frames of one pass in order. Built once per run; not thread-safe."""

    def __init__(
        self,
        *,
        pass_id: str,
        run_id: str,
        step: FrameStep,
        model: KeyframeModel,
        budget_ms: float,
        now_ns: Callable[[], int],
    ) -> None:
        """step: of this run; it names the engine that goes into each verdict."""
        self._pass_id = pass_id
        self._run_id = run_id
        self._step = step
        self._model = model
        self._budget_ms = budget_ms
        self._now_ns = now_ns
        self._previous: Frame | None = None

    def __call__(self, item: Frame | LostFrame, waited_ms: float) -> Verdict[KeyframeFinding]:
        """The one verdict of this frame; whatever goes wrong with it, there is one. waited_ms: for the source."""
        if isinstance(item, LostFrame):
            outcome = Outcome.FAILED if item.failed else Outcome.DROPPED
            return self._unjudged(item, waited_ms, outcome, item.reason)
        previous, self._previous = self._previous, item
        try:
            if previous is not None and _repeats(previous, item):
                return self._unjudged(item, waited_ms, Outcome.DUPLICATE, f"same pixels as frame {previous.index}")
            return self._judged(item, waited_ms)
        except Exception as exc:  # the one place: a frame that cannot be judged is FAILED, and the line goes on
            _log.exception("frame %d of run %s failed", item.index, self._run_id)
            return self._unjudged(item, waited_ms, Outcome.FAILED, f"{type(exc).__name__}: {exc}")

    def _judged(self, frame: Frame, waited_ms: float) -> Verdict[KeyframeFinding]:
        stepped = self._step(frame.pixels)
        if stepped.outputs is None:
            reason = "no exposed pixel: shutter and collimator cover the frame"
            return self._unjudged(frame, waited_ms, Outcome.DROPPED, reason)
        inferred = self._now_ns()
        failpoint("line.inferred")
        finding = self._model.finding(stepped.outputs)
        done = self._now_ns()
        times = StageTimes(
            source=waited_ms,
            preprocess=stepped.preprocess_ms,
            infer=stepped.infer_ms,
            postprocess=_ms(inferred, done),
            end_to_end=_ms(frame.acquired_ns, done),
        )
        if times.end_to_end > self._budget_ms:
            over = f"{times.end_to_end:.1f} ms, budget {self._budget_ms:g} ms"
            return self._verdict(frame, Outcome.LATE, over, times, finding, stepped.engine)
        return self._verdict(frame, Outcome.MET, None, times, finding, stepped.engine)

    def _unjudged(
        self, item: Frame | LostFrame, waited_ms: float, outcome: Outcome, reason: str
    ) -> Verdict[KeyframeFinding]:
        end_to_end = max(_ms(item.acquired_ns, self._now_ns()), 0.0)
        times = StageTimes(source=waited_ms, preprocess=0.0, infer=0.0, postprocess=0.0, end_to_end=end_to_end)
        return self._verdict(item, outcome, reason, times)

    def _verdict(
        self,
        item: Frame | LostFrame,
        outcome: Outcome,
        reason: str | None,
        times: StageTimes,
        finding: KeyframeFinding | None = None,
        engine: str | None = None,
    ) -> Verdict[KeyframeFinding]:
        """engine: the one that computed the finding; whoever is in force by now may be another."""
        return Verdict(
            id=record_id(self._pass_id, "verdict", str(item.index)),
            pass_id=self._pass_id,
            run_id=self._run_id,
            frame_index=item.index,
            outcome=outcome,
            reason=reason,
            finding=finding,
            latency_ms=times,
            engine=engine,
        )


def _repeats(previous: Frame, frame: Frame) -> bool:
    """Whether every pixel is the same. Of frames that differ, as live ones do, only the first pixels are read.

    Never of frames that lie on a device, where the host does not look.
    """
    before, now = previous.pixels, frame.pixels
    if not (isinstance(before, np.ndarray) and isinstance(now, np.ndarray)):
        return False
    if before.shape != now.shape or before.dtype != now.dtype:
        return False
    return same_pixels(before, now, 8 * now.dtype.itemsize)  # a source has already cleared the unused bits


def _ms(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e6

"""A bundle on its way into the running line: compared in shadow, then on trial, then kept, or rolled back.

One object for the lines of all sources, which swap it together. Not for: loading it, asking for it
(processes/swap_desk.py), or exchanging models (live_ladder.py).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Literal

from cathrt.runtime.alert import EngineReason, Finding, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import Clock
from cathrt.runtime.config import SwapConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.frame_step import any_history, frame_step
from cathrt.runtime.line.pipeline import ServedModel

Phase = Literal["comparing", "on trial", "kept", "rolled back", "refused"]
OVER: tuple[Phase, ...] = ("kept", "rolled back", "refused")

_MARGIN = 1.25  # of what the new bundle took last, for what it may take next
_OF_PERIOD = 0.9  # of a frame period that may be used before the next picture comes
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Swap:
    """How far it is. Thread-safe.

    bundle: the new one. cost_ms: what an inference took when it was loaded. reason, detail: of the newest phase.
    compared, agreed, slow, skipped: frames in shadow. watched: frames that it has judged.
    """

    bundle: Bundle
    config: SwapConfig
    clock: Clock
    cost_ms: float
    phase: Phase = "comparing"
    reason: EngineReason = "asked"
    detail: str = ""
    compared: int = 0
    agreed: int = 0
    slow: int = 0
    skipped: int = 0
    watched: int = 0
    began_ns: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.began_ns = self.clock.now_ns()

    def shadowed(self, *, agrees: bool, slow: bool) -> None:
        """One more frame was judged by both."""
        with self._lock:
            if self.phase != "comparing":
                return
            self.compared, self.agreed, self.slow = self.compared + 1, self.agreed + agrees, self.slow + slow
            if self.compared < self.config.shadow_frames:
                return
            said = f"the scores agree on {self.agreed} of {self.compared} frames, {self.slow} were over the budget"
            least = f"expected {self.config.agreement:.0%} (swap.agreement)"
            if self.agreed < self.config.agreement * self.compared:
                self._now("refused", "disagreed", f"{said}; {least}")
            elif self.slow > (1.0 - self.config.agreement) * self.compared:
                self._now("refused", "slow", f"{said}; {least} within the budget")
            else:
                self._now("on trial", "agreed", said)

    def skip(self) -> None:
        """A frame could not be compared: there was no time before the next one."""
        with self._lock:
            self.skipped += 1

    def look(self) -> None:
        """Give up waiting for frames to compare on, once swap.shadow_s have passed."""
        with self._lock:
            if self.phase == "comparing" and self.clock.now_ns() - self.began_ns > self.config.shadow_s * 1e9:
                said = f"{self.compared} of {self.config.shadow_frames} frames were compared"
                why = f"{self.skipped} were left out because the next picture was due"
                self._now("refused", "no_frames", f"within {self.config.shadow_s:g} s (swap.shadow_s) {said}; {why}")

    def judged(self) -> None:
        """A frame was judged by the new bundle, in time and without error."""
        with self._lock:
            self.watched += self.phase == "on trial"
            if self.phase == "on trial" and self.watched >= self.config.watch_frames:
                self._now("kept", "healthy", f"{self.watched} frames were judged without an error")

    def roll_back(self, reason: EngineReason, detail: str) -> None:
        """The new bundle errs, or is too slow."""
        with self._lock:
            if self.phase == "on trial":
                self._now("rolled back", reason, f"after {self.watched} frames: {detail}")

    def refuse(self, reason: EngineReason, detail: str) -> None:
        """It does not come in."""
        with self._lock:
            if self.phase == "comparing":
                self._now("refused", reason, detail)

    def _now(self, phase: Phase, reason: EngineReason, detail: str) -> None:
        self.phase, self.reason, self.detail = phase, reason, detail


class Shadow:
    """The new bundle beside the old one in one run: what it says of frames that the old one has judged.

    It runs in the line's thread, after a frame has its verdict and only where the next picture is not due meanwhile.
    """

    def __init__(self, served: ServedModel, run: Run, swap: Swap, clock: Clock, budget_ms: float) -> None:
        """Raises SourceError, ManifestError, EngineError where the new bundle cannot take the run."""
        self._served, self._swap, self._clock, self._budget_ms = served, swap, clock, budget_ms
        self._step = frame_step(served.engine, run, served.preprocessing, clock.now_ns)
        self._part = served.model.begin(run)
        self._remembers = any_history(served.preprocessing)
        self._period_ms = 1000.0 / run.timing.frame_rate_hz
        self._cost_ms = swap.cost_ms

    def see(self, frame: Frame, verdict: Verdict) -> None:
        """Compare on this frame if there is time. Raises nothing: an error of the new bundle ends the swap."""
        judged = next((found for found in verdict.findings if found.kind == self._served.kind), None)
        began_ns = self._clock.now_ns()
        left_ms = _OF_PERIOD * self._period_ms - (began_ns - frame.acquired_ns) / 1e6
        compares = judged is not None and left_ms >= _MARGIN * self._cost_ms
        try:
            if judged is None or not compares:
                if judged is not None:
                    self._swap.skip()
                if self._remembers:
                    self._step.remember(frame.pixels, frame.grayscale)
                return
            stepped = self._step(frame.pixels, frame.grayscale)
            if stepped.outputs is None:
                return
            found = self._part.finding(stepped.outputs, stepped.engine, frame)
        except (CathrtError, ValueError, TypeError) as exc:
            _log.warning("the new bundle fails in shadow: %s", exc)
            self._swap.refuse("errors", f"it fails on a frame: {exc}")
            return
        self._cost_ms = (self._clock.now_ns() - began_ns) / 1e6
        self._swap.shadowed(agrees=self._agree(judged, found), slow=self._cost_ms > self._budget_ms)

    def _agree(self, judged: Finding, found: Finding) -> bool:
        return abs(judged.score - found.score) <= self._swap.config.score_difference

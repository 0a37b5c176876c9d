"""Pedal on and off, and which pictures repeat the one before, from the signatures of what a live source shows.

A state machine without a clock and without pictures: signatures and times in, decisions out.
Figures were chosen on seeds below 24 of benchmarks/live_runs.py. Not for: frames and runs (live_run.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.line.pedal_signatures import CodingNoise, another_scene, change

# Lossy coders bring a new picture in steps, the first the largest. A step that is no such share of the run's usual
# change, nor so many times the step before, belongs to the picture before.
_USUAL_SHARE, _RISE, _RISE_SHARE = 0.6, 1.6, 0.25
_STEP_SHARE = 0.3  # of the usual change: what two codings of one pulse may be apart
_SECOND_SHARE, _STILL_CHANGE = 0.5, 1.0
# Of the pulse period: before the first has passed, no rise is a pulse; after the second, any change is.
_TOO_EARLY, _DUE = 0.7, 0.95
_STEPS_ON_END = 4  # so many changes one right after the other are pulses that come as fast as pictures do

_FASTEST_PERIOD_NS = 33_333_333  # 30 pulses a second
_CONFIRM_NS = 400_000_000  # the second pulse follows the first within this: 1.5 periods of 3.75 pulses a second
_PATIENCE_PERIODS = 3.0  # that a run may show the same
_LEAST_PATIENCE_NS, _MOST_PATIENCE_NS = 300_000_000, 800_000_000
_SILENT_PATIENCE_NS = 750_000_000  # where nothing at all comes, a network may be the reason
_LONGEST_GAP_NS = 100_000_000  # between two pictures, of what counts as shown

_PULSES_REMEMBERED = 32
_LEAST_INTERVALS = 4
# 15 pulses on a 25 Hz display come after 40 and 80 ms; where one was missed, after twice as long
_USUAL_INTERVALS = 0.45, 1.6


class Phase(Enum):
    """Nothing new is shown; something new was shown, which may be a still; pulses follow each other."""

    HELD = auto()
    UNDECIDED = auto()
    ON = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture means.

    phase: with this picture. new: it shows another pulse than the picture before. exact: its signature is that of the
    picture before. begins: what went on, a run or something undecided, ended before this picture. scene: this picture
    shows another scene than the one before.
    """

    phase: Phase
    new: bool
    exact: bool = False
    begins: bool = False
    scene: bool = False


class Pedal:
    """The pedal of one source. Not thread-safe."""

    def __init__(self) -> None:
        self.phase = Phase.HELD
        self._noise = CodingNoise()
        self._last: NDArray[np.float32] | None = None  # of the newest picture
        self._step = 0.0  # the newest picture's change
        self._steps_on_end = 0  # above the limit
        self._follows_pulse = False
        self._seen_ns = self._same_ns = 0  # when the newest picture was captured, and how long it has been the same
        self._new_ns = self._usual_ns = 0  # when the newest new picture, and one with a usual change, was captured
        self._first_change = 0.0  # of what went on last
        self._changes: deque[float] = deque(maxlen=_PULSES_REMEMBERED)  # from pulse to pulse
        self._intervals: deque[int] = deque(maxlen=_PULSES_REMEMBERED)
        self._usual_change = self._period_ns = 0.0  # 0: not known yet

    @property
    def rate_hz(self) -> float | None:
        """Pulses a second that this run shows, None until measured. No more than its pictures a second."""
        if self._period_ns == 0.0:
            return None
        least, most = (factor * median(self._intervals) for factor in _USUAL_INTERVALS)
        usual = [interval for interval in self._intervals if least < interval < most]
        return 1e9 * len(usual) / sum(usual) if usual else None

    @property
    def alike_limit(self) -> float:
        """How far two showings of one pulse may be apart, coded each time anew."""
        return max(self._noise.limit, _STEP_SHARE * self._usual_change if self._noise.lossy else 0.0)

    def see(self, signature: NDArray[np.float32], at_ns: int) -> Look:
        """Say what a picture means. signature: grey values of FULL_SCALE, kept. at_ns: when it was captured."""
        before, self._last = self._last, signature
        follows, self._follows_pulse = self._follows_pulse, False
        gap_ns, self._seen_ns = at_ns - self._seen_ns, at_ns
        self._same_ns += min(gap_ns, _LONGEST_GAP_NS)
        if before is None or before.shape != signature.shape:
            return self._begin(at_ns, 0.0)
        moved = change(before, signature)
        if another_scene(before, signature, moved):
            return self._begin(at_ns, moved, scene=True)
        exact = moved == 0.0
        if follows:
            self._noise.follows(exact=exact)
        pulse = self._is_pulse(moved, at_ns)
        self._step = moved
        if pulse:
            look = self._pulse(moved, at_ns)
            self._follows_pulse = look.phase is Phase.ON  # what follows a single change tells nothing of pulses
            return look
        return self._repeat(moved, at_ns, exact=exact and bool(np.array_equal(before, signature)))

    def nothing(self, now_ns: int) -> Phase:
        """Say that no picture that can be seen has come until now_ns."""
        if now_ns - self._new_ns > max(self._patience_ns(), _SILENT_PATIENCE_NS):
            self.phase = Phase.HELD
        return self.phase

    def release(self) -> None:
        """Whatever goes on ends here. What comes next is compared with what was seen last."""
        self.phase = Phase.HELD

    def forget(self) -> None:
        """Whatever goes on ends here, and what comes next can be compared with nothing: another layout."""
        self.phase = Phase.HELD
        self._last = None

    def _is_pulse(self, moved: float, at_ns: int) -> bool:
        """Whether a change, of a picture of the same scene, is more than the coder's."""
        if moved <= self._noise.limit:
            self._steps_on_end = 0
            return False
        self._steps_on_end += 1
        if self.phase is Phase.HELD or self._is_usual(moved, at_ns):
            return True
        rises = moved > _RISE * self._step
        if self._usual_change == 0.0:  # the second pulse, then, or the coder's second step
            rises = rises or self._steps_on_end >= _STEPS_ON_END
            return rises and moved >= _SECOND_SHARE * min(self._first_change, _STILL_CHANGE)
        early = at_ns - self._new_ns < _TOO_EARLY * (self._period_ns or _FASTEST_PERIOD_NS)
        return rises and not early and moved >= _RISE_SHARE * self._usual_change

    def _is_usual(self, moved: float, at_ns: int) -> bool:
        """Whether a change is as large as this run's pulses make it, or comes when one is due."""
        due = bool(self._period_ns) and at_ns - self._new_ns >= _DUE * self._period_ns
        return due or not self._noise.lossy or moved >= _USUAL_SHARE * self._usual_change > 0.0

    def _pulse(self, moved: float, at_ns: int) -> Look:
        since_ns = at_ns - self._new_ns
        undecided_too_long = self.phase is Phase.UNDECIDED and since_ns > _CONFIRM_NS
        if self.phase is Phase.HELD or undecided_too_long or since_ns > max(self._patience_ns(), _SILENT_PATIENCE_NS):
            return self._begin(at_ns, moved)
        if not self._changes or self._is_usual(moved, at_ns):
            self._changes.append(moved)
            self._usual_change = median(self._changes)
            self._intervals.append(at_ns - self._usual_ns)
            self._usual_ns = at_ns
            if len(self._intervals) >= _LEAST_INTERVALS:
                self._period_ns = sorted(self._intervals)[len(self._intervals) // 4]
        self.phase = Phase.ON
        self._new_ns, self._same_ns = at_ns, 0
        return Look(self.phase, new=True)

    def _begin(self, at_ns: int, moved: float, *, scene: bool = False) -> Look:
        """Something new is shown. Until a second pulse follows it may be a still."""
        begins = self.phase is not Phase.HELD
        self.phase = Phase.UNDECIDED
        self._new_ns = self._usual_ns = at_ns
        self._same_ns = 0
        self._step = self._first_change = moved
        self._steps_on_end = 0
        self._changes.clear()
        self._intervals.clear()
        self._usual_change = self._period_ns = 0.0
        return Look(self.phase, new=True, begins=begins, scene=scene)

    def _repeat(self, moved: float, at_ns: int, *, exact: bool) -> Look:
        before = self.phase
        self._noise.repeats(moved)
        if before is Phase.HELD:
            self._noise.learn(moved, at_ns)
        elif self._same_ns > self._patience_ns():
            self.phase = Phase.HELD
        return Look(self.phase, new=False, exact=exact, begins=self.phase is not before)

    def _patience_ns(self) -> float:
        """How long a run, or what may become one, may show the same before the pedal is off."""
        if self.phase is Phase.UNDECIDED:
            return _CONFIRM_NS
        if self._period_ns == 0.0:
            return _MOST_PATIENCE_NS
        return min(max(_PATIENCE_PERIODS * self._period_ns, _LEAST_PATIENCE_NS), _MOST_PATIENCE_NS)

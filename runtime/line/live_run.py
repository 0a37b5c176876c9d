"""One press of the pedal at a live source, as a Source.

Not for: when it begins and ends (pedal.py), and waiting for it (live_runs.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from cathrt.runtime.clock import Clock
from cathrt.runtime.counts import Counts
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, Frame, Geometry, LostFrame, Run, Timing, is_rate
from cathrt.runtime.identity import live_run_id
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.line.interrupted import INTERRUPTED
from cathrt.runtime.line.live_replays import EarlierRuns
from cathrt.runtime.line.live_stream import Aside, Ending, LiveStream
from cathrt.runtime.ports import Picture

NEAR_DUPLICATES, REPLAY = "near_duplicates", "replay_of_earlier_run"
_RATE_DEFAULT = "frame_rate_default"
_BROKEN_OFF: tuple[Ending, ...] = ("no signal", "stopped", "given up")


@dataclass(frozen=True, slots=True)
class LiveParts:
    """What a live run needs of its source. given_rate_hz: 0 where none was given. stop: ends the run early."""

    name: str
    stream: LiveStream
    earlier: EarlierRuns
    counts: Counts
    clock: Clock
    stop: threading.Event
    given_rate_hz: float


class LiveRun:
    """One run (ports.Source). Rate and flags of `run` are known in full when frames() has ended.

    ended: why it ended; None while it goes on.
    """

    def __init__(self, parts: LiveParts, first: Picture, source: str) -> None:
        self.ended: Ending | None = None
        self._parts = parts
        self._first = first
        self._source = source
        self._run_id = live_run_id(parts.name, boot(), first.captured_ns)
        self._walked = False
        self._rate_hz: float | None = None
        self._flags: set[str] = set()
        self._given = 0  # frames
        self._shown = 0  # index of the newest frame that was new

    @property
    def run(self) -> Run:
        """As far as it is known by now."""
        first, timing = self._first, self._timing()
        rows, columns = first.pixels.shape
        assumed = {_RATE_DEFAULT} if timing.origin == "default" else set()
        return Run(
            run_id=self._run_id,
            source=self._source,
            frame_count=None,
            rows=rows,
            columns=columns,
            grayscale=first.grayscale,
            timing=timing,
            geometry=Geometry(first.positioner_primary_angle_deg, first.positioner_secondary_angle_deg),
            flags=tuple(sorted(self._flags | assumed)),
        )

    def frames(self) -> Iterator[Frame | LostFrame]:
        """Every picture of the run as it comes, the first few at once. Raises SourceError when walked twice."""
        if self._walked or self.ended is not None:
            raise SourceError(f"{self._source}: its frames were already read: a live run is shown once")
        self._walked = True
        return self._walk()

    def close(self) -> None:
        """Let go of the run; its pictures that still come are those of no run. Idempotent."""
        if self.ended is None:
            self._end("given up")

    def _walk(self) -> Iterator[Frame | LostFrame]:
        stopped_ns: int | None = None
        try:
            while self.ended is None:
                yield from self._come()
                if stopped_ns is None and self._parts.stop.is_set():
                    stopped_ns = self._parts.clock.now_ns()
                self._step(stopped_ns)
        finally:
            self.close()

    def _step(self, stopped_ns: int | None) -> None:
        """Wait for what comes next. stopped_ns: when to stop was said; what came before that is still taken in."""
        stream = self._parts.stream
        step = stream.step() if stopped_ns is None else stream.step(wait_s=0.0)
        if step.ended is not None:
            self._end(step.ended)
        elif stopped_ns is not None and (step.captured_ns is None or step.captured_ns > stopped_ns):
            self._end("stopped")

    def _come(self) -> Iterator[Frame | LostFrame]:
        """What was put aside for this run, each counted when the line gets it."""
        parts = self._parts
        waiting = parts.stream.taken()
        try:
            while waiting:
                aside = waiting.pop(0)
                item = self._item(aside)
                parts.counts.add("frames")
                yield item
                self._judged(aside, last=not waiting)
        finally:
            if waiting:  # the line broke off
                parts.counts.add("held", len(waiting))

    def _item(self, aside: Aside) -> Frame | LostFrame:
        index, self._given = self._given, self._given + 1
        self._flags.update(aside.flags)
        if (missing := aside.missing) is not None:
            return LostFrame(index, missing.captured_ns, missing.reason, failed=missing.failed)
        if (picture := aside.picture) is None:
            if not aside.exact:
                self._flags.add(NEAR_DUPLICATES)
            reason = f"shows the same as frame {self._shown}"
            return LostFrame(index, aside.captured_ns, reason, failed=False, repeat=True)
        self._shown = index
        angles = picture.positioner_primary_angle_deg, picture.positioner_secondary_angle_deg
        return Frame(picture.pixels, index, picture.captured_ns, *angles)

    def _judged(self, aside: Aside, *, last: bool) -> None:
        """The line has come back for more: time for what no frame should wait for."""
        parts = self._parts
        if aside.signature is None:
            if last:
                parts.stream.warm()
            return
        parts.stream.worked()
        self._rate_hz = parts.stream.pedal.rate_hz
        parts.earlier.show(aside.signature, parts.stream.pedal.alike_limit)
        if parts.earlier.is_replay:
            self._flags.add(REPLAY)

    def _end(self, why: Ending) -> None:
        if why in ("stopped", "given up"):
            self._parts.stream.end(why)
        self.ended = why
        if why in _BROKEN_OFF:
            self._flags.add(INTERRUPTED)

    def _timing(self) -> Timing:
        given_hz = self._parts.given_rate_hz
        if self._rate_hz is not None and is_rate(self._rate_hz):
            return Timing(self._rate_hz, "measured")
        return Timing(given_hz, "given") if is_rate(given_hz) else Timing(DEFAULT_RATE_HZ, "default")

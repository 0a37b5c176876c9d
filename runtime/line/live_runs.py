"""Runs out of a stream: the endless pictures of a live source become runs, each a Source of its own.

Not for: what is one run (live_run.py), which pictures are of it (live_stream.py, pedal.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import Counts
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.live_replays import EarlierRuns
from cathrt.runtime.line.live_run import LiveParts, LiveRun
from cathrt.runtime.line.live_stream import LiveStream, Pictures


class LiveRuns:
    """The runs of one live source, one after the other. For one thread; two planes are two of these."""

    def __init__(
        self,
        name: str,
        pictures: Pictures,
        config: SourceConfig,
        counts: Counts,
        clock: Clock,
        keep_warm: KeepWarm | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """name: of the source. keep_warm: of the engine that judges its frames. wall_s: time of day, for names only."""
        self._name = name
        self._config = config
        self._counts = counts
        self._clock = clock
        self._wall_s = wall_s
        self._stream = LiveStream(pictures, counts, clock, keep_warm)
        self._earlier = EarlierRuns()

    def next_run(self, stop: threading.Event) -> LiveRun | None:
        """Wait until a run has begun, and keep the engine warm meanwhile. None: stop was set.

        A run before that was not walked to its end ends here. Raises SourceError where the source cannot go on.
        """
        stream = self._stream
        if stream.on:
            stream.end("given up")
        try:
            while not stop.is_set():
                stream.step()
                if stream.on:
                    return self._begun(stop)
                stream.warm()
        except BaseException:
            stream.end("given up")
            raise
        stream.end("stopped")
        return None

    def drain(self) -> None:
        """Count as held the pictures that still wait. Call it once the source is closed."""
        self._stream.drain()

    def _begun(self, stop: threading.Event) -> LiveRun:
        first = self._stream.first
        ago_s = (self._clock.now_ns() - first.captured_ns) / 1e9
        began = time.strftime("%H:%M:%S", time.localtime(self._wall_s() - ago_s))
        self._counts.add("runs")
        self._earlier.begin()
        parts = LiveParts(
            self._name, self._stream, self._earlier, self._counts, self._clock, stop, self._config.rate_hz
        )
        return LiveRun(parts, first, f"{self._name} {began}")

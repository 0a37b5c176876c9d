"""The phantom, streamed: run after run, with pauses in which the last image is held or no picture comes.

The same address streams the same images. A run is rendered ahead in a process of its own (phantom/live.py); the next
one is begun while the one before it is shown. Not for: `cathrt replay --phantom`, which has one run after the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import DEFAULT_RATE_HZ, Frame, LostFrame, Run
from cathrt.runtime.phantom.live import open_live
from cathrt.runtime.phantom.study import Press, SceneRecipe, draw_study
from cathrt.runtime.ports import Missing, Picture, Source
from cathrt.runtime.sources.capture.closing import Closing
from cathrt.runtime.sources.capture.phantom_address import PhantomStream
from cathrt.runtime.sources.capture.region import in_region

OpenLive = Callable[[SceneRecipe, LimitsConfig, Clock], Source]
_PAUSE_STEP_S = 0.02  # between looks at whether a pause without pictures is over
_MOST_BEHIND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A run of which the first frames are rendered."""

    press: Press
    source: Source


class _ClockUntilClosed:
    """Fits Clock: waiting ends when the tap is to be closed."""

    def __init__(self, clock: Clock, closing: Closing) -> None:
        self._clock = clock
        self._closing = closing

    def now_ns(self) -> int:
        return self._clock.now_ns()

    def wait_until(self, deadline_ns: int) -> None:
        while (left_ns := deadline_ns - self._clock.now_ns()) > 0 and not self._closing.wait(left_ns / 1e9):
            pass


class PhantomTap:
    """Fits ports.Tap. captured_ns is when a picture was due."""

    def __init__(
        self,
        stream: PhantomStream,
        source: SourceConfig,
        limits: LimitsConfig,
        clock: Clock,
        open_: OpenLive = open_live,
    ) -> None:
        """Begins to render the first run."""
        self._name = f"phantom seed {stream.recipe.seed}"
        self._stream = stream
        self._region = source.region
        self._limits = limits
        self._open = open_
        self._closing = Closing(self._close_now)
        self._clock = _ClockUntilClosed(clock, self._closing)
        self._presses = draw_study(stream.recipe, stream.runs or sys.maxsize, stream.pause_s)
        self._showing: Source | None = None
        self._held: Picture | None = None
        self._due_ns = self._start_ns = clock.now_ns()
        self._renderers = ThreadPoolExecutor(1, thread_name_prefix="cathrt-prepare")
        self._next = self._renderers.submit(self._prepared)
        self._pictures = self._streamed()
        self._step_ns = round(1e9 / (stream.display_hz or stream.recipe.frame_rate_hz or DEFAULT_RATE_HZ))

    @property
    def name(self) -> str:
        return self._name

    def next(self) -> Picture | Missing:
        """The next picture, when it is due. Raises SourceError where the renderer fails, after the last run where
        nothing is held, and once it was closed."""
        with self._closing.reading():
            found = None if self._closing.asked else next(self._pictures, None)
            if self._closing.asked or found is None:
                raise SourceError(f"{self._name}: {'closed' if self._closing.asked else 'all its runs were shown'}")
            return found

    def close(self) -> None:
        self._closing.close()

    def _close_now(self) -> None:
        if self._showing is not None:
            self._showing.close()
        self._renderers.shutdown(wait=False)
        self._next.add_done_callback(_close_prepared)

    def _prepared(self) -> _Prepared | None:
        """The next run of the study with its first frames; None after the last one. Runs in a thread of its own."""
        press = next(self._presses, None)
        return None if press is None else _Prepared(press, self._open(press.recipe, self._limits, self._clock))

    def _streamed(self) -> Iterator[Picture | Missing]:
        while True:
            yield from self._pause()
            prepared = self._next.result()
            if prepared is None:
                return
            self._showing = prepared.source
            self._next = self._renderers.submit(self._prepared)
            yield from self._run(prepared.source)
            prepared.source.close()

    def _pause(self) -> Iterator[Picture]:
        """Until the next run is due and its first frames are rendered; for ever after the last one if it is held."""
        released_ns, look_ns = self._clock.now_ns(), round(_PAUSE_STEP_S * 1e9)
        while not self._closing.asked and not self._is_over(released_ns):
            if self._held is not None and self._stream.hold:
                # What a reader that stayed away has missed of a pause is not made up for: a screen does not wait.
                self._due_ns = max(self._due_ns, self._clock.now_ns() - _MOST_BEHIND_NS)
                yield self._again(self._held)
            else:
                self._clock.wait_until(self._clock.now_ns() + look_ns)

    def _is_over(self, released_ns: int) -> bool:
        if not self._next.done():
            return False
        prepared = self._next.result()
        if prepared is None:
            return not self._stream.hold
        return self._clock.now_ns() >= released_ns + round(prepared.press.pause_s * 1e9)

    def _run(self, source: Source) -> Iterator[Picture | Missing]:
        """Each frame when it is due, and again at each step of the screen until the next one is."""
        begun_ns = 0
        for item in source.frames():
            shown = self._shown(item, source.run)
            self._due_ns = item.acquired_ns
            begun_ns = begun_ns or item.acquired_ns
            yield shown
            if isinstance(shown, Picture):
                self._held = shown
                next_ns = begun_ns + round(source.run.timing.due_ms(item.index + 1) * 1e6)
                while self._stream.display_hz and self._due_ns + 1.5 * self._step_ns < next_ns:
                    yield self._again(shown)

    def _shown(self, item: Frame | LostFrame, run: Run) -> Picture | Missing:
        if isinstance(item, LostFrame):
            return Missing(item.acquired_ns, item.reason, item.failed)
        pixels = in_region(item.pixels, self._region)
        if isinstance(pixels, str):
            return Missing(item.acquired_ns, pixels, failed=True)
        angles = item.positioner_primary_angle_deg, item.positioner_secondary_angle_deg
        grayscale = run.grayscales[item.grayscale]
        return Picture(pixels, grayscale, item.acquired_ns, self._source_ms(item.acquired_ns), *angles)

    def _again(self, held: Picture) -> Picture:
        """The same image at the screen's next step."""
        self._due_ns += self._step_ns
        self._clock.wait_until(self._due_ns)
        return replace(held, captured_ns=self._due_ns, source_ms=self._source_ms(self._due_ns))

    def _source_ms(self, at_ns: int) -> float:
        return (at_ns - self._start_ns) / 1e6


def _close_prepared(prepared: Future[_Prepared | None]) -> None:
    """Of a run that was begun and is not wanted any more."""
    if not prepared.cancelled() and prepared.exception() is None and (found := prepared.result()) is not None:
        found.source.close()

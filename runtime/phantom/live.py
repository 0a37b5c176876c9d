"""A phantom run at real time: each frame is due at its time; one that is not rendered by then is recorded as lost.

Rendered ahead in another process, a few frames at most. Time comes from a clock that is passed in.
Not for: the process (renderer_process.py) and the order of runs (study.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from numpy.typing import NDArray

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.phantom.renderer_process import RendererProcess
from cathrt.runtime.phantom.study import SceneRecipe

LEAD_FRAMES = 4  # rendered before they are due, at most


class Renderer(Protocol):
    """What renders. want() returns at once; take() never waits."""

    @property
    def run(self) -> Run: ...
    def want(self, first: int, stop: int) -> None: ...
    def take(self, index: int) -> NDArray[Any] | None: ...
    def ended(self) -> str | None: ...
    def close(self) -> None: ...


def open_live(recipe: SceneRecipe, limits: LimitsConfig, clock: Clock) -> LiveSource:
    """Start rendering a scene and wait, at most limits.first_frame_s each, for the run and for its first frames.

    The pedal is pressed when frames() is walked. Raises SourceError where nothing comes.
    """
    renderer = RendererProcess(recipe, limits)
    source = LiveSource(renderer, clock)
    if not renderer.settle(limits.first_frame_s):
        source.close()
        raise SourceError(
            f"{source.run.source}: no frame within limits.first_frame_s = {limits.first_frame_s:g}: "
            "raise it, or choose a smaller matrix"
        )
    return source


class LiveSource:
    """The Source of one press of the pedal (ports.Source). Frames carry the time at which they were due.

    A renderer that falls behind is sent ahead: the frame that was late and some after it are lost (not failed), each
    with the reason, and twice as many the next time if that was not enough. One that died fails what it still owes.
    """

    def __init__(self, renderer: Renderer, clock: Clock) -> None:
        self._renderer = renderer
        self._clock = clock
        self._walked = self._closed = False
        self._resumes_at = 0  # frames before this one were given up
        self._leap = LEAD_FRAMES
        renderer.want(0, LEAD_FRAMES)

    @property
    def run(self) -> Run:
        return self._renderer.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        """run.frame_count items, each when it is due; the first at once. Raises SourceError when walked twice."""
        if self._walked:
            raise SourceError(f"{self.run.source}: its frames were already read: open it again")
        self._walked = True
        return self._frames()

    def close(self) -> None:
        """Let go of the pedal and stop the renderer. Idempotent. Frames not yet read come as lost."""
        self._closed = True
        self._renderer.close()

    def _frames(self) -> Iterator[Frame | LostFrame]:
        run, start_ns = self.run, self._clock.now_ns()
        assert run.frame_count is not None
        for index in range(run.frame_count):
            due_ns = start_ns + round(run.timing.due_ms(index) * 1e6)
            if not self._closed:
                self._clock.wait_until(due_ns)
            yield self._at(index, due_ns)

    def _at(self, index: int, due_ns: int) -> Frame | LostFrame:
        """What there is of frame `index` at the moment it is due."""
        if self._closed:
            return LostFrame(index, due_ns, "the source was closed before this frame", failed=False)
        pixels = self._renderer.take(index)
        if pixels is not None:
            self._leap = LEAD_FRAMES
            self._renderer.want(index + 1, index + 1 + LEAD_FRAMES)
            angles = self.run.geometry.positioner_primary_angle_deg, self.run.geometry.positioner_secondary_angle_deg
            return Frame(pixels, index, due_ns, *angles)
        if (reason := self._renderer.ended()) is not None:
            return LostFrame(index, due_ns, reason, failed=True, ours=True)
        if index < self._resumes_at:
            return LostFrame(index, due_ns, "passed over: the renderer was behind", failed=False)
        self._resumes_at = index + self._leap
        self._leap *= 2
        self._renderer.want(self._resumes_at, self._resumes_at + LEAD_FRAMES)
        return LostFrame(index, due_ns, "not rendered when it was due: the renderer was behind", failed=False)

"""Live phantom runs rendered in the test's own process: at once, and without waiting for another to start."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Run
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.live import LiveSource
from cathrt.runtime.phantom.study import SceneRecipe


class Renderer:
    """Fits live.Renderer."""

    def __init__(self, recipe: SceneRecipe) -> None:
        self._source = PhantomSource(recipe.scene())
        self.run: Run = self._source.run
        self.closed = False

    def want(self, first: int, stop: int) -> None:
        pass

    def take(self, index: int) -> NDArray[Any] | None:
        return self._source.render(index)

    def ended(self) -> str | None:
        return None

    def close(self) -> None:
        self.closed = True


def rendered_here(recipe: SceneRecipe, limits: LimitsConfig, clock: Clock) -> LiveSource:
    """Fits phantom_tap.OpenLive."""
    return LiveSource(Renderer(recipe), clock)

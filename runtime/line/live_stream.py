"""What one live source shows, picture by picture, with what the pedal makes of it: held, or put aside for a run.

Every picture that comes is counted once, as held here or as a frame by the run that takes it (live_run.py).
Not for: whether the pedal is pressed (pedal.py), connections and threads (sources/capture/tap_thread.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cathrt.runtime.clock import Clock
from cathrt.runtime.counts import Counts
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.line.keep_warm import KeepWarm
from cathrt.runtime.line.pedal import Pedal, Phase
from cathrt.runtime.line.pedal_signatures import FULL_SCALE
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.sighting import Sighting, Silence

Ending = Literal["pedal off", "another scene", "another layout", "no picture", "no signal", "stopped", "given up"]

_LOOK_UP_S = 0.1  # longest wait for a picture before stop and the pedal's patience are looked at


class Pictures(Protocol):
    """Where pictures come from (TapThread). None: nothing came within wait_s, or the source is closed."""

    def take(self, wait_s: float | None) -> Sighting | Missing | Silence | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Aside:
    """One picture that is, or may be, of a run, and is not counted yet.

    picture, signature: of one that shows something new. missing: of one that cannot be had. Neither: it repeats the
    newest one that was new, exactly or but for noise.
    """

    captured_ns: int
    picture: Picture | None = None
    signature: NDArray[np.float32] | None = None
    missing: Missing | None = None
    exact: bool = True
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """captured_ns: of the picture that came, if one did. ended: why what went on ended before it, if it did."""

    captured_ns: int | None
    ended: Ending | None


class LiveStream:
    """The pictures of one source. For one thread."""

    def __init__(self, pictures: Pictures, counts: Counts, clock: Clock, keep_warm: KeepWarm | None) -> None:
        self.pedal = Pedal()
        self._pictures = pictures
        self._counts = counts
        self._clock = clock
        self._keep_warm = keep_warm
        self._layout: _Layout | None = None
        self._aside: list[Aside] = []

    @property
    def on(self) -> bool:
        """Whether the pedal is pressed."""
        return self.pedal.phase is Phase.ON

    @property
    def first(self) -> Picture:
        """The picture with which what goes on began; while nothing of it was taken."""
        picture = self._aside[0].picture
        assert picture is not None, "only a new picture begins anything"
        return picture

    def step(self, wait_s: float = _LOOK_UP_S) -> Step:
        """Take in what comes next."""
        if self._keep_warm is not None:
            wait_s = min(wait_s, self._keep_warm.patience_s)
        item = self._pictures.take(wait_s)
        if isinstance(item, Sighting):
            return Step(item.picture.captured_ns, self._sighted(item))
        if isinstance(item, Silence):
            return Step(None, self.end("no signal"))
        if item is None:
            self.warm()
        captured_ns = None if item is None else item.captured_ns
        before = self.pedal.phase
        phase = self.pedal.nothing(self._clock.now_ns() if captured_ns is None else captured_ns)
        if phase is Phase.HELD:
            self._hold()
        if item is not None:
            self._put(Aside(item.captured_ns, missing=item), phase)
        return Step(captured_ns, None if phase is before else "no picture")

    def end(self, why: Ending) -> Ending | None:
        """End what goes on, a run or something undecided. Returns why; None where nothing went on."""
        went_on = self.pedal.phase is not Phase.HELD
        self.pedal.release()
        self._hold()
        return why if went_on else None

    def taken(self) -> list[Aside]:
        """What has been put aside since this was asked last; whoever takes it counts it."""
        aside, self._aside = self._aside, []
        return aside

    def drain(self) -> None:
        """Count as held what still waits at a source that is closed."""
        self.end("stopped")
        while (item := self._pictures.take(0.0)) is not None:
            if not isinstance(item, Silence):
                self._counts.add("held")

    def warm(self) -> None:
        """Keep the engine warm while no frame waits for it."""
        if self._keep_warm is not None:
            self._keep_warm.idle()

    def worked(self) -> None:
        """The engine has just judged a frame."""
        if self._keep_warm is not None:
            self._keep_warm.worked()

    def _sighted(self, sighting: Sighting) -> Ending | None:
        picture, ended = sighting.picture, None
        layout = _Layout(picture.pixels.shape, picture.pixels.dtype, picture.grayscale)
        if self._layout is not None and not layout.same(self._layout):
            ended = self.end("another layout")
            self.pedal.forget()
        self._layout = layout
        signature = sighting.signature * np.float32(FULL_SCALE / ((1 << picture.grayscale.bits_stored) - 1))
        look = self.pedal.see(signature, picture.captured_ns)
        if look.begins:
            self._hold()
            ended = "another scene" if look.scene else "pedal off"
        if look.new:
            aside = Aside(picture.captured_ns, picture, signature, flags=sighting.flags)
        else:
            aside = Aside(picture.captured_ns, exact=look.exact, flags=sighting.flags)
        self._put(aside, look.phase)
        return ended

    def _put(self, aside: Aside, phase: Phase) -> None:
        if phase is Phase.HELD:
            self._counts.add("held")
        else:
            self._aside.append(aside)

    def _hold(self) -> None:
        """What was undecided is no run."""
        if aside := self.taken():
            self._counts.add("held", len(aside))


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What is the same in all pictures of a run."""

    shape: tuple[int, ...]
    dtype: DTypeLike
    grayscale: Grayscale

    def same(self, other: _Layout) -> bool:
        if self.shape != other.shape or self.dtype != other.dtype:
            return False
        mine, its = self.grayscale, other.grayscale
        return mine is its or (mine.window_key == its.window_key and mine.exposed_key == its.exposed_key)

"""Pictures on their way to the line: all pass as they are, and are put into the ring after the verdict alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from cathrt.runtime.frame import Grayscale
from cathrt.runtime.pictures.shown import ShownPictures
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.sighting import Sighting, Silence

S = 1_000_000_000


@dataclass
class Scripted:
    """Where pictures come from. waiting: what take() gives at once; then: what it gives to one who waits."""

    waiting: deque[Sighting | Missing | Silence] = field(default_factory=deque)
    then: deque[Sighting | Missing | Silence] = field(default_factory=deque)
    waits: list[float | None] = field(default_factory=list)

    def take(self, wait_s: float | None) -> Sighting | Missing | Silence | None:
        self.waits.append(wait_s)
        if self.waiting:
            return self.waiting.popleft()
        return self.then.popleft() if wait_s != 0.0 and self.then else None


@dataclass
class Kept:
    """A ring that is a list."""

    is_wanted: bool = True
    put_: list[int] = field(default_factory=list)

    def put(self, picture: Picture) -> bool:
        self.put_.append(picture.captured_ns)
        return True


def sighting(captured_ns: int) -> Sighting:
    pixels = np.zeros((2, 2), np.uint8)
    return Sighting(Picture(pixels, Grayscale(8), captured_ns), np.zeros((2, 2), np.float32))


def test_a_picture_is_put_when_the_line_comes_back_for_the_next_one() -> None:
    source, ring = Scripted(then=deque([sighting(1), sighting(2)])), Kept()
    pictures = ShownPictures(source, ring, lambda: S)
    first = pictures.take(0.1)
    assert isinstance(first, Sighting)
    assert ring.put_ == []
    assert isinstance(pictures.take(0.1), Sighting)
    assert ring.put_ == [1]


def test_nothing_is_put_and_nothing_else_changes_while_nobody_watches() -> None:
    items: list[Sighting | Missing | Silence] = [
        sighting(1),
        Missing(2, "overrun", failed=False),
        Silence(3, "no signal"),
        sighting(4),
    ]
    source, ring = Scripted(then=deque(items)), Kept(is_wanted=False)
    pictures = ShownPictures(source, ring, lambda: S)
    assert [pictures.take(0.1) for _ in range(5)] == [*items, None]
    assert ring.put_ == []
    assert source.waits == [0.1] * 5


def test_a_picture_that_waits_goes_first_and_the_one_before_it_is_left_out() -> None:
    source, ring = Scripted(), Kept()
    pictures = ShownPictures(source, ring, lambda: S // 10)
    source.waiting.extend([sighting(1), sighting(2)])
    assert [pictures.take(0.1) for _ in range(2)]
    assert ring.put_ == []
    assert pictures.take(0.1) is None
    assert ring.put_ == [2]


def test_where_pictures_always_wait_one_is_put_now_and_then() -> None:
    now_ns = S
    source, ring = Scripted(waiting=deque(sighting(n) for n in range(1, 31))), Kept()
    pictures = ShownPictures(source, ring, lambda: now_ns)
    for _ in range(30):
        now_ns += S // 10
        assert pictures.take(0.1) is not None
    assert 4 <= len(ring.put_) <= 7


def test_who_begins_to_watch_late_gets_the_newest_picture_once() -> None:
    source, ring = Scripted(then=deque([sighting(1), sighting(2)])), Kept(is_wanted=False)
    pictures = ShownPictures(source, ring, lambda: S)
    for _ in range(3):
        pictures.take(0.1)
    ring.is_wanted = True
    assert [pictures.take(0.1) for _ in range(3)] == [None] * 3
    assert ring.put_ == [2]


def test_what_waits_when_a_source_is_closed_still_comes() -> None:
    source, ring = Scripted(waiting=deque([sighting(1), sighting(2)])), Kept()
    pictures = ShownPictures(source, ring, lambda: S)
    assert [type(pictures.take(0.0)) for _ in range(3)] == [Sighting, Sighting, type(None)]

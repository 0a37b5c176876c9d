"""Frames that are decoded again: in order, each once while there is room, and never more than the limit in memory."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.runs import frame_store
from cathrt.runtime.web.runs.frame_store import FrameStore
from tests.web.runs.stored_runs import Played

FILE = Path("nowhere")
SIDE = 32
ONE = 2 * SIDE * SIDE + 256  # bytes of a frame that is kept


def played(frames: int = 20, lost: frozenset[int] = frozenset()) -> Played:
    return Played(np.arange(frames, dtype=np.uint16)[:, None, None] + np.zeros((1, SIDE, SIDE), np.uint16), lost)


def store_of(run: Played, most_frames: int = 100, clock_s: object = lambda: 0.0) -> FrameStore:
    return FrameStore(LimitsConfig(), most_frames * ONE, clock_s, run.open)  # type: ignore[arg-type]


def values(store: FrameStore, first: int, last: int, key: str = "a") -> list[int]:
    frames = store.frames(key, FILE, first, last)
    return [-1 if frame.pixels is None else int(frame.pixels[0, 0]) for frame in frames]


def test_a_run_is_decoded_once_however_often_it_is_looked_at() -> None:
    run = played()
    store = store_of(run)
    assert values(store, 5, 8) == [5, 6, 7, 8]
    assert values(store, 0, 19) == list(range(20))
    assert values(store, 3, 12) == list(range(3, 13))
    assert (run.opened, run.read) == (1, list(range(20)))
    store.close()
    assert run.closed == 1


def test_an_earlier_frame_that_is_not_kept_any_more_is_decoded_again_from_the_start() -> None:
    run = played()
    store = store_of(run, most_frames=4)
    assert values(store, 10, 12) == [10, 11, 12]
    assert values(store, 2, 3) == [2, 3]
    assert (run.opened, run.closed) == (2, 1)


def test_memory_stays_within_its_limit_whatever_is_looked_at() -> None:
    run = played(400)
    store = store_of(run, most_frames=7)
    for first in (0, 390, 100, 250):
        values(store, first, first + 9)
        assert store.kept_bytes <= 7 * ONE


def test_frames_beyond_the_end_are_none_and_lost_ones_say_why() -> None:
    store = store_of(played(5, frozenset({2})))
    assert values(store, 0, 10) == [0, 1, -1, 3, 4]
    assert values(store, 5, 5) == []
    assert [frame.lost for frame in store.frames("a", FILE, 1, 3)] == [None, "it is broken", None]


def test_only_so_many_decoders_are_open_and_idle_ones_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    run, now_s = played(), 0.0
    store = store_of(run, clock_s=lambda: now_s)
    for key in "abcd":
        values(store, 0, 1, key)
    assert run.opened - run.closed == frame_store.MOST_OPEN
    store.end_idle()
    assert run.opened - run.closed == frame_store.MOST_OPEN
    now_s = frame_store.IDLE_S + 1.0
    store.end_idle()
    assert run.opened == run.closed
    assert values(store, 0, 1, "d") == [0, 1], "what is kept needs no decoder"
    assert run.opened == run.closed


def test_a_run_that_takes_too_long_is_said_to_go_on_and_goes_on_where_it_was() -> None:
    run, now_s = played(400), 0.0

    def clock_s() -> float:
        nonlocal now_s
        now_s += 0.5
        return now_s

    store = store_of(run, clock_s=clock_s)
    with pytest.raises(RefusedError, match="read from its start") as refused:
        values(store, 399, 399)
    assert refused.value.status == 503
    reached = run.read[-1]
    assert 0 < reached < 399
    for _ in range(40):
        try:
            assert values(store, 399, 399) == [399]
        except RefusedError:
            continue
        break
    assert run.read == list(range(400)), "no frame was decoded twice"


def test_two_who_look_at_one_run_do_not_decode_it_twice() -> None:
    run = played(200)
    store = store_of(run, most_frames=400)
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.append(values(store, 0, 199))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(200))] * 4
    assert (run.opened, run.read) == (1, list(range(200)))

"""Live pictures over a WebSocket: newest wins, one on the way, and a browser that stands still holds up nobody."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cathrt.runtime.frame import Grayscale, VoiWindow
from cathrt.runtime.pictures.grey import table_of
from cathrt.runtime.pictures.writer import PictureRing
from cathrt.runtime.ports import Picture
from cathrt.runtime.web.live import picture_socket
from tests.web.live.watching import PATIENCE_S, grey, live_page, pictures_of, ring_of, shown
from tests.web.serving import Served


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Served]:
    with live_page(tmp_path) as found:
        yield found


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[PictureRing]:
    with closing(ring_of(tmp_path)) as found:
        yield found


@contextmanager
def streaming(ring: PictureRing, every_s: float = 0.01) -> Iterator[None]:
    """Pictures without end, of greys that count up."""
    stop = threading.Event()

    def stream() -> None:
        for number in itertools.count(1):
            if stop.wait(every_s):
                return
            ring.put(grey(number % 256, time.monotonic_ns()))

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_picture_comes_with_what_is_needed_to_join_it_with_its_record(page: Served, ring: PictureRing) -> None:
    captured_ns = time.monotonic_ns()
    with pictures_of(page, page.client("viewer")) as socket:
        ring.put(grey(7, captured_ns, (20, 30)))
        found = shown(socket.recv(PATIENCE_S))
    assert (found.captured_ns, found.number, found.step, found.skipped) == (captured_ns, 1, 1, 0)
    assert found.pixels.shape == (20, 30)
    assert set(np.unique(found.pixels)) == {7}
    assert 0.0 < found.age_ms < 60_000.0


def test_whoever_begins_to_watch_gets_the_last_picture_though_none_comes(page: Served, ring: PictureRing) -> None:
    ring.put(grey(9, 5))
    with pictures_of(page, page.client("viewer")) as socket:
        assert shown(socket.recv(PATIENCE_S)).pixels[0, 0] == 9


def test_pictures_are_wanted_while_a_browser_watches_and_not_after(
    page: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cathrt.runtime.web.live.picture_pump._WANTED_FOR_NS", 300_000_000)
    monkeypatch.setattr("cathrt.runtime.web.live.picture_pump._WANT_EVERY_S", 0.05)
    with closing(ring_of(tmp_path)) as ring:
        assert not ring.is_wanted
        with pictures_of(page, page.client("viewer")):
            _until(lambda: ring.is_wanted)
        _until(lambda: not ring.is_wanted)


def test_a_browser_that_is_slow_gets_the_newest_and_is_told_what_it_skipped(page: Served, ring: PictureRing) -> None:
    with pictures_of(page, page.client("viewer")) as socket:
        ring.put(grey(1, 1))
        first = shown(socket.recv(PATIENCE_S))
        for value in range(2, 12):
            ring.put(grey(value, value))
        with pytest.raises(TimeoutError):
            socket.recv(0.2)  # one on the way, until `next` is said
        socket.send("next")
        second = shown(socket.recv(PATIENCE_S))
    assert (first.number, second.number, second.skipped, int(second.pixels[0, 0])) == (1, 11, 9, 11)


def test_a_frozen_browser_is_closed_and_the_others_go_on(
    page: Served, ring: PictureRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_socket, "TAKE_S", 0.5)
    client = page.client("viewer")
    with pictures_of(page, client) as frozen, pictures_of(page, client) as quick, streaming(ring):
        frozen.recv(PATIENCE_S)
        numbers = []
        for _ in range(40):
            numbers.append(shown(quick.recv(PATIENCE_S)).number)
            quick.send("next")
        with pytest.raises(ConnectionClosed) as closed:
            frozen.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        quick.recv(PATIENCE_S)
    assert numbers == sorted(set(numbers))


def test_what_is_not_next_ends_the_connection(page: Served, ring: PictureRing) -> None:
    client = page.client("viewer")
    ring.put(grey(1, 1))
    for said in ("more", b"next"):
        with pictures_of(page, client) as socket:
            socket.recv(PATIENCE_S)
            socket.send(said)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(PATIENCE_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


def test_next_before_the_first_picture_is_borne_but_not_for_ever(page: Served, ring: PictureRing) -> None:
    with pictures_of(page, page.client("viewer")) as socket:
        socket.send("next")
        ring.put(grey(3, 3))
        assert shown(socket.recv(PATIENCE_S)).pixels[0, 0] == 3
    with pictures_of(page, page.client("viewer"), "B") as socket:
        for _ in range(40):
            socket.send("next")
        with pytest.raises(ConnectionClosed):
            socket.recv(PATIENCE_S)


def test_an_unknown_source_and_nobody_are_refused_before_the_connection(page: Served) -> None:
    for client, source, status in ((page.client("viewer"), "C", 404), (page.client(), "A", 401)):
        with pytest.raises(InvalidStatus) as refused, pictures_of(page, client, source):
            pass
        assert refused.value.response.status_code == status


def test_a_live_process_that_is_killed_and_comes_back_is_seen_again(page: Served, tmp_path: Path) -> None:
    with pictures_of(page, page.client("viewer")) as socket:
        with closing(ring_of(tmp_path)) as ring:
            ring.put(grey(1, 1))
            socket.recv(PATIENCE_S)
            socket.send("next")
        with closing(ring_of(tmp_path)) as ring:
            ring.put(grey(2, 2))
            assert shown(socket.recv(PATIENCE_S)).number == 2


def test_a_source_that_states_a_window_is_shown_through_it_and_any_other_is_stretched(
    page: Served, ring: PictureRing
) -> None:
    pixels = np.random.default_rng(2).integers(100, 600, (40, 50)).astype(np.uint16)
    stated = Grayscale(10, "MONOCHROME1", voi=VoiWindow(300.0, 400.0))
    with pictures_of(page, page.client("viewer")) as socket:
        ring.put(Picture(pixels, stated, 1))
        found = shown(socket.recv(PATIENCE_S))
        np.testing.assert_array_equal(found.pixels, table_of(stated, VoiWindow(300.0, 400.0))[pixels])
        assert found.flags == 0
        socket.send("next")
        ring.put(Picture(pixels, Grayscale(10), 2))
        found = shown(socket.recv(PATIENCE_S))
    assert found.flags == 1
    assert (found.pixels.min(), found.pixels.max()) == (0, 255)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)

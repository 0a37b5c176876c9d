"""Real streams through the thread that reads them: broken off, taken up again, and the phantom as a screen's video."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest

from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import CountsInMemory
from cathrt.runtime.errors import SinkError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.phantom_address import phantom_stream
from cathrt.runtime.sources.capture.phantom_tap import PhantomTap
from cathrt.runtime.sources.capture.phantom_video import send_video
from cathrt.runtime.sources.capture.reading import BackOff
from cathrt.runtime.sources.capture.sighting import Sighting
from cathrt.runtime.sources.capture.tap_thread import TapThread
from tests.sources.capture.fake_taps import PATIENCE_S
from tests.sources.capture.live_servers import LIMITS, number_of, numbered, sends, serving, transport_stream
from tests.sources.capture.openigtlink_bytes import image_message
from tests.sources.capture.rendered_here import rendered_here

PICTURES = 6


@contextmanager
def read(source: SourceConfig, counts: CountsInMemory) -> Iterator[Callable[[], Sighting | Missing]]:
    thread = TapThread(source, tap_opening(source, LIMITS), MonotonicClock(), counts, BackOff(0.0, 0.05))

    def take() -> Sighting | Missing:
        while True:
            if isinstance(found := thread.take(PATIENCE_S), Sighting | Missing):
                return found

    try:
        yield take
    finally:
        thread.close()


def breaking_off(kind: str) -> tuple[Callable[[socket.socket], None], str]:
    """A server that sends a few pictures and closes, and the start of its address."""
    if kind == "video":
        return sends(*transport_stream(range(PICTURES)), then="close"), "tcp://127.0.0.1:"
    return sends(*(image_message(numbered(number)) for number in range(PICTURES)), then="close"), "127.0.0.1:"


@pytest.mark.parametrize("kind", ["video", "openigtlink"])
def test_a_stream_that_breaks_off_is_taken_up_again_with_every_picture(kind: str) -> None:
    serve, start = breaking_off(kind)
    counts = CountsInMemory()
    with serving(serve) as server:
        source = SourceConfig("s", kind, f"{start}{server.port}", queue_frames=8)  # type: ignore[arg-type]
        with read(source, counts) as take:
            found = [take() for _ in range(3 * PICTURES)]
    # a busy reader may be overrun; that is said too
    numbers = [number_of(item.picture.pixels) if isinstance(item, Sighting) else None for item in found]
    assert all(number in (None, place % PICTURES) for place, number in enumerate(numbers))
    reopened = [place for place, item in enumerate(found) if isinstance(item, Sighting) and "reopened" in item.flags]
    assert set(reopened) <= {PICTURES, 2 * PICTURES}
    assert counts.value("opened") >= 3
    assert counts.value("hung") == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "openigtlink"])
def test_a_thousand_real_restarts_leave_no_descriptor_thread_or_memory(kind: str) -> None:
    serve, start = breaking_off(kind)
    counts, process = CountsInMemory(), psutil.Process()

    def held() -> tuple[int, int, int]:
        gc.collect()
        return process.num_fds(), process.num_threads(), process.memory_info().rss

    with serving(serve) as server:
        source = SourceConfig("s", kind, f"{start}{server.port}", queue_frames=8)  # type: ignore[arg-type]
        with read(source, counts) as take:
            while counts.value("opened") < 100:
                take()
            before = held()
            while counts.value("opened") < 1100:
                take()
            after = held()
    assert after[0] <= before[0] + 4  # the ends of a connection that is just being made
    assert after[1] <= before[1] + 2
    assert after[2] - before[2] < 32 << 20


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_the_phantom_as_a_screens_video_shows_the_phantoms_images(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}{'?pkt_size=1316' if scheme == 'udp' else ''}"
    config = SourceConfig("p", "phantom", "seed=5 matrix=128 frames=4 rate_hz=25 display_hz=50 runs=1")
    sent: list[Picture] = []

    class Kept:
        """The phantom, and what it gave."""

        name = "kept"

        def __init__(self, tap: Tap) -> None:
            self.tap = tap
            self.close = tap.close

        def next(self) -> Picture | Missing:
            item = self.tap.next()
            if isinstance(item, Picture):
                sent.append(item)
            return item

    phantom = Kept(PhantomTap(phantom_stream(config), config, LIMITS, MonotonicClock(), rendered_here))

    def send() -> None:
        with suppress(SinkError):  # the receiver is gone: the test is over
            send_video(phantom, url)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        counts = CountsInMemory()
        with read(SourceConfig("s", "video", f"{scheme}://127.0.0.1:{port}"), counts) as take:
            shown = [item for item in (take() for _ in range(30)) if isinstance(item, Sighting)]
    finally:
        phantom.close()
        sender.join(PATIENCE_S)
    held = sent[-1].pixels.astype(np.float64).ravel()  # of one run, the last image is held for ever
    likeness = np.corrcoef(held, shown[-1].picture.pixels.astype(np.float64).ravel())[0, 1]
    assert likeness > 0.97
    assert shown[-1].picture.pixels.shape == (128, 128)

"""What every Tap keeps to, whatever it is connected to. A new one passes by adding one line to TAPS.

The port is cathrt.runtime.ports.Tap.
"""

from __future__ import annotations

import gc
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from operator import gt
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.phantom_address import phantom_stream
from cathrt.runtime.sources.capture.phantom_tap import PhantomTap
from tests.sources.capture.fake_taps import PATIENCE_S
from tests.sources.capture.live_servers import LIMITS, numbered, repeats, serving, transport_stream
from tests.sources.capture.openigtlink_bytes import image_message
from tests.sources.capture.rendered_here import rendered_here

Serving = Callable[[Path], AbstractContextManager[SourceConfig]]


@contextmanager
def phantom(folder: Path) -> Iterator[SourceConfig]:
    yield SourceConfig("phantom", "phantom", "seed=3 matrix=64 frames=4 rate_hz=50 pause_s=0.1")


def tap_for(config: SourceConfig) -> Tap:
    """As configured; phantoms are rendered here, since a process takes seconds to start (test_phantom_tap.py)."""
    if config.kind == "phantom":
        return PhantomTap(phantom_stream(config), config, LIMITS, MonotonicClock(), rendered_here)
    return tap_opening(config, LIMITS)()


@contextmanager
def file(folder: Path) -> Iterator[SourceConfig]:
    path = folder / "run.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray"
        for number in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), format="gray")))
        container.mux(stream.encode(None))
    yield SourceConfig("file", "video", f"{path}?loop")


@contextmanager
def stream(folder: Path) -> Iterator[SourceConfig]:
    pieces = transport_stream(range(100))
    with serving(repeats(lambda: iter(pieces), 50.0)) as server:
        yield SourceConfig("stream", "video", f"tcp://127.0.0.1:{server.port}", no_signal_s=1.0)


@contextmanager
def openigtlink(folder: Path) -> Iterator[SourceConfig]:
    def messages() -> Iterator[bytes]:
        return (image_message(numbered(number), number) for number in itertools.count())

    with serving(repeats(messages, 50.0)) as server:
        yield SourceConfig("igtl", "openigtlink", f"127.0.0.1:{server.port}")


TAPS = {"phantom": phantom, "file": file, "stream": stream, "openigtlink": openigtlink}


@pytest.fixture(params=TAPS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SourceConfig]:
    with TAPS[request.param](tmp_path) as config:
        yield config


@contextmanager
def tap_of(config: SourceConfig) -> Iterator[Tap]:
    tap = tap_for(config)
    try:
        yield tap
    finally:
        tap.close()


def pictures_of(tap: Tap, count: int) -> list[Picture]:
    """So many of them; a busy machine may miss some in between."""
    pictures = (item for item in iter(tap.next, None) if isinstance(item, Picture))
    return list(itertools.islice(pictures, count))


def test_pictures_are_as_the_port_says(source: SourceConfig) -> None:
    began_ns = time.monotonic_ns()
    with tap_of(source) as tap:
        assert tap.name
        pictures = pictures_of(tap, 6)
        now_ns = time.monotonic_ns()
    for picture in pictures:
        assert picture.pixels.dtype in (np.uint8, np.uint16)
        assert picture.pixels.ndim == 2
        assert picture.pixels.flags.c_contiguous
        assert not picture.pixels.flags.writeable
        assert int(picture.pixels.max()) < 1 << picture.grayscale.bits_stored
        assert began_ns <= picture.captured_ns <= now_ns
    times = [picture.captured_ns for picture in pictures]
    assert times == sorted(times)
    theirs = [picture.source_ms for picture in pictures]
    assert None not in theirs
    assert theirs == sorted(theirs)  # type: ignore[type-var]


def test_closing_from_another_thread_ends_a_call_that_waits_and_all_later_ones(source: SourceConfig) -> None:
    tap = tap_for(source)
    tap.next()
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(SourceError):
            while True:
                tap.next()
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    tap.close()
    assert ended.wait(PATIENCE_S)
    reader.join()
    tap.close()
    with pytest.raises(SourceError):
        tap.next()


def test_only_the_region_of_the_screen_is_given(source: SourceConfig) -> None:
    with tap_of(replace(source, region=(4, 6, 33, 21))) as tap:
        (picture,) = pictures_of(tap, 1)
        assert picture.pixels.shape == (21, 33)
        assert picture.pixels.flags.c_contiguous
    with tap_of(replace(source, region=(40, 0, 33, 21))) as tap:
        missing = next(item for item in iter(tap.next, None) if isinstance(item, Missing) and item.failed)
        assert "reaches beyond the picture of 64 columns x 64 rows" in missing.reason


def test_what_was_opened_is_closed(source: SourceConfig) -> None:
    process = psutil.Process()

    def held() -> tuple[int, int]:
        gc.collect()
        return process.num_fds(), process.num_threads()

    def open_and_close() -> None:
        with tap_of(source) as tap:
            tap.next()

    open_and_close()  # what is loaded once stays
    before = held()
    for _ in range(3):
        open_and_close()
    deadline = time.monotonic() + PATIENCE_S
    while any(map(gt, held(), before)) and time.monotonic() < deadline:
        threading.Event().wait(0.05)  # the server's ends go when it notices
    fds, threads = held()
    assert fds <= before[0]
    assert threads <= before[1]


def test_a_peer_that_is_gone_is_an_error_and_not_a_wait_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    for config in (
        SourceConfig("gone", "video", f"tcp://127.0.0.1:{port}"),
        SourceConfig("gone", "openigtlink", f"127.0.0.1:{port}"),
    ):
        with pytest.raises(SourceError, match=f"127.0.0.1:{port}: cannot be opened"):
            tap_opening(config, LIMITS)()

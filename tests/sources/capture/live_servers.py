"""What taps are connected to in tests: servers on loopback, whose bytes the test chooses."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from tests.sources.capture.fake_taps import PATIENCE_S

LIMITS = LimitsConfig()
SIDE, BLOCK = 64, 16  # of a numbered picture, and of one bit of its number
RATE_HZ, KEY_EVERY = 25, 5


def numbered(number: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A picture with noise that says which one it is, also after lossy compression."""
    pixels = np.random.default_rng(number).integers(116, 140, (side, side)).astype(np.uint8)
    for bit in range(12):
        top, left = divmod(bit, 4)
        grey = 220 if number >> bit & 1 else 40
        pixels[top * BLOCK : (top + 1) * BLOCK, left * BLOCK : (left + 1) * BLOCK] = grey
    return pixels


def number_of(pixels: NDArray[Any]) -> int:
    middles = pixels[BLOCK // 2 : 3 * BLOCK : BLOCK, BLOCK // 2 : 4 * BLOCK : BLOCK].ravel()
    full = 255 if pixels.dtype == np.uint8 else 1023
    return sum(1 << bit for bit, value in enumerate(middles) if int(value) > full // 2)


def transport_stream(
    numbers: Iterable[int],
    *,
    side: int = SIDE,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    first_pts: int = 0,
) -> list[bytes]:
    """Each picture as MPEG-TS, a key picture every KEY_EVERY; the first element also holds the tables of the stream."""
    pieces: list[bytes] = []
    buffer = io.BytesIO()
    options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "10", "x264-params": "scenecut=0"}
    with av.open(buffer, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        stream = container.add_stream(codec, rate=RATE_HZ, options=options if codec == "libx264" else {})
        stream.width = stream.height = side
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = KEY_EVERY
        for index, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered(number, side), format="gray").reformat(format=pixel_format)
            frame.pts = first_pts + index
            container.mux(stream.encode(frame))
            pieces.append(buffer.getvalue())
        container.mux(stream.encode(None))
    whole = buffer.getvalue()
    cuts = [0, *map(len, pieces[:-1]), len(whole)]
    return [whole[start:stop] for start, stop in pairwise(cuts)]


class Server:
    """Answers each connection with serve(peer) in a thread of its own, until the test ends."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._peers: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        for end in (self._listening, *self._peers):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._thread.join(PATIENCE_S)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                self._peers.append(peer)
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            self._serve(peer)


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[Server]:
    server = Server(serve)
    try:
        yield server
    finally:
        server.close()


def sends(*pieces: bytes, then: str = "hold") -> Callable[[socket.socket], None]:
    """Sends the pieces at once; then holds the connection, or closes it."""

    def serve(peer: socket.socket) -> None:
        for piece in pieces:
            peer.sendall(piece)
        if then == "hold":
            peer.recv(1)
        peer.shutdown(socket.SHUT_RDWR)

    return serve


def repeats(pieces: Callable[[], Iterator[bytes]], rate_hz: float = RATE_HZ) -> Callable[[socket.socket], None]:
    """Sends one piece after the other at a rate."""

    def serve(peer: socket.socket) -> None:
        for piece in pieces():
            peer.sendall(piece)
            time.sleep(1.0 / rate_hz)

    return serve


def video_source(address: str, **settings: Any) -> SourceConfig:
    return SourceConfig("screen", "video", address, **settings)


@contextlib.contextmanager
def opened(source: SourceConfig, limits: LimitsConfig = LIMITS) -> Iterator[Tap]:
    tap = tap_opening(source, limits)()
    try:
        yield tap
    finally:
        tap.close()


def taken(tap: Tap, count: int) -> Sequence[Picture | Missing]:
    return [tap.next() for _ in range(count)]


def until_lost(tap: Tap) -> tuple[list[Picture | Missing], str]:
    """Everything until the connection is lost, and what was said then."""
    found: list[Picture | Missing] = []
    try:
        while True:
            found.append(tap.next())
    except SourceError as exc:
        return found, str(exc)


def numbers_of(items: Iterable[Picture | Missing]) -> list[int | str]:
    return [number_of(item.pixels) if isinstance(item, Picture) else "missing" for item in items]

"""Sends what a phantom tap shows as a screen's video: H.264 to a URL, for demonstrations and tests of video taps.

tcp://HOST:PORT listens there for one receiver and udp://HOST:PORT sends there, both MPEG-TS; rtsp://HOST:PORT/NAME is
pushed to an RTSP server. x264 encodes (GPL); it comes with PyAV's wheels. Not for: what cathrt itself delivers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import ConfigError, SinkError, SourceError
from cathrt.runtime.frame import Grayscale, VoiWindow
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.address import host_and_port, without_password
from cathrt.runtime.sources.capture.pyav import load_pyav, said

_FORMATS = {"udp": "mpegts", "rtsp": "rtsp"}
_TICKS_HZ = 90_000  # of presentation times
_KEY_PICTURE_EVERY = 15  # pictures: who connects waits for one
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "18"}


def send_video(tap: Tap, url: str) -> None:
    """Send until the tap ends. Raises SinkError where nobody takes it (any more), ConfigError for another URL."""
    shown = without_password(url)
    scheme, _, rest = url.partition("://")
    try:
        if scheme == "tcp":
            # FFmpeg's own listening would stop every other thread of this process.
            with socket.create_server(host_and_port(rest, shown)) as listening, listening.accept()[0] as receiver:
                _send(tap, receiver.makefile("wb", buffering=0), "mpegts")
        elif scheme in _FORMATS:
            _send(tap, url, _FORMATS[scheme])
        else:
            raise ConfigError(f"{shown}: expected a URL of tcp, {' or '.join(_FORMATS)}")
    except OSError as exc:  # PyAV's errors of connections are OSErrors too
        raise SinkError(f"{shown}: cannot be sent to ({said(exc)}): is somebody receiving?") from exc


def _send(tap: Tap, to: Any, container_format: str) -> None:
    av = load_pyav()
    pictures = (item for item in _items(tap) if isinstance(item, Picture))
    first = next(pictures)
    rows, columns = first.pixels.shape
    with av.logging.Capture(), av.open(to, "w", format=container_format) as sent:
        stream = sent.add_stream("libx264", rate=_KEY_PICTURE_EVERY, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS_HZ)
        stream.codec_context.gop_size = _KEY_PICTURE_EVERY
        pts = -1
        for shown in chain([first], pictures):
            drawn = av.VideoFrame.from_ndarray(_on_screen(shown), format="gray").reformat(format="yuv420p")
            drawn.time_base = Fraction(1, _TICKS_HZ)
            ticks = (shown.captured_ns - first.captured_ns) * _TICKS_HZ // 1_000_000_000
            drawn.pts = pts = max(pts + 1, ticks)  # they have to rise; a run may begin just after a held image
            sent.mux(stream.encode(drawn))


def _items(tap: Tap) -> Iterator[Picture | Missing]:
    while True:
        try:
            yield tap.next()
        except SourceError:
            return


def _on_screen(picture: Picture) -> NDArray[np.uint8]:
    """8-bit grey as a monitor shows it."""
    low, width = _window(picture.grayscale)
    grey = (picture.pixels.astype(np.float32) - low) * (255.0 / width)
    shown: NDArray[Any] = np.clip(np.rint(grey), 0.0, 255.0)
    return (255.0 - shown if picture.grayscale.inverted else shown).astype(np.uint8)


def _window(grayscale: Grayscale) -> tuple[float, float]:
    """Darkest value and width; phantoms have linear windows, or none."""
    if isinstance(grayscale.voi, VoiWindow):
        return grayscale.voi.center - grayscale.voi.width / 2.0, max(grayscale.voi.width, 1.0)
    return 0.0, float((1 << grayscale.bits_stored) - 1)

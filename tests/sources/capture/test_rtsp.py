"""RTSP end to end: a server of GStreamer's on loopback, which stamps its pictures with the time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from tests.sources.capture.live_servers import LIMITS

SERVER = Path(__file__).parent / "gst_rtsp_server.py"
PYTHON = "/usr/bin/python3"
SIZE, RATE_HZ = 512, 10
PERIOD_NS = 1_000_000_000 // RATE_HZ


def why_no_server() -> str | None:
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    with suppress(OSError):
        if not subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode:
            return None
    return "no RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if (why := why_no_server()) is not None:
        pytest.skip(why)
    command = [PYTHON, str(SERVER), str(SIZE), str(RATE_HZ)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def stamp_ns(pixels: NDArray[np.uint8]) -> int:
    """When the server made the picture, by the clock that all processes share."""
    blocks = pixels[4, 4 : 48 * 8 : 8] > 128
    return 1000 * sum(1 << bit for bit, white in enumerate(blocks) if white)


def pictures_of(tap: Tap, count: int) -> list[Picture]:
    items = [tap.next() for _ in range(count)]
    return [item for item in items if isinstance(item, Picture)]


def test_pictures_come_whole_and_are_said_to_be_captured_when_they_arrived(url: str) -> None:
    tap = tap_opening(SourceConfig("screen", "video", url), LIMITS)()
    try:
        pictures = pictures_of(tap, 40)[20:]  # at first come those that waited while the stream was looked at
    finally:
        tap.close()
    made_ns = [stamp_ns(picture.pixels) for picture in pictures]
    assert made_ns == sorted(set(made_ns))
    ages_ns = [picture.captured_ns - made for picture, made in zip(pictures, made_ns, strict=True)]
    assert min(ages_ns) > 0
    # FFmpeg gives a picture out when the next one begins: counted from then, all would be a period older
    assert min(ages_ns) < 0.8 * PERIOD_NS
    assert tap.name == url


def test_a_stream_that_the_server_does_not_have_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        tap_opening(SourceConfig("screen", "video", f"{url}-other"), LIMITS)()

"""OpenIGTLink taps: what is taken, what is skipped, and what a hostile peer can do."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyigtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.open_tap import tap_opening
from tests.sources.capture.fake_taps import PATIENCE_S
from tests.sources.capture.live_servers import opened, sends, serving, until_lost
from tests.sources.capture.openigtlink_bytes import image_body, image_message, raw_message

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
GOOD = image_message(PIXELS, 12.5)


@contextmanager
def fed(*sent: bytes, settings: str = "", limits: LimitsConfig | None = None) -> Iterator[Tap]:
    """A tap of a peer that sends this and then closes."""
    with serving(sends(*sent, then="close")) as server:
        source = SourceConfig("igtl", "openigtlink", f"127.0.0.1:{server.port}{settings}", no_signal_s=PATIENCE_S)
        with opened(source, limits or LimitsConfig()) as tap:
            yield tap


def test_an_image_is_taken_as_it_was_sent() -> None:
    with fed(GOOD) as tap:
        picture = tap.next()
        with pytest.raises(SourceError, match="the connection was closed"):
            tap.next()
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert (picture.source_ms, picture.grayscale.bits_stored) == (12_500.0, 8)


def test_an_independent_server_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # or it would keep those of the test run
    server = pyigtl.OpenIGTLinkServer(port=0, local_server=True, start_now=False)
    port = server.socket.getsockname()[1]
    server.start()
    stop = threading.Event()

    def send() -> None:
        for number in itertools.count():
            server.send_message(pyigtl.ImageMessage(PIXELS[np.newaxis] + number % 100, device_name="A"), wait=False)
            if stop.wait(0.02):
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with opened(SourceConfig("igtl", "openigtlink", f"127.0.0.1:{port}")) as tap:
            pictures = [tap.next() for _ in range(5)]
    finally:
        stop.set()
        sender.join()
        server.stop()
    firsts = [int(picture.pixels[0, 0]) for picture in pictures if isinstance(picture, Picture)]
    assert np.diff(firsts).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_values_of_either_order_are_taken(order: str) -> None:
    pixels = (np.arange(12, dtype=np.uint16) * 300).reshape(3, 4)
    body = image_body(scalar=5, endianness=1 if order == ">" else 2, pixels=pixels.astype(f"{order}u2").tobytes())
    with fed(raw_message(body), settings="?bits=12") as tap:
        picture = tap.next()
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == np.dtype("=u2")
    assert picture.grayscale.bits_stored == 12


def test_messages_of_other_types_and_devices_are_skipped() -> None:
    other = image_message(PIXELS + 1, device="Ultrasound")
    status = raw_message(bytes(200_000), kind="STATUS")
    with fed(status, other, raw_message(b"", kind="TRANSFORM"), GOOD, settings="?device=Angio") as tap:
        picture = tap.next()
    assert isinstance(picture, Picture)
    assert picture.pixels[0, 0] == 0


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (raw_message(image_body(slices=2)), "expected one slice"),
        (raw_message(image_body(components=3)), "expected one slice of one component"),
        (raw_message(image_body(scalar=4, pixels=bytes(24))), "values of int16, expected uint8 or uint16"),
        (raw_message(image_body(scalar=10, pixels=bytes(48))), "values of float32"),
        (raw_message(image_body(scalar=99)), "KeyError"),
        (raw_message(image_body(part=(1, 1, 1))), "NotImplementedError"),
        (raw_message(image_body(pixels=b"12345")), "ValueError"),
        (raw_message(image_body(columns=0)), "1x1 to"),
        (raw_message(b""), "error"),
        (raw_message(image_body(), version=2), ""),
        (raw_message(bytes(12) + image_body(), version=2), ""),
        (raw_message(b"\xff" * 200, version=2), ""),
        (raw_message(image_body(scalar=5, pixels=b"\xff" * 24)), "uint16 up to 65535, expected 8 bits"),
    ],
)
def test_an_image_that_cannot_be_used_is_missing_and_the_next_one_taken(message: bytes, said: str) -> None:
    with fed(message, GOOD, settings="?bits=8") as tap:
        missing, picture = tap.next(), tap.next()
    assert isinstance(missing, Missing | Picture)
    if isinstance(missing, Missing):
        assert missing.failed
        assert said in missing.reason
    else:
        assert not said
    assert isinstance(picture, Picture)


def test_a_position_that_is_no_number_does_not_matter() -> None:
    with fed(raw_message(image_body(position=float("inf")))) as tap:
        assert isinstance(tap.next(), Picture)


def test_a_size_beyond_the_limits_is_missing_and_one_beyond_memory_ends_the_connection() -> None:
    limits = LimitsConfig(max_rows=2)
    with fed(GOOD, raw_message(b"", size=1 << 60), limits=limits) as tap:
        missing = tap.next()
        assert isinstance(missing, Missing)
        assert "limits.max_rows" in missing.reason
        with pytest.raises(SourceError, match=f"an image of {1 << 60} bytes is announced, expected at most"):
            tap.next()


def test_a_message_to_be_skipped_takes_no_memory_however_long_it_claims_to_be() -> None:
    process = psutil.Process()
    sent = raw_message(b"", kind="VIDEO", size=1 << 60)
    with fed(sent, bytes(64 << 20)) as tap:
        before = process.memory_info().rss
        with pytest.raises(SourceError, match="the connection was closed"):
            tap.next()
        assert process.memory_info().rss - before < 48 << 20


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: angio.example.org\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n", "no OpenIGTLink"),
        (b"\x00\x01" + b"\xff" * 56, "no OpenIGTLink"),
        (GOOD[:30], "the connection was closed"),
        (GOOD[:-1], "the connection was closed"),
    ],
    ids=["another protocol", "names that are no text", "cut in the header", "cut in the body"],
)
def test_what_is_no_whole_message_ends_the_connection(sent: bytes, said: str) -> None:
    with fed(sent) as tap:
        found, last = until_lost(tap)
    assert (found, said in last) == ([], True)


def test_a_silent_peer_ends_in_an_error_in_time() -> None:
    with serving(sends(GOOD[:70])) as server:
        with opened(SourceConfig("igtl", "openigtlink", f"127.0.0.1:{server.port}", no_signal_s=0.2)) as tap:
            with pytest.raises(SourceError, match="no answer in time"):
                tap.next()


@settings(max_examples=60)
@given(flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_end_in_a_picture_a_missing_or_a_source_error(flips: list[tuple[int, int]]) -> None:
    message = bytearray(GOOD)
    for place, value in flips:
        message[place] = value
    with fed(bytes(message), GOOD) as tap:
        found, said = until_lost(tap)
    assert len(found) <= 2
    assert said.startswith("openigtlink 127.0.0.1:")


def test_without_pyigtl_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pyigtl.py").write_text("raise ImportError('not here')")
    code = (
        "from cathrt.runtime.config import LimitsConfig, SourceConfig\n"
        "from cathrt.runtime.sources.capture.open_tap import tap_opening\n"
        "tap_opening(SourceConfig('a', 'openigtlink', '127.0.0.1:9'), LimitsConfig())()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SourceError: OpenIGTLink needs pyigtl, which is not installed: pip install '.[igtl]'" in ended.stderr
    assert tap_opening(SourceConfig("a", "openigtlink", "127.0.0.1:9"), LimitsConfig())  # checked, not opened

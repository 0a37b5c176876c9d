"""Video taps on loopback: what comes of a stream that is whole, damaged, cut, silent, or something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.open_tap import tap_opening
from tests.sources.capture.live_servers import (
    KEY_EVERY,
    Server,
    numbered,
    numbers_of,
    opened,
    sends,
    serving,
    taken,
    transport_stream,
    until_lost,
    video_source,
)

PICTURES = 4 * KEY_EVERY


def address(server: Server) -> str:
    return f"tcp://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def stream() -> list[bytes]:
    return transport_stream(range(PICTURES))


def test_a_stream_gives_every_picture_in_order_with_the_time_of_its_source(stream: list[bytes]) -> None:
    with serving(sends(*stream, then="close")) as server, opened(video_source(address(server))) as tap:
        found, said = until_lost(tap)
    assert numbers_of(found) == list(range(PICTURES))
    pictures = [item for item in found if isinstance(item, Picture)]
    steps_ms = np.diff([picture.source_ms for picture in pictures])  # type: ignore[arg-type]
    np.testing.assert_allclose(steps_ms, 40.0, atol=0.1)
    assert pictures[0].grayscale is pictures[-1].grayscale
    assert pictures[0].grayscale.bits_stored == 8
    assert "has ended" in said


def test_grey_values_are_the_luma_that_was_sent(stream: list[bytes]) -> None:
    with serving(sends(*stream)) as server, opened(video_source(address(server))) as tap:
        (picture,) = taken(tap, 1)
    assert isinstance(picture, Picture)
    sent = np.rint(numbered(0) * (219.0 / 255.0) + 16.0)  # the encoder was given limited range, as from a screen
    assert np.abs(picture.pixels - sent).max() <= 6


def test_a_damaged_picture_and_those_drawn_from_it_are_missing_until_the_next_key_picture(stream: list[bytes]) -> None:
    damaged = list(stream)
    hit = KEY_EVERY + 2
    body = bytearray(damaged[hit])
    middle = len(body) // 2 // 188 * 188
    body[middle + 4 : middle + 188] = bytes(184)  # the load of a packet in the middle of the picture
    damaged[hit] = bytes(body)
    with serving(sends(*damaged, then="close")) as server, opened(video_source(address(server))) as tap:
        found, _ = until_lost(tap)
    numbers = numbers_of(found)
    good = [*range(hit), *range(2 * KEY_EVERY, PICTURES)]
    assert [number for number in numbers if number != "missing"] == good
    missing = [item for item in found if isinstance(item, Missing)]
    assert len(missing) == 2 * KEY_EVERY - hit
    assert all(item.failed and item.reason for item in missing)
    assert numbers.index("missing") == hit


@pytest.mark.parametrize("gone", range(KEY_EVERY, 2 * KEY_EVERY))
def test_what_is_drawn_from_a_lost_picture_is_never_shown(stream: list[bytes], gone: int) -> None:
    cut = [piece for index, piece in enumerate(stream) if index != gone]
    with serving(sends(*cut, then="close")) as server, opened(video_source(address(server))) as tap:
        found, _ = until_lost(tap)
    shown = [number for number in numbers_of(found) if number != "missing"]
    # FFmpeg marks a packet before the gap, so a few whole pictures are given up with the damaged ones
    assert set(shown) >= {*range(gone - 2), *range(3 * KEY_EVERY, PICTURES)}
    assert set(shown) <= {*range(gone), *range(2 * KEY_EVERY, PICTURES)}
    assert len(found) == PICTURES - 1


def test_a_stream_joined_in_the_middle_begins_with_its_first_whole_picture(stream: list[bytes]) -> None:
    tables = stream[0][: 3 * 188]
    joined = [tables, *stream[KEY_EVERY + 2 :]]
    with serving(sends(*joined, then="close")) as server, opened(video_source(address(server))) as tap:
        found, _ = until_lost(tap)
    assert numbers_of(found) == list(range(2 * KEY_EVERY, PICTURES))


def test_pictures_of_a_new_size_are_handed_on(stream: list[bytes]) -> None:
    larger = transport_stream(range(PICTURES), side=96, first_pts=PICTURES)
    with serving(sends(*stream, *larger, then="close")) as server, opened(video_source(address(server))) as tap:
        found, _ = until_lost(tap)
    sizes = [item.pixels.shape for item in found if isinstance(item, Picture)]
    assert sizes[0] == (64, 64)
    assert sizes[-1] == (96, 96)


def test_ten_bits_stay_ten_bits() -> None:
    stream = transport_stream(range(KEY_EVERY + 1), pixel_format="yuv420p10le")
    with serving(sends(*stream, then="close")) as server, opened(video_source(address(server))) as tap:
        found, _ = until_lost(tap)
    assert numbers_of(found) == list(range(KEY_EVERY + 1))
    picture = found[0]
    assert isinstance(picture, Picture)
    assert (picture.pixels.dtype, picture.grayscale.bits_stored) == (np.uint16, 10)


def test_the_region_is_cut_out_and_one_beyond_the_picture_is_missing(stream: list[bytes]) -> None:
    with serving(sends(*stream)) as server:
        with (
            opened(video_source(address(server))) as tap,
            opened(
                video_source(address(server), region=(8, 16, 30, 20), photometric_interpretation="MONOCHROME1")
            ) as cut,
        ):
            whole, part = tap.next(), cut.next()
        with opened(video_source(address(server), region=(40, 0, 30, 20))) as beyond:
            missing = beyond.next()
    assert isinstance(whole, Picture)
    assert isinstance(part, Picture)
    np.testing.assert_array_equal(part.pixels, whole.pixels[16:36, 8:38])
    assert part.grayscale.photometric_interpretation == "MONOCHROME1"
    assert part.pixels.flags.c_contiguous
    assert isinstance(missing, Missing)
    assert "reaches beyond the picture of 64 columns x 64 rows" in missing.reason


def test_a_stream_that_falls_silent_ends_in_an_error_in_time(stream: list[bytes]) -> None:
    with serving(sends(*stream)) as server, opened(video_source(address(server), no_signal_s=0.5)) as tap:
        found, said = until_lost(tap)
    assert numbers_of(found) == list(range(PICTURES))
    assert "no answer in time" in said


def test_a_server_that_never_says_anything_is_refused_in_time() -> None:
    with serving(sends()) as server:
        with pytest.raises(SourceError, match="cannot be opened"):
            tap_opening(video_source(address(server), first_picture_s=0.5), LimitsConfig())()


@pytest.mark.parametrize(
    "sent",
    [b"", bytes(100_000), b"HTTP/1.1 404 Not Found\r\n\r\n", b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n" * 40],
    ids=["nothing", "zeros", "another protocol", "a playlist"],
)
def test_what_is_no_video_is_refused(sent: bytes) -> None:
    with serving(sends(sent, then="close")) as server:
        with pytest.raises(SourceError, match=r"cannot be opened|no video in it|has ended"):
            with opened(video_source(address(server), first_picture_s=5.0)) as tap:
                tap.next()


def test_a_picture_beyond_the_limits_is_refused(stream: list[bytes]) -> None:
    limits = LimitsConfig(max_rows=32)
    with serving(sends(*stream)) as server:
        with pytest.raises(SourceError, match=r"limits.max_rows"):
            tap_opening(video_source(address(server)), limits)()


def test_an_address_that_nobody_answers_is_an_error_without_its_password() -> None:
    with serving(sends()) as server:
        port = server.port
    with pytest.raises(SourceError) as refused:
        tap_opening(video_source(f"rtsp://operator:secret@127.0.0.1:{port}/live"), LimitsConfig())()
    assert str(refused.value) == f"rtsp://127.0.0.1:{port}/live: cannot be opened (Connection refused)"


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match="/dev/video-none: cannot be opened"):
        tap_opening(video_source("/dev/video-none?size=640x480"), LimitsConfig())()


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('not here')")
    code = (
        "from cathrt.runtime.config import LimitsConfig, SourceConfig\n"
        "from cathrt.runtime.sources.capture.open_tap import tap_opening\n"
        "tap_opening(SourceConfig('a', 'video', 'tcp://127.0.0.1:9'), LimitsConfig())()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SourceError: live video needs PyAV, which is not installed: pip install '.[video]'" in ended.stderr

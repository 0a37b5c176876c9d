"""The small parts of live sources: signatures, addresses, regions, arrival times, closing, and files played live."""

from __future__ import annotations

import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.ports import Picture
from cathrt.runtime.sources.capture.closing import Closing
from cathrt.runtime.sources.capture.open_tap import tap_opening
from cathrt.runtime.sources.capture.sighting import signature_of
from cathrt.runtime.sources.capture.video_address import video_address
from cathrt.runtime.sources.capture.video_arrival import Arrivals
from cathrt.runtime.sources.capture.video_damage import Damage
from tests.sources.capture.fake_taps import PATIENCE_S
from tests.sources.capture.live_servers import LIMITS, numbered, numbers_of, opened, taken, video_source


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (32, 32), (100, 97), (512, 640)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_signature_is_the_means_of_blocks(shape: tuple[int, int], dtype: type[Any]) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    found = signature_of(pixels)
    blocks = [min(32, side) for side in shape]
    assert (found.shape, found.dtype) == (tuple(blocks), np.float32)
    for row in {0, blocks[0] // 2, blocks[0] - 1}:
        for column in {0, blocks[1] // 3, blocks[1] - 1}:
            top, bottom = (shape[0] * (row + step) // blocks[0] for step in (0, 1))
            left, right = (shape[1] * (column + step) // blocks[1] for step in (0, 1))
            assert found[row, column] == pytest.approx(pixels[top:bottom, left:right].mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("address", "kind", "shown"),
    [
        ("rtsp://10.0.0.5/live", "stream", "rtsp://10.0.0.5/live"),
        ("RTSP://user:p@ss@10.0.0.5:8554/live", "stream", "RTSP://10.0.0.5:8554/live"),
        ("http://10.0.0.5/path/a@b", "stream", "http://10.0.0.5/path/a@b"),
        ("udp://239.0.0.1:5000", "stream", "udp://239.0.0.1:5000"),
        ("/lab/stream.sdp", "stream", "/lab/stream.sdp"),
        ("/dev/video0", "device", "/dev/video0"),
        ("/lab/run.mp4", "file", "/lab/run.mp4"),
    ],
)
def test_an_address_is_a_stream_a_device_or_a_file(address: str, kind: str, shown: str) -> None:
    found = video_address(address, "sources.lab.address")
    assert (found.kind, found.shown) == (kind, shown)
    assert "file" not in found.options.get("protocol_whitelist", "").split(",") or kind == "file" or ".sdp" in address


def test_settings_of_a_device_are_passed_on_and_it_never_blocks() -> None:
    found = video_address("/dev/video1?size=1920x1080&rate_hz=60&pixel_format=yuyv422", "x")
    assert found.url == "/dev/video1"
    assert found.options == {
        "fflags": "+4", "video_size": "1920x1080", "framerate": "60", "pixel_format": "yuyv422"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SourceConfig("a", "video"), "no address, expected a URL, a device"),
        (SourceConfig("a", "video", "ftp://host/x"), "found a URL of 'ftp', expected one of rtsp, rtsps"),
        (SourceConfig("a", "video", "concat://x"), "found a URL of 'concat'"),
        (SourceConfig("a", "video", "/dev/video0?gain=3"), "found 'gain=3', expected NAME=VALUE with one of size"),
        (SourceConfig("a", "video", "run.mp4?twice"), "found 'twice' after the file, expected ?loop"),
        (SourceConfig("a", "video", "run.mp4", region=(1, 2)), "found [1, 2], expected [left, top, width, height]"),
        (SourceConfig("a", "video", "run.mp4", region=(1, 2, 0, 4)), "found [1, 2, 0, 4], expected"),
        (SourceConfig("a", "openigtlink", "host"), "found address 'host', expected HOST:PORT"),
        (SourceConfig("a", "openigtlink", "host:x"), "found address 'host:x', expected HOST:PORT"),
        (SourceConfig("a", "openigtlink", "u@host:1"), "found address 'u@host:1', expected HOST:PORT"),
        (SourceConfig("a", "openigtlink", "host:1?bits=20"), "found bits=20, expected 8 to 16"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(source: SourceConfig, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tap_opening(source, LIMITS)
    assert str(refused.value).startswith("sources.a.")
    assert said in str(refused.value)


def _stream(codec: str, time_base: Fraction = Fraction(1, 1000)) -> SimpleNamespace:
    return SimpleNamespace(codec_context=SimpleNamespace(name=codec), time_base=time_base)


def test_pictures_of_a_parsed_stream_arrived_when_the_one_before_was_given_out() -> None:
    arrivals = Arrivals("rtsp", _stream("h264"))
    for number in range(3):
        arrivals.came(number, 100 + number)
    assert [arrivals.ended(number) for number in range(3)] == [100, 100, 101]
    arrivals = Arrivals("rtsp", _stream("mjpeg"))
    arrivals.came(0, 100)
    arrivals.came(1, 101)
    assert arrivals.ended(1) == 101


def test_a_device_says_itself_when_a_picture_was_there_if_its_clock_is_ours() -> None:
    arrivals = Arrivals("video4linux2,v4l2", _stream("rawvideo", Fraction(1, 1_000_000)))
    now_ns = 5_000_000_000
    for pts, expected in ((4_980_000, 4_980_000_000), (6_000_000, now_ns), (1_700_000_000_000_000, now_ns)):
        arrivals.came(pts, now_ns)
        assert arrivals.ended(pts) == expected


def test_packets_without_a_picture_are_passed_over_once_and_never_pile_up() -> None:
    arrivals = Arrivals("matroska,webm", _stream("h264"))
    for number in range(4):
        arrivals.came(number, number)
    arrivals.ended(1)
    assert arrivals.passed_over(3) == [0, 2]
    assert arrivals.passed_over(3) == []
    for number in range(1000, 0, -1):
        arrivals.came(number, number)
    assert len(arrivals.passed_over(2000)) == 64
    arrivals.came(None, 7)
    assert (arrivals.ended(None), arrivals.passed_over(None)) == (7, [])


def test_damage_lasts_until_a_whole_key_picture() -> None:
    def spoils(kinds: str) -> str:
        """k: key picture, p: drawn from others, capital: corrupt; !: data are lost."""
        damage, said = Damage(), ""
        for kind in kinds:
            if kind == "!":
                damage.happened()
            else:
                picture = SimpleNamespace(is_corrupt=kind.isupper(), key_frame=kind.lower() == "k")
                said += "x" if damage.spoils(picture) else "."
        return said

    assert spoils("ppkpp") == "xx..."
    assert spoils("kpPppkp") == "..xxx.."
    assert spoils("kp!ppKpkp") == "..xxxx.."
    assert spoils("Kpk") == "xx."


def test_what_is_being_read_is_closed_when_the_call_returns() -> None:
    closed: list[str] = []
    closing = Closing(lambda: closed.append(threading.current_thread().name))
    inside, go_on = threading.Event(), threading.Event()

    def read() -> None:
        with closing.reading():
            inside.set()
            go_on.wait(PATIENCE_S)

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    assert inside.wait(PATIENCE_S)
    closing.close()
    assert (closed, closing.asked, closing.wait(0.0)) == ([], True, True)
    go_on.set()
    reader.join(PATIENCE_S)
    assert closed == ["reader"]


def test_what_nobody_reads_is_closed_at_once() -> None:
    closed: list[int] = []
    Closing(lambda: closed.append(1)).close()
    assert closed == [1]


def _file(folder: Path, pictures: int, rate_hz: int = 50) -> Path:
    path = folder / "run.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray"
        for number in range(pictures):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), format="gray")))
        container.mux(stream.encode(None))
    return path


def test_a_file_is_played_at_its_own_pace_and_its_last_picture_held(tmp_path: Path) -> None:
    with opened(video_source(str(_file(tmp_path, 3)))) as tap:
        found = taken(tap, 6)
    assert numbers_of(found) == [0, 1, 2, 2, 2, 2]
    assert np.diff([item.captured_ns for item in found]).tolist() == [20_000_000] * 5
    first = found[0]
    assert isinstance(first, Picture)
    np.testing.assert_array_equal(first.pixels, numbered(0))


def test_a_file_that_loops_starts_over_and_its_time_goes_on(tmp_path: Path) -> None:
    with opened(video_source(f"{_file(tmp_path, 3)}?loop")) as tap:
        found = taken(tap, 7)
    assert numbers_of(found) == [0, 1, 2, 0, 1, 2, 0]
    times = [item.source_ms for item in found if isinstance(item, Picture)]
    assert np.diff(times) == pytest.approx(20.0)  # type: ignore[arg-type]


def test_a_damaged_picture_of_a_file_is_missing(tmp_path: Path) -> None:
    path = _file(tmp_path, 4)
    content = bytearray(path.read_bytes())
    middle = int(len(content) * 0.6)
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(bytes(content))
    with opened(video_source(str(path))) as tap:
        found = numbers_of(taken(tap, 3))
    assert "missing" in found


@pytest.mark.parametrize("content", [b"", b"no video", bytes(1000)])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.mkv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"run.mkv: cannot be opened"):
        tap_opening(video_source(str(path)), LIMITS)()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none.mkv: cannot be opened \(No such file or directory\)"):
        tap_opening(video_source(str(tmp_path / "none.mkv")), LIMITS)()


def test_live_sources_load_no_vendor_before_one_is_opened() -> None:
    code = (
        "import sys; from cathrt.runtime.config import LimitsConfig, SourceConfig\n"
        "from cathrt.runtime.sources.capture.open_tap import tap_opening\n"
        "import cathrt.runtime.sources.capture.tap_thread\n"
        "for kind, address in (('phantom', ''), ('video', 'rtsp://host/x'), ('openigtlink', 'host:1')):\n"
        "    tap_opening(SourceConfig('a', kind, address), LimitsConfig())\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {"av", "pyigtl", "pydicom", "pydantic", "openvino"}

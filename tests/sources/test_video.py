"""Videos: the luma as it was stored, the container's own timing, and honest losses."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Timing
from cathrt.runtime.sources.discover import Input
from tests.faults.malformed_video import video
from tests.sources.dicom_bytes import pictures
from tests.sources.reading import read_here, read_sandboxed


def write(folder: Path, data: bytes, name: str = "run.mkv") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(("name", "container"), [("run.mkv", "matroska"), ("run.avi", "avi")])
def test_lossless_grey_video_comes_back_exactly(name: str, container: str, tmp_path: Path) -> None:
    run, items = read_here(write(tmp_path, video(6, container=container, size=(47, 63)), name))
    assert run.grayscale.bits_stored == 8
    for index, item in enumerate(items):
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels, pictures(1, 47, 63, 8, seed=index)[0])


@pytest.mark.parametrize(("name", "container"), [("run.mp4", "mp4"), ("run.mov", "mov")])
def test_h264_frames_come_in_the_order_shown(name: str, container: str, tmp_path: Path) -> None:
    def brighter(index: int, size: tuple[int, int]) -> np.ndarray:
        return np.full(size, 30 + 8 * index, np.uint8)

    data = video(12, codec="libx264", pixel_format="yuv420p", container=container, picture=brighter)
    run, items = read_here(write(tmp_path, data, name))
    assert run.flags == ("luma_of_colour_video",)
    means = [item.pixels.mean() for item in items if isinstance(item, Frame)]
    assert len(means) == 12
    assert means == sorted(means)


def test_ten_bit_video_keeps_its_depth(tmp_path: Path) -> None:
    run, (item, *_) = read_here(write(tmp_path, video(2, pixel_format="gray10le")))
    assert run.grayscale.bits_stored == 10
    assert isinstance(item, Frame)
    assert item.pixels.dtype == np.uint16
    assert item.pixels.max() > 255


def test_the_rate_is_the_containers(tmp_path: Path) -> None:
    run, _ = read_here(write(tmp_path, video(12, codec="mjpeg", pixel_format="yuvj420p", container="avi"), "run.avi"))
    assert (run.timing.frame_rate_hz, run.timing.origin, run.timing.frame_time_vector_ms) == (15.0, "container", None)


def shown_at(*due_ms: int) -> bytes:
    """A video whose pictures have these presentation times."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=100)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "gray"
        for time_ms, pixels in zip(due_ms, pictures(len(due_ms), stored=8).astype(np.uint8), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="gray")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def test_a_given_rate_counts_only_where_the_container_has_none_that_can_be_meant(tmp_path: Path) -> None:
    slow = Input("video", "slow", (write(tmp_path, shown_at(0, 20_000, 40_000), "slow.mkv"),))
    run, _ = read_sandboxed(slow)
    assert (run.timing, run.flags) == (Timing(15.0, "default"), ("frame_rate_default",))
    run, _ = read_sandboxed(replace(slow, rate_hz=7.5))
    assert (run.timing, run.flags) == (Timing(7.5, "given"), ())
    timed = Input("video", "timed", (write(tmp_path, shown_at(0, 100, 200), "timed.mkv"),), rate_hz=7.5)
    run, _ = read_sandboxed(timed)
    assert (run.timing, run.flags) == (Timing(10.0, "container"), ("given_rate_not_used",))


def test_uneven_presentation_times_become_a_frame_time_vector(tmp_path: Path) -> None:
    run, items = read_here(write(tmp_path, shown_at(0, 70, 200, 260)))
    assert [run.timing.due_ms(index) for index in range(4)] == [0.0, 70.0, 200.0, 260.0]
    assert all(isinstance(item, Frame) for item in items)


def test_pictures_drawn_from_a_damaged_one_are_lost_until_the_next_key_picture(tmp_path: Path) -> None:
    options = {"bf": "0", "g": "10", "keyint_min": "10", "sc_threshold": "0"}
    data = bytearray(video(30, codec="libx264", pixel_format="yuv420p", container="mp4", options=options))
    with av.open(io.BytesIO(bytes(data))) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][14]
        position, size = packet.pos, packet.size
    data[position + 4 : position + size] = b"\xff" * (size - 4)
    _, items = read_here(write(tmp_path, bytes(data), "run.mp4"))
    assert len(items) == 30
    assert [item.index for item in items if isinstance(item, LostFrame)] == [14, 15, 16, 17, 18, 19]


def test_without_pyav_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, video(1))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SourceError, match=r"pip install '\.\[video\]' in a clone of cathrt"):
        read_here(path)

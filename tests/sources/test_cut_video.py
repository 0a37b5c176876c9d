"""A video packet from which data are missing: no picture that comes of it, or of what is drawn from it, is another."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import imagecodecs
import numpy as np
import pytest

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.sources.code_stream import CodeStreamError, require_whole_motion_jpeg
from cathrt.runtime.sources.video_pictures import pictures_of
from tests.faults.malformed_video import video
from tests.sources.reading import read_here

FRAMES = 10
# Container suffix and format, codec, pixel format and options of streams whose decoders tell that data are missing.
TOLD: dict[str, tuple[str, str, str, str, dict[str, str]]] = {
    "h264": (".mp4", "mp4", "libx264", "yuv420p", {}),
    "h264-without-b-frames": (".mp4", "mp4", "libx264", "yuv420p", {"bf": "0", "g": "5"}),
    "h264-slices": (".mkv", "matroska", "libx264", "yuv420p", {"x264-params": "slices=4:keyint=6"}),
    "hevc": (".mp4", "mp4", "libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "mjpeg": (".avi", "avi", "mjpeg", "yuvj420p", {}),
    "ffv1": (".mkv", "matroska", "ffv1", "gray", {"level": "3"}),
    "png": (".mov", "mov", "png", "gray", {}),
    "jpeg2000": (".mkv", "matroska", "jpeg2000", "gray", {}),
}
# Streams whose decoders do not tell.
UNTOLD: dict[str, tuple[str, str, str, str, dict[str, str]]] = {
    "mpeg4": (".mp4", "mp4", "mpeg4", "yuv420p", {}),
    "mpeg2": (".mkv", "matroska", "mpeg2video", "yuv420p", {}),
    "huffyuv": (".avi", "avi", "huffyuv", "yuv422p", {}),
    "vp8": (".mkv", "matroska", "libvpx", "yuv420p", {}),
    "vp9": (".mkv", "matroska", "libvpx-vp9", "yuv420p", {}),
    "ffv1-1": (".mkv", "matroska", "ffv1", "gray", {"level": "1"}),
}


def moving(index: int, size: tuple[int, int]) -> np.ndarray:
    """A bar that crosses noise."""
    columns = size[1]
    picture = np.random.default_rng(3).integers(60, 120, size).astype(np.uint8)
    picture[:, columns * index // FRAMES : columns * index // FRAMES + 8] = 220
    return picture


def whole(name: str) -> bytes:
    _, container, codec, pixel_format, options = (TOLD | UNTOLD)[name]
    return video(
        FRAMES, codec=codec, pixel_format=pixel_format, container=container, size=(48, 64), picture=moving,
        options=options,
    )  # fmt: skip


def changed(data: bytes, container: str, change: Callable[[int, bytes], bytes]) -> bytes:
    """The same file with other packets. change: number in the order of decoding and bytes to bytes."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format=container) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        number = 0
        for packet in source.demux(video=0):
            if not packet.size:
                continue
            other = av.Packet(change(number, bytes(packet)))
            other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
            other.duration, other.is_keyframe, other.stream = packet.duration, packet.is_keyframe, stream
            sink.mux(other)
            number += 1
    return out.getvalue()


def read(folder: Path, suffix: str, data: bytes) -> tuple[tuple[str, ...], list[Frame | LostFrame]]:
    path = folder / f"run{suffix}"
    path.write_bytes(data)
    run, items = read_here(path)
    return run.flags, items


def cuts(data: bytes, container: str) -> Iterator[tuple[int, str, bytes]]:
    for number in (0, 1, 4, FRAMES - 1):
        for eighth in range(1, 8):

            def cut(index: int, packet: bytes, number: int = number, eighth: int = eighth) -> bytes:
                return packet[: max(len(packet) * eighth // 8, 1)] if index == number else packet

            yield number, f"packet {number} cut at {eighth}/8", changed(data, container, cut)


@pytest.mark.parametrize("name", TOLD)
def test_pictures_of_a_cut_packet_are_lost_or_whole(name: str, tmp_path: Path) -> None:
    suffix, container, *_ = TOLD[name]
    data = changed(whole(name), container, lambda _, packet: packet)
    flags, expected = read(tmp_path, suffix, data)
    assert "damage_not_told" not in flags
    assert all(isinstance(item, Frame) for item in expected)
    wrong, lost = [], 0
    for _, done, damaged in cuts(data, container):
        try:
            _, items = read(tmp_path, suffix, damaged)
        except SourceError:
            continue
        assert [item.index for item in items] == list(range(FRAMES))
        for item, whole_item in zip(items, expected, strict=True):
            assert isinstance(whole_item, Frame)
            if isinstance(item, LostFrame):
                lost += 1
                assert item.failed
            elif not np.array_equal(item.pixels, whole_item.pixels):
                wrong.append((done, item.index))
    assert wrong == []
    assert lost >= 20


@pytest.mark.parametrize("name", UNTOLD)
def test_a_stream_whose_decoder_does_not_tell_is_flagged(name: str, tmp_path: Path) -> None:
    flags, items = read(tmp_path, UNTOLD[name][0], whole(name))
    assert "damage_not_told" in flags
    assert all(isinstance(item, Frame) for item in items)


def test_an_ffv1_slice_that_does_not_match_its_checksum_is_lost_up_to_the_next_key_picture(tmp_path: Path) -> None:
    suffix, container, codec, pixel_format, _ = TOLD["ffv1"]
    options = {"level": "3", "slicecrc": "1", "g": "5"}
    data = video(
        FRAMES, codec=codec, pixel_format=pixel_format, container=container, picture=moving, options=options
    )  # fmt: skip

    def zeroed(index: int, packet: bytes) -> bytes:
        return packet[:100] + bytes(20) + packet[120:] if index == 2 else packet

    _, items = read(tmp_path, suffix, changed(data, container, zeroed))
    assert [item.index for item in items if isinstance(item, LostFrame)] == [2, 3, 4]


def test_a_key_picture_shown_late_does_not_clear_damage_decoded_after_it(tmp_path: Path) -> None:
    # With B-frames the key picture comes out of the decoder only after the next packet, the damaged one, went in.
    suffix, container, *_ = TOLD["h264"]
    data = changed(whole("h264"), container, lambda index, packet: packet[: len(packet) // 2] if index == 1 else packet)
    _, (first, *others) = read(tmp_path, suffix, data)
    assert isinstance(first, Frame)
    assert all(isinstance(item, LostFrame) for item in others)


@pytest.mark.parametrize("closing", [b"", b"\xff\xd9\0\0"], ids=["no end marker", "padded"])
def test_motion_jpeg_with_all_coded_data_is_whole_however_it_ends(closing: bytes, tmp_path: Path) -> None:
    suffix, container, *_ = TOLD["mjpeg"]
    data = changed(whole("mjpeg"), container, lambda _, packet: packet[: packet.rindex(b"\xff\xd9")] + closing)
    _, items = read(tmp_path, suffix, data)
    assert all(isinstance(item, Frame) for item in items)


def test_each_field_of_an_interlaced_motion_jpeg_picture_must_be_whole() -> None:
    field = bytes(imagecodecs.jpeg8_encode(moving(1, (24, 64))))
    require_whole_motion_jpeg(field + b"\0\0" + field)
    with pytest.raises(CodeStreamError, match="coded data end"):
        require_whole_motion_jpeg(field + field[: len(field) // 2 + 150])


class SaysTheSameOfEach:
    """A stream whose decoder writes the same line of damage for every packet, and draws a picture all the same."""

    name = "h264"

    def __init__(self) -> None:
        self.codec_context, self.options = self, {}

    def decode(self, packet: SimpleNamespace | None) -> list[SimpleNamespace]:
        if packet is None:
            return []
        av.logging.log(av.logging.ERROR, "h264", "concealing 12 DC, 12 AC, 12 MV errors in P frame")
        return [packet]


def test_the_second_picture_that_is_damaged_in_the_same_way_is_told_too() -> None:
    packets = [SimpleNamespace(pts=number, dts=number, size=1, key_frame=True, is_corrupt=False) for number in range(3)]
    container = SimpleNamespace(demux=lambda stream: iter(packets))
    told = [spoilt for _, spoilt in pictures_of(av, container, SaysTheSameOfEach())]
    assert told == [True] * 3

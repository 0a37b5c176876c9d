"""Videos as they are to be shown: turned and mirrored as they state, and grey in every pixel format."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.video_grey import grey_form, grey_of_picture
from tests.faults.malformed_video import video
from tests.sources.dicom_bytes import pictures
from tests.sources.picture_files import exif, saved, with_segment
from tests.sources.reading import LIMITS, only_input, read_here, read_sandboxed

ROWS, COLUMNS = 48, 64
GREY = pictures(1, ROWS, COLUMNS, 8)[0].astype(np.uint8)
ONE, LAST = 1 << 16, 1 << 30
# What a display matrix (a, b, c, d) does, and the same by NumPy.
TURNS = {
    "as stored": ((1, 0, 0, 1), lambda frame: frame),
    "90 degrees": ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    "180 degrees": ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
    "270 degrees": ((0, -1, 1, 0), lambda frame: np.rot90(frame, 1)),
    "left to right": ((-1, 0, 0, 1), np.fliplr),
    "top to bottom": ((1, 0, 0, -1), np.flipud),
    "diagonal": ((0, 1, 1, 0), np.transpose),
    "other diagonal": ((0, -1, -1, 0), lambda frame: np.rot90(frame, 2).T),
}


def read(folder: Path, data: bytes, name: str, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    (folder / name).write_bytes(data)
    return read_here(folder / name, limits)


def pixels_of(items: list[Frame | LostFrame]) -> list[NDArray[np.uint16]]:
    assert all(isinstance(item, Frame) for item in items), items
    return [item.pixels for item in items if isinstance(item, Frame)]


def with_matrix(data: bytes, numbers: Sequence[int]) -> bytes:
    """An MP4 or MOV file with another matrix in the header of its only track."""
    at = data.index(b"tkhd") + 4 + (40 if data[data.index(b"tkhd") + 4] == 0 else 52)
    return data[:at] + struct.pack(">9i", *numbers) + data[at + 36 :]


def turned_by(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    return with_matrix(data, (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 48 * ONE, 64 * ONE, LAST))


MADE = {
    "run.mp4": video(3, codec="libx264", pixel_format="yuv420p", container="mp4"),
    "run.mov": video(3, codec="png", pixel_format="gray", container="mov"),
    "mjpeg.mov": video(3, codec="mjpeg", pixel_format="yuvj420p", container="mov"),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", MADE)
def test_the_display_matrix_of_the_container_is_honoured(name: str, turn: str, tmp_path: Path) -> None:
    _, stored = read(tmp_path, turned_by(MADE[name], 1, 0, 0, 1), name)
    matrix, shown = TURNS[turn]
    run, items = read(tmp_path, turned_by(MADE[name], *matrix), name)
    for pixels, expected in zip(pixels_of(items), map(shown, pixels_of(stored)), strict=True):
        assert np.array_equal(pixels, expected)
        assert pixels.shape == (run.rows, run.columns)


def rewritten(data: bytes, container: str, degrees: int | None = None, message: str | None = None) -> bytes:
    """The same H.264 packets, with a rotation in the container, or a message that states one."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format=container) as sink:
        stream = source.streams.video[0]
        described = "h264_metadata" + (f"=display_orientation=insert:{message}" if message else "")
        filtered = av.bitstream.BitStreamFilterContext(described, stream)
        written = sink.add_stream_from_template(stream)
        if degrees is not None:
            written.set_display_rotation(degrees)
        for packet in source.demux(stream):
            for other in filtered.filter(packet if packet.size else None):
                other.stream = written
                sink.mux(other)
    return out.getvalue()


def test_a_rotation_in_matroska_is_honoured(tmp_path: Path) -> None:
    stored = pixels_of(read(tmp_path, MADE["run.mp4"], "run.mp4")[1])
    run, items = read(tmp_path, rewritten(MADE["run.mp4"], "matroska", degrees=90), "run.mkv")
    assert (run.rows, run.columns) == (COLUMNS, ROWS)
    assert all(map(np.array_equal, pixels_of(items), (np.rot90(frame, 1) for frame in stored)))


def test_an_orientation_in_the_coded_data_holds_for_the_pictures_after_it(tmp_path: Path) -> None:
    stored = pixels_of(read(tmp_path, MADE["run.mp4"], "run.mp4")[1])
    for message, shown in {"rotate=90": lambda f: np.rot90(f, 1), "flip=horizontal": np.fliplr}.items():
        run, items = read(tmp_path, rewritten(MADE["run.mp4"], "mp4", message=message), "run.mp4")
        found = pixels_of(items)
        assert len(found) == 3, "FFmpeg tells it of the first only"
        assert all(map(np.array_equal, found, map(shown, stored)))
        assert found[0].shape == (run.rows, run.columns)


def test_two_statements_that_disagree_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="two display matrices that disagree: save the video as it is to be shown"):
        read(tmp_path, rewritten(MADE["run.mp4"], "mp4", 90, "rotate=180"), "run.mp4")


def test_pictures_that_are_turned_otherwise_than_the_first_are_lost(tmp_path: Path) -> None:
    options = {"g": "3", "keyint_min": "3", "bf": "0", "sc_threshold": "0"}
    plain = video(6, codec="libx264", pixel_format="yuv420p", container="mp4", options=options)
    message = bytes.fromhex("062f0308000980")  # SEI display orientation: a quarter turn, up to the next such picture
    out = io.BytesIO()
    with av.open(io.BytesIO(plain)) as source, av.open(out, "w", format="mp4") as sink:
        written = sink.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            before = struct.pack(">I", len(message)) + message if number == 3 else b""
            other = av.Packet(before + bytes(packet))
            other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
            other.is_keyframe, other.stream = packet.is_keyframe, written
            sink.mux(other)
    run, items = read(tmp_path, out.getvalue(), "run.mp4")
    assert (run.rows, run.columns) == (ROWS, COLUMNS)
    assert [isinstance(item, Frame) for item in items] == [True] * 3 + [False] * 3
    assert isinstance(items[3], LostFrame)
    assert items[3].reason.startswith(f"the picture is {COLUMNS}x{ROWS} of 8 bits as shown, expected {ROWS}x{COLUMNS}")


@pytest.mark.parametrize(
    "numbers",
    [(46341, 46341, 0, -46341, 46341, 0, 0, 0, LAST), (2 * ONE, 0, 0, 0, ONE, 0, 0, 0, LAST), (0,) * 9],
    ids=["45 degrees", "stretched", "nothing"],
)
def test_another_display_matrix_is_refused(numbers: Sequence[int], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a display matrix \(.*\), expected a turn by 90, 180 or 270 degrees"):
        read(tmp_path, with_matrix(MADE["run.mp4"], numbers), "run.mp4")


def test_the_limits_are_those_of_the_picture_as_shown(tmp_path: Path) -> None:
    limits = LimitsConfig(decoder_memory_mib=768, max_rows=ROWS, max_columns=COLUMNS)
    read(tmp_path, turned_by(MADE["run.mp4"], *TURNS["180 degrees"][0]), "run.mp4", limits)
    with pytest.raises(SourceError, match=f"{COLUMNS} rows x {ROWS} columns, expected"):
        read(tmp_path, turned_by(MADE["run.mp4"], *TURNS["90 degrees"][0]), "run.mp4", limits)


def test_exif_in_motion_jpeg_is_refused_since_pyav_does_not_show_its_orientation(tmp_path: Path) -> None:
    picture = with_segment(saved(GREY, "JPEG"), 0xE1, b"Exif\0\0" + exif(6))
    with av.open(str(tmp_path / "run.avi"), "w") as sink:
        stream = sink.add_stream("mjpeg", rate=15)
        stream.height, stream.width, stream.pix_fmt = ROWS, COLUMNS, "yuvj420p"
        packet = av.Packet(picture)
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 15)
        packet.is_keyframe = True
        sink.mux(packet)
    with av.open(str(tmp_path / "run.avi")) as source:
        (frame,) = source.decode(video=0)
        try:
            lists_it = list(frame.side_data) != []
        except ValueError:
            with pytest.raises(SourceError, match="that PyAV does not know"):
                read_here(tmp_path / "run.avi")
            return
    run, _ = read_here(tmp_path / "run.avi")
    assert (run.rows, run.columns) == ((COLUMNS, ROWS) if lists_it else (ROWS, COLUMNS))


def frame_of(pixel_format: str, alpha: int | None = None) -> tuple[av.VideoFrame, NDArray[np.uint16]]:
    """GREY in this format, each channel alike, and the values it should come to. alpha: of the first pixel."""
    form = grey_form(pixel_format)
    assert form is not None
    frame = av.VideoFrame(COLUMNS, ROWS, pixel_format)
    dtype = np.dtype(np.uint8 if form.bits == 8 else ">u2" if form.big_endian else "<u2")
    values = GREY.astype(dtype) << (form.bits - 8)
    cells = [
        np.full(plane.buffer_size // dtype.itemsize, (1 << form.bits) - 1, dtype).reshape(
            -1, plane.line_size // dtype.itemsize
        )
        for plane in frame.planes
    ]
    for plane, first, step in form.channels:
        cells[plane][:ROWS, first : first + COLUMNS * step : step] = values
    if alpha is not None and form.alpha is not None:
        plane, first, _ = form.alpha
        cells[plane][0, first] = alpha
    for plane, content in zip(frame.planes, cells, strict=True):
        plane.update(content.tobytes())
    return frame, values.astype(np.uint16)


def encoded(frame: av.VideoFrame, codec: str, container: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as sink:
        stream = sink.add_stream(codec, rate=15)
        stream.height, stream.width, stream.pix_fmt = ROWS, COLUMNS, frame.format.name
        sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return out.getvalue()


# Codec, pixel format, container, bits, and what is flagged of its colour.
FORMATS = [
    ("rawvideo", "gray", "avi", 8, None),
    ("rawvideo", "bgr24", "avi", 8, "colour_to_luma"),
    ("rawvideo", "bgra", "avi", 8, "colour_to_luma"),
    ("rawvideo", "yuyv422", "avi", 8, "luma_of_colour_video"),
    ("rawvideo", "yuv410p", "avi", 8, "luma_of_colour_video"),
    ("rawvideo", "uyvy422", "mov", 8, "luma_of_colour_video"),
    ("png", "gray16be", "mov", 16, None),
    ("png", "ya8", "mov", 8, None),
    ("png", "ya16be", "mov", 16, None),
    ("png", "rgb24", "mov", 8, "colour_to_luma"),
    ("png", "rgba", "mov", 8, "colour_to_luma"),
    ("png", "rgb48be", "mov", 16, "colour_to_luma"),
    ("png", "rgba64be", "mov", 16, "colour_to_luma"),
    ("ffv1", "gray9le", "matroska", 9, None),
    ("ffv1", "gray12le", "matroska", 12, None),
    ("ffv1", "gray16le", "matroska", 16, None),
    ("ffv1", "bgr0", "matroska", 8, "colour_to_luma"),
    ("ffv1", "gbrp10le", "matroska", 10, "colour_to_luma"),
    ("ffv1", "gbrap12le", "matroska", 12, "colour_to_luma"),
    ("ffv1", "yuva420p", "matroska", 8, "luma_of_colour_video"),
    ("ffv1", "yuv411p", "matroska", 8, "luma_of_colour_video"),
]
SUFFIX = {"avi": "avi", "mov": "mov", "matroska": "mkv"}


@pytest.mark.parametrize(("codec", "pixel_format", "container", "bits", "flag"), FORMATS)
def test_grey_in_any_pixel_format_is_read_exactly(
    codec: str, pixel_format: str, container: str, bits: int, flag: str | None, tmp_path: Path
) -> None:
    frame, expected = frame_of(pixel_format)
    run, items = read(tmp_path, encoded(frame, codec, container), f"run.{SUFFIX[container]}")
    assert run.grayscale.bits_stored == bits
    assert set(run.flags) & {"colour_to_luma", "luma_of_colour_video"} == {flag} - {None}
    assert np.array_equal(pixels_of(items)[0], expected)


@pytest.mark.parametrize(("codec", "container"), [("rawvideo", "avi"), ("png", "mov")])
def test_a_palette_of_greys_is_read_exactly(codec: str, container: str, tmp_path: Path) -> None:
    frame = av.VideoFrame(COLUMNS, ROWS, "pal8")
    frame.planes[0].update(GREY.tobytes())
    frame.planes[1].update(np.array([(255 << 24) | (255 - level) * 0x010101 for level in range(256)], "=u4").tobytes())
    _, items = read(tmp_path, encoded(frame, codec, container), f"run.{container}")
    assert np.array_equal(pixels_of(items)[0], 255 - GREY)


@pytest.mark.parametrize(("pixel_format", "white"), [("monow", 0), ("monob", 1)])
def test_two_levels_keep_their_polarity(pixel_format: str, white: int) -> None:
    frame = av.VideoFrame(COLUMNS, ROWS, pixel_format)
    bright = GREY >= 128
    line = np.zeros((ROWS, frame.planes[0].line_size), np.uint8)
    line[:, : COLUMNS // 8] = np.packbits(bright == bool(white), axis=1)
    frame.planes[0].update(line.tobytes())
    found = grey_of_picture(frame)
    assert found is not None
    assert np.array_equal(found[0], np.where(bright, 255, 0))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "container"),
    [("png", "ya8", "mov"), ("png", "rgba64be", "mov"), ("ffv1", "yuva420p", "matroska"), ("rawvideo", "bgra", "avi")],
)
def test_a_partly_transparent_picture_is_lost(codec: str, pixel_format: str, container: str, tmp_path: Path) -> None:
    frame, _ = frame_of(pixel_format, alpha=200)
    _, (item,) = read(tmp_path, encoded(frame, codec, container), f"run.{SUFFIX[container]}")
    assert isinstance(item, LostFrame)
    assert item.reason == "the picture is partly transparent, expected an opaque one"


def test_colour_becomes_the_same_luma_as_of_a_still(tmp_path: Path) -> None:
    colour = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
    frame = av.VideoFrame.from_ndarray(colour, format="rgb24")
    run, items = read(tmp_path, encoded(frame, "png", "mov"), "run.mov")
    assert "colour_to_luma" in run.flags
    assert np.abs(pixels_of(items)[0] - colour @ (0.299, 0.587, 0.114)).max() <= 0.5 + 1e-9


def test_a_turned_video_is_read_behind_the_walls(tmp_path: Path) -> None:
    path = tmp_path / "run.mp4"
    path.write_bytes(turned_by(MADE["run.mp4"], *TURNS["90 degrees"][0]))
    run, items = read_sandboxed(only_input(path))
    _, expected = read_here(path)
    assert (run.rows, run.columns) == (COLUMNS, ROWS)
    assert all(map(np.array_equal, pixels_of(items), pixels_of(expected)))

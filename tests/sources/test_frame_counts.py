"""Number of Frames is compared with what the file holds: more is frames or a frame that fails, less is lost frames."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import LostFrame
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPEG_SV1,
    RLE,
    element,
    encapsulated,
    native,
    part10,
    sequence,
    text,
    us,
    xa_elements,
)
from tests.sources.encapsulated_runs import (
    BITS,
    COLUMNS,
    ENCODERS,
    FRAMES,
    PICTURES,
    ROWS,
    STREAMS,
    TABLES,
    Table,
    Written,
    pieces_of,
    reasons,
    seen,
)
from tests.sources.reading import LIMITS, read_bytes_here

ALL = list(range(FRAMES))
MORE = "more_frames_than_declared"
SV1 = [[stream] for stream in STREAMS[JPEG_SV1]]
SIZE = ROWS * COLUMNS * 2
RAW = PICTURES.astype("<u2").tobytes()
every_syntax = pytest.mark.parametrize("syntax", ENCODERS)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("declared", [None, 1, 2, 3, 4])
@every_syntax
def test_every_code_stream_is_a_frame_however_few_are_declared(
    syntax: str, declared: int | None, table: Table, tmp_path: Path
) -> None:
    for frames in ([[stream] for stream in STREAMS[syntax]], [pieces_of(stream) for stream in STREAMS[syntax]]):
        run, items = Written(syntax, frames, table, declared=declared).read(tmp_path)
        assert (run.frame_count, seen(items), run.flags) == (FRAMES, ALL, (MORE,))


@every_syntax
@pytest.mark.parametrize("table", TABLES)
def test_more_frames_declared_than_there_are_end_lost(syntax: str, table: Table, tmp_path: Path) -> None:
    frames = [[stream] for stream in STREAMS[syntax]]
    run, items = Written(syntax, frames, table, declared=8).read(tmp_path)
    assert (seen(items), run.flags) == ([*ALL, None, None, None], ("frames_missing",))
    assert set(reasons(items)) == {"never arrived: Pixel Data holds no data for it"}


def test_one_frame_of_several_fragments_is_one_frame(tmp_path: Path) -> None:
    for syntax in ENCODERS:
        for declared in (None, 1):
            written = Written(syntax, [pieces_of(STREAMS[syntax][0], 5)], declared=declared)
            run, items = written.read(tmp_path)
            assert (seen(items), run.flags) == ([0], ())


@pytest.mark.parametrize("syntax", [syntax for syntax in ENCODERS if syntax != RLE])
@pytest.mark.parametrize("declared", [None, 5, 3])
def test_streams_that_share_a_fragment_are_frames(syntax: str, declared: int | None, tmp_path: Path) -> None:
    a, b, c, d, e = STREAMS[syntax]
    middle = len(d) // 4 * 2 + len(b + c) % 2
    for fragments in ([a + b + c + d + e], [a, b + b"\0" + c, d, e], [a, b + c + d[:middle], d[middle:], e]):
        run, items = Written(syntax, [fragments], declared=declared).read(tmp_path)
        assert seen(items) == ALL
        assert (MORE in run.flags) == (declared != 5)


def test_a_second_stream_in_a_fragment_is_a_frame_whatever_the_table_says(tmp_path: Path) -> None:
    frames = [SV1[0], [STREAMS[JPEG_SV1][1] + STREAMS[JPEG_SV1][2]], SV1[3]]
    for table in ("basic", "extended"):
        run, items = Written(JPEG_SV1, frames, table, declared=3).read(tmp_path)
        assert (seen(items), set(run.flags)) == ([0, 1, 2, 3], {MORE, "offset_table_unusable"})


def test_a_left_over_fragment_that_is_no_stream_is_a_frame_that_fails(tmp_path: Path) -> None:
    for declared in (None, 1):
        run, items = Written(JPEG_SV1, [SV1[0], [b"\x55" * 300]], declared=declared).read(tmp_path)
        assert (seen(items), MORE in run.flags) == ([0, None], True)


@every_syntax
def test_items_after_the_delimiter_are_a_frame_that_fails(syntax: str, tmp_path: Path) -> None:
    streams = STREAMS[syntax]
    after = encapsulated([streams[1]])[20:]  # without the element's header and the empty table
    run, items = Written(syntax, [[streams[0]]], declared=None, after=after).read(tmp_path)
    assert (seen(items), run.flags) == ([0, None], ("data_after_pixel_data",))
    assert "are no data elements" in reasons(items)[0]


def test_items_that_stop_before_the_end_of_the_file_are_noticed(tmp_path: Path) -> None:
    octets = Written(JPEG_SV1, SV1, declared=None).octets()
    at = octets.index(b"\xfe\xff\x00\xe0", octets.index(STREAMS[JPEG_SV1][1]))  # the third frame's item
    run, items = read_bytes_here(tmp_path, octets[:at] + b"\x12" + octets[at + 1 :])
    assert seen(items) == [0, 1, None]
    assert set(run.flags) == {MORE, "pixel_data_cut_off", "data_after_pixel_data"}


def test_elements_and_padding_after_pixel_data_are_no_frames(tmp_path: Path) -> None:
    padding = element(0xFFFCFFFC, ("OB", SV1[0][0] + b"\0" * (len(SV1[0][0]) % 2)))
    for after in (padding, b"\0" * 4000, b"\xff" * 4000, padding + b"\0" * 100):
        run, items = Written(JPEG_SV1, SV1, after=after).read(tmp_path)
        assert (seen(items), run.flags) == (ALL, ())


def test_other_bytes_after_pixel_data_are_flagged(tmp_path: Path) -> None:
    run, items = Written(JPEG_SV1, SV1, after=b"\r\n--boundary--\r\n").read(tmp_path)
    assert (seen(items), run.flags) == (ALL, ("data_after_pixel_data",))


def test_times_are_those_of_the_frames_that_were_found(tmp_path: Path) -> None:
    vector = {0x00181065: text("DS", "0\\40\\60\\40\\60")}
    run, _ = Written(JPEG_SV1, SV1, declared=1, elements=vector).read(tmp_path)
    assert run.timing.origin == "FrameTimeVector"
    assert run.timing.due_ms(4) == 200.0


def test_the_limit_is_on_the_frames_that_were_found(tmp_path: Path) -> None:
    few = LimitsConfig(decoder_memory_mib=LIMITS.decoder_memory_mib, max_frames=4)
    for octets in (Written(JPEG_SV1, SV1, declared=1).octets(), native_run(RAW, declared=None)):
        with pytest.raises(SourceError, match=r"holds 5 frames, Number of Frames .* says 1: expected at most"):
            read_bytes_here(tmp_path, octets, few)


def test_the_pixel_data_of_an_icon_are_no_frames(tmp_path: Path) -> None:
    icon = {0x00880200: sequence({0x00280010: us(ROWS), 0x00280011: us(COLUMNS), 0x7FE00010: ("OW", RAW[:SIZE])})}
    run, items = Written(JPEG_SV1, SV1, elements=icon).read(tmp_path)
    assert (seen(items), run.flags) == (ALL, ())
    run, items = read_bytes_here(tmp_path, part10(xa_elements(5, ROWS, COLUMNS) | icon, native(PICTURES)))
    assert (seen(items), run.flags) == (ALL, ())


def native_run(octets: bytes, *, declared: int | None, length: int | None = None, after: bytes = b"") -> bytes:
    pixel_data = element(0x7FE00010, ("OW", octets + b"\0" * (len(octets) % 2)), length=length)
    return part10(xa_elements(declared, ROWS, COLUMNS, 16, BITS), pixel_data + after)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
@pytest.mark.parametrize("declared", [None, 1, 3])
def test_every_whole_uncompressed_picture_is_a_frame(syntax: str, declared: int | None, tmp_path: Path) -> None:
    elements = xa_elements(declared, ROWS, COLUMNS, 16, BITS)
    run, items = read_bytes_here(tmp_path, part10(elements, native(PICTURES, 16, syntax), syntax))
    assert (seen(items), set(run.flags)) == (ALL, {MORE, "pixel_data_long"})


@pytest.mark.parametrize("declared", [None, 2, 4])
def test_a_part_of_an_uncompressed_picture_is_a_frame_that_fails(declared: int | None, tmp_path: Path) -> None:
    run, items = read_bytes_here(tmp_path, native_run(RAW[: 4 * SIZE + 700], declared=declared))
    assert (seen(items), set(run.flags)) == ([0, 1, 2, 3, None], {MORE, "pixel_data_long"})
    assert reasons(items) == [f"Pixel Data ends within this frame: 700 bytes of {SIZE}"]


@pytest.mark.parametrize("padding", [1, 2, 100, SIZE, 3 * SIZE + 10])
def test_zeros_after_the_frames_that_are_declared_are_padding(padding: int, tmp_path: Path) -> None:
    run, items = read_bytes_here(tmp_path, native_run(RAW + bytes(padding), declared=5))
    assert (seen(items), set(run.flags)) == (ALL, {"pixel_data_long"})


def test_the_byte_that_makes_an_odd_length_even_is_not_even_flagged(tmp_path: Path) -> None:
    frames = (PICTURES >> 2)[:3]
    for last in (b"\0", b"\x20"):  # 3 x 1961 bytes
        octets = frames.astype(np.uint8).tobytes() + last
        elements = xa_elements(3, ROWS, COLUMNS, 8, 8)
        run, items = read_bytes_here(tmp_path, part10(elements, element(0x7FE00010, ("OB", octets))))
        assert (len(items), run.flags) == (3, ())


def test_uncompressed_frames_that_are_not_there_are_lost_and_a_torn_one_fails(tmp_path: Path) -> None:
    run, items = read_bytes_here(tmp_path, native_run(RAW[: 2 * SIZE + 100], declared=5))
    assert (seen(items), run.flags) == ([0, 1, None, None, None], ("pixel_data_short",))
    assert [item.failed for item in items if isinstance(item, LostFrame)] == [True, False, False]


def test_pictures_beyond_the_declared_length_are_a_frame_that_fails(tmp_path: Path) -> None:
    run, items = read_bytes_here(tmp_path, native_run(RAW, declared=None, length=SIZE))
    assert (seen(items), run.flags) == ([0, None], ("data_after_pixel_data",))
    assert f"{4 * SIZE} bytes follow Pixel Data" in reasons(items)[0]


def test_an_element_after_uncompressed_pixels_is_no_frame(tmp_path: Path) -> None:
    padding = element(0xFFFCFFFC, ("OB", RAW))
    run, items = read_bytes_here(tmp_path, native_run(RAW, declared=5, after=padding))
    assert (seen(items), run.flags) == (ALL, ())


def test_rle_bytes_left_over_after_the_last_segment_fail_the_frame(tmp_path: Path) -> None:
    stream = STREAMS[RLE][0]
    run, items = Written(RLE, [[stream], [struct.pack("<I", 7) * 60]], declared=None).read(tmp_path)
    assert (seen(items), run.flags) == ([None], ())
    assert "left over" in reasons(items)[0]

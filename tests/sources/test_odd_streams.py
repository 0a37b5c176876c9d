"""Code streams that others read, too: boxed, of fewer bits, padded, without an end marker. Exactly, or not at all."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.uid import RLELossless
from rle.rle import encode_frame as rle_encode_frame

from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.dicom.decoders import FrameDecodeError
from tests.sources.code_streams import JPEG_EXTENDED, Form, forms
from tests.sources.dicom_bytes import (
    HTJ2K_LOSSLESS,
    J2K_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    JPEG_SV1,
    RLE,
    encapsulated,
    part10,
    pictures,
    xa_elements,
)
from tests.sources.encapsulated_runs import (
    COLUMNS,
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
from tests.sources.reading import only_input, read_bytes_here, read_sandboxed

ALL = [0, 1, 2, 3, 4]
FORMS = forms()
WITH_MARKERS = [name for name, form in FORMS.items() if form.kind != "rle"]
MARKED = [syntax for syntax in STREAMS if syntax != RLE]
END = b"\xff\xd9"
# Their last coded byte is zero: it may as well be the padding of a stream that was cut.
ENDS_WITH_ZERO = {"htj2k-tiles", "jpeg-ls-16", "jpeg2000-order_change_layers"}


def same(form: Form, stream: bytes) -> bool:
    return np.array_equal(form.decode(stream), form.decode(form.stream))


@pytest.mark.parametrize("name", sorted(set(WITH_MARKERS) - ENDS_WITH_ZERO))
def test_a_stream_with_all_coded_data_needs_no_end_marker(name: str) -> None:
    form = FORMS[name]
    for open_stream in (form.stream[:-2], form.stream[:-2] + b"\0", form.stream[:-1], form.stream[:-1] + b"\0"):
        assert same(form, open_stream)


@pytest.mark.parametrize("name", sorted(ENDS_WITH_ZERO))
def test_a_last_zero_byte_is_not_counted_on_where_the_end_marker_is_missing(name: str) -> None:
    form = FORMS[name]
    with pytest.raises(FrameDecodeError, match="unusable code stream: no end marker"):
        form.decode(form.stream[:-2])
    assert same(form, form.stream[:-2] + b"\0")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("syntax", MARKED)
def test_a_run_without_end_markers_is_read_and_flagged(syntax: str, table: Table, tmp_path: Path) -> None:
    streams = [stream.removesuffix(END) for stream in STREAMS[syntax]]
    for frames in ([[s] for s in streams], [pieces_of(s) for s in streams]):
        run, items = Written(syntax, frames, table).read(tmp_path)
        assert run.flags == ("end_marker_missing",)
        for index, (number, stream) in enumerate(zip(seen(items), streams, strict=True)):
            assert number == index or (number is None and stream.endswith(b"\0"))
        assert sum(isinstance(item, Frame) for item in items) >= 3


def test_jpeg_ls_without_end_markers_is_read_behind_the_walls(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(Written(JPEG_LS, [[stream.removesuffix(END)] for stream in STREAMS[JPEG_LS]]).octets())
    run, items = read_sandboxed(only_input(path))
    assert (seen(items), run.flags) == (ALL, ("end_marker_missing",))


def test_a_run_of_which_one_frame_lacks_its_end_marker_is_flagged(tmp_path: Path) -> None:
    streams = STREAMS[JPEG_SV1]
    run, items = Written(JPEG_SV1, [[s.removesuffix(END) if i == 4 else s] for i, s in enumerate(streams)]).read(
        tmp_path
    )
    assert (seen(items), run.flags) == (ALL, ("end_marker_missing",))


@pytest.mark.parametrize("name", [name for name in WITH_MARKERS if FORMS[name].kind == "jpeg-ls"])
def test_a_zero_byte_before_the_end_marker_of_jpeg_ls_changes_nothing(name: str) -> None:
    form = FORMS[name]
    assert same(form, form.stream[:-2] + b"\0" + END)
    assert same(form, form.stream[:-2] + b"\xff\xff" + END)  # fill bytes


def test_a_zero_byte_before_the_end_marker_changes_nothing_in_any_picture(tmp_path: Path) -> None:
    for seed in range(20):  # CharLS takes it in some, and refuses it in others
        frame = pictures(1, ROWS, COLUMNS, 10, seed=seed)[0]
        stream = bytes(imagecodecs.jpegls_encode(frame))[:-2] + b"\0" + END
        _, (item,) = read_bytes_here(tmp_path, part10(xa_elements(1, ROWS, COLUMNS), encapsulated([stream]), JPEG_LS))
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels, frame)


@pytest.mark.parametrize("syntax", MARKED)
def test_bytes_after_the_end_marker_are_flagged_unless_they_are_padding(syntax: str, tmp_path: Path) -> None:
    residue = b"\0\x45\x14\x51\x45\x14\x51"  # as the real angiogram in JPEG has it
    trailers = {b"\0": (), b"\0" * 500: (), residue: (), b"trailer" * 40: ("bytes_after_end_marker",)}
    for trailer, flags in trailers.items():
        run, items = Written(syntax, [[stream + trailer] for stream in STREAMS[syntax]]).read(tmp_path)
        assert (seen(items), run.flags) == (ALL, flags)


@pytest.mark.parametrize("syntax", MARKED)
def test_a_second_stream_far_behind_the_end_marker_fails_the_frame(syntax: str, tmp_path: Path) -> None:
    streams = STREAMS[syntax]
    frames = [[stream + b"between" * 20 + stream] if i == 1 else [stream] for i, stream in enumerate(streams)]
    for table in TABLES:
        _, items = Written(syntax, frames, table).read(tmp_path)
        assert seen(items) == [0, None, 2, 3, 4]
        assert "a second code stream follows" in reasons(items)[0]


def box(kind: bytes, content: bytes, *, size: str = "short") -> bytes:
    if size == "rest":
        return struct.pack(">I4s", 0, kind) + content
    if size == "long":
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


def jp2(stream: bytes, *, size: str = "short", header: bytes = b"", after: bytes = b"") -> bytes:
    image = box(b"ihdr", struct.pack(">IIHBBBB", ROWS, COLUMNS, 1, 9, 7, 0, 0))
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", image + header) + box(b"jp2c", stream, size=size) + after


@pytest.mark.parametrize("syntax", [J2K_LOSSLESS, HTJ2K_LOSSLESS])
@pytest.mark.parametrize("table", TABLES)
def test_jpeg2000_in_the_boxes_of_a_jp2_file_is_read(table: Table, syntax: str, tmp_path: Path) -> None:
    for size, after in (("short", b""), ("long", b""), ("rest", b""), ("short", box(b"xml ", b"<x/>" * 50))):
        files = [jp2(stream, size=size, after=after) for stream in STREAMS[syntax]]
        for frames in ([[file] for file in files], [pieces_of(file, 4) for file in files]):
            run, items = Written(syntax, frames, table).read(tmp_path)
            assert (seen(items), run.flags) == (ALL, ("code_stream_in_jp2",))


def test_jp2_as_openjpeg_writes_it_is_read_through_the_sandbox(tmp_path: Path) -> None:
    files = [
        bytes(imagecodecs.jpeg2k_encode(f, codecformat="jp2", reversible=True, level=0, bitspersample=10))
        for f in PICTURES
    ]
    path = tmp_path / "run.dcm"
    path.write_bytes(Written(J2K_LOSSLESS, [[file] for file in files]).octets())
    run, items = read_sandboxed(only_input(path))
    assert (seen(items), run.flags) == (ALL, ("code_stream_in_jp2",))


def test_boxes_without_one_grey_code_stream_fail_the_frame_by_name(tmp_path: Path) -> None:
    stream = STREAMS[J2K_LOSSLESS][0]
    for file, why in {
        jp2(stream, header=box(b"pclr", bytes(9))): "palette (pclr)",
        jp2(stream, after=box(b"jp2c", stream)): "2 code streams",
        jp2(stream).replace(b"jp2c", b"free"): "0 code streams",
        jp2(stream).replace(b"ftyp", b"\0\0\0\0", 1)[:12]
        + b"\0\0\0\4ftyp"
        + bytes(40): "a JP2 box of 4 bytes at byte 12",
        jp2(stream[:-90]): "tile",
    }.items():
        _, (item,) = Written(J2K_LOSSLESS, [[file]], declared=1).read(tmp_path)
        assert not isinstance(item, Frame)
        assert item.failed
        assert why in item.reason, item.reason


def stored(frames: NDArray[np.uint16], streams: Sequence[bytes], syntax: str, bits_stored: int) -> bytes:
    rows, columns = frames.shape[1:]
    allocated = 8 if bits_stored == 8 else 16
    return part10(xa_elements(len(frames), rows, columns, allocated, bits_stored), encapsulated(streams), syntax)


LOW = "precision_below_bits_stored"
JPEG_LOSSLESS_BITS = [(JPEG_SV1, bits) for bits in (8, 10, 12, 14)]
PRECISE = [*JPEG_LOSSLESS_BITS, (JPEG_LS, 8), (J2K_LOSSLESS, 14), (J2K_LOSSLESS, 8), (HTJ2K_LOSSLESS, 8)]


def encode(frame: NDArray[np.uint16], syntax: str, bits: int) -> bytes:
    cells = frame.astype(np.uint8) if bits == 8 else frame
    if syntax == JPEG_SV1:
        return bytes(imagecodecs.ljpeg_encode(cells, bitspersample=bits))
    if syntax == JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(cells))
    if syntax == HTJ2K_LOSSLESS:
        return bytes(imagecodecs.htj2k_encode(cells, reversible=True))
    return bytes(imagecodecs.jpeg2k_encode(cells, codecformat="j2k", reversible=True, level=0, bitspersample=bits))


@pytest.mark.parametrize(("syntax", "bits"), PRECISE)
def test_a_stream_of_fewer_bits_than_bits_stored_is_read_as_it_is(syntax: str, bits: int, tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, bits)
    run, items = read_bytes_here(tmp_path, stored(frames, [encode(f, syntax, bits) for f in frames], syntax, 16))
    assert run.flags == (LOW,)
    assert run.grayscale.bits_stored == 16
    for item, frame in zip(items, frames, strict=True):
        assert isinstance(item, Frame)
        assert item.pixels.dtype == np.uint16
        assert np.array_equal(item.pixels, frame)


def test_a_lossy_stream_of_fewer_bits_is_read_as_it_is(tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 8)
    for syntax in (JPEG_BASELINE, JPEG_EXTENDED):
        streams = [bytes(imagecodecs.jpeg8_encode(f.astype(np.uint8), level=98)) for f in frames]
        run, items = read_bytes_here(tmp_path, stored(frames, streams, syntax, 12))
        assert run.flags == (LOW,)
        for item, stream in zip(items, streams, strict=True):
            assert isinstance(item, Frame)
            assert np.array_equal(item.pixels, imagecodecs.jpeg8_decode(stream))


@pytest.mark.parametrize("syntax", [JPEG_SV1, JPEG_LS, J2K_LOSSLESS, HTJ2K_LOSSLESS])
def test_a_stream_of_more_bits_than_bits_allocated_fails_by_name(syntax: str, tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 12)
    _, items = read_bytes_here(tmp_path, stored(frames, [encode(f, syntax, 12) for f in frames], syntax, 8))
    assert not any(isinstance(item, Frame) for item in items)
    found = 12 if syntax in (JPEG_SV1, J2K_LOSSLESS) else 16
    for item in items:
        assert not isinstance(item, Frame)
        assert item.reason == f"the stream has {found} bits a sample, more than the 8 of Bits Allocated"


def pydicom_rle(octets: bytes) -> NDArray[np.uint16]:
    array, _ = get_decoder(RLELossless).as_array(pydicom.dcmread(io.BytesIO(octets)), decoding_plugin="pydicom")
    return array


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_rle_of_several_fragments_is_what_pydicom_reads_of_one(count: int, table: Table, tmp_path: Path) -> None:
    run, items = Written(RLE, [pieces_of(stream, count) for stream in STREAMS[RLE]], table).read(tmp_path)
    assert (seen(items), run.flags) == (ALL, ())
    whole = Written(RLE, [[stream] for stream in STREAMS[RLE]]).octets()
    assert np.array_equal(pydicom_rle(whole), PICTURES)


@pytest.mark.parametrize("table", TABLES)
def test_rle_segments_of_odd_length_are_read(table: Table, tmp_path: Path) -> None:
    streams = []
    for stream in STREAMS[RLE]:
        second = struct.unpack_from("<I", stream, 8)[0]
        first = stream[64:second].removesuffix(b"\0") if (second - 64) % 2 == 0 else stream[64:second] + b"\0"
        streams.append(struct.pack("<3I", 2, 64, 64 + len(first)) + stream[12:64] + first + stream[second:])
    assert any(struct.unpack_from("<I", stream, 8)[0] % 2 for stream in streams)
    for count in (1, 4):
        _, items = Written(RLE, [pieces_of(stream, count) for stream in streams], table).read(tmp_path)
        assert seen(items) == ALL


def test_rle_of_eight_bits_over_several_fragments_is_read(tmp_path: Path) -> None:
    frames = pictures(3, ROWS, COLUMNS, 8)
    streams = [bytes(rle_encode_frame(f.astype(np.uint8).tobytes(), ROWS, COLUMNS, 1, 8, "<")) for f in frames]
    pieces = [piece for stream in streams for piece in pieces_of(stream, 4)]
    octets = part10(xa_elements(3, ROWS, COLUMNS, 8, 8), encapsulated(pieces), RLE)
    _, items = read_bytes_here(tmp_path, octets)
    assert all(isinstance(i, Frame) and np.array_equal(i.pixels, f) for i, f in zip(items, frames, strict=True))

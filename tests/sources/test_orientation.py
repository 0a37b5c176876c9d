"""Which way up a still is shown: every way in which a file may state it, and what cannot be honoured is refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame
from cathrt.runtime.sources.discover import Input
from cathrt.runtime.sources.orientation import OrientationError, orientation_of_matrix, turned
from tests.sources.picture_files import (
    COLUMNS,
    GREY8,
    GREY16,
    ROWS,
    chunk,
    directory,
    exif,
    packed,
    png,
    saved,
    tiff,
    with_segment,
    xmp,
)
from tests.sources.reading import LIMITS, read_input_here

EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
COLOURED = np.dstack([GREY8, GREY8[::-1], GREY8[:, ::-1]])
ALL = range(1, 9)


def read(folder: Path, name: str, data: bytes, limits: LimitsConfig = LIMITS) -> NDArray[np.generic]:
    path = folder / name
    path.write_bytes(data)
    run, (item,) = read_input_here(Input("stills", name, (path,)), limits)
    assert isinstance(item, Frame), item
    assert item.pixels.shape == (run.rows, run.columns)
    assert item.pixels.flags.c_contiguous
    return item.pixels


def shown(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """As Exif describes it: where the first stored row and the first stored column are shown."""
    first_row, first_column = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    if first_row in ("left", "right"):
        pixels = pixels.T
        first_row, first_column = first_column, first_row
    if first_row == "bottom":
        pixels = np.flipud(pixels)
    return np.fliplr(pixels) if first_column == "right" else pixels


def _jpeg(*segments: tuple[int, bytes], pixels: NDArray[np.generic] = GREY8) -> bytes:
    data = bytes(imagecodecs.jpeg8_encode(pixels, level=95))
    for marker, content in segments:
        data = with_segment(data, marker, content)
    return data


def _hex_profile(block: bytes) -> bytes:
    return f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()


def _itxt(packet: bytes, *, compressed: bool = False) -> bytes:
    text = zlib.compress(packet) if compressed else packet
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0" + bytes([compressed, 0]) + b"en\0\0" + text)


GREY_TIFF = [packed(GREY8, 8)]
# Format and way of stating it: file name, and an orientation to a file.
STATED: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "jpeg": ("f.jpg", lambda n: _jpeg((0xE1, EXIF + exif(n)))),
    "jpeg-big-endian": ("f.jpg", lambda n: _jpeg((0xE1, EXIF + exif(n, ">")))),
    "jpeg-long": ("f.jpg", lambda n: _jpeg((0xE1, EXIF + exif(n, ">", 4)))),
    "jpeg-after-other-segments": ("f.jpg", lambda n: _jpeg((0xE1, EXIF + exif(n)), (0xE1, XMP), (0xFE, b"comment"))),
    "jpeg-colour": ("f.jpg", lambda n: _jpeg((0xE1, EXIF + exif(n)), pixels=np.dstack([GREY8] * 3))),
    "jpeg-progressive": ("f.jpg", lambda n: saved(GREY8, "JPEG", progressive=True, exif=EXIF + exif(n))),
    "jpeg-xmp": ("f.jpg", lambda n: _jpeg((0xE1, XMP + xmp(n)))),
    "jpeg-ls": ("f.jls", lambda n: with_segment(bytes(imagecodecs.jpegls_encode(GREY8)), 0xE1, EXIF + exif(n))),
    "png": ("f.png", lambda n: png(GREY8, 8, 0, chunk(b"eXIf", exif(n)))),
    "png-16": ("f.png", lambda n: png(GREY16, 16, 0, chunk(b"eXIf", exif(n, ">")))),
    "png-after-the-pixels": ("f.png", lambda n: png(GREY8, 8, 0, after=chunk(b"eXIf", exif(n)))),
    "png-with-jpeg-name": ("f.png", lambda n: png(GREY8, 8, 0, chunk(b"eXIf", EXIF + exif(n)))),
    "png-of-imagemagick": (
        "f.png",
        lambda n: png(
            GREY8,
            8,
            0,
            chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(_hex_profile(EXIF + exif(n)))),
        ),
    ),
    "png-xmp": ("f.png", lambda n: png(GREY8, 8, 0, _itxt(xmp(n)))),
    "png-xmp-compressed": ("f.png", lambda n: png(GREY8, 8, 0, _itxt(xmp(n), compressed=True))),
    "tiff": ("f.tif", lambda n: tiff(GREY_TIFF, more=[(274, 3, [n])])),
    "tiff-big-endian": ("f.tif", lambda n: tiff(GREY_TIFF, order=">", more=[(274, 3, [n])])),
    "tiff-16": ("f.tif", lambda n: tiff([packed(GREY16, 16, ">")], bits=16, order=">", more=[(274, 3, [n])])),
    "tiff-white-is-zero": ("f.tif", lambda n: tiff(GREY_TIFF, photometric=0, more=[(274, 3, [n])])),
    "tiff-inks": (
        "f.tif",
        lambda n: tiff(
            [packed(np.dstack([GREY8 * 0] * 3 + [255 - GREY8]), 8)], photometric=5, samples=4, more=[(274, 3, [n])]
        ),
    ),
    "tiff-lzw": ("f.tif", lambda n: saved(GREY8, "TIFF", compression="tiff_lzw", tiffinfo={274: n})),
    "tiff-jpeg": (
        "f.tif", lambda n: tiff([bytes(imagecodecs.jpeg8_encode(GREY8))], compression=7, more=[(274, 3, [n])])
    ),
    "tiff-jpeg-white": (
        "f.tif",
        lambda n: tiff(
            [bytes(imagecodecs.jpeg8_encode(GREY8))], compression=7, photometric=0, order=">", more=[(274, 3, [n])]
        ),
    ),
    "tiff-jpeg-colour": (
        "f.tif", lambda n: saved(np.dstack([GREY8] * 3), "TIFF", compression="jpeg", tiffinfo={274: n})
    ),
    "tiff-palette": (
        "f.tif",
        lambda n: tiff(GREY_TIFF, photometric=3, more=[(274, 3, [n]), (320, 3, [i * 257 for i in range(256)] * 3)]),
    ),
    "tiff-xmp": ("f.tif", lambda n: tiff(GREY_TIFF, more=[(700, 1, list(xmp(n)))])),
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_every_orientation_is_shown_as_stated(name: str, tmp_path: Path) -> None:
    file_name, made = STATED[name]
    upright = read(tmp_path, file_name, made(1))
    assert upright.shape == (ROWS, COLUMNS)
    for orientation in ALL:
        assert np.array_equal(read(tmp_path, file_name, made(orientation)), shown(upright, orientation)), orientation


@pytest.mark.parametrize("name", sorted(set(STATED) - {"jpeg-ls", "tiff-16", "tiff-inks", "jpeg-long"}))
def test_pillow_shows_the_same(name: str, tmp_path: Path) -> None:
    file_name, made = STATED[name]
    for orientation in ALL:
        with Image.open(io.BytesIO(made(orientation))) as picture:
            expected = np.asarray(ImageOps.exif_transpose(picture))
        expected = expected[..., 0] if expected.ndim == 3 else expected
        assert np.array_equal(read(tmp_path, file_name, made(orientation)), expected), orientation


@pytest.mark.parametrize("name", ["jpeg", "jpeg-big-endian", "jpeg-colour", "png"])
def test_opencv_shows_the_same(name: str, tmp_path: Path) -> None:
    file_name, made = STATED[name]
    for orientation in ALL:
        expected = cv2.imdecode(np.frombuffer(made(orientation), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(read(tmp_path, file_name, made(orientation)), expected), orientation


def test_what_exif_states_goes_before_what_xmp_states(tmp_path: Path) -> None:
    upright = read(tmp_path, "f.jpg", _jpeg())
    both = _jpeg((0xE1, XMP + xmp(3)), (0xE1, EXIF + exif(6)))
    assert np.array_equal(read(tmp_path, "f.jpg", both), shown(upright, 6))
    assert np.array_equal(read(tmp_path, "f.jpg", _jpeg((0xE1, XMP + xmp(3)), (0xE1, EXIF + exif(1)))), upright)


def test_a_block_that_states_none_leaves_the_picture_as_stored(tmp_path: Path) -> None:
    upright = read(tmp_path, "f.jpg", _jpeg())
    for block in (b"", directory([(271, 2, list(b"maker\0"))]), directory([])):
        assert np.array_equal(read(tmp_path, "f.jpg", _jpeg((0xE1, EXIF + block))), upright)


@pytest.mark.parametrize("orientation", [0, 9, 255, 4660])
@pytest.mark.parametrize("name", ["jpeg", "jpeg-colour", "jpeg-xmp", "png", "png-xmp", "tiff", "tiff-xmp"])
def test_an_orientation_that_is_none_is_refused(name: str, orientation: int, tmp_path: Path) -> None:
    file_name, made = STATED[name]
    with pytest.raises(SourceError, match=f"orientation {orientation}, expected 1 to 8: save the picture upright"):
        read(tmp_path, file_name, made(orientation))


@pytest.mark.parametrize(
    "block",
    [b"MM", b"no directory", exif(6)[:12], exif(6)[:2] + b"\xff" + exif(6)[3:], exif(6, kind=2)],
    ids=["cut in its header", "none", "cut in its directory", "other version", "text"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["f.jpg", "f.png"])
def test_a_damaged_exif_block_is_refused(name: str, block: bytes, tmp_path: Path) -> None:
    made = {"f.jpg": _jpeg((0xE1, EXIF + block)), "f.png": png(GREY8, 8, 0, chunk(b"eXIf", block))}
    with pytest.raises(SourceError, match=r"a damaged Exif block .* save the picture upright, without Exif"):
        read(tmp_path, name, made[name])


def test_a_damaged_exif_chunk_is_refused(tmp_path: Path) -> None:
    damaged = bytearray(png(GREY8, 8, 0, chunk(b"eXIf", exif(6))))
    damaged[damaged.index(b"eXIf") + 14] ^= 2
    with pytest.raises(SourceError, match="eXIf does not match its checksum"):
        read(tmp_path, "f.png", bytes(damaged))


def test_a_text_that_is_no_exif_block_states_nothing(tmp_path: Path) -> None:
    for text in (b"no hex", b"\nexif\n 3\nzz\n", b""):
        made = png(GREY8, 8, 0, chunk(b"tEXt", b"Raw profile type exif\0" + text))
        assert np.array_equal(read(tmp_path, "f.png", made), GREY8)
    made = png(GREY8, 8, 0, chunk(b"zTXt", b"XML:com.adobe.xmp\0\0not zlib"))
    assert np.array_equal(read(tmp_path, "f.png", made), GREY8)


def test_the_limits_are_those_of_the_picture_as_shown(tmp_path: Path) -> None:
    limits = LimitsConfig(decoder_memory_mib=768, max_rows=ROWS, max_columns=COLUMNS)
    file_name, made = STATED["png"]
    read(tmp_path, file_name, made(3), limits)
    with pytest.raises(SourceError, match=f"{COLUMNS} rows x {ROWS} columns, expected"):
        read(tmp_path, file_name, made(6), limits)


def test_stills_of_a_sequence_are_each_turned_as_they_state(tmp_path: Path) -> None:
    paths = []
    for number, orientation in enumerate((1, 3, 6, 2)):
        paths.append(tmp_path / f"f{number}.png")
        paths[-1].write_bytes(png(GREY8, 8, 0, chunk(b"eXIf", exif(orientation))))
    run, (first, second, third, fourth) = read_input_here(Input("stills", "f", tuple(paths)))
    assert (run.rows, run.columns) == (ROWS, COLUMNS)
    for item, orientation in ((first, 1), (second, 3), (fourth, 2)):
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels, shown(GREY8, orientation))
    assert isinstance(third, LostFrame)
    assert f"the still is {COLUMNS}x{ROWS}" in third.reason


# x is shown at a x + c y, y at b x + d y.
@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [(p, 0, 0, q) for p in (1, -1) for q in (1, -1)] + [(0, p, q, 0) for p in (1, -1) for q in (1, -1)],
)
def test_a_display_matrix_shows_each_point_where_it_says(a: int, b: int, c: int, d: int) -> None:
    pixels = np.arange(6).reshape(2, 3)
    y, x = np.indices(pixels.shape)
    shown_x, shown_y = a * x + c * y, b * x + d * y
    expected = np.empty(pixels.shape if a else pixels.shape[::-1], int)
    expected[shown_y - shown_y.min(), shown_x - shown_x.min()] = pixels
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 7 << 16, 9 << 16, 1 << 30]
    assert np.array_equal(turned(pixels, orientation_of_matrix(matrix)), expected)


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        ([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], "0.7071, 0.7071, -0.7071, 0.7071"),
        ([2 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], "2, 0, 0, 1"),
        ([1 << 16, 0, 0, 1 << 15, 1 << 16, 0, 0, 0, 1 << 30], "1, 0, 0.5, 1"),
        ([0] * 9, "0, 0, 0, 0"),
        ([1 << 16, 0, 1, 0, 1 << 16, 0, 0, 0, 1 << 30], "1, 0, 0, 1"),
    ],
    ids=["45 degrees", "stretched", "sheared", "nothing", "perspective"],
)
def test_another_display_matrix_is_refused(matrix: list[int], found: str) -> None:
    with pytest.raises(OrientationError, match=rf"a display matrix \({found}\), expected a turn by 90"):
        orientation_of_matrix(matrix)


def test_the_directory_of_a_tiff_file_is_read_no_further_than_it_goes(tmp_path: Path) -> None:
    whole = tiff(GREY_TIFF)
    damaged = struct.pack("<2sHI", b"II", 42, len(whole) + 100) + whole[8:]
    with pytest.raises(SourceError, match="damaged TIFF picture: ends within its directory"):
        read(tmp_path, "f.tif", damaged)

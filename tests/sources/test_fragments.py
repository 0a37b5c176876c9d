"""Frames over several fragments, some of which are missing: a frame is its own picture or lost, whatever the table."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.frame import Frame
from tests.sources.dicom_bytes import (
    HTJ2K_LOSSLESS,
    J2K_LOSSLESS,
    JPEG_LS,
    JPEG_SV1,
    encapsulated,
    part10,
    pictures,
    xa_elements,
)
from tests.sources.reading import read_bytes_here

ROWS, COLUMNS, FRAMES, PIECES = 37, 53, 3, 4
PICTURES = pictures(FRAMES, ROWS, COLUMNS, 10)
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
ENCODERS: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
    JPEG_SV1: lambda frame: bytes(imagecodecs.ljpeg_encode(frame, bitspersample=10)),
    JPEG_LS: lambda frame: bytes(imagecodecs.jpegls_encode(frame)),
    J2K_LOSSLESS: lambda frame: bytes(
        imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0, bitspersample=10)
    ),
    HTJ2K_LOSSLESS: lambda frame: bytes(imagecodecs.htj2k_encode(frame, reversible=True)),
}
STREAMS = {syntax: [encode(frame) for frame in PICTURES] for syntax, encode in ENCODERS.items()}


def pieces_of(stream: bytes) -> list[bytes]:
    """A stream in fragments of even length, save the last."""
    size = len(stream) // PIECES // 2 * 2
    return [stream[i * size : (i + 1) * size] for i in range(PIECES - 1)] + [stream[(PIECES - 1) * size :]]


def packed(values: list[int]) -> tuple[str, bytes]:
    return "OV", struct.pack(f"<{len(values)}Q", *values)


def run_with(syntax: str, table: str, kept: list[list[bytes]], lengths: list[int] | None = None) -> bytes:
    """A run of these fragments, with the offset tables of all of them. lengths: of the streams, as the table says."""
    streams = STREAMS[syntax]
    sizes = [sum(8 + len(piece) + len(piece) % 2 for piece in pieces_of(stream)) for stream in streams]
    offsets = [0, *accumulate(sizes[:-1])]
    elements = xa_elements(FRAMES, ROWS, COLUMNS)
    if table == "extended":
        elements |= {
            EXTENDED_OFFSETS: packed(offsets),
            EXTENDED_LENGTHS: packed(lengths or [len(stream) for stream in streams]),
        }
    pixel_data = encapsulated([piece for pieces in kept for piece in pieces], table=offsets if table == "basic" else ())
    return part10(elements, pixel_data, syntax)


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_run_without_one_of_its_fragments_has_every_frame_in_its_place_or_lost(
    syntax: str, table: str, tmp_path: Path
) -> None:
    whole = [pieces_of(stream) for stream in STREAMS[syntax]]
    for frame in range(FRAMES):
        for piece in range(PIECES):
            kept = [
                [data for j, data in enumerate(pieces) if (i, j) != (frame, piece)] for i, pieces in enumerate(whole)
            ]
            _, items = read_bytes_here(tmp_path, run_with(syntax, table, kept))
            assert len(items) == FRAMES
            for item, picture in zip(items, PICTURES, strict=True):
                if isinstance(item, Frame):
                    assert np.array_equal(item.pixels, picture), (frame, piece, item.index)
                else:
                    assert item.failed
            lost = [item.index for item in items if not isinstance(item, Frame)]
            assert frame in lost, (frame, piece)


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("syntax", ENCODERS)
def test_whole_frames_of_several_fragments_are_read(syntax: str, table: str, tmp_path: Path) -> None:
    whole = [pieces_of(stream) for stream in STREAMS[syntax]]
    run, items = read_bytes_here(tmp_path, run_with(syntax, table, whole))
    assert not {"offset_table_unusable", "fragments_left_over", "frames_missing"} & set(run.flags)
    for item, picture in zip(items, PICTURES, strict=True):
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels, picture)


@pytest.mark.parametrize("syntax", ENCODERS)
def test_extended_lengths_that_end_inside_a_stream_cut_nothing_off(syntax: str, tmp_path: Path) -> None:
    # The items say where the bytes are; whether they are a whole stream is seen from the stream.
    short = [len(stream) // 2 for stream in STREAMS[syntax]]
    for kept in ([[stream] for stream in STREAMS[syntax]], [pieces_of(stream) for stream in STREAMS[syntax]]):
        _, items = read_bytes_here(tmp_path, run_with(syntax, "extended", kept, short))
        for item, picture in zip(items, PICTURES, strict=True):
            assert isinstance(item, Frame)
            assert np.array_equal(item.pixels, picture)


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_fragment_that_ends_inside_a_stream_is_a_lost_frame_whatever_the_lengths_say(
    syntax: str, tmp_path: Path
) -> None:
    streams = STREAMS[syntax]
    kept = [[streams[0]], [streams[1][: len(streams[1]) // 2] + b"\xff\xd9"], [streams[2]]]
    _, items = read_bytes_here(tmp_path, run_with(syntax, "extended", kept))
    assert [isinstance(item, Frame) for item in items] == [True, False, True]

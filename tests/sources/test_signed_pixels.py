"""Signed pixels (Pixel Representation 1): exact in every coding, and shown as the same picture stored unsigned."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from rle.rle import encode_frame as rle_encode_frame

from cathrt.runtime.frame import Frame, LookupTable, LostFrame, Rescale, Run, VoiWindow
from cathrt.runtime.preprocess import Preprocessor
from tests.sources.code_streams import HTJ2K, J2K, JPEG_EXTENDED, JPEG_LS_NEAR
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    HTJ2K_LOSSLESS,
    IMPLICIT_LITTLE,
    J2K_LOSSLESS,
    JPEG_LS,
    JPEG_SV1,
    RLE,
    SECONDARY_CAPTURE,
    Elements,
    encapsulated,
    native,
    part10,
    pictures,
    sequence,
    text,
    us,
    xa_elements,
)
from tests.sources.reading import only_input, read_bytes_here, read_sandboxed
from tests.test_preprocess import SPEC

ROWS, COLUMNS, FRAMES = 37, 53, 3
Signed = NDArray[np.int16]
SIGNED, FLAG = {0x00280103: us(1)}, "pixels_signed"
CAPTURED: Elements = {0x00080016: text("UI", SECONDARY_CAPTURE)}  # the only objects with a modality step


def values(bits: int) -> Signed:
    """Pixels of the whole range of so many bits, -2**(bits - 1) and the most included."""
    return (pictures(FRAMES, ROWS, COLUMNS, bits).astype(np.int32) - (1 << bits - 1)).astype(np.int16)


def words(frames: Signed, bits: int) -> NDArray[np.uint16]:
    """The two's complement of so many bits."""
    return frames.view(np.uint16) & np.uint16((1 << bits) - 1)


def written(
    frames: Signed, bits: int, syntax: str, streams: Sequence[bytes] | None = None, more: Elements | None = None
) -> bytes:
    """A run of signed pixels. Uncompressed: with all bits of a cell, as most systems write them."""
    allocated = 8 if bits == 8 else 16
    cells = words(frames, allocated)
    pixel_data = encapsulated(streams) if streams else native(cells, allocated, syntax)
    return part10(xa_elements(FRAMES, ROWS, COLUMNS, allocated, bits) | SIGNED | (more or {}), pixel_data, syntax)


def assert_shown(run: Run, items: Sequence[Frame | LostFrame], frames: Signed, bits: int) -> None:
    """Stored values count from the lowest pixel value, and the modality stage gives pixel values back."""
    assert FLAG in run.flags
    assert run.grayscale.bits_stored == bits
    assert isinstance(run.grayscale.modality, Rescale)
    for item, frame in zip(items, frames, strict=True):
        assert isinstance(item, Frame), item
        assert item.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
        assert np.array_equal(item.pixels.astype(np.int32) - (1 << bits - 1), frame)
        back = item.pixels * run.grayscale.modality.slope + run.grayscale.modality.intercept
        assert np.array_equal(back, frame)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_uncompressed_signed_pixels_are_exact(syntax: str, bits: int, tmp_path: Path) -> None:
    frames = values(bits)
    run, items = read_bytes_here(tmp_path, written(frames, bits, syntax))
    assert_shown(run, items, frames, bits)


def _narrow(cells: NDArray[np.uint16], bits: int) -> NDArray[Any]:
    return cells.astype(np.uint8) if bits == 8 else cells


def _signed_cells(frame: Signed, bits: int) -> NDArray[Any]:
    return frame.astype(np.int8) if bits == 8 else frame


def _j2k(cells: NDArray[Any], bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(cells, codecformat="j2k", reversible=True, level=0, bitspersample=bits))


ENCODERS: dict[str, tuple[str, Callable[[Signed, int], bytes]]] = {
    "RLE": (
        RLE,
        lambda f, b: bytes(
            rle_encode_frame(
                _narrow(words(f, 8 if b == 8 else 16), b).tobytes(), ROWS, COLUMNS, 1, 8 if b == 8 else 16, "<"
            )
        ),
    ),
    "JPEG lossless": (
        JPEG_SV1,
        lambda f, b: bytes(imagecodecs.ljpeg_encode(_narrow(words(f, b), b), bitspersample=b)),
    ),
    "JPEG lossless of whole cells": (
        JPEG_SV1,
        lambda f, b: bytes(
            imagecodecs.ljpeg_encode(_narrow(words(f, 8 if b == 8 else 16), b), bitspersample=8 if b == 8 else 16)
        ),
    ),
    "JPEG-LS": (JPEG_LS, lambda f, b: bytes(imagecodecs.jpegls_encode(_narrow(words(f, b), b)))),
    "JPEG 2000, signed": (J2K_LOSSLESS, lambda f, b: _j2k(_signed_cells(f, b), b)),
    "JPEG 2000, signed, of 16 bits": (J2K_LOSSLESS, lambda f, b: _j2k(_signed_cells(f, b), 8 if b == 8 else 16)),
    "JPEG 2000, unsigned": (J2K_LOSSLESS, lambda f, b: _j2k(_narrow(words(f, b), b), b)),
    "lossy JPEG 2000 that loses nothing": (J2K, lambda f, b: _j2k(_signed_cells(f, b), b)),
    "HTJ2K, signed": (
        HTJ2K_LOSSLESS,
        lambda f, b: bytes(imagecodecs.htj2k_encode(_signed_cells(f, b), reversible=True)),
    ),
    "HTJ2K, unsigned": (
        HTJ2K_LOSSLESS,
        lambda f, b: bytes(imagecodecs.htj2k_encode(_narrow(words(f, b), b), reversible=True)),
    ),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("name", ENCODERS)
def test_compressed_signed_pixels_are_exact(name: str, bits: int, tmp_path: Path) -> None:
    syntax, encode = ENCODERS[name]
    frames = values(bits)
    run, items = read_bytes_here(tmp_path, written(frames, bits, syntax, [encode(frame, bits) for frame in frames]))
    assert_shown(run, items, frames, bits)


@pytest.mark.parametrize("name", ["uncompressed", "RLE"])
@pytest.mark.parametrize("bits", [8, 16])
def test_signed_pixels_are_those_that_pydicom_reads(name: str, bits: int, tmp_path: Path) -> None:
    frames = values(bits)
    syntax, encode = ENCODERS.get(name, (EXPLICIT_LITTLE, None))
    octets = written(frames, bits, syntax, [encode(frame, bits) for frame in frames] if encode else None)
    expected = pydicom.dcmread(io.BytesIO(octets)).pixel_array
    _, items = read_bytes_here(tmp_path, octets)
    for item, frame in zip(items, expected, strict=True):
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels.astype(np.int32) - (1 << bits - 1), frame)


def test_signed_pixels_at_the_top_of_the_cell_are_shifted_down(tmp_path: Path) -> None:
    frames = values(10)
    cells = (words(frames, 10) << 6) | np.uint16(0x15)
    elements = xa_elements(FRAMES, ROWS, COLUMNS) | SIGNED | {0x00280102: us(15)}
    run, items = read_bytes_here(tmp_path, part10(elements, native(cells)))
    assert_shown(run, items, frames, 10)


def test_signed_pixels_pass_the_sandbox(tmp_path: Path) -> None:
    frames = values(12)
    path = tmp_path / "run.dcm"
    path.write_bytes(written(frames, 12, J2K_LOSSLESS, [_j2k(frame, 12) for frame in frames]))
    run, items = read_sandboxed(only_input(path))
    assert_shown(run, items, frames, 12)


def test_lossy_jpeg2000_rings_to_the_ends_of_the_range_and_does_not_wrap(tmp_path: Path) -> None:
    frame = np.full((ROWS, COLUMNS), -512, np.int16)
    frame[:, COLUMNS // 2 :] = 511
    stream = bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=False, level=30, bitspersample=12))
    assert imagecodecs.jpeg2k_decode(stream).max() > 511
    octets = part10(xa_elements(1, ROWS, COLUMNS) | SIGNED, encapsulated([stream]), J2K)
    _, (item,) = read_bytes_here(tmp_path, octets)
    assert isinstance(item, Frame)
    assert item.pixels[:, -4:].min() > 900
    assert item.pixels[:, :4].max() < 100


def _lossy_cases() -> dict[str, tuple[str, Callable[[NDArray[np.uint16]], bytes], str]]:
    return {
        "JPEG": (JPEG_EXTENDED, lambda f: bytes(imagecodecs.jpeg8_encode(f, level=90, bitspersample=12)), "lossy"),
        "JPEG-LS": (JPEG_LS_NEAR, lambda f: bytes(imagecodecs.jpegls_encode(f, level=2)), "lossy"),
        "JPEG 2000": (J2K, lambda f: _j2k(f, 12), "lossy"),
        "HTJ2K": (HTJ2K, lambda f: bytes(imagecodecs.htj2k_encode(f, reversible=True)), "lossy"),
        "fewer bits": (
            JPEG_SV1,
            lambda f: bytes(imagecodecs.ljpeg_encode(f >> 4, bitspersample=8)),
            "signs are not known",
        ),
    }


@pytest.mark.parametrize("name", _lossy_cases())
def test_signs_that_a_stream_may_have_lost_fail_the_frame(name: str, tmp_path: Path) -> None:
    syntax, encode, why = _lossy_cases()[name]
    streams = [encode(words(frame, 12)) for frame in values(12)]
    _, items = read_bytes_here(tmp_path, written(values(12), 12, syntax, streams))
    for item in items:
        assert isinstance(item, LostFrame)
        assert item.failed
        assert why in item.reason


def test_a_signed_stream_of_unsigned_pixels_fails_the_frame(tmp_path: Path) -> None:
    streams = [_j2k(frame, 10) for frame in values(10)]
    _, items = read_bytes_here(tmp_path, part10(xa_elements(3, ROWS, COLUMNS), encapsulated(streams), J2K_LOSSLESS))
    for item in items:
        assert isinstance(item, LostFrame)
        assert item.reason == "the stream is signed, and Pixel Representation says unsigned"


def test_rescale_applies_to_pixel_values(tmp_path: Path) -> None:
    more = CAPTURED | {0x00281053: text("DS", "0.5"), 0x00281052: text("DS", "100")}
    run, _ = read_bytes_here(tmp_path, written(values(12), 12, EXPLICIT_LITTLE, more=more))
    assert run.grayscale.modality == Rescale(0.5, 100.0 - 0.5 * 2048)


def test_a_modality_lut_begins_at_a_signed_pixel_value(tmp_path: Path) -> None:
    table = np.arange(1024, dtype="<u2") * 3
    item = {0x00283002: us(1024, 65536 - 512, 12), 0x00283006: ("OW", table.tobytes())}
    more = CAPTURED | {0x00283000: sequence(item)}
    run, _ = read_bytes_here(tmp_path, written(values(10), 10, EXPLICIT_LITTLE, more=more))
    assert isinstance(run.grayscale.modality, LookupTable)
    assert run.grayscale.modality.first_input == 0
    assert np.array_equal(run.grayscale.modality.values, table)


def test_a_voi_lut_begins_at_a_signed_pixel_value(tmp_path: Path) -> None:
    item = {0x00283002: us(1024, 65536 - 512, 12), 0x00283006: ("OW", np.arange(1024, dtype="<u2").tobytes())}
    run, _ = read_bytes_here(tmp_path, written(values(10), 10, EXPLICIT_LITTLE, more={0x00283010: sequence(item)}))
    assert isinstance(run.grayscale.voi, LookupTable)
    assert run.grayscale.voi.first_input == -512


WINDOWS: dict[str, Callable[[int], Elements]] = {
    "none": lambda _: {},
    "linear": lambda low: {0x00281050: text("DS", str(400 + low)), 0x00281051: text("DS", "700")},
    "sigmoid": lambda low: {
        0x00281050: text("DS", str(400 + low)),
        0x00281051: text("DS", "300"),
        0x00281056: text("CS", "SIGMOID"),
    },
    "table": lambda low: {
        0x00283010: sequence(
            {0x00283002: us(1024, low % 65536, 12), 0x00283006: ("OW", (np.arange(1024, dtype="<u2") * 4).tobytes())}
        )
    },
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_tensor_is_that_of_the_same_picture_stored_unsigned(window: str, photometric: str, tmp_path: Path) -> None:
    frames, low = values(10), -512
    tensors = []
    for signed in (True, False):
        more = WINDOWS[window](low if signed else 0) | {0x00280004: text("CS", photometric)}
        unsigned = (frames - np.int16(low)).astype(np.uint16)
        octets = (
            written(frames, 10, EXPLICIT_LITTLE, more=more)
            if signed
            else part10(xa_elements(FRAMES, ROWS, COLUMNS) | more, native(unsigned))
        )
        run, items = read_bytes_here(tmp_path, octets)
        prepare = Preprocessor(run, SPEC)
        out = np.empty((1, 3, SPEC.height, SPEC.width), np.float32)
        assert isinstance(items[0], Frame)
        assert prepare(items[0].pixels, out)
        tensors.append(out.copy())
        assert (run.grayscale.voi is None) == (window == "none")
        assert isinstance(run.grayscale.voi, VoiWindow) == (window in ("linear", "sigmoid"))
    assert np.array_equal(*tensors)

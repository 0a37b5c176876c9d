"""Every transfer syntax: what was encoded comes back, exactly where the syntax is lossless, closely where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from rle.rle import encode_frame as rle_encode_frame

from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.dicom.decoders import DECODERS
from tests.sources.dicom_bytes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    encapsulated,
    native,
    part10,
    pictures,
    us,
    xa_elements,
)
from tests.sources.reading import only_input, read_bytes_here, read_sandboxed

Encode = Callable[[NDArray[np.uint16], int], bytes]
ROWS, COLUMNS = 37, 53  # odd, so that every padding rule is met


def _narrow(frame: NDArray[np.uint16], bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    return frame.astype(np.uint8) if bits <= 8 else frame


def _rle(frame: NDArray[np.uint16], bits: int) -> bytes:
    cells = _narrow(frame, bits)
    return bytes(rle_encode_frame(cells.tobytes(), ROWS, COLUMNS, 1, cells.dtype.itemsize * 8, "<"))


def _jpeg(frame: NDArray[np.uint16], bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(_narrow(frame, bits), level=98, bitspersample=bits))


def _jpeg_lossless(frame: NDArray[np.uint16], bits: int) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(_narrow(frame, bits), bitspersample=bits))


def _jpeg_ls(near: int) -> Encode:
    return lambda frame, bits: bytes(imagecodecs.jpegls_encode(_narrow(frame, bits), level=near))


def _jpeg2000(*, reversible: bool) -> Encode:
    def encode(frame: NDArray[np.uint16], bits: int) -> bytes:
        cells = _narrow(frame, bits)
        level = 0 if reversible else 60  # dB
        return bytes(
            imagecodecs.jpeg2k_encode(cells, codecformat="j2k", reversible=reversible, level=level, bitspersample=bits)
        )

    return encode


def _htj2k(*, reversible: bool) -> Encode:
    return lambda frame, bits: bytes(
        imagecodecs.htj2k_encode(_narrow(frame, bits), reversible=reversible, **({} if reversible else {"level": 1e-4}))
    )


# Transfer syntax -> encoder, bit depths, and how far a value may be off, as a share of the range.
LOSSY_JPEG, LOSSY_WAVELET = 0.02, 0.01
COMPRESSED: dict[str, tuple[Encode, tuple[int, ...], float]] = {
    "1.2.840.10008.1.2.5": (_rle, (8, 10, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.50": (_jpeg, (8,), LOSSY_JPEG),
    "1.2.840.10008.1.2.4.51": (_jpeg, (8, 12), LOSSY_JPEG),
    "1.2.840.10008.1.2.4.57": (_jpeg_lossless, (8, 10, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.70": (_jpeg_lossless, (8, 10, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.80": (_jpeg_ls(0), (8, 10, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.81": (_jpeg_ls(2), (8, 10, 12), 2 / 255),
    "1.2.840.10008.1.2.4.90": (_jpeg2000(reversible=True), (8, 10, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.91": (_jpeg2000(reversible=False), (8, 10, 12, 16), LOSSY_WAVELET),
    "1.2.840.10008.1.2.4.201": (_htj2k(reversible=True), (8, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.202": (_htj2k(reversible=True), (8, 12, 16), 0.0),
    "1.2.840.10008.1.2.4.203": (
        _htj2k(reversible=False),
        (8, 12, 16),
        LOSSY_WAVELET,
    ),  # 16 bit: white that wraps to black
}
CASES = [(syntax, bits) for syntax, (_, depths, _) in COMPRESSED.items() for bits in depths]


def test_every_decoder_of_the_table_is_tested() -> None:
    assert set(COMPRESSED) == set(DECODERS)


def _compressed(syntax: str, bits: int, frames: NDArray[np.uint16]) -> bytes:
    encode = COMPRESSED[syntax][0]
    elements = xa_elements(len(frames), ROWS, COLUMNS, 8 if bits == 8 else 16, bits)
    return part10(elements, encapsulated([encode(frame, bits) for frame in frames]), syntax)


def _assert_same(items: list[object], frames: NDArray[np.uint16], bits: int, tolerance: float) -> None:
    assert len(items) == len(frames)
    for item, expected in zip(items, frames, strict=True):
        assert isinstance(item, Frame), item
        assert item.pixels.dtype == (np.uint8 if bits <= 8 else np.uint16)
        off = np.abs(item.pixels.astype(np.int64) - expected).max()
        assert off <= tolerance * ((1 << bits) - 1), f"off by {off}"


@pytest.mark.parametrize(("syntax", "bits"), CASES)
def test_compressed_frames_come_back(syntax: str, bits: int, tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, bits)
    run, items = read_bytes_here(tmp_path, _compressed(syntax, bits, frames))
    assert run.grayscale.bits_stored == bits
    _assert_same(items, frames, bits, COMPRESSED[syntax][2])


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_uncompressed_frames_come_back(syntax: str, bits: int, tmp_path: Path) -> None:
    allocated = 8 if bits == 8 else 16
    frames = pictures(3, ROWS, COLUMNS, bits)
    elements = xa_elements(3, ROWS, COLUMNS, allocated, bits)
    run, items = read_bytes_here(tmp_path, part10(elements, native(frames, allocated, syntax), syntax))
    assert run.dicom is not None
    assert run.dicom.transfer_syntax_uid == syntax
    _assert_same(items, frames, bits, 0.0)


def test_eight_bit_cells_in_big_endian_words_are_unswapped_across_odd_frames(tmp_path: Path) -> None:
    frames = pictures(3, ROWS, COLUMNS, 8)
    octets = frames.astype(np.uint8).tobytes() + b"\0"  # 3 * 1961 bytes: every second frame begins within a word
    words = np.frombuffer(octets, "<u2").astype(">u2").tobytes()
    pixel_data = b"\x7f\xe0\x00\x10OW\0\0" + len(words).to_bytes(4, "big") + words
    _, items = read_bytes_here(tmp_path, part10(xa_elements(3, ROWS, COLUMNS, 8, 8), pixel_data, EXPLICIT_BIG))
    _assert_same(items, frames, 8, 0.0)


def test_ten_bit_lossless_jpeg_passes_the_sandbox_unchanged(tmp_path: Path) -> None:
    frames = pictures(5, ROWS, COLUMNS, 10)
    path = tmp_path / "run.dcm"
    path.write_bytes(_compressed("1.2.840.10008.1.2.4.70", 10, frames))
    _, items = read_sandboxed(only_input(path))
    _assert_same(items, frames, 10, 0.0)


def test_high_bits_beyond_bits_stored_are_masked_off(tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 10)
    overlay = frames | np.uint16(0xA400)
    _, items = read_bytes_here(tmp_path, part10(xa_elements(2, ROWS, COLUMNS), native(overlay)))
    _assert_same(items, frames, 10, 0.0)


def test_values_at_the_top_of_the_cell_are_shifted_down_by_high_bit(tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 10)
    elements = xa_elements(2, ROWS, COLUMNS) | {0x00280102: us(15)}
    _, items = read_bytes_here(tmp_path, part10(elements, native((frames << 6) | np.uint16(0x3F))))
    _assert_same(items, frames, 10, 0.0)


def test_lossy_ringing_above_the_stored_range_is_clipped_not_wrapped(tmp_path: Path) -> None:
    # A 12-bit JPEG of 10-bit data overshoots at a hard edge; a mask would turn white into black.
    frame = np.zeros((ROWS, COLUMNS), np.uint16)
    frame[:, COLUMNS // 2 :] = 1023
    stream = bytes(imagecodecs.jpeg8_encode(frame, level=60, bitspersample=12))
    assert imagecodecs.jpeg8_decode(stream).max() > 1023
    data = part10(xa_elements(1, ROWS, COLUMNS), encapsulated([stream]), "1.2.840.10008.1.2.4.51")
    _, (item,) = read_bytes_here(tmp_path, data)
    assert isinstance(item, Frame)
    assert item.pixels[:, -4:].min() > 900


def test_a_frame_spread_over_fragments_is_joined(tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 10)
    streams = [_jpeg_lossless(frame, 10) for frame in frames]
    pieces = [piece for s in streams for piece in (s[:100], s[100:300], s[300:])]
    data = part10(xa_elements(2, ROWS, COLUMNS), encapsulated(pieces), "1.2.840.10008.1.2.4.70")
    _, items = read_bytes_here(tmp_path, data)
    _assert_same(items, frames, 10, 0.0)


def test_a_basic_offset_table_tells_frames_of_several_fragments_apart(tmp_path: Path) -> None:
    frames = pictures(2, ROWS, COLUMNS, 10)
    first, second = (_jpeg_lossless(frame, 10) for frame in frames)
    pieces = [first[:100], first[100:], second]
    offset = 8 + 100 + 8 + len(pieces[1]) + len(pieces[1]) % 2
    data = part10(xa_elements(2, ROWS, COLUMNS), encapsulated(pieces, table=(0, offset)), "1.2.840.10008.1.2.4.70")
    run, items = read_bytes_here(tmp_path, data)
    assert "offset_table_unusable" not in run.flags
    _assert_same(items, frames, 10, 0.0)

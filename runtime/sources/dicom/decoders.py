"""The decoders, by transfer syntax: what is read, with what, and what a stream must say before it is decoded.

Vendors: imagecodecs (libjpeg-turbo, CharLS, OpenJPEG, OpenJPH) and pylibjpeg-rle, imported when first needed; in the
decoder process by load_decoders(), since it can open no file afterwards.
Times per frame: docs/decisions/0003-decoders.md. Not for: finding the bytes of a frame (encapsulated.py, native.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.code_stream import (
    CodeStreamError,
    Family,
    read_code_stream_header,
    require_whole_rle,
    require_whole_stream,
    swallowed_errors_raised,
)

# What imagecodecs (RuntimeError, ValueError) and pylibjpeg-rle (ValueError, pyo3's IndexError) raise on damaged data.
_VENDOR_ERRORS = (RuntimeError, ValueError, IndexError, OverflowError, TypeError)


class FrameDecodeError(Exception):
    """This one frame cannot be decoded; the run goes on."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How one frame is stored: (0028,0010), (0028,0011), (0028,0100), (0028,0101), (0028,0102)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.bits_allocated // 8


@dataclass(frozen=True, slots=True)
class Decoder:
    """decode: code stream and layout to (rows, columns) unsigned cells. families: what the stream may be.

    lossy: values beyond bits_stored are ringing and are clipped, not masked. splittable: a frame may span fragments.
    """

    decode: Callable[[bytes, PixelLayout], NDArray[Any]]
    families: frozenset[Family]
    lossy: bool = False
    splittable: bool = True


def decode_frame(decoder: Decoder, data: bytes, layout: PixelLayout) -> NDArray[Any]:
    """One frame's stored values: (rows, columns), uint8 up to 8 bits stored, else uint16, each < 2**bits_stored.

    The stream's own sizes are compared with the layout before anything is decoded.
    Raises FrameDecodeError with what was found and expected.
    """
    cell_bits = layout.bits_allocated
    if decoder.families:
        cell_bits = _check_header(decoder, data, layout)
    try:
        with swallowed_errors_raised():
            cells = decoder.decode(data, layout)
    except CodeStreamError as exc:
        raise FrameDecodeError(f"incomplete code stream: {exc}") from exc
    except _VENDOR_ERRORS as exc:
        raise FrameDecodeError(f"damaged code stream ({type(exc).__name__}: {exc})") from exc
    if cells.shape != (layout.rows, layout.columns) or cells.dtype.kind != "u":
        raise FrameDecodeError(
            f"decodes to {cells.shape} {cells.dtype}, expected ({layout.rows}, {layout.columns}) unsigned"
        )
    if int(cells.max()) >> cell_bits:
        raise FrameDecodeError(f"damaged code stream (values beyond the {cell_bits} bits it declares)")
    return stored_values(cells, layout, cell_bits=cell_bits, clip=decoder.lossy)


def stored_values(cells: NDArray[Any], layout: PixelLayout, *, cell_bits: int, clip: bool) -> NDArray[Any]:
    """Cells of `cell_bits` to stored values: unused high bits off (old overlays live there), low ones shifted out."""
    dtype = np.uint8 if layout.bits_stored <= 8 else np.uint16
    top = (1 << layout.bits_stored) - 1
    shift = layout.high_bit + 1 - layout.bits_stored
    if shift and cell_bits > layout.high_bit:
        cells = cells >> shift
    if cell_bits > layout.bits_stored:
        cells = np.minimum(cells, top) if clip else cells & top
    return np.ascontiguousarray(cells.astype(dtype, copy=False))


def _check_header(decoder: Decoder, data: bytes, layout: PixelLayout) -> int:
    """Compare the stream's own header with the layout, and see that all of it is there; returns its precision."""
    try:
        header = read_code_stream_header(data)
    except CodeStreamError as exc:
        raise FrameDecodeError(f"no code stream: {exc}") from exc
    if header.family not in decoder.families:
        raise FrameDecodeError(f"a {header.family} stream, expected {' or '.join(sorted(decoder.families))}")
    found = (header.rows, header.columns, header.components, header.signed)
    if found != (layout.rows, layout.columns, 1, False):
        raise FrameDecodeError(
            f"the stream is {header.rows}x{header.columns}, {header.components} component(s)"
            f"{', signed' * header.signed}, "
            f"expected {layout.rows}x{layout.columns}, 1 unsigned"
        )
    if not layout.bits_stored <= header.bits <= layout.bits_allocated:
        raise FrameDecodeError(
            f"the stream has {header.bits} bits, expected {layout.bits_stored} to {layout.bits_allocated}"
        )
    try:
        require_whole_stream(data, header.family)
    except CodeStreamError as exc:
        raise FrameDecodeError(f"incomplete code stream: {exc}") from exc
    return header.bits


def _jpeg(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001 - one signature for all
    from imagecodecs import jpeg8_decode

    return np.asarray(jpeg8_decode(data))


def _jpeg_ls(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001
    from imagecodecs import jpegls_decode

    return np.asarray(jpegls_decode(data))


def _jpeg2000(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001
    from imagecodecs import jpeg2k_decode

    return np.asarray(jpeg2k_decode(data))


def _htj2k(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001
    # Lossless streams only: with irreversible ones OpenJPH 0.26 wraps round at white (65,535 becomes 0) where
    # OpenJPEG clamps.
    from imagecodecs import htj2k_decode

    return np.asarray(htj2k_decode(data))


def _rle(data: bytes, layout: PixelLayout) -> NDArray[Any]:
    from rle.rle import decode_frame as rle_decode_frame

    require_whole_rle(data, layout.rows * layout.columns, layout.bits_allocated // 8)
    cells = rle_decode_frame(data, layout.rows * layout.columns, layout.bits_allocated, "<")
    dtype = np.uint8 if layout.bits_allocated == 8 else np.dtype("<u2")
    return np.frombuffer(cells, dtype).reshape(layout.rows, layout.columns)


_JPEG: frozenset[Family] = frozenset({"JPEG"})
_JPEG_LOSSLESS: frozenset[Family] = frozenset({"JPEG lossless"})
_JPEG_LS: frozenset[Family] = frozenset({"JPEG-LS"})
_JPEG_2000: frozenset[Family] = frozenset({"JPEG 2000"})

# Transfer Syntax UID -> decoder of one frame. Uncompressed syntaxes have none (native.py).
DECODERS: dict[str, Decoder] = {
    "1.2.840.10008.1.2.4.50": Decoder(_jpeg, _JPEG, lossy=True),  # JPEG Baseline (8 bit)
    "1.2.840.10008.1.2.4.51": Decoder(_jpeg, _JPEG, lossy=True),  # JPEG Extended (8, 12 bit)
    "1.2.840.10008.1.2.4.57": Decoder(_jpeg, _JPEG_LOSSLESS),  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.70": Decoder(_jpeg, _JPEG_LOSSLESS),  # JPEG Lossless SV1: the cardiac media profiles
    "1.2.840.10008.1.2.4.80": Decoder(_jpeg_ls, _JPEG_LS),  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": Decoder(_jpeg_ls, _JPEG_LS, lossy=True),  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90": Decoder(_jpeg2000, _JPEG_2000),  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91": Decoder(_jpeg2000, _JPEG_2000, lossy=True),  # JPEG 2000
    "1.2.840.10008.1.2.4.201": Decoder(_htj2k, _JPEG_2000),  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202": Decoder(_htj2k, _JPEG_2000),  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203": Decoder(_jpeg2000, _JPEG_2000, lossy=True),  # HTJ2K; not OpenJPH, see _htj2k
    "1.2.840.10008.1.2.5": Decoder(_rle, frozenset(), splittable=False),  # RLE Lossless: no header of its own to check
}

# Where each decoder comes from: module and function.
_VENDORS: dict[Callable[[bytes, PixelLayout], NDArray[Any]], tuple[str, str]] = {
    _jpeg: ("imagecodecs", "jpeg8_decode"),
    _jpeg_ls: ("imagecodecs", "jpegls_decode"),
    _jpeg2000: ("imagecodecs", "jpeg2k_decode"),
    _htj2k: ("imagecodecs", "htj2k_decode"),
    _rle: ("rle.rle", "decode_frame"),
}


def load_decoders(head: bytes) -> None:
    """Import what decodes the transfer syntaxes that are named anywhere in `head`, the first bytes of a file.

    Not parsed, only searched: a name that stands there without being meant costs an import.
    """
    for uid, decoder in DECODERS.items():
        if uid.encode() in head:
            module, function = _VENDORS[decoder.decode]
            getattr(import_module(module), function)

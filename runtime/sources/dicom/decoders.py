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
    CodeStreamHeader,
    Family,
    WholeStream,
    holds_stream,
    read_code_stream_header,
    require_whole_rle,
    swallowed_errors_raised,
    whole_stream,
)
from cathrt.runtime.sources.jp2 import unboxed
from cathrt.runtime.sources.jpeg_ls import decode_jpeg_ls, require_every_sample

# What imagecodecs (RuntimeError, ValueError) and pylibjpeg-rle (ValueError, pyo3's IndexError) raise on damaged data.
_VENDOR_ERRORS = (RuntimeError, ValueError, IndexError, OverflowError, TypeError)


class FrameDecodeError(Exception):
    """This one frame cannot be decoded; the run goes on."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How one frame is stored: (0028,0010), (0028,0011), (0028,0100), (0028,0101), (0028,0102), (0028,0103)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool = False

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def lowest(self) -> int:
        """The pixel value that a frame's stored value 0 stands for."""
        return -(1 << self.bits_stored - 1) if self.signed else 0


@dataclass(frozen=True, slots=True)
class Decoder:
    """decode: code stream and layout to (rows, columns) cells. families: what the stream may be; none for RLE.

    lossy: values beyond bits_stored are ringing and are clipped, not masked.
    """

    decode: Callable[[bytes, PixelLayout], NDArray[Any]]
    families: frozenset[Family]
    lossy: bool = False


def decode_frame(decoder: Decoder, data: bytes, layout: PixelLayout) -> NDArray[Any]:
    """One frame's stored values: (rows, columns), uint8 up to 8 bits stored, else uint16, each < 2**bits_stored.

    Signed pixels are counted from layout.lowest. The stream's own sizes are compared with the layout before anything is
    decoded. Raises FrameDecodeError with what was found and expected.
    """
    try:
        with swallowed_errors_raised():
            if not decoder.families:
                return stored_values(decoder.decode(data, layout), layout, cell_bits=layout.bits_allocated, clip=False)
            data = unboxed(data)
            header = read_code_stream_header(data)
            _require_fit(decoder, header, layout)
            stream = whole_stream(data, header.family)
            _require_one_stream(stream)
            cells = decoder.decode(stream.data, layout)
            if header.family == "JPEG-LS" and not stream.end_marker:
                require_every_sample(stream.data, cells)
    except CodeStreamError as exc:
        raise FrameDecodeError(f"unusable code stream: {exc}") from exc
    except _VENDOR_ERRORS as exc:
        raise FrameDecodeError(f"damaged code stream ({type(exc).__name__}: {exc})") from exc
    _require_declared_cells(cells, header, layout)
    return stored_values(cells, layout, cell_bits=header.bits, clip=decoder.lossy)


def stored_values(cells: NDArray[Any], layout: PixelLayout, *, cell_bits: int, clip: bool) -> NDArray[Any]:
    """Cells of `cell_bits` to stored values: unused high bits off (old overlays live there), low ones shifted out.

    Signed pixels come as signed cells, or as the bits of their two's complement; they are then counted from
    layout.lowest.
    """
    dtype = np.uint8 if layout.bits_stored <= 8 else np.uint16
    top = (1 << layout.bits_stored) - 1
    shift = layout.high_bit + 1 - layout.bits_stored
    if shift and cell_bits > layout.high_bit:
        cells = cells >> shift
    if cells.dtype.kind == "i":
        if clip:
            cells = np.clip(cells, layout.lowest, layout.lowest + top)
        cells = cells.astype(np.uint16) & top
    elif cell_bits > layout.bits_stored:
        cells = np.minimum(cells, top) if clip else cells & top
    if layout.signed:
        cells = cells ^ (1 << layout.bits_stored - 1)
    return np.ascontiguousarray(cells.astype(dtype, copy=False))


def _require_fit(decoder: Decoder, header: CodeStreamHeader, layout: PixelLayout) -> None:
    """Raise FrameDecodeError where the stream's own header contradicts the layout.

    A stream of fewer bits than Bits Stored holds the same values, all of them small.
    """
    if header.family not in decoder.families:
        raise FrameDecodeError(f"a {header.family} stream, expected {' or '.join(sorted(decoder.families))}")
    if (header.rows, header.columns, header.components) != (layout.rows, layout.columns, 1):
        raise FrameDecodeError(
            f"the stream is {header.rows}x{header.columns}, {header.components} component(s), "
            f"expected {layout.rows}x{layout.columns}, 1"
        )
    if header.bits > layout.bits_allocated:
        raise FrameDecodeError(
            f"the stream has {header.bits} bits a sample, more than the {layout.bits_allocated} of Bits Allocated"
        )
    if header.signed and not layout.signed:
        raise FrameDecodeError("the stream is signed, and Pixel Representation says unsigned")
    if layout.signed and not header.signed:
        # The bits of a two's complement: where they are not all there, or not exact, the sign is not known.
        if decoder.lossy:
            raise FrameDecodeError("signed pixels in a lossy stream of unsigned samples: signs may have changed")
        if header.bits < layout.bits_stored:
            raise FrameDecodeError(
                f"signed pixels of {layout.bits_stored} bits in a stream of {header.bits} unsigned bits: "
                "their signs are not known"
            )


def _require_one_stream(stream: WholeStream) -> None:
    """Other bytes may follow the stream; another picture may not: which of the two is the frame?"""
    if holds_stream(stream.rest):
        raise CodeStreamError("a second code stream follows in this frame's data, expected one")


def _require_declared_cells(cells: NDArray[Any], header: CodeStreamHeader, layout: PixelLayout) -> None:
    """Raise FrameDecodeError where a decoder made something else than the header announced."""
    kind = "i" if header.signed else "u"
    if cells.shape != (layout.rows, layout.columns) or cells.dtype.kind != kind:
        raise FrameDecodeError(
            f"decodes to {cells.shape} {cells.dtype}, expected ({layout.rows}, {layout.columns}) "
            f"{'signed' if header.signed else 'unsigned'}"
        )
    lowest = -(1 << header.bits - 1) if header.signed else 0
    if not lowest <= int(cells.min()) <= int(cells.max()) < lowest + (1 << header.bits):
        raise FrameDecodeError(f"damaged code stream (values beyond the {header.bits} bits it declares)")


def _jpeg(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001 - one signature for all
    from imagecodecs import jpeg8_decode

    return np.asarray(jpeg8_decode(data))


def _jpeg_ls(data: bytes, layout: PixelLayout) -> NDArray[Any]:  # noqa: ARG001
    return decode_jpeg_ls(data)


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
    "1.2.840.10008.1.2.5": Decoder(_rle, frozenset()),  # RLE Lossless: no header of its own to check
}

# What the decoders above call: module and function.
_VENDORS = (
    ("imagecodecs", "jpeg8_decode"),
    ("imagecodecs", "jpegls_decode"),
    ("imagecodecs", "jpeg2k_decode"),
    ("imagecodecs", "htj2k_decode"),
    ("rle.rle", "decode_frame"),
)


def load_decoders() -> None:
    """Import them all."""
    for module, function in _VENDORS:
        getattr(import_module(module), function)  # imagecodecs imports a codec when it is asked for

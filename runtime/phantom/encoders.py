"""The transfer syntaxes a phantom run can be stored in, and what encodes a frame of each.

Vendors: imagecodecs (libjpeg-turbo) and pylibjpeg-rle, imported when first needed.
Not for: reading them (sources/dicom/decoders.py) and the data set around the frames (dicom.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from cathrt.runtime.errors import ConfigError

JPEG_METHOD = "ISO_10918_1"  # (0028,2114)
Syntax = Literal["explicit-le", "rle", "jpeg-baseline", "jpeg-lossless"]

# libjpeg's quality, 1 to 100: how far a frame is off, and how small it gets, is measured in the tests.
_BASELINE_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Encoding:
    """One transfer syntax.

    encode: pixels (rows, columns) and Bits Stored to the code stream of one frame; None where frames stay as they are.
    max_bits: the most Bits Stored it can hold. lossy: what comes back is not what was stored.
    """

    transfer_syntax_uid: str
    encode: Callable[[NDArray[Any], int], bytes] | None = None
    max_bits: int = 16
    lossy: bool = False


def encoding_for(syntax: Syntax, bits_stored: int, name: str) -> Encoding:
    """The encoding of a syntax. Raises ConfigError, naming the run, where it cannot hold so many bits."""
    encoding = ENCODINGS[syntax]
    if bits_stored > encoding.max_bits:
        raise ConfigError(
            f"{name}: stores {bits_stored} bits a pixel, expected at most {encoding.max_bits} for {syntax}: "
            "choose jpeg-lossless, rle or explicit-le, or another seed"
        )
    return encoding


def _rle(pixels: NDArray[Any], bits_stored: int) -> bytes:  # noqa: ARG001 - one signature for all
    from rle.rle import encode_frame

    rows, columns = pixels.shape
    return bytes(encode_frame(pixels.tobytes(), rows, columns, 1, 8 * pixels.dtype.itemsize, "<"))


def jpeg_from_pixels(pixels: NDArray[Any], quality: int) -> bytes:
    """A JPEG Baseline stream of (rows, columns) uint8. quality: libjpeg's, 1 to 100."""
    from imagecodecs import jpeg8_encode

    return bytes(jpeg8_encode(pixels, level=quality))


def _jpeg_baseline(pixels: NDArray[Any], bits_stored: int) -> bytes:  # noqa: ARG001
    return jpeg_from_pixels(pixels, _BASELINE_QUALITY)


def _jpeg_lossless(pixels: NDArray[Any], bits_stored: int) -> bytes:
    from imagecodecs import jpeg8_encode

    return bytes(jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits_stored))


ENCODINGS: dict[Syntax, Encoding] = {
    "explicit-le": Encoding("1.2.840.10008.1.2.1"),
    "rle": Encoding("1.2.840.10008.1.2.5", _rle),
    "jpeg-baseline": Encoding("1.2.840.10008.1.2.4.50", _jpeg_baseline, max_bits=8, lossy=True),
    "jpeg-lossless": Encoding("1.2.840.10008.1.2.4.70", _jpeg_lossless),  # predictor 1: selection value 1
}

"""JPEG-LS streams that CharLS alone would take too strictly, or too kindly.

Vendor: imagecodecs (CharLS), imported when first needed.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.sources.code_stream import END_MARKER, CodeStreamError

_SET_BITS = b"\x7f" * 8  # after any byte: one after FF has its first bit clear


def decode_jpeg_ls(data: bytes) -> NDArray[Any]:
    """The samples of one stream that ends with its end marker. Raises RuntimeError (imagecodecs) where it is damaged.

    One zero byte before the end marker is passed over: some encoders make the coded data even with it.
    """
    from imagecodecs import jpegls_decode

    try:
        return np.asarray(jpegls_decode(data))
    except RuntimeError:
        if data[-3:] != b"\0" + END_MARKER:
            raise
        try:
            return np.asarray(jpegls_decode(data[:-3] + END_MARKER))
        except RuntimeError:
            pass
        raise


def require_every_sample(data: bytes, samples: NDArray[Any]) -> None:
    """Raise CodeStreamError unless all coded bits of these samples are in the stream, which had no end marker.

    CharLS takes missing bits for zeros. With set bits in their place the last sample comes out differently, if any
    bit was missing. A last zero byte may be padding and is not counted on.
    """
    from imagecodecs import jpegls_decode

    coded = data.removesuffix(END_MARKER).removesuffix(b"\0")
    again = np.invert(samples)
    with contextlib.suppress(RuntimeError):  # more bits than samples: it says so once they are decoded
        jpegls_decode(coded + _SET_BITS + END_MARKER, out=again)
    if not np.array_equal(again, samples):
        raise CodeStreamError("no end marker (EOI), and coded data that end before the last sample, or may do so")

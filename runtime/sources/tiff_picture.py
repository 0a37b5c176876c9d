"""TIFF pictures: grey of either polarity, and what of colour, palettes, inks and extra samples is grey and opaque.

libtiff decodes the samples as they are stored; what they mean is decided here.
Source: TIFF 6.0; its Technical Note 2 (JPEG); the BigTIFF specification.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.sources.code_stream import CodeStreamError
from cathrt.runtime.sources.orientation import (
    ORIENTATION_TAG,
    OrientationError,
    orientation_in_xmp,
    orientation_of_values,
)
from cathrt.runtime.sources.picture import Picture, PictureError, grey_of_inks, require_opaque, require_size
from cathrt.runtime.sources.tiff_directory import Directory, DirectoryError
from cathrt.runtime.sources.tiff_strips import DEFLATE, JPEG, UNCOMPRESSED, Layout, require_whole_strips

SIGNATURES = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")
_COLUMNS, _ROWS, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION = 256, 257, 258, 259, 262, 270
_SAMPLES, _PLANES, _COLOUR_MAP, _INK_SET, _SAMPLE_FORMAT, _XMP = 277, 284, 320, 332, 339, 700
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOUR_SAMPLES = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3}
_OTHER_PHOTOMETRIC = {4: "transparency mask", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}
_READ_COMPRESSIONS = {UNCOMPRESSED, 5, JPEG, *DEFLATE, 32773, 34925, 50000}  # LZW; PackBits, LZMA, Zstandard
_OTHER_COMPRESSIONS = {
    2: "CCITT Huffman", 3: "CCITT group 3", 4: "CCITT group 4", 6: "old JPEG", 34712: "JPEG 2000", 50001: "WebP"
}  # fmt: skip
_SPREAD_BITS = (1, 2, 4)  # over 0 to 255, as a viewer shows them
_BITS_READ = (*_SPREAD_BITS, *range(8, 17))
_MOST_SAMPLES = 8
# ImageJ may write one directory for all pictures of a stack.
_STACK = re.compile(rb"ImageJ=.*?\bimages=0*([1-9][0-9]{0,8})", re.DOTALL)


def read_tiff(data: bytes, limits: LimitsConfig) -> Picture:
    """The picture of a TIFF file of one page. Raises PictureError."""
    try:
        directory = Directory(data)
        _require_one_page(directory)
        photometric = directory.integer(_PHOTOMETRIC)
        layout = _layout(directory, photometric, limits)
        orientation = orientation_of_values(directory.integers(ORIENTATION_TAG))
        if orientation is None:
            orientation = orientation_in_xmp(directory.octets(_XMP)) or 1
        require_whole_strips(data, directory, layout, limits)
        samples = _samples(data, directory, layout, photometric)
        return _picture(samples, directory, layout.bits, photometric, orientation)
    except DirectoryError as exc:
        raise PictureError(f"damaged TIFF picture: {exc}") from exc
    except CodeStreamError as exc:
        raise PictureError(f"incomplete picture: {exc}") from exc
    except OrientationError as exc:
        raise PictureError(str(exc)) from exc


def _require_one_page(directory: Directory) -> None:
    stack = _STACK.match(directory.octets(_DESCRIPTION))
    if directory.next_offset or (stack is not None and int(stack[1]) > 1):
        raise PictureError("several pictures in one file: save one picture a file")


def _layout(directory: Directory, photometric: int, limits: LimitsConfig) -> Layout:
    """How the samples are stored. Raises PictureError for what is not read, by name."""
    rows, columns = directory.integer(_ROWS), directory.integer(_COLUMNS)
    require_size(rows, columns, limits)
    compression = directory.integer(_COMPRESSION, UNCOMPRESSED)
    if compression not in _READ_COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(compression, "unknown")
        raise PictureError(f"a TIFF picture of {name} compression ({compression}): save it with LZW, or as PNG")
    if photometric not in _COLOUR_SAMPLES or (photometric == _YCBCR and compression != JPEG):
        name = _OTHER_PHOTOMETRIC.get(photometric, "YCbCr without JPEG" if photometric == _YCBCR else "unknown")
        raise PictureError(f"TIFF PhotometricInterpretation {photometric} ({name}), expected grey: save it as grey")
    samples = directory.integer(_SAMPLES, 1)
    if not _COLOUR_SAMPLES[photometric] <= samples <= _MOST_SAMPLES:
        least = _COLOUR_SAMPLES[photometric]
        raise PictureError(f"{samples} samples a pixel, expected {least} to {_MOST_SAMPLES}: save it as grey")
    depths, formats = set(directory.integers(_BITS)) or {1}, set(directory.integers(_SAMPLE_FORMAT)) or {1}
    if len(depths) > 1 or formats != {1} or not depths <= set(_BITS_READ):
        kinds = {1: "unsigned", 2: "signed", 3: "floating point"}
        found = " and ".join(kinds.get(number, "unknown") for number in sorted(formats))
        raise PictureError(
            f"samples of {' and '.join(map(str, sorted(depths)))} bits, {found}; expected 1, 2, 4 or 8 to 16 bits, "
            "unsigned: save it with 16 bits"
        )
    apart = directory.integer(_PLANES, 1) == 2
    mixed = apart or photometric in (_INKS, _PALETTE) or samples != _COLOUR_SAMPLES[photometric]
    if compression == JPEG and mixed:
        found = "CMYK, a palette, extra samples or planes apart"
        raise PictureError(f"a TIFF picture of JPEG compression with {found}: save it as PNG")
    return Layout(rows, columns, samples, depths.pop(), compression, apart)


def _samples(data: bytes, directory: Directory, layout: Layout, photometric: int) -> NDArray[Any]:
    """(rows, columns, samples) as stored; YCbCr of JPEG as RGB."""
    import imagecodecs

    if photometric == _INKS or layout.compression == JPEG:
        # libtiff would turn CMYK to RGB and, of these two, the picture by some of the orientations and white to black.
        plain = {_INKS: _BLACK_IS_ZERO, _WHITE_IS_ZERO: _BLACK_IS_ZERO}.get(photometric, photometric)
        data = directory.with_integers({_PHOTOMETRIC: plain, ORIENTATION_TAG: 1})
    try:
        cells = np.asarray(imagecodecs.tiff_decode(data, index=0))
    except (RuntimeError, ValueError, LookupError) as exc:  # what imagecodecs raises on damaged pictures
        raise CodeStreamError(f"{type(exc).__name__}: {exc}") from exc
    if layout.apart and layout.samples > 1:
        cells = np.moveaxis(cells, 0, -1)
    elif layout.samples == 1 and cells.ndim == 2:
        cells = cells[..., None]
    cells = cells.astype(np.uint8) if cells.dtype == np.bool_ else cells
    expected = (layout.rows, layout.columns, layout.samples)
    if cells.shape != expected or cells.dtype != (np.uint8 if layout.bits <= 8 else np.uint16):
        raise CodeStreamError(f"it decodes to {cells.shape} {cells.dtype}, expected {expected}")
    return cells


def _picture(samples: NDArray[Any], directory: Directory, bits: int, photometric: int, orientation: int) -> Picture:
    full = (1 << bits) - 1
    colours = _COLOUR_SAMPLES[photometric]
    cells = samples[..., 0] if colours == 1 else samples[..., :colours]
    called = "a coloured picture"
    if samples.shape[2] > colours:
        require_opaque(samples[..., colours:], full)
        called = "a coloured picture with an alpha channel"
    if photometric == _PALETTE:
        called = "a picture with a coloured palette"
        cells, bits, full = _palette(directory, full + 1)[cells], 8, 255
    elif photometric == _INKS:
        if directory.integer(_INK_SET, 1) != 1:
            raise PictureError("inks other than cyan, magenta, yellow and black: save it as grey")
        cells = grey_of_inks(cells, full)
    elif photometric == _WHITE_IS_ZERO:
        cells = full - cells
    if bits in _SPREAD_BITS:
        cells, bits = cells * np.uint8(255 // full), 8
    return Picture(cells, bits, orientation, called)


def _palette(directory: Directory, entries: int) -> NDArray[np.uint8]:
    """(entries, 3). Values are of 16 bits; some writers store 8."""
    values = np.asarray(directory.integers(_COLOUR_MAP))
    if values.size != 3 * entries:
        raise DirectoryError(f"the palette has {values.size} values, expected {3 * entries}")
    depth = 8 if values.max() > 255 else 0
    return (values >> depth).astype(np.uint8).reshape(3, entries).T

"""Stills in every form that may hold a grey picture: read where it is grey and opaque, else refused with the reason."""

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
from PIL import Image

from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, Run
from cathrt.runtime.sources.discover import Input
from tests.sources.picture_files import (
    COLUMNS,
    GREY8,
    GREY16,
    ROWS,
    Pixels,
    bmp,
    chunk,
    directory,
    packed,
    png,
    saved,
    tiff,
    tiles,
    with_segment,
)
from tests.sources.reading import LIMITS, read_input_here

COLOURED8 = np.dstack([GREY8, GREY8[::-1], GREY8[:, ::-1]])
COLOURED16 = np.dstack([GREY16, GREY16[::-1], GREY16[:, ::-1]])
TRACE8 = np.clip(GREY8[..., None] + np.array([0, 9, -9]), 0, 255).astype(np.uint8)
TRACE16 = np.clip(GREY16[..., None] + np.array([0, 900, -900]), 0, 65535).astype(np.uint16)
TRACE_LEVELS = np.clip(np.arange(256)[:, None] + np.array([0, 9, -9]), 0, 255).astype(np.uint8)
OPAQUE8, OPAQUE16 = np.full_like(GREY8, 255), np.full_like(GREY16, 65535)
GREY_LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)  # a palette, white first
RAINBOW = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)], axis=1).astype(np.uint8)
ORDERS = ("<", ">")


def read(folder: Path, name: str, data: bytes) -> tuple[Run, NDArray[np.generic]]:
    path = folder / name
    path.write_bytes(data)
    run, (item,) = read_input_here(Input("stills", name, (path,)), LIMITS)
    assert isinstance(item, Frame), item
    return run, item.pixels


def with_alpha(pixels: Pixels, alpha: Pixels) -> Pixels:
    return np.dstack([pixels, alpha])


def hole(opaque: Pixels) -> Pixels:
    """An alpha channel in which one pixel is not quite opaque."""
    alpha = opaque.copy()
    alpha[5, 7] -= 1
    return alpha


def spread(bits: int) -> Pixels:
    """The picture in so many bits, as a viewer shows them."""
    return (GREY8 >> (8 - bits)) * np.uint8(255 // ((1 << bits) - 1))


def palette_png(palette: NDArray[np.uint8], before: bytes = b"", bits: int = 8, **options: bool) -> bytes:
    indices = GREY8 >> (8 - bits)
    entries = palette[:: 1 << (8 - bits)]
    return png(indices, bits, 3, chunk(b"PLTE", entries.tobytes()) + before, **options)


def colour_map(palette: NDArray[np.generic], scale: int = 257) -> tuple[int, int, list[int]]:
    return (320, 3, [int(value) * scale for value in palette.T.reshape(-1)])


def inks(cyan: Pixels, magenta: Pixels, yellow: Pixels, black: Pixels) -> Pixels:
    return np.dstack([cyan, magenta, yellow, black])


NONE8, NONE16 = np.zeros_like(GREY8), np.zeros_like(GREY16)
BLACK_ALONE = inks(NONE8, NONE8, NONE8, 255 - GREY8)
ALL_BUT_BLACK = inks(255 - GREY8, 255 - GREY8, 255 - GREY8, NONE8)
JPEG_GREY = np.asarray(Image.open(io.BytesIO(saved(GREY8, "JPEG", quality=95))))
JPEG_INKS = saved(GREY8, "JPEG", "CMYK", quality=100)
SEPARATE = (284, 3, [2])
MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)  # of BMP: red, green, blue, alpha


def planes(samples: Pixels, bits: int, order: str = "<") -> list[bytes]:
    return [packed(samples[..., index], bits, order) for index in range(samples.shape[2])]


PNG_FORMS: dict[str, tuple[str, bytes, Pixels]] = {}
for _name, _interlaced in (("", False), ("-interlaced", True)):
    PNG_FORMS |= {
        f"png-{bits}{_name}": ("f.png", png(GREY8 >> (8 - bits), bits, 0, interlaced=_interlaced), spread(bits))
        for bits in (1, 2, 4)
    }
    PNG_FORMS |= {
        f"png-8{_name}": ("f.png", png(GREY8, 8, 0, interlaced=_interlaced), GREY8),
        f"png-16{_name}": ("f.png", png(GREY16, 16, 0, interlaced=_interlaced), GREY16),
        f"png-la-8{_name}": ("f.png", png(with_alpha(GREY8, OPAQUE8), 8, 4, interlaced=_interlaced), GREY8),
        f"png-la-16{_name}": ("f.png", png(with_alpha(GREY16, OPAQUE16), 16, 4, interlaced=_interlaced), GREY16),
        f"png-rgb-8{_name}": ("f.png", png(np.dstack([GREY8] * 3), 8, 2, interlaced=_interlaced), GREY8),
        f"png-rgb-16{_name}": ("f.png", png(np.dstack([GREY16] * 3), 16, 2, interlaced=_interlaced), GREY16),
        f"png-rgba-8{_name}": (
            "f.png", png(np.dstack([*[GREY8] * 3, OPAQUE8]), 8, 6, interlaced=_interlaced), GREY8
        ),
        f"png-rgba-16{_name}": (
            "f.png", png(np.dstack([*[GREY16] * 3, OPAQUE16]), 16, 6, interlaced=_interlaced), GREY16
        ),
        f"png-palette-8{_name}": ("f.png", palette_png(GREY_LEVELS, interlaced=_interlaced), 255 - GREY8),
        f"png-palette-4{_name}": (
            "f.png", palette_png(GREY_LEVELS, bits=4, interlaced=_interlaced), 255 - (GREY8 & 0xF0)
        ),
        f"png-palette-1{_name}": (
            "f.png", palette_png(GREY_LEVELS, bits=1, interlaced=_interlaced), 255 - (GREY8 & 0x80)
        ),
    }  # fmt: skip
PNG_FORMS |= {
    "png-palette-opaque": ("f.png", palette_png(GREY_LEVELS, chunk(b"tRNS", b"\xff" * 256)), 255 - GREY8),
    "png-palette-transparent-entry-unused": (
        "f.png", png(GREY8 | 1, 8, 3, chunk(b"PLTE", GREY_LEVELS.tobytes()) + chunk(b"tRNS", b"\0")), 255 - (GREY8 | 1)
    ),
    "png-transparent-grey-unused": ("f.png", png(GREY8 | 1, 8, 0, chunk(b"tRNS", b"\0\x64")), GREY8 | 1),
    "png-transparent-grey-16-unused": ("f.png", png(GREY16 | 1, 16, 0, chunk(b"tRNS", b"\x10\0")), GREY16 | 1),
    "png-transparent-colour-unused": (
        "f.png", png(np.dstack([GREY8] * 3), 8, 2, chunk(b"tRNS", b"\0\1\0\2\0\3")), GREY8
    ),
    "png-with-gamma-and-significant-bits": (
        "f.png", png(GREY16, 16, 0, chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sBIT", b"\x0c")), GREY16
    ),
}  # fmt: skip

TIFF_FORMS: dict[str, tuple[str, bytes, Pixels]] = {}
for _order in ORDERS:
    _end = "little" if _order == "<" else "big"
    for _photometric, _polarity in ((1, "black"), (0, "white")):

        def _stored(pixels: Pixels, bits: int, photometric: int = _photometric) -> Pixels:
            return pixels if photometric else ((1 << bits) - 1) - pixels

        _options = {"photometric": _photometric, "order": _order}
        TIFF_FORMS |= {
            f"tiff-{bits}-{_polarity}-{_end}": (
                "f.tif", tiff([packed(_stored(GREY8 >> (8 - bits), bits), bits)], bits=bits, **_options), spread(bits)
            )
            for bits in (1, 2, 4)
        }  # fmt: skip
        TIFF_FORMS |= {
            f"tiff-{bits}-{_polarity}-{_end}": (
                "f.tif",
                tiff([packed(_stored(GREY16 >> (16 - bits), bits), bits, _order)], bits=bits, **_options),
                GREY16 >> (16 - bits),
            )
            for bits in (8, 9, 10, 12, 14, 16)
        }
        for _side in (16, 64):
            TIFF_FORMS[f"tiff-tiles-{_side}-{_polarity}-{_end}"] = (
                "f.tif", tiff(tiles(_stored(GREY16, 16), _side, 16, _order), bits=16, tile=_side, **_options), GREY16
            )  # fmt: skip
        TIFF_FORMS[f"tiff-tiles-zlib-{_polarity}-{_end}"] = (
            "f.tif",
            tiff([zlib.compress(tile) for tile in tiles(_stored(GREY8, 8), 16, 8)], compression=8, tile=16, **_options),
            GREY8,
        )
        TIFF_FORMS[f"tiff-strips-zlib-{_polarity}-{_end}"] = (
            "f.tif",
            tiff(
                [zlib.compress(packed(_stored(GREY16, 16)[row : row + 5], 16, _order)) for row in range(0, ROWS, 5)],
                bits=16, compression=32946, rows_a_strip=5, **_options,
            ),
            GREY16,
        )  # fmt: skip
    TIFF_FORMS |= {
        f"tiff-big-{_end}": ("f.tif", tiff([packed(GREY16, 16, _order)], bits=16, order=_order, big=True), GREY16),
        f"tiff-rgb-16-{_end}": (
            "f.tif",
            tiff([packed(np.dstack([GREY16] * 3), 16, _order)], photometric=2, bits=16, samples=3, order=_order),
            GREY16,
        ),
        f"tiff-rgb-16-planes-{_end}": (
            "f.tif",
            tiff(
                planes(np.dstack([GREY16] * 3), 16, _order),
                photometric=2, bits=16, samples=3, order=_order, more=[SEPARATE],
            ),
            GREY16,
        ),
        f"tiff-palette-{_end}": (
            "f.tif",
            tiff([packed(GREY8, 8)], photometric=3, order=_order, more=[colour_map(GREY_LEVELS)]),
            255 - GREY8,
        ),
        f"tiff-inks-16-{_end}": (
            "f.tif",
            tiff(
                [packed(inks(NONE16, NONE16, NONE16, 65535 - GREY16), 16, _order)],
                photometric=5, bits=16, samples=4, order=_order,
            ),
            GREY16,
        ),
    }  # fmt: skip
    for _kind in (0, 1, 2):  # unspecified, premultiplied, plain
        TIFF_FORMS |= {
            f"tiff-la-8-{_kind}-{_end}": (
                "f.tif", tiff([packed(with_alpha(GREY8, OPAQUE8), 8)], samples=2, extra=[_kind], order=_order), GREY8
            ),
            f"tiff-la-16-{_kind}-{_end}": (
                "f.tif",
                tiff(
                    [packed(with_alpha(GREY16, OPAQUE16), 16, _order)],
                    bits=16, samples=2, extra=[_kind], order=_order,
                ),
                GREY16,
            ),
            f"tiff-rgba-16-{_kind}-{_end}": (
                "f.tif",
                tiff(
                    [packed(np.dstack([*[GREY16] * 3, OPAQUE16]), 16, _order)],
                    photometric=2, bits=16, samples=4, extra=[_kind], order=_order,
                ),
                GREY16,
            ),
        }  # fmt: skip
TIFF_FORMS |= {
    "tiff-white-alpha": (
        "f.tif", tiff([packed(with_alpha(255 - GREY8, OPAQUE8), 8)], photometric=0, samples=2, extra=[2]), GREY8
    ),
    "tiff-la-planes": (
        "f.tif", tiff(planes(with_alpha(GREY8, OPAQUE8), 8), samples=2, extra=[2], more=[SEPARATE]), GREY8
    ),
    "tiff-rgba-without-a-kind": (
        "f.tif", tiff([packed(np.dstack([*[GREY8] * 3, OPAQUE8]), 8)], photometric=2, samples=4), GREY8
    ),
    "tiff-palette-of-8-bits": (
        "f.tif", tiff([packed(GREY8, 8)], photometric=3, more=[colour_map(GREY_LEVELS, 1)]), 255 - GREY8
    ),
    "tiff-palette-times-256": (
        "f.tif", tiff([packed(GREY8, 8)], photometric=3, more=[colour_map(GREY_LEVELS, 256)]), 255 - GREY8
    ),
    "tiff-palette-4": (
        "f.tif",
        tiff([packed(GREY8 >> 4, 4)], bits=4, photometric=3, more=[colour_map(GREY_LEVELS[::16])]),
        255 - (GREY8 & 0xF0),
    ),
    "tiff-inks-black": ("f.tif", tiff([packed(BLACK_ALONE, 8)], photometric=5, samples=4), GREY8),
    "tiff-inks-others": ("f.tif", tiff([packed(ALL_BUT_BLACK, 8)], photometric=5, samples=4), GREY8),
    "tiff-inks-planes": ("f.tif", tiff(planes(BLACK_ALONE, 8), photometric=5, samples=4, more=[SEPARATE]), GREY8),
    "tiff-inks-lzw": ("f.tif", saved(GREY8, "TIFF", "CMYK", compression="tiff_lzw"), GREY8),
    "tiff-rgb-lzw": ("f.tif", saved(np.dstack([GREY8] * 3), "TIFF", compression="tiff_lzw"), GREY8),
    "tiff-bits-from-the-other-end": (
        "f.tif",
        tiff(
            [np.packbits(np.unpackbits(GREY8, axis=1).reshape(ROWS, COLUMNS, 8)[..., ::-1], axis=2).tobytes()],
            more=[(266, 3, [2])],
        ),
        GREY8,
    ),
    "tiff-one-picture-of-a-stack": (
        "f.tif", tiff([packed(GREY8, 8)], more=[(270, 2, list(b"ImageJ=1.53t\nimages=1\n\0"))]), GREY8
    ),
}  # fmt: skip
JPEG_STRIP = bytes(imagecodecs.jpeg8_encode(GREY8, level=95))
DECODED = imagecodecs.jpeg8_decode(JPEG_STRIP)
JPEG_STRIPS = [bytes(imagecodecs.jpeg8_encode(GREY8[row : row + 16])) for row in range(0, ROWS, 16)]
JPEG_TILE = bytes(imagecodecs.jpeg8_encode(np.pad(GREY8, ((0, 64 - ROWS), (0, 64 - COLUMNS)))))
TIFF_FORMS |= {
    "tiff-jpeg": ("f.tif", tiff([JPEG_STRIP], compression=7), DECODED),
    "tiff-jpeg-white": ("f.tif", tiff([JPEG_STRIP], compression=7, photometric=0), 255 - DECODED),
    "tiff-jpeg-strips": (
        "f.tif", tiff(JPEG_STRIPS, compression=7, rows_a_strip=16, photometric=0, order=">"),
        255 - np.concatenate([imagecodecs.jpeg8_decode(strip) for strip in JPEG_STRIPS]),
    ),
    "tiff-jpeg-tile": (
        "f.tif", tiff([JPEG_TILE], compression=7, tile=64), imagecodecs.jpeg8_decode(JPEG_TILE)[:ROWS, :COLUMNS]
    ),
    "tiff-jpeg-colour": ("f.tif", saved(GREY8, "TIFF", "RGB", compression="jpeg", quality=95), DECODED),
    "tiff-predictor": ("f.tif", saved(GREY8, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}), GREY8),
    "tiff-predictor-16": (
        "f.tif", saved(GREY16, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2}), GREY16
    ),
}  # fmt: skip
for _compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"):
    for _bits, _pixels in ((8, GREY8), (16, GREY16)):
        TIFF_FORMS[f"tiff-{_compression}-{_bits}"] = (
            "f.tif", saved(_pixels, "TIFF", compression=_compression), _pixels
        )  # fmt: skip

OTHER_FORMS: dict[str, tuple[str, bytes, Pixels]] = {
    "bmp-8": ("f.bmp", saved(GREY8, "BMP"), GREY8),
    "bmp-top-down": ("f.bmp", bmp(GREY8, 8, GREY_LEVELS[::-1], top_down=True), GREY8),
    "bmp-white-first": ("f.bmp", bmp(GREY8, 8, GREY_LEVELS), 255 - GREY8),
    "bmp-4": ("f.bmp", bmp(GREY8 >> 4, 4, GREY_LEVELS[::16]), 255 - (GREY8 & 0xF0)),
    "bmp-1": ("f.bmp", bmp(GREY8 >> 7, 1, GREY_LEVELS[::-255]), spread(1)),
    "bmp-1-white-first": ("f.bmp", bmp(GREY8 >> 7, 1, GREY_LEVELS[::255]), 255 - spread(1)),
    "bmp-rgb": ("f.bmp", saved(np.dstack([GREY8] * 3), "BMP"), GREY8),
    "bmp-rgb-with-an-unused-byte": ("f.bmp", bmp(np.dstack([*[GREY8] * 3, NONE8]), 32), GREY8),
    "bmp-rgba": ("f.bmp", bmp(np.dstack([*[GREY8] * 3, OPAQUE8]), 32, masks=MASKS), GREY8),
    "jpeg-rgb": ("f.jpg", saved(GREY8, "JPEG", "RGB", quality=95), JPEG_GREY),
    "jpeg-rgb-as-stored": ("f.jpg", saved(GREY8, "JPEG", "RGB", quality=95, keep_rgb=True), JPEG_GREY),
    "jpeg-inks": ("f.jpg", JPEG_INKS, np.asarray(Image.open(io.BytesIO(JPEG_INKS)).convert("L"))),
    "jpeg-lossless-rgb": (
        "f.jpg", bytes(imagecodecs.jpeg8_encode(np.dstack([GREY8] * 3), lossless=True, predictor=1)), GREY8
    ),
    "jpeg-lossless-rgb-16": (
        "f.jpg",
        bytes(imagecodecs.jpeg8_encode(np.dstack([GREY16] * 3), lossless=True, predictor=1, bitspersample=16)),
        GREY16,
    ),
}  # fmt: skip
FORMS = PNG_FORMS | TIFF_FORMS | OTHER_FORMS


@pytest.mark.parametrize("name", FORMS)
def test_a_grey_picture_in_any_form_is_read_exactly(name: str, tmp_path: Path) -> None:
    file_name, data, expected = FORMS[name]
    run, pixels = read(tmp_path, file_name, data)
    assert np.array_equal(pixels, expected)
    assert run.flags == ("frame_rate_default",)
    assert pixels.dtype == (np.uint8 if run.grayscale.bits_stored == 8 else np.uint16)
    assert int(pixels.max()) >> run.grayscale.bits_stored == 0


# Of 16 bits Pillow makes 8 in its own ways; a palette of 8 bits is black to it.
@pytest.mark.parametrize(
    "name", [name for name, (_, _, expected) in FORMS.items() if expected.dtype == np.uint8 and "of-8-bits" not in name]
)
def test_pillow_shows_the_same_grey(name: str, tmp_path: Path) -> None:
    file_name, data, _ = FORMS[name]
    try:
        with Image.open(io.BytesIO(data)) as picture:
            expected = np.asarray(picture.convert("RGB" if picture.mode == "CMYK" else "RGBA"))[..., 0]
    except (OSError, ValueError):
        return  # a form that Pillow does not read
    assert np.array_equal(read(tmp_path, file_name, data)[1], expected)


@pytest.mark.parametrize(
    "name",
    ["png-la-16", "png-rgb-16", "png-rgba-16", "png-16-interlaced", "png-palette-8", "tiff-rgb-16-big",
     "tiff-rgba-16-2-big", "tiff-8-white-big", "tiff-16-black-big", "bmp-rgba", "jpeg-rgb"],
)  # fmt: skip
def test_opencv_shows_the_same_grey(name: str, tmp_path: Path) -> None:
    file_name, data, _ = FORMS[name]
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = expected[..., 0] if expected.ndim == 3 else expected
    assert np.array_equal(read(tmp_path, file_name, data)[1], expected)


def rgb_tiff(samples: Pixels, bits: int = 8, **options: object) -> bytes:
    return tiff([packed(samples, bits, "<")], photometric=2, bits=bits, samples=samples.shape[2], **options)  # type: ignore[arg-type]


TRANSPARENT = {
    "png-la-8": ("f.png", png(with_alpha(GREY8, hole(OPAQUE8)), 8, 4)),
    "png-la-16": ("f.png", png(with_alpha(GREY16, hole(OPAQUE16)), 16, 4)),
    "png-rgba-8": ("f.png", png(np.dstack([*[GREY8] * 3, hole(OPAQUE8)]), 8, 6)),
    "png-rgba-16": ("f.png", png(np.dstack([*[GREY16] * 3, hole(OPAQUE16)]), 16, 6, interlaced=True)),
    "png-palette": ("f.png", palette_png(GREY_LEVELS, chunk(b"tRNS", b"\xff" * 100 + b"\xfe" * 50))),
    "png-grey": ("f.png", png(GREY8, 8, 0, chunk(b"tRNS", bytes([0, GREY8[9, 9]])))),
    "png-grey-16": ("f.png", png(GREY16, 16, 0, chunk(b"tRNS", struct.pack(">H", GREY16[9, 9])))),
    "png-rgb": ("f.png", png(np.dstack([GREY8] * 3), 8, 2, chunk(b"tRNS", bytes([0, GREY8[9, 9]]) * 3))),
    "bmp": ("f.bmp", bmp(np.dstack([*[GREY8] * 3, hole(OPAQUE8)]), 32, masks=MASKS)),
    "tiff-la": ("f.tif", tiff([packed(with_alpha(GREY8, hole(OPAQUE8)), 8)], samples=2, extra=[2])),
    "tiff-la-unspecified": ("f.tif", tiff([packed(with_alpha(GREY8, hole(OPAQUE8)), 8)], samples=2, extra=[0])),
    "tiff-la-without-a-kind": ("f.tif", tiff([packed(with_alpha(GREY8, hole(OPAQUE8)), 8)], samples=2)),
    "tiff-rgba": ("f.tif", rgb_tiff(np.dstack([*[GREY8] * 3, hole(OPAQUE8)]), extra=[1])),
    "tiff-rgba-16": ("f.tif", rgb_tiff(np.dstack([*[GREY16] * 3, hole(OPAQUE16)]), 16, extra=[2])),
    "tiff-two-extra": ("f.tif", rgb_tiff(np.dstack([*[GREY8] * 3, OPAQUE8, hole(OPAQUE8)]), extra=[2, 0])),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_a_transparent_picture_is_refused(name: str, tmp_path: Path) -> None:
    expected = r"a transparent picture \(alpha from \d+, opaque is (255|65535)\), expected an opaque one: put it on"
    with pytest.raises(SourceError, match=expected):
        read(tmp_path, *TRANSPARENT[name])


PLAIN, ALPHA = "a coloured picture", "a coloured picture with an alpha channel"
PALETTE = "a picture with a coloured palette"
INKS = "a CMYK picture with coloured inks"
WITH_A_RED_PIXEL = np.dstack([GREY8] * 3)
WITH_A_RED_PIXEL[5, 7] = (255, 0, 0)
SEPIA = np.rint(np.dstack([GREY8] * 3) * (1.0, 0.85, 0.7)).astype(np.uint8)
MAGENTA = inks(NONE8, GREY8 // 2, NONE8, 255 - GREY8)
COLOURED = {
    "png-rgba": ("f.png", png(np.dstack([COLOURED8, OPAQUE8]), 8, 6), ALPHA),
    "png-palette": ("f.png", palette_png(RAINBOW), PALETTE),
    "png-palette-4": ("f.png", palette_png(RAINBOW, bits=4), PALETTE),
    "png-palette-opaque": ("f.png", palette_png(RAINBOW, chunk(b"tRNS", b"\xff")), PALETTE),
    "bmp-palette": ("f.bmp", saved(COLOURED8, "BMP", "P"), PALETTE),
    "bmp-rgba": ("f.bmp", bmp(np.dstack([COLOURED8, OPAQUE8]), 32, masks=MASKS), ALPHA),
    "tiff-palette": ("f.tif", tiff([packed(GREY8, 8)], photometric=3, more=[colour_map(RAINBOW)]), PALETTE),
    "tiff-rgba-16": ("f.tif", rgb_tiff(np.dstack([COLOURED16, OPAQUE16]), 16, extra=[2]), ALPHA),
    "tiff-inks": ("f.tif", tiff([packed(MAGENTA, 8)], photometric=5, samples=4), INKS),
    "jpeg-inks": ("f.jpg", saved(COLOURED8, "JPEG", "CMYK"), INKS),
    "png-rgb-8": ("f.png", png(COLOURED8, 8, 2), PLAIN),
    "png-rgb-16": ("f.png", png(COLOURED16, 16, 2), PLAIN),
    "tiff-rgb-16": ("f.tif", rgb_tiff(COLOURED16, 16), PLAIN),
    "tiff-jpeg": ("f.tif", saved(COLOURED8, "TIFF", compression="jpeg"), PLAIN),
    "bmp-rgb": ("f.bmp", saved(COLOURED8, "BMP"), PLAIN),
    "jpeg": ("f.jpg", saved(COLOURED8, "JPEG", quality=95), PLAIN),
    "jpeg-lossless": ("f.jpg", bytes(imagecodecs.jpeg8_encode(COLOURED8, lossless=True, predictor=1)), PLAIN),
    "one coloured pixel": ("f.png", png(WITH_A_RED_PIXEL, 8, 2), PLAIN),
    "a sepia": ("f.png", png(SEPIA, 8, 2), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("name", COLOURED)
def test_what_is_really_coloured_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    file_name, data, what = COLOURED[name]
    with pytest.raises(SourceError, match=f"{what}, expected a grey picture: save it as grey"):
        read(tmp_path, file_name, data)


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        (png(TRACE8, 8, 2), TRACE8),
        (png(np.dstack([TRACE8, OPAQUE8]), 8, 6), TRACE8),
        (palette_png(TRACE_LEVELS), TRACE_LEVELS[GREY8]),
        (png(TRACE16, 16, 2), TRACE16),
        (rgb_tiff(TRACE16, 16), TRACE16),
        (saved(TRACE8, "BMP"), TRACE8),
    ],
    ids=["png-8", "png-alpha", "png-palette", "png-16", "tiff-16", "bmp"],
)
def test_a_trace_of_colour_becomes_luma_in_its_own_depth(data: bytes, colour: Pixels, tmp_path: Path) -> None:
    run, pixels = read(tmp_path, "f.png", data)
    assert run.flags == ("colour_to_luma", "frame_rate_default")
    assert run.grayscale.bits_stored == 8 * colour.itemsize
    exact = colour.astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(pixels - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [50, 60, 75, 90, 95])
def test_a_grey_picture_is_grey_again_after_any_jpeg(quality: int, subsampling: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(-3, 4, COLOURED8.shape)
    noisy = np.clip(GREY8[..., None] + noise, 0, 255).astype(np.uint8)
    for picture, options in (
        (np.dstack([GREY8] * 3), {"subsampling": subsampling}),
        (noisy, {"subsampling": subsampling}),
        (noisy, {"keep_rgb": True}),
    ):
        data = saved(picture, "JPEG", quality=quality, **options)
        decoded = np.asarray(Image.open(io.BytesIO(data))).astype(float)
        _, pixels = read(tmp_path, "f.jpg", data)
        assert np.abs(pixels - decoded @ (0.299, 0.587, 0.114)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("colour", "is_read"), [(25, True), (26, False)])
def test_a_tenth_of_the_range_is_the_most_colour_of_a_grey_picture(colour: int, is_read: bool, tmp_path: Path) -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[3, 4, 2] += colour
    if is_read:
        assert "colour_to_luma" in read(tmp_path, "f.png", png(picture, 8, 2))[0].flags
    else:
        with pytest.raises(SourceError, match="differ by up to 26 of 255"):
            read(tmp_path, "f.png", png(picture, 8, 2))


def _without(data: bytes, marker: bytes) -> bytes:
    """A JPEG file without one of its segments."""
    at = data.index(marker)
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


GREY_STRIP = [packed(GREY8, 8)]
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "tiff-no-polarity": ("f.tif", tiff(GREY_STRIP, photometric=None), "tag 262 has 0 values"),
    "tiff-lab": (
        "f.tif", saved(COLOURED8, "TIFF", "LAB"), r"PhotometricInterpretation 8 \(CIELab\), expected grey"
    ),
    "tiff-ycbcr": ("f.tif", saved(COLOURED8, "TIFF", "YCbCr"), r"6 \(YCbCr without JPEG\), expected grey"),
    "tiff-mask": ("f.tif", tiff(GREY_STRIP, photometric=4), r"4 \(transparency mask\), expected grey"),
    "tiff-fax": ("f.tif", saved(GREY8, "TIFF", "1", compression="group4"), r"CCITT group 4 compression \(4\)"),
    "tiff-jpeg-inks": ("f.tif", saved(GREY8, "TIFF", "CMYK", compression="jpeg"), "JPEG compression with CMYK"),
    "tiff-jpeg-planes": (
        "f.tif",
        tiff([JPEG_STRIP] * 3, compression=7, photometric=2, samples=3, more=[SEPARATE]),
        "JPEG compression with CMYK, a palette, extra samples or planes apart: save it as PNG",
    ),
    "tiff-jpeg-alpha": (
        "f.tif", tiff([JPEG_STRIP], compression=7, samples=2, extra=[2]), "JPEG compression with CMYK, a palette, extra"
    ),
    "tiff-unknown": ("f.tif", tiff(GREY_STRIP, compression=4711), r"unknown compression \(4711\): save it with"),
    "tiff-signed": ("f.tif", tiff(GREY_STRIP, more=[(339, 3, [2])]), "samples of 8 bits, signed; expected"),
    "tiff-signed-16": (
        "f.tif", tiff([packed(GREY16, 16)], bits=16, more=[(339, 3, [2])]), "samples of 16 bits, signed; expected"
    ),
    "tiff-float": ("f.tif", saved(GREY8, "TIFF", "F"), "samples of 32 bits, floating point; expected"),
    "tiff-32": ("f.tif", saved(GREY8, "TIFF", "I"), "samples of 32 bits, signed; expected"),
    "tiff-uneven": (
        "f.tif",
        rgb_tiff(np.dstack([GREY8] * 3)).replace(struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 8, 8, 6)),
        "samples of 6 and 8 bits",
    ),
    "tiff-two-pages": (
        "f.tif", saved(GREY8, "TIFF", save_all=True, append_images=[Image.fromarray(GREY8)]), "several pictures in one"
    ),
    "tiff-other-page-beyond-the-end": ("f.tif", tiff(GREY_STRIP, following=1 << 20), "several pictures in one file"),
    "tiff-stack": (
        "f.tif", tiff(GREY_STRIP, more=[(270, 2, list(b"ImageJ=1.53t\nimages=24\n\0"))]), "several pictures in one file"
    ),
    "tiff-other-inks": (
        "f.tif", tiff([packed(BLACK_ALONE, 8)], photometric=5, samples=4, more=[(332, 3, [2])]), "inks other than cyan"
    ),
    "tiff-no-palette": ("f.tif", tiff(GREY_STRIP, photometric=3), "the palette has 0 values, expected 768"),
    "tiff-rgb-of-two": ("f.tif", tiff(GREY_STRIP, photometric=2, samples=2), "2 samples a pixel, expected 3 to 8"),
    "tiff-twice": (
        "f.tif", tiff(GREY_STRIP, more=[(262, 3, [0])]), "tag 262 is there twice"
    ),
    "tiff-huge-tile": (
        "f.tif", tiff(GREY_STRIP, tile=1 << 20), "strips or tiles of 1048576x1048576, expected"
    ),
    "tiff-strip-missing": (
        "f.tif", tiff([packed(GREY8[:20], 8)], rows_a_strip=20), "1 strips or tiles and 1 lengths of them, expected 2"
    ),
    "tiff-tile-missing": ("f.tif", tiff(tiles(GREY8, 16, 8)[:-1], tile=16), "11 strips or tiles .* expected 12"),
    "tiff-strip-short": ("f.tif", tiff([packed(GREY8, 8)[:-1]]), "strip or tile 0: 1960 bytes, expected 1961"),
    "tiff-cut": ("f.tif", tiff(GREY_STRIP)[:-1], "strip or tile 0: 1960 of its 1961 bytes are there"),
    "png-animation": (
        "f.png", png(GREY8, 8, 0, chunk(b"acTL", struct.pack(">II", 2, 0))), r"several pictures in one file \(an anim"
    ),
    "jpeg-several": (
        "f.jpg",
        with_segment(saved(GREY8, "JPEG"), 0xE2, b"MPF\0" + directory([(0xB001, 4, [2])], ">")),
        r"several pictures in one file \(MPF states 2\)",
    ),
    "jpeg-several-damaged": (
        "f.jpg", with_segment(saved(GREY8, "JPEG"), 0xE2, b"MPF\0nothing"), "a damaged index of several pictures"
    ),
    "jpeg-inks-of-unknown-polarity": ("f.jpg", _without(JPEG_INKS, b"\xff\xee"), "CMYK picture that does not state"),
    "jpeg-2000-colour": (
        "f.j2k",
        bytes(imagecodecs.jpeg2k_encode(COLOURED8, codecformat="j2k", reversible=True)),
        "3 components in a JPEG 2000 picture, expected 1: save it as grey",
    ),
    "tiff-directory-beyond-any-file": (
        "f.tif", b"II+\0\x08\0\0\0" + b"\xff" * 8, "ends within its directory"
    ),
    "jpeg-ls-colour": (
        "f.jls", bytes(imagecodecs.jpegls_encode(COLOURED8)), "3 components in a JPEG-LS picture, expected 1"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    file_name, data, reason = REFUSED[name]
    with pytest.raises(SourceError, match=reason):
        read(tmp_path, file_name, data)


TRAILERS = [b"\0", b"x" * 600, b"\xff\xd8\xff\xd9" * 20, saved(GREY8, "PNG")]
ENDED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "jpeg": ("f.jpg", lambda: saved(GREY8, "JPEG")),
    "jpeg-colour": ("f.jpg", lambda: saved(TRACE8, "JPEG")),
    "jpeg-progressive": ("f.jpg", lambda: saved(GREY8, "JPEG", progressive=True)),
    "jpeg-lossless": ("f.jpg", lambda: bytes(imagecodecs.jpeg8_encode(GREY8, lossless=True, predictor=1))),
    "jpeg-ls": ("f.jls", lambda: bytes(imagecodecs.jpegls_encode(GREY8))),
    "jpeg-2000": ("f.j2k", lambda: bytes(imagecodecs.jpeg2k_encode(GREY8, codecformat="j2k", reversible=True))),
    "png": ("f.png", lambda: saved(GREY8, "PNG")),
    "bmp": ("f.bmp", lambda: saved(GREY8, "BMP")),
    "tiff": ("f.tif", lambda: tiff(GREY_STRIP)),
}


@pytest.mark.parametrize("name", ENDED)
def test_bytes_after_the_end_change_nothing(name: str, tmp_path: Path) -> None:
    file_name, made = ENDED[name]
    whole = made()
    _, expected = read(tmp_path, file_name, whole)
    for trailer in TRAILERS:
        assert np.array_equal(read(tmp_path, file_name, whole + trailer)[1], expected)


@pytest.mark.parametrize("name", ENDED)
def test_a_picture_cut_short_is_refused_whatever_follows(name: str, tmp_path: Path) -> None:
    file_name, made = ENDED[name]
    whole = made()
    for size in (len(whole) - 4, len(whole) * 7 // 8, len(whole) // 2):
        with pytest.raises(SourceError, match=r"incomplete|damaged"):
            read(tmp_path, file_name, whole[:size])
        if name not in ("bmp", "tiff"):  # whose pixels have no end of their own
            with pytest.raises(SourceError, match=r"incomplete|damaged"):
                read(tmp_path, file_name, whole[:size] + b"x" * 600)


def test_no_single_wrong_byte_makes_a_tiff_reader_stumble(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    for whole in (TIFF_FORMS["tiff-strips-zlib-white-big"][1], TIFF_FORMS["tiff-la-16-2-little"][1]):
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[rng.integers(0, 300)] = rng.choice([0, 1, 127, 128, 255])
            try:
                read(tmp_path, "f.tif", bytes(damaged))
            except SourceError:
                continue

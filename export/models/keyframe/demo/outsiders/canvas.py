"""What all drawers of outsiders share: grey from colour, random fields, words, and the way a picture gets damaged.

Not for: what a picture shows, which the other files draw.
A picture is (rows, columns) float32, grey in [0, 1], of any size and aspect.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Image as Sheet

Picture = NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[int, int, int]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as the readers of stills and video use
_LETTERS = tuple("aeioutnrslcdmpbgfhvkxyzw")
_LETTER_SHARE = np.array([9, 11, 7, 7, 3, 9, 7, 6, 6, 4, 3, 4, 3, 2, 2, 2, 2, 4, 1, 1, 1, 2, 1, 2], float)


def any_shape(rng: Rng) -> tuple[int, int]:
    """Rows and columns of a picture: mostly square or of a screen, 224 to 400 rows."""
    rows = int(rng.integers(224, 400))
    aspect = float(rng.choice([1.0, 1.0, 4 / 3, 16 / 9, 0.75, rng.uniform(0.7, 1.9)]))
    return rows, int(rows * aspect)


def small_shape(rng: Rng) -> tuple[int, int]:
    """As any_shape, but 224 to 320 rows, for what takes long to draw."""
    rows, columns = any_shape(rng)
    small = int(rng.integers(224, 320))
    return small, max(160, small * columns // rows)


def plain_sheet(shape: tuple[int, int], colour: Colour) -> tuple[Sheet, ImageDraw.ImageDraw]:
    """A sheet of one colour, and the pen for it."""
    sheet = Image.new("RGB", (shape[1], shape[0]), colour)
    return sheet, ImageDraw.Draw(sheet)


def picture_of(sheet: Sheet) -> Picture:
    """The luma of a colour sheet."""
    return np.asarray(sheet, np.float32) @ _LUMA / np.float32(255.0)


def light(rng: Rng) -> Colour:
    """A colour of paper: white, or nearly."""
    if rng.random() < 0.4:
        return (255, 255, 255)
    return _colour(rng.integers(205, 256, 3))


def dark(rng: Rng) -> Colour:
    """A colour of ink or of a dark screen."""
    return (0, 0, 0) if rng.random() < 0.4 else _colour(rng.integers(0, 75, 3))


def any_colour(rng: Rng) -> Colour:
    """Any colour at all."""
    return _colour(rng.integers(0, 256, 3))


def paper_and_ink(rng: Rng, dark_share: float = 0.0) -> tuple[Colour, Colour]:
    """Colours of background and writing. dark_share: how often the background is the dark one."""
    return (dark(rng), light(rng)) if rng.random() < dark_share else (light(rng), dark(rng))


def _colour(values: NDArray[np.int64]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries, letters about `size` pixels high."""
    return ImageFont.load_default(size=size)


def words(rng: Rng, count: int) -> str:
    """Made-up words and numbers, no patient's."""
    lengths = rng.integers(2, 10, count)
    letters = rng.choice(_LETTERS, size=int(lengths.sum()), p=_LETTER_SHARE / _LETTER_SHARE.sum())
    parts, start = [], 0
    for length in lengths:
        word = "".join(letters[start : start + length])
        start += length
        draw = rng.random()
        parts.append(f"{rng.uniform(0, 200):.1f}" if draw < 0.12 else word.capitalize() if draw < 0.3 else word)
    return " ".join(parts)


def cloud(rng: Rng, shape: tuple[int, int], cells: int) -> Picture:
    """A smooth random field with about `cells` hills along each side, mean near 0, standard deviation about 0.8."""
    coarse = rng.standard_normal((cells + 2, cells + 2)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def fractal(rng: Rng, shape: tuple[int, int], exponent: float, stretch: float = 1.0) -> Picture:
    """Random texture whose amplitude falls as frequency ** -exponent; mean 0, standard deviation 1.

    stretch: above 1 its grain runs down the columns, below 1 along the rows.
    """
    down = np.fft.fftfreq(shape[0])[:, None] * shape[0] * stretch
    across = np.fft.rfftfreq(shape[1])[None, :] * shape[1] / stretch
    radius = np.hypot(down, across)
    radius[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * radius**-exponent
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(field / field.std(), np.float32)


def soften(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; edges are continued. sigma: pixels, up to about 6."""
    reach = max(1, int(np.ceil(2.5 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        padded = np.pad(picture, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        length = picture.shape[axis]
        picture = np.zeros_like(picture, dtype=np.float32)
        for k, tap in enumerate(taps):
            picture += tap * (padded[k : k + length] if axis == 0 else padded[:, k : k + length])
    return picture


def grid(shape: tuple[int, int]) -> tuple[Picture, Picture]:
    """Row and column of every pixel as coordinates from -1 to 1 along the shorter side."""
    half = 0.5 * min(shape)
    down = (np.arange(shape[0], dtype=np.float32) - 0.5 * (shape[0] - 1)) / half
    across = (np.arange(shape[1], dtype=np.float32) - 0.5 * (shape[1] - 1)) / half
    return np.broadcast_to(down[:, None], shape), np.broadcast_to(across[None, :], shape)


def damaged(rng: Rng, picture: Picture) -> NDArray[np.uint8]:
    """The picture as somebody might have saved it: turned, framed, blurred, noisy, written on, compressed."""
    sheet = Image.fromarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8))
    edge = int(np.median(np.asarray(sheet)[0]))
    if rng.random() < 0.2:
        sheet = sheet.rotate(float(rng.normal(0.0, 5.0)), Image.Resampling.BILINEAR, fillcolor=edge)
    if rng.random() < 0.15:
        sheet = _framed(rng, sheet)
    if rng.random() < 0.12:
        _write_on(rng, sheet)
    grey = np.asarray(sheet, np.float32) / np.float32(255.0)
    if rng.random() < 0.35:
        grey = soften(grey, float(rng.uniform(0.4, 1.8)))
    if rng.random() < 0.4:
        grey = np.clip(grey, 0.0, 1.0) ** np.float32(np.exp(rng.normal(0.0, 0.3)))
    if rng.random() < 0.35:
        low, high = sorted(rng.uniform(0.0, 1.0, 2))
        grey = low * 0.5 + grey * max(0.15, 1.0 - 0.5 * (1.0 - high) - 0.5 * low)
    if rng.random() < 0.45:
        grey = grey + np.float32(rng.uniform(0.003, 0.05)) * rng.standard_normal(grey.shape, np.float32)
    pixels = np.rint(np.clip(grey, 0.0, 1.0) * 255.0).astype(np.uint8)
    return _compressed(pixels, int(rng.integers(15, 92))) if rng.random() < 0.4 else pixels


def _framed(rng: Rng, sheet: Sheet) -> Sheet:
    """Set into a wider black, white or grey frame."""
    wide, high = (int(size * rng.uniform(1.0, 1.4)) for size in sheet.size)
    around = Image.new("L", (wide, high), int(rng.choice([0, 0, 255, int(rng.integers(0, 256))])))
    around.paste(sheet, ((wide - sheet.width) // 2, (high - sheet.height) // 2))
    return around


def _write_on(rng: Rng, sheet: Sheet) -> None:
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(1, 5))):
        at = (int(rng.uniform(0, 0.7) * sheet.width), int(rng.choice([0.02, 0.08, 0.88, 0.94]) * sheet.height))
        shade = int(rng.choice([0, 255]))
        draw.text(at, words(rng, int(rng.integers(1, 5))), fill=shade, font=font(int(rng.integers(8, 18))))


def _compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))

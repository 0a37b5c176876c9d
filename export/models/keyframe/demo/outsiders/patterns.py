"""Test signals and screens: what a line carries when no camera does.

Not for: diagrams and charts (drawings.py).
"""

from __future__ import annotations

import numpy as np

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Picture,
    Rng,
    any_colour,
    any_shape,
    dark,
    font,
    grid,
    light,
    picture_of,
    plain_sheet,
    words,
)


def bars(rng: Rng) -> Picture:
    """Stripes of any colours, upright or lying, even or not, perhaps with a second row of others."""
    shape = any_shape(rng)
    picture = _stripes(rng, shape)
    if rng.random() < 0.5:
        rows = int(shape[0] * rng.uniform(0.15, 0.5))
        picture[-rows:] = _stripes(rng, (rows, shape[1]))
    return picture.T.copy() if rng.random() < 0.35 else picture


def _stripes(rng: Rng, shape: tuple[int, int]) -> Picture:
    count = int(rng.integers(3, 20))
    shades = rng.uniform(0.0, 1.0, count) if rng.random() < 0.6 else np.linspace(0.0, 1.0, count)
    edges = np.sort(rng.uniform(0.0, 1.0, count - 1)) if rng.random() < 0.3 else np.arange(1, count) / count
    across = np.digitize(np.linspace(0.0, 1.0, shape[1], endpoint=False), edges)
    return np.tile(shades[across].astype(np.float32), (shape[0], 1))


def grating(rng: Rng) -> Picture:
    """Lines, squares or dots that repeat, straight or aslant, of one pitch or of a pitch that changes."""
    down, across = grid(any_shape(rng))
    turn = float(rng.choice([0.0, 0.0, np.pi / 4, rng.uniform(0.0, np.pi)]))
    u, v = down * np.cos(turn) + across * np.sin(turn), across * np.cos(turn) - down * np.sin(turn)
    pitch = float(rng.uniform(3.0, 40.0))
    swept = float(rng.choice([0.0, 0.0, rng.uniform(0.3, 1.5)]))
    first, second = np.sin(pitch * u * (1.0 + swept * u)), np.sin(pitch * v)
    kind = int(rng.integers(4))
    wave = (first, first * second, np.maximum(np.abs(first), np.abs(second)) - 0.9, first + second - 1.0)[kind]
    if rng.random() < 0.7:
        wave = np.sign(wave)
    return np.asarray(0.5 + 0.5 * wave, np.float32)


def resolution_chart(rng: Rng) -> Picture:
    """A star of wedges, rings, groups of fine lines and a cross: for focus and geometry."""
    shape = rows, columns = any_shape(rng)
    down, across = grid(shape)
    radius, angle = np.hypot(down, across), np.arctan2(down, across)
    picture = np.full(shape, float(rng.uniform(0.4, 1.0)), np.float32)
    star = np.sign(np.sin(angle * int(rng.integers(6, 48))))
    within = radius < rng.uniform(0.3, 0.9)
    if rng.random() < 0.7:
        picture[within] = 0.5 + 0.5 * star[within]
    else:
        picture[within] = (0.5 + 0.5 * np.cos(rng.uniform(15.0, 80.0) * radius**2))[within]
    for _ in range(int(rng.integers(2, 12))):
        high, wide = int(rng.integers(12, rows // 4)), int(rng.integers(12, columns // 4))
        row, column = int(rng.integers(rows - high)), int(rng.integers(columns - wide))
        pitch = int(rng.integers(1, 7))
        lines = (np.arange(wide) // pitch % 2).astype(np.float32)
        picture[row : row + high, column : column + wide] = lines if rng.random() < 0.5 else lines[:high, None].max()
    if rng.random() < 0.6:
        picture[rows // 2] = picture[:, columns // 2] = 0.0
    return picture


def ramp(rng: Rng) -> Picture:
    """Grey that changes along a line or away from a point: in steps, again and again, or steadily behind a message."""
    shape = any_shape(rng)
    down, across = grid(shape)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    value = down * np.sin(turn) + across * np.cos(turn) if rng.random() < 0.7 else np.hypot(down, across)
    value = (value - value.min()) / np.ptp(value)
    kind, steps = int(rng.integers(3)), int(rng.integers(3, 24))
    if kind == 0:
        return np.asarray(np.floor(value * steps) / steps, np.float32)
    if kind == 1:
        return np.asarray(value * min(steps, 9) % 1.0, np.float32)
    return _with_message(rng, np.asarray(value, np.float32))  # an empty field alone may be just as smooth


def flat_message(rng: Rng) -> Picture:
    """One colour all over, and in it a message, a logo or a circle that turns: no signal."""
    sheet, draw = plain_sheet(any_shape(rng), any_colour(rng))
    if rng.random() < 0.5:
        x, y = float(rng.uniform(0.2, 0.8)) * sheet.width, float(rng.uniform(0.2, 0.8)) * sheet.height
        size = float(rng.uniform(0.03, 0.25)) * sheet.height
        draw.regular_polygon((x, y, size), int(rng.integers(3, 9)), float(rng.uniform(0, 360)), any_colour(rng))
        draw.arc((x - size, y - size, x + size, y + size), 0, int(rng.integers(90, 360)), any_colour(rng), 4)
    return _with_message(rng, picture_of(sheet))


def _with_message(rng: Rng, picture: Picture) -> Picture:
    sheet, draw = plain_sheet((picture.shape[0], picture.shape[1]), (0, 0, 0))
    at = (float(rng.uniform(0.05, 0.5)) * sheet.width, float(rng.uniform(0.1, 0.8)) * sheet.height)
    draw.text(at, words(rng, int(rng.integers(1, 4))), fill=(255, 255, 255), font=font(int(rng.integers(12, 48))))
    ink = picture_of(sheet)
    return np.asarray(picture * (1.0 - ink) + ink * (1.0 if picture.mean() < 0.5 else 0.0), np.float32)


def desktop(rng: Rng) -> Picture:
    """A computer's screen: windows with title bars, lists, buttons and icons."""
    sheet, draw = plain_sheet(any_shape(rng), any_colour(rng))
    wide, high = sheet.size
    for _ in range(int(rng.integers(1, 5))):
        left, top = float(rng.uniform(0.0, 0.5)) * wide, float(rng.uniform(0.0, 0.5)) * high
        right, bottom = left + float(rng.uniform(0.3, 0.7)) * wide, top + float(rng.uniform(0.3, 0.7)) * high
        body, ink = (light(rng), dark(rng)) if rng.random() < 0.65 else (dark(rng), light(rng))
        draw.rectangle((left, top, right, bottom), fill=body, outline=ink)
        draw.rectangle((left, top, right, top + 14), fill=any_colour(rng))
        for y in np.arange(top + 20, bottom - 14, float(rng.uniform(11, 24))).tolist():
            if rng.random() < 0.2:
                draw.rectangle((left + 6, y, left + 60, y + 10), fill=any_colour(rng), outline=ink)
            draw.text((left + 8, y), words(rng, int(rng.integers(1, 5))), fill=ink, font=font(9))
    for x in np.arange(4, wide, float(rng.uniform(20, 50))).tolist():
        draw.rectangle((x, high - 16, x + 12, high - 4), fill=any_colour(rng))
    return picture_of(sheet)

"""Scenes before a camera: country, sky, sea, streets, rooms, faces, many things at once.

Not for: surfaces without a place (nature.py), still lifes and single things (photographs.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Colour,
    Picture,
    Rng,
    cloud,
    fractal,
    grid,
    picture_of,
    plain_sheet,
    small_shape,
    soften,
)


def hills(rng: Rng) -> Picture:
    """Ridges one behind the other, paler with distance, under a sky by day, dusk or night; perhaps woods or a lake."""
    shape = rows, columns = small_shape(rng)
    down = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None]
    picture = _sky(rng, shape)
    haze, near = float(picture[rows // 3].mean()), float(rng.uniform(0.03, 0.45))
    count = int(rng.integers(1, 7))
    tops = np.sort(rng.uniform(0.2, 0.85, count))
    for k, top in enumerate(tops.tolist()):
        share = (k + 1) / count
        steep = float(rng.uniform(1.1, 2.2))
        line = _ridge(rng, columns, steep) * rng.uniform(0.02, 0.14) * (1.3 - top)
        if rng.random() < 0.35:  # a wood stands on it
            line = line + rng.uniform(0.005, 0.03) * np.repeat(rng.random(columns // 3 + 1), 3)[:columns]
        level = haze * (1.0 - share) + near * share + rng.normal(0.0, 0.05)
        ground = level * (1.0 + share * rng.uniform(0.02, 0.3) * fractal(rng, shape, rng.uniform(0.7, 1.3), 0.8))
        ground = ground + rng.uniform(-0.2, 0.4) * (down - top)
        picture = np.where(down > top + line[None, :], ground, picture)
    if rng.random() < 0.25:
        shore = int(rows * rng.uniform(0.65, 0.9))
        mirror = picture[shore - 1 : 2 * shore - rows - 1 : -1] if 2 * shore > rows else picture[shore:][::-1]
        shake = (3.0 * rng.standard_normal(rows - shore)).astype(int)
        rolled = np.stack([np.roll(line, by) for line, by in zip(mirror, shake, strict=True)])
        picture[shore:] = rolled * np.float32(rng.uniform(0.6, 0.95))
    return np.asarray(picture, np.float32)


def _sky(rng: Rng, shape: tuple[int, int]) -> Picture:
    """Grey that changes towards the horizon, clouds, perhaps a sun or a moon with its glow."""
    down, across = grid(shape)
    zenith, horizon = rng.uniform(0.05, 0.9, 2)
    sky = np.float32(zenith) + np.float32(horizon - zenith) * 0.5 * (down + 1.0)
    if rng.random() < 0.7:
        veil = fractal(rng, shape, float(rng.uniform(1.2, 1.8)), float(rng.uniform(0.4, 1.0)))
        sky = sky + np.float32(rng.uniform(0.1, 0.4)) * np.clip(veil - rng.uniform(-0.5, 1.2), 0.0, 1.5)
    if rng.random() < 0.35:
        away = np.hypot(down - rng.uniform(-0.9, 0.0), across - rng.uniform(-1.0, 1.0))
        sky = sky + 0.5 * np.exp(-((away / rng.uniform(0.1, 0.6)) ** 2)) + (away < rng.uniform(0.03, 0.12))
    return np.asarray(sky, np.float32)


def _ridge(rng: Rng, columns: int, steep: float) -> NDArray[np.float64]:
    """A line whose bends shrink with their length: standard deviation 1."""
    waves = np.arange(1, 120)
    spectrum = np.zeros(columns // 2 + 1, complex)
    kept = min(len(waves), len(spectrum) - 1)
    spectrum[1 : kept + 1] = (rng.standard_normal(kept) + 1j * rng.standard_normal(kept)) * waves[:kept] ** -steep
    line = np.fft.irfft(spectrum, 2 * (columns // 2 + 1))[:columns]
    return np.asarray(line / line.std())


def cloud_sky(rng: Rng) -> Picture:
    """Clouds with a lit and a shaded side, flocked or in streets; perhaps the land's edge and birds."""
    shape = rows, columns = small_shape(rng)
    thick = np.clip(fractal(rng, shape, float(rng.uniform(1.3, 2.0)), float(rng.uniform(0.5, 1.1))), -3.0, 3.0)
    thick = soften(thick - np.float32(rng.uniform(-0.8, 0.8)), 1.0)
    across, down = (float(v) for v in rng.normal(0.0, 1.0, 2))
    light = np.gradient(thick, axis=0) * down + np.gradient(thick, axis=1) * across
    cover = np.clip(thick / rng.uniform(0.3, 1.5), 0.0, 1.0)
    blue = np.linspace(rng.uniform(0.15, 0.7), rng.uniform(0.15, 0.7), rows, dtype=np.float32)[:, None]
    body = rng.uniform(0.55, 1.0) - rng.uniform(0.0, 0.25) * thick + rng.uniform(0.5, 2.5) * light
    picture = blue * (1.0 - cover) + body * cover
    if rng.random() < 0.35:
        edge = rng.uniform(0.8, 0.95) + 0.02 * _ridge(rng, columns, 1.0)
        picture = np.where(np.linspace(0.0, 1.0, rows)[:, None] > edge[None, :], rng.uniform(0.0, 0.2), picture)
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    for _ in range(int(rng.integers(0, 12)) if rng.random() < 0.3 else 0):
        x, y, size = rng.uniform(0, columns), rng.uniform(0, 0.7 * rows), rng.uniform(3, 10)
        draw.line((x - size, y - 0.5 * size, x, y, x + size, y - 0.4 * size), fill=(255, 255, 255), width=2)
    return np.asarray(picture * (1.0 - 0.9 * picture_of(sheet)), np.float32)


def seashore(rng: Rng) -> Picture:
    """Water up to the horizon: waves that crowd with distance, foam, the sky above, a beach or a boat."""
    shape = small_shape(rng)
    horizon = float(rng.uniform(-0.6, 0.3))
    down, across = grid(shape)
    depth = 1.0 / np.maximum(down - horizon, 0.02)
    sea = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(4, 9))):
        pitch, slant = float(rng.uniform(2.0, 16.0)), float(rng.normal(0.0, 0.5))
        phase = pitch * (depth + slant * across * depth) + rng.uniform(0.0, 6.3)
        sea += np.sin(phase + 0.6 * np.sin(phase)) / pitch**0.5
    sea = sea / np.float32(sea.std()) * np.minimum(1.0, 6.0 / depth)
    level = rng.uniform(0.15, 0.6)
    water = level + rng.uniform(0.05, 0.2) * sea + rng.uniform(0.0, 0.3) / depth
    foam = fractal(rng, shape, 0.9, 0.5) + 0.7 * sea
    water = np.where(foam > rng.uniform(1.2, 3.0), 0.95, water)
    glint = np.exp(-(((across - rng.uniform(-0.8, 0.8)) / rng.uniform(0.1, 0.5)) ** 2)) * (sea > 0.6)
    water = water + rng.uniform(0.0, 0.6) * glint
    if rng.random() < 0.4:
        line = rng.uniform(0.4, 0.9) + 0.25 * across + 0.04 * _ridge(rng, shape[1], 1.5)[None, :]
        sand = rng.uniform(0.5, 0.8) + 0.08 * fractal(rng, shape, 0.6)
        water = np.where(down > line, sand, np.where(down > line - 0.06, 0.9, water))
    picture = np.where(down > horizon, water, _sky(rng, shape))
    if rng.random() < 0.35:
        row, column, size = horizon, float(rng.uniform(-0.7, 0.7)), float(rng.uniform(0.05, 0.2))
        sail = (np.abs(across - column) < 0.4 * (down - row + size)) & (down < row) & (down > row - size)
        picture = np.where(sail, rng.uniform(0.0, 1.0), picture)
    return np.asarray(picture, np.float32)


def street(rng: Rng) -> Picture:
    """Houses on both sides of a road to its vanishing point: windows, roofs of several heights, sky, markings."""
    shape = small_shape(rng)
    down, across = grid(shape)
    down, across = down - np.float32(rng.uniform(-0.1, 0.4)), across - np.float32(rng.uniform(-0.5, 0.5))
    picture = _sky(rng, shape) * 0.7 + 0.25
    half = float(rng.uniform(0.6, 1.5))
    road = 1.0 / np.maximum(down, 1e-3)
    lane = np.abs(across * road)
    floor = rng.uniform(0.15, 0.5) + 0.04 * fractal(rng, shape, 0.7)
    marks = (lane < 0.05) & (road * 2.0 % 1.0 < 0.5) | (np.abs(lane - half * 0.8) < 0.03)
    picture = np.where(down > 0, np.where(marks, 0.85, floor), picture)
    for side in (-1.0, 1.0):
        depth = half / np.maximum(side * across, 1e-3)
        high = -down * depth  # above the eye
        number = np.floor(depth * float(rng.uniform(0.4, 1.2))).astype(int) % 40
        tops, shades = rng.uniform(0.6, 3.5, 40), rng.uniform(0.1, 0.85, 40)
        wall = shades[number] * (1.1 if side > 0 else rng.uniform(0.5, 1.0))
        pitch = rng.uniform(2.0, 6.0, 2)
        u, v = depth * pitch[0] % 1.0, high * pitch[1] % 1.0
        window = (np.abs(u - 0.5) < rng.uniform(0.2, 0.4)) & (np.abs(v - 0.5) < rng.uniform(0.2, 0.4))
        pane = rng.uniform(0.0, 1.0, 997)[
            (np.floor(depth * pitch[0]) * 31 + np.floor(high * pitch[1])).astype(int) % 997
        ]
        wall = np.where(window & (high > -0.3), rng.uniform(0.0, 0.3) + 0.6 * pane * rng.uniform(0.0, 1.0), wall)
        seen = (side * across > 1e-3) & (high < tops[number]) & (high > -1.0) & (depth < 12.0)
        picture = np.where(seen, wall * (0.8 + 0.2 / (1.0 + 0.2 * depth)), picture)
    return soften(np.asarray(picture, np.float32), float(rng.uniform(0.4, 0.8)))


def room(rng: Rng) -> Picture:
    """A room seen from its door: floor in tiles or boards, walls, a window, boxes of furniture."""
    shape = small_shape(rng)
    down, across = grid(shape)
    off = rng.uniform(-0.25, 0.25, 2).astype(np.float32)
    y, x = down - off[0], across - off[1]
    wide, high, back = rng.uniform(1.0, 1.8), rng.uniform(0.8, 1.2), float(rng.uniform(1.6, 4.0))
    away = np.minimum(np.minimum(wide / np.maximum(np.abs(x), 1e-3), high / np.maximum(np.abs(y), 1e-3)), back)
    left_right, up_down = x * away, y * away
    tiles = rng.uniform(1.0, 5.0, 2)
    tile = (np.floor(left_right * tiles[0]) + np.floor(away * tiles[1])) % 2
    floor = rng.uniform(0.2, 0.7) + rng.uniform(0.0, 0.25) * tile
    walls = np.where(away >= back - 1e-3, rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.8))
    onto = np.abs(y) * away >= high - 1e-3
    picture = np.where(onto & (y > 0), floor, np.where(onto, rng.uniform(0.6, 1.0), walls))
    middle, size = rng.uniform(-0.6, 0.4, 2), rng.uniform(0.2, 0.5, 2)
    in_window = (np.abs(left_right - middle[0]) < size[0]) & (np.abs(up_down - 0.5 * middle[1]) < size[1])
    bars = (np.abs(left_right - middle[0]) < 0.03) | (np.abs(up_down - 0.5 * middle[1]) < 0.03)
    picture = np.where(in_window & (away >= back - 1e-3), np.where(bars, 0.3, rng.uniform(0.7, 1.3)), picture)
    picture = picture * (1.0 - 0.12 * away / back) * (1.0 + 0.15 * cloud(rng, shape, 3))
    for _ in range(int(rng.integers(1, 7))):
        left, width, foot = rng.uniform(-1.3, 1.0), rng.uniform(0.1, 0.7), rng.uniform(0.4, 1.0)
        top = foot - rng.uniform(0.1, 0.9)
        inside = (x > left) & (x < left + width) & (y > top) & (y < foot)
        front = y > top + rng.uniform(0.0, 0.15)
        shade = rng.uniform(0.05, 0.9)
        picture = np.where(inside, np.where(front, shade, min(1.0, 1.3 * shade + 0.1)), picture)
    return soften(np.asarray(picture * (1.0 + 0.03 * fractal(rng, shape, 1.0)), np.float32), 0.7)


def portrait(rng: Rng) -> Picture:
    """Head and shoulders before a soft ground: skin lit from one side, hair, eyes, mouth."""
    shape = small_shape(rng)
    down, across = grid(shape)
    picture = np.float32(rng.uniform(0.05, 0.95)) + np.float32(rng.uniform(0.02, 0.2)) * cloud(rng, shape, 4)
    row, column, size = rng.uniform(-0.3, 0.05), rng.uniform(-0.4, 0.4), rng.uniform(0.35, 0.65)
    tilt = float(rng.normal(0.0, 0.12))
    y, x = (down - row) / size, (across - column) / size
    y, x = y * np.cos(tilt) + x * np.sin(tilt), x * np.cos(tilt) - y * np.sin(tilt)
    skin, hair, cloth = rng.uniform(0.25, 0.9), rng.uniform(0.02, 0.6), rng.uniform(0.05, 0.95)
    strands = np.float32(0.2) * fractal(rng, shape, 0.9, float(rng.choice([0.3, 3.0])))
    turn = float(rng.uniform(-0.9, 0.9))
    body = (x / 1.7) ** 2 + ((y - 2.1) / 1.1) ** 2
    picture = np.where(body < 1.0, cloth * (0.9 + 0.3 * turn * x + 0.4 * strands), picture)
    picture = np.where((np.abs(x) < 0.35) & (y > 0.5) & (y < 1.2), 0.75 * skin, picture)
    long = float(rng.uniform(0.1, 1.4))
    mop = (x / rng.uniform(0.8, 1.05)) ** 2 + ((y + 0.15) / np.where(y > 0, long, 1.0)) ** 2
    picture = np.where(mop < 1.0, hair * (1.0 + 2.0 * strands) + 0.05, picture)
    face = (x / 0.68) ** 2 + (y / np.where(y > 0, 0.95, 0.8)) ** 2
    lit = 1.0 + 0.35 * turn * x / 0.68 - 0.25 * np.clip(face, 0.0, 1.0) ** 2 + 0.04 * strands
    for side in (-0.28, 0.28):
        lit = lit - 0.55 * np.exp(-(((x - side) / 0.13) ** 2) - ((y + 0.1) / 0.07) ** 2)
        lit = lit - 0.4 * np.exp(-(((x - side) / 0.18) ** 2) - ((y + 0.27) / 0.04) ** 2)
    lit = lit - 0.25 * np.exp(-(((x - 0.12 * np.sign(turn)) / 0.09) ** 2) - ((y - 0.15) / 0.2) ** 2)
    lit = lit - 0.4 * np.exp(-((x / 0.24) ** 2) - (((y - 0.5 - rng.uniform(-0.15, 0.1) * x**2) / 0.06) ** 2))
    picture = np.where((face < 1.0) & (y > -rng.uniform(0.45, 0.75)), skin * lit, picture)
    return soften(np.asarray(picture, np.float32), float(rng.uniform(0.6, 2.0)))


def crowd(rng: Rng) -> Picture:
    """Very many round things, near ones before far ones: people's heads, fruit, pebbles, balloons."""
    grey = int(rng.integers(0, 256))
    sheet, draw = plain_sheet(small_shape(rng), (grey, grey, grey))
    wide, high = sheet.size
    near, far = float(rng.uniform(0.04, 0.14)) * high, float(rng.uniform(0.15, 1.0))
    flat, people = float(rng.uniform(0.7, 1.1)), rng.random() < 0.4
    low, spread = int(rng.integers(20, 200)), int(rng.integers(10, 120))
    y = float(rng.uniform(-0.05, 0.3)) * high
    while y < high + near:
        size = near * (far + (1.0 - far) * max(0.0, y / high))
        for x in np.arange(-size, wide + size, 1.7 * size).tolist():
            cx, cy = x + float(rng.normal(0, 0.4)) * size, y + float(rng.normal(0, 0.3)) * size
            shade = int(np.clip(low + rng.normal(0, spread), 8, 235))
            if people:
                draw.ellipse((cx - 1.5 * size, cy + 0.8 * size, cx + 1.5 * size, cy + 3 * size), fill=_grey(shade))
                shade = int(np.clip(low + rng.normal(0, spread), 8, 235))
            for share, bright in ((1.0, 0.55), (0.85, 0.8), (0.6, 1.0), (0.22, 1.35)):
                part = share * size
                mx, my = cx - 0.3 * (1.0 - share) * size, cy - 0.4 * (1.0 - share) * size
                draw.ellipse((mx - part, my - flat * part, mx + part, my + flat * part), fill=_grey(shade * bright))
        y += max(2.0, size * float(rng.uniform(0.9, 1.4)))
    return soften(picture_of(sheet), float(rng.uniform(0.5, 1.2)))


def _grey(shade: float) -> Colour:
    level = int(min(shade, 255))
    return level, level, level

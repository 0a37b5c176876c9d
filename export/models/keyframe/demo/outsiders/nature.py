"""Surfaces of nature that fill the picture: wood, marble, stones, leaves, water, sand, fur.

Not for: things with a place and a horizon (scenes.py), plain random fields (photographs.texture).
"""

from __future__ import annotations

import numpy as np

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
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


def wood(rng: Rng) -> Picture:
    """Year rings cut along or across, fibres, knots, and the seams of planks."""
    shape = small_shape(rng)
    down, across = grid(shape)
    planks = int(rng.integers(1, 6))
    number = np.clip(np.floor((across + 2.0) / 4.0 * 2.0 * planks), 0, 2 * planks - 1).astype(int)
    shift = rng.uniform(-2.0, 2.0, 2 * planks)[number] if planks > 1 else np.float32(rng.uniform(-0.5, 0.5))
    along = float(rng.choice([0.02, 0.1, 0.3, 1.0]))
    y, x = down * along + shift * along, across + 0.4 * shift + 0.08 * cloud(rng, shape, 3)
    for _ in range(int(rng.integers(0, 4))):
        row, column, size = rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9), rng.uniform(0.05, 0.25)
        near = np.exp(-(((down - row) / 2.0) ** 2 + (across - column) ** 2) / size**2)
        x = x + rng.uniform(0.2, 0.6) * near * np.sign(across - column)
    ring = np.hypot(y, x) * float(rng.uniform(6.0, 30.0)) + 0.15 * fractal(rng, shape, 1.3)
    early = ring % 1.0
    fibre = fractal(rng, shape, float(rng.uniform(0.5, 0.9)), float(rng.uniform(3.0, 10.0)))
    grey = rng.uniform(0.3, 0.8) + rng.uniform(-0.4, 0.4) * early ** rng.uniform(1.0, 4.0)
    grey = grey + rng.uniform(0.02, 0.12) * fibre
    if planks > 1:
        grey = grey + 0.15 * rng.standard_normal(2 * planks)[number]
        seam = np.diff(number, axis=1, prepend=number[:, :1]) != 0
        grey = np.where(seam, 0.1, grey)
    return _turned(rng, np.asarray(grey, np.float32))


def marble(rng: Rng) -> Picture:
    """Veins where a bent wave passes zero, of two sizes, over clouded stone."""
    shape = small_shape(rng)
    down, across = grid(shape)
    turn = float(rng.uniform(0.0, np.pi))
    bend = fractal(rng, shape, float(rng.uniform(1.5, 2.3)))
    grey = np.float32(rng.uniform(0.2, 0.9)) + np.float32(rng.uniform(0.01, 0.08)) * fractal(rng, shape, 1.4)
    for scale in (1.0, float(rng.uniform(2.0, 5.0))):
        wave = scale * rng.uniform(1.5, 6.0) * (down * np.cos(turn) + across * np.sin(turn))
        wave = np.sin(wave + scale**0.5 * rng.uniform(0.8, 3.0) * bend)
        vein = (1.0 - np.abs(wave)) ** float(rng.uniform(2.0, 14.0))
        grey = grey + np.float32(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.7) / scale**0.5) * vein
    return np.asarray(grey, np.float32)


def cobbles(rng: Rng) -> Picture:
    """A plane shared among many centres: pavement, pebbles, cracked mud, scales, foam, a giraffe's coat."""
    shape = small_shape(rng)
    down, across = grid(shape)
    size = float(rng.uniform(2.5, 12.0))
    squash = float(np.exp(rng.normal(0.0, 0.3)))
    y, x = down * size / squash, across * size * squash
    if rng.random() < 0.5:
        bend = 0.3 * cloud(rng, shape, 6)
        y, x = y + bend, x + 0.3 * cloud(rng, shape, 6)
    if rng.random() < 0.3:  # a pavement that runs away from the camera
        away = 1.0 / (1.3 - 0.5 * (down + 1.0) * rng.uniform(0.5, 1.0))
        y, x = size * away * 2.0, across * size / away
    top, left = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    jitter = np.float32(rng.uniform(0.4, 1.0))
    shifts = rng.random((2, 4096), np.float32) * jitter
    first, second = np.full(shape, 9.0, np.float32), np.full(shape, 9.0, np.float32)
    owner = np.zeros(shape, np.int32)
    for step_down in (-1, 0, 1):
        for step_across in (-1, 0, 1):
            cell = ((top + step_down) * 73 + (left + step_across) * 29) % 4096
            away = np.hypot(top + step_down + shifts[0][cell] - y, left + step_across + shifts[1][cell] - x)
            closer = away < first
            second = np.where(closer, first, np.minimum(second, away))
            owner = np.where(closer, cell, owner)
            first = np.where(closer, away, first)
    inside = np.clip((second - first) / np.float32(rng.uniform(0.15, 0.8)), 0.0, 1.0)
    shades = rng.uniform(0.3, 0.8) + rng.uniform(0.0, 0.2) * rng.standard_normal(4096)
    dome = soften(np.asarray(np.sqrt(inside), np.float32), 1.0)
    lit = np.gradient(dome, axis=0) * rng.normal(0, 3) + np.gradient(dome, axis=1) * rng.normal(0, 3)
    rough = 1.0 + rng.uniform(0.0, 0.25) * fractal(rng, shape, 0.8)
    body = shades[owner] * rough + lit
    joint = float(rng.choice([0.08, 0.1, rng.uniform(0.0, 1.0)]))
    edge = np.clip((second - first) / rng.uniform(0.05, 0.25), 0.0, 1.0)
    return np.asarray(body * edge + joint * (1.0 - edge), np.float32)


def foliage(rng: Rng) -> Picture:
    """Leaves over leaves: dark ones deep inside, light ones in front, with their ribs; here and there a flower."""
    deep = int(rng.integers(0, 60))
    sheet, draw = plain_sheet(small_shape(rng), (deep, deep, deep))
    wide, high = sheet.size
    size, slim = float(rng.uniform(7.0, 40.0)), float(rng.uniform(0.12, 0.5))
    heading, spread = float(rng.uniform(0.0, 6.3)), float(rng.choice([0.3, 0.8, 3.0]))
    count = int(np.clip(2.2 * wide * high / (size * size * slim * 2.0), 60, 900))
    bright = float(rng.uniform(90, 240))
    along = np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.5, 0.0, -0.5])
    aside = np.array([0.0, 0.75, 1.0, 0.65, 0.0, -0.65, -1.0, -0.75]) * slim
    for k in range(count):
        depth = k / count
        turn = heading + float(rng.normal(0.0, spread))
        length = size * float(rng.uniform(0.5, 1.2))
        x, y = float(rng.uniform(0, wide)), float(rng.uniform(0, high))
        shade = deep + (bright - deep) * (0.15 + 0.85 * depth) * float(rng.uniform(0.5, 1.0))
        if rng.random() < 0.02:
            shade = 250.0
        cosine, sine = np.cos(turn) * length, np.sin(turn) * length
        corners = np.stack([x + along * cosine - aside * sine, y + along * sine + aside * cosine], axis=1)
        fill, rib = int(shade), int(min(255.0, 1.25 * shade))
        draw.polygon([tuple(corner) for corner in corners.tolist()], fill=(fill, fill, fill))
        draw.line((x - cosine, y - sine, x + cosine, y + sine), fill=(rib, rib, rib))
    picture = soften(picture_of(sheet), float(rng.uniform(0.4, 1.2)))
    return np.asarray(picture * (1.0 + 0.3 * cloud(rng, picture.shape, 3)), np.float32)


def ripples(rng: Rng) -> Picture:
    """Water from above: crossing waves, rings from drops, and the bright net of light on the ground below."""
    shape = small_shape(rng)
    down, across = grid(shape)
    surface = np.zeros(shape, np.float32)
    heading, spread = rng.uniform(0.0, 6.3), rng.choice([0.3, 1.0, 3.0])
    for _ in range(int(rng.integers(5, 14))):
        turn, pitch = heading + rng.normal(0.0, spread), float(np.exp(rng.uniform(1.8, 3.8)))
        bent = 0.15 * cloud(rng, shape, 3)
        surface += (
            np.sin(pitch * (down * np.sin(turn) + across * np.cos(turn) + bent) + rng.uniform(0, 6.3)) / pitch**0.7
        )
    for _ in range(int(rng.integers(1, 6)) if rng.random() < 0.4 else 0):
        away = np.hypot(down - rng.uniform(-1, 1), across - rng.uniform(-1, 1))
        surface += np.cos(rng.uniform(25.0, 70.0) * away) * np.exp(-away / rng.uniform(0.1, 0.4))
    surface = surface / np.float32(surface.std())
    if rng.random() < 0.4:
        net = np.exp(-np.abs(surface) * rng.uniform(2.0, 6.0))
        return np.asarray(
            rng.uniform(0.1, 0.5) + rng.uniform(0.3, 0.7) * net + 0.05 * fractal(rng, shape, 1.2), np.float32
        )
    slope_down, slope_across = np.gradient(surface)
    slope = slope_down * rng.uniform(1.0, 4.0) + slope_across * rng.normal(0.0, 2.0)
    grey = rng.uniform(0.2, 0.6) + 0.35 * slope + 0.05 * surface
    return np.asarray(np.where(grey > 0.9, 1.0, grey) + 0.1 * cloud(rng, shape, 2), np.float32)


def dunes(rng: Rng) -> Picture:
    """Sand or snow: long crests with a lit and a shaded side, small ripples on them, grains, shadows."""
    shape = small_shape(rng)
    down, across = grid(shape)
    wave = rng.uniform(1.0, 4.0) * (
        down + rng.uniform(0.05, 0.25) * cloud(rng, shape, 3) + rng.normal(0.0, 0.6) * across
    )
    rest = wave % 1.0
    crest = float(rng.uniform(0.55, 0.9))
    lee = rest > crest
    grey = np.where(lee, rng.uniform(0.05, 0.4), rng.uniform(0.45, 0.8) + 0.3 * rest)
    small = np.sin(rng.uniform(25.0, 70.0) * (0.6 * across + 0.5 * down + 0.15 * cloud(rng, shape, 5)) + 3.0 * rest)
    grey = grey + rng.uniform(0.0, 0.1) * np.where(lee, 0.3, 1.0) * small
    grey = grey + rng.uniform(0.01, 0.06) * fractal(rng, shape, 0.4)
    return soften(np.asarray(grey, np.float32), float(rng.uniform(0.5, 1.2)))


def fur(rng: Rng) -> Picture:
    """Short strokes that lie along a common flow, light over dark: fur, grass, straw, a meadow in the wind."""
    shape = rows, columns = small_shape(rng)
    deep = int(rng.integers(0, 90))
    sheet, draw = plain_sheet(shape, (deep, deep, deep))
    flow = float(rng.uniform(0.0, 6.3)) + rng.uniform(0.2, 1.6) * cloud(rng, shape, int(rng.integers(1, 4)))
    patch = cloud(rng, shape, int(rng.integers(2, 7))) * float(rng.uniform(0.0, 60.0))
    length, count = float(rng.uniform(8.0, 40.0)), 1600
    x, y = rng.uniform(0, columns - 1, count), rng.uniform(0, rows - 1, count)
    turn = flow[y.astype(int), x.astype(int)] + rng.normal(0.0, 0.2, count)
    base = float(rng.uniform(90, 200))
    shade = base + patch[y.astype(int), x.astype(int)] + rng.normal(0.0, 35.0, count)
    shade = np.clip(shade * np.linspace(0.5, 1.1, count), 0, 255).astype(int)
    bend = rng.normal(0.0, 0.3, count)
    wide = int(rng.integers(1, 4))
    for k in range(count):
        mx, my = x[k] + 0.5 * length * np.cos(turn[k]), y[k] + 0.5 * length * np.sin(turn[k])
        ex, ey = mx + 0.5 * length * np.cos(turn[k] + bend[k]), my + 0.5 * length * np.sin(turn[k] + bend[k])
        draw.line((x[k], y[k], mx, my, ex, ey), fill=(int(shade[k]),) * 3, width=wide)
    return soften(picture_of(sheet), float(rng.uniform(0.4, 0.9)))


def _turned(rng: Rng, picture: Picture) -> Picture:
    return picture.T.copy() if rng.random() < 0.5 else picture

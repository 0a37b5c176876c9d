"""Any other picture: things, plants, plain textures, slices, cells, reports, noise.

Not for: scenes (scenes.py), surfaces (nature.py), round fields (round_fields.py), bones (radiographs.py); nor chest
X-rays without contrast, which a fluoroscopy run may well begin with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageDraw import ImageDraw

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Picture,
    Rng,
    any_colour,
    any_shape,
    cloud,
    font,
    fractal,
    grid,
    paper_and_ink,
    picture_of,
    plain_sheet,
    soften,
    words,
)


def dead_leaves(rng: Rng) -> Picture:
    """Overlapping things of all sizes with texture: the statistics of a photograph of objects."""
    sheet, draw = plain_sheet(any_shape(rng), any_colour(rng))
    wide, high = sheet.size
    sizes = np.sort(rng.pareto(1.2, 160) + 1.0)[::-1] * 0.012 * high
    for size in np.minimum(sizes, 0.4 * high).tolist():
        x, y = float(rng.uniform(0, wide)), float(rng.uniform(0, high))
        kind = rng.random()
        if kind < 0.5:
            draw.ellipse((x - size, y - size * rng.uniform(0.4, 1.0), x + size, y + size), fill=any_colour(rng))
        else:
            draw.regular_polygon((x, y, size), int(rng.integers(3, 7)), float(rng.uniform(0, 360)), any_colour(rng))
    picture = soften(picture_of(sheet), float(rng.uniform(0.4, 1.2)))
    return picture * (1.0 + np.float32(rng.uniform(0.05, 0.3)) * fractal(rng, (high, wide), 1.0))


def texture(rng: Rng) -> Picture:
    """Stone, cloth, grass, clouds, water: fractal fields, folded and mixed."""
    shape = any_shape(rng)
    field = fractal(rng, shape, float(rng.uniform(0.8, 1.2)), float(np.exp(rng.normal(0.0, 0.7))))
    kind = int(rng.integers(4))
    if kind == 1:
        field = np.abs(field)
    elif kind == 2:
        field = np.sin(float(rng.uniform(2.0, 5.0)) * soften(field, 1.5))
    elif kind == 3:
        field = np.maximum(field, fractal(rng, shape, float(rng.uniform(0.8, 1.5))))
    low, high = np.percentile(field, [1.0, 99.0])
    return np.asarray((field - low) / (high - low), np.float32)


def lit_solids(rng: Rng) -> Picture:
    """Balls and boxes on a floor, lit from one side, with shadows: a still life."""
    shape = any_shape(rng)
    down, across = grid(shape)
    horizon = np.float32(rng.uniform(-0.5, 0.3))
    wall, floor = (np.float32(level) for level in rng.uniform(0.1, 0.95, 2))
    picture = np.where(down < horizon, wall, floor * (0.8 + 0.3 * (down - horizon))).astype(np.float32)
    picture = picture * (1.0 + np.float32(rng.uniform(0.0, 0.15)) * fractal(rng, shape, 1.1))
    turn = float(rng.uniform(-2.5, -0.6))
    for _ in range(int(rng.integers(2, 9))):
        size = float(rng.uniform(0.1, 0.45))
        row, column = float(horizon + rng.uniform(0.0, 0.6)), float(rng.uniform(-1.1, 1.1))
        shadow = ((down - row - 0.85 * size) / 0.2) ** 2 + ((across - column - 0.4 * size) / 1.2) ** 2
        picture = picture * np.asarray(1.0 - 0.6 * np.exp(-shadow / size**2 * 1.5), np.float32)
        y, x = (down - row) / size, (across - column) / size
        rest = 1.0 - y**2 - x**2
        lit = np.clip(y * np.sin(turn) + x * np.cos(turn) + 0.6 * np.sqrt(np.maximum(rest, 0.0)), 0.0, None)
        shade = np.float32(rng.uniform(0.2, 0.9)) * (0.2 + 0.8 * lit) + 0.4 * lit ** int(rng.integers(4, 30))
        if rng.random() < 0.35:
            rest, shade = 0.8 - np.maximum(np.abs(x), np.abs(y)), np.where(x > 0.1, 0.5, 0.8) * rng.uniform(0.3, 1.0)
        picture = np.where(rest > 0.0, shade, picture).astype(np.float32)
    return picture


def winter_trees(rng: Rng) -> Picture:
    """Bare trees against the sky, or lightning: things that branch and are no vessels."""
    shape = any_shape(rng)
    lightning = rng.random() < 0.2
    sky = cloud(rng, shape, int(rng.integers(2, 6))) * np.float32(rng.uniform(0.02, 0.12))
    slope = np.linspace(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), shape[0], dtype=np.float32)[:, None]
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    wide, high = sheet.size
    for _ in range(int(rng.integers(1, 4))):
        start = np.array([rng.uniform(0.1, 0.9) * wide, -2.0 if lightning else high + 2.0])
        up = np.pi / 2 if lightning else -np.pi / 2
        _branch(rng, draw, start, up, 0.22 * high, float(rng.uniform(0.02, 0.06)) * high)
    ink = soften(picture_of(sheet), float(rng.uniform(0.4, 0.8)))
    ground = np.linspace(0.0, 1.0, shape[0])[:, None] + 0.04 * cloud(rng, (1, shape[1]), 9) > rng.uniform(0.75, 1.1)
    sky = np.where(ground & (not lightning), 0.3 + 0.1 * fractal(rng, shape, 0.9), 0.75 + sky + slope - 0.6 * lightning)
    return np.asarray(sky * (1.0 - ink) + ink * (1.0 if lightning else rng.uniform(0.05, 0.25)), np.float32)


def _branch(rng: Rng, draw: ImageDraw, start: NDArray[np.float64], angle: float, length: float, width: float) -> None:
    """A crooked stem and what leaves from its end, down to a pixel's width."""
    for _ in range(3):
        end = start + length / 3.0 * np.array([np.cos(angle), np.sin(angle)])
        draw.line((*start.tolist(), *end.tolist()), fill=(255, 255, 255), width=max(1, round(width)))
        start, angle = end, angle + float(rng.normal(0.0, 0.15))
    if width < 1.2:
        return
    for side in (-1.0, 1.0, 0.3)[: int(rng.integers(2, 4))]:
        turned = angle + side * float(rng.uniform(0.2, 0.8))
        _branch(rng, draw, start, turned, length * float(rng.uniform(0.6, 0.95)), width * float(rng.uniform(0.5, 0.75)))


def leaf(rng: Rng) -> Picture:
    """A leaf with its veins, light or dark, lying on a plain or rough ground."""
    shape = any_shape(rng)
    down, across = grid(shape)
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    along = (down * np.cos(turn) + across * np.sin(turn)) / float(rng.uniform(0.75, 1.6))
    aside = across * np.cos(turn) - down * np.sin(turn)
    edge = np.float32(rng.uniform(0.35, 1.2)) * np.sqrt(np.clip(1.0 - along**2, 0.0, None)) * (1.0 - 0.4 * along)
    slant, count = float(rng.uniform(0.4, 1.5)), float(rng.uniform(5.0, 14.0))
    bent = (along - slant * np.abs(aside) + 0.06 * cloud(rng, shape, 5)) * count
    near = np.abs(bent - np.rint(bent)) / count
    veins = np.exp(-((near / 0.012) ** 2)) * 0.7 + np.exp(-((aside / 0.025) ** 2))
    net = np.exp(-((fractal(rng, shape, 0.9) / 0.25) ** 2)) * np.float32(rng.uniform(0.0, 0.35))
    body = rng.uniform(0.3, 0.7) + float(rng.choice([-0.35, 0.35])) * np.maximum(veins, net)
    ground = rng.uniform(0.0, 1.0) + rng.choice([0.0, 0.12]) * fractal(rng, shape, 1.0)
    return np.asarray(np.where(np.abs(aside) < edge, body, ground) + 0.04 * cloud(rng, shape, 4), np.float32)


def body_slice(rng: Rng) -> Picture:
    """A cross-section as CT or MR shows it: an oval body on black, organs and bone inside."""
    shape = any_shape(rng)
    down, across = grid(shape)
    wobble = 0.06 * cloud(rng, shape, 4)
    high, wide = rng.uniform(0.5, 0.8), rng.uniform(0.7, 0.95)
    away = np.sqrt((down / high) ** 2 + (across / wide) ** 2) + wobble
    body = np.where(away < 1.0, np.float32(rng.uniform(0.2, 0.5)), np.float32(0.0))
    body = np.where((away > 0.9) & (away < 1.0), np.float32(rng.uniform(0.1, 0.9)), body)
    for _ in range(int(rng.integers(4, 16))):
        row, column = rng.uniform(-0.6, 0.6) * high, rng.uniform(-0.7, 0.7) * wide
        tall, broad = rng.uniform(0.05, 0.4, 2)
        inside = ((down - row) / tall) ** 2 + ((across - column) / broad) ** 2 + 3.0 * wobble
        shade = np.float32(rng.choice([0.0, 0.3, 0.6, 0.9, rng.random()]))
        body = np.where((inside < 1.0) & (away < 0.88), shade, body)
    spine = ((down - 0.6 * high) / 0.14) ** 2 + (across / 0.16) ** 2
    body = np.where(spine < 1.0, np.float32(rng.uniform(0.5, 1.0)), body)
    grain = soften(rng.standard_normal(shape, np.float32), float(rng.uniform(0.5, 1.0)))
    body = soften(body.astype(np.float32), 0.8) * (1.0 + np.float32(rng.uniform(0.02, 0.2)) * fractal(rng, shape, 1.0))
    return np.asarray(body + rng.uniform(0.01, 0.08) * grain, np.float32)


def cells(rng: Rng) -> Picture:
    """A smear under a microscope: round bodies with a nucleus, dark on a pale ground or glowing on black."""
    glowing = rng.random() < 0.3
    ground = int(rng.integers(0, 30)) if glowing else int(rng.integers(190, 245))
    sheet, draw = plain_sheet(any_shape(rng), (ground, ground, ground))
    size = float(rng.uniform(4.0, 26.0))
    body = rng.integers(80, 200) if glowing else rng.integers(120, 190)
    kernel = rng.integers(180, 255) if glowing else rng.integers(30, 110)
    for _ in range(int(min(220, 0.5 * sheet.width * sheet.height / size**2))):
        x, y = float(rng.uniform(0, sheet.width)), float(rng.uniform(0, sheet.height))
        wide, high = (size * rng.uniform(0.6, 1.2, 2)).tolist()
        shade = int(np.clip(body + rng.normal(0, 15), 0, 255))
        draw.ellipse((x - wide, y - high, x + wide, y + high), fill=(shade, shade, shade), outline=(ground,) * 3)
        if rng.random() < 0.8:
            wide, high = 0.45 * wide, 0.45 * high
            shade = int(np.clip(kernel + rng.normal(0, 15), 0, 255))
            draw.ellipse((x - wide, y - high, x + wide, y + high), fill=(shade, shade, shade))
    picture = soften(picture_of(sheet), float(rng.uniform(0.5, 2.0)))
    return picture + np.float32(rng.uniform(0.0, 0.05)) * fractal(rng, (sheet.height, sheet.width), 1.0)


def report(rng: Rng) -> Picture:
    """A report on a screen: a title bar, a table of values, small pictures with captions."""
    paper, ink = paper_and_ink(rng)
    sheet, draw = plain_sheet(any_shape(rng), paper)
    wide, high = sheet.size
    draw.rectangle((0, 0, wide, 0.08 * high), fill=any_colour(rng))
    draw.text((6, 4), words(rng, 4), fill=ink, font=font(13))
    y = 0.12 * high
    for _ in range(int(rng.integers(4, 18))):
        for column in range(int(rng.integers(2, 5))):
            draw.text((8 + column * 0.24 * wide, y), words(rng, 1), fill=ink, font=font(9))
        draw.line((6, y + 12, wide - 6, y + 12), fill=(180, 180, 180))
        y += 14
    for column in range(int(rng.integers(1, 4))):
        shape = int(rng.uniform(0.2, 0.35) * high), int(rng.uniform(0.2, 0.3) * wide)
        small = np.clip(128 + 50 * fractal(rng, shape, float(rng.uniform(0.8, 1.6))), 0, 255).astype(np.uint8)
        sheet.paste(Image.fromarray(small).convert("RGB"), (int((0.04 + 0.32 * column) * wide), int(0.6 * high)))
        draw.text(((0.04 + 0.32 * column) * wide, 0.96 * high - 4), words(rng, 2), fill=ink, font=font(9))
    return picture_of(sheet)


def snow(rng: Rng) -> Picture:
    """A screen without a signal, or a broken transfer: coarse noise, torn rows, blocks from elsewhere."""
    shape = any_shape(rng)
    coarse = int(rng.integers(1, 7)), int(rng.integers(2, 12))  # finer is what a detector without X-rays shows
    noise = rng.random((shape[0] // coarse[0] + 1, shape[1] // coarse[1] + 1), np.float32)
    if rng.random() < 0.5:
        noise = (noise < rng.uniform(0.1, 0.9)).astype(np.float32)
    picture = np.kron(noise, np.ones(coarse, np.float32))[: shape[0], : shape[1]]
    if rng.random() < 0.5:
        stripes = np.repeat(rng.random(shape[0] // 8 + 1), 8)[: shape[0], None]
        picture = 0.6 * picture + 0.4 * stripes
    for _ in range(int(rng.integers(0, 12))):
        row, column = int(rng.integers(shape[0] - 32)), int(rng.integers(shape[1] - 32))
        picture[row : row + 32, column : column + 32] = rng.random()
    return picture.astype(np.float32)

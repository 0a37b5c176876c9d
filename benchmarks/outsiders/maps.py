"""The earth from above: a river's net from a satellite, rain on a radar, the plan of a town.

Not for: pictures from the ground (screens.landscape).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, Values, eight_bits, font

_CELLS = 150  # along each side of the ground that the rivers run over
_RAIN = ((0, 120, 220), (0, 200, 120), (60, 230, 0), (250, 240, 0), (250, 150, 0), (230, 30, 20), (200, 0, 200))


def river_delta(seed: int, size: int) -> Pixels:
    """A satellite's picture: rain runs down over rough ground, streams join into rivers that reach the sea."""
    rng = np.random.default_rng([seed, 501])
    rows = np.mgrid[0:_CELLS, 0:_CELLS][0] / _CELLS
    rough = sum(ndimage.gaussian_filter(rng.normal(size=rows.shape), s) * s**1.7 for s in (1.2, 4.0, 12.0))
    ground = np.asarray(rough) / np.std(rough) * rng.uniform(0.06, 0.12) + 1.2 * (1.0 - rows)
    water = _gathered_rain(ground)
    coast = float(rng.uniform(0.72, 0.95))
    sea = rows > coast + 0.05 * ndimage.gaussian_filter1d(rng.normal(size=_CELLS), 6.0)[None, :] * 4.0
    zoom = size / _CELLS
    streams = _enlarged(np.log(water), size, zoom)
    width = float(np.percentile(streams, rng.uniform(86.0, 95.0)))
    wet = 1.0 / (1.0 + np.exp(-(streams - width) * 3.0))
    fields = ndimage.uniform_filter(rng.normal(size=(size, size)), 3) + 0.7 * _enlarged(
        rng.normal(size=(_CELLS,) * 2), size, zoom
    )
    slope = _enlarged(ndimage.sobel(ground, axis=1), size, zoom)
    land = 0.45 + 0.04 * fields / fields.std() + 0.8 * slope
    tint = np.array(((0.9, 0.85, 0.55), (0.55, 0.75, 0.4), (1.0, 0.75, 0.55))[rng.integers(3)])
    green = np.clip(streams / width, 0.0, 1.0)[..., None] ** 2
    colour = land[..., None] * (tint * (1.0 - 0.5 * green) + np.array([0.3, 0.55, 0.25]) * 0.5 * green)
    stream = np.array([0.1, 0.22, 0.35]) if rng.random() < 0.6 else np.array([0.75, 0.72, 0.6])
    colour = colour * (1.0 - wet[..., None]) + stream * wet[..., None]
    ocean = _enlarged(ndimage.gaussian_filter(sea.astype(float), 1.0), size, zoom)[..., None]
    plume = _enlarged(ndimage.gaussian_filter(np.where(sea, 0.0, np.log(water)), 7.0), size, zoom)[..., None]
    colour = colour * (1.0 - ocean) + ocean * (np.array([0.03, 0.12, 0.25]) + 0.12 * plume)
    turned = np.rot90(colour, int(rng.integers(4)))
    return eight_bits(turned + rng.normal(0.0, 0.01, turned.shape))


def _gathered_rain(ground: Values) -> Values:
    """How much rain passes each cell when all water runs to the lowest of the eight neighbours."""
    side = ground.shape[0]
    padded = np.pad(ground, 1, constant_values=9.0)
    ways = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
    around = np.stack([padded[1 + d : 1 + d + side, 1 + a : 1 + a + side] for d, a in ways])
    lowest = around.argmin(axis=0).ravel()
    shift = np.array([d * side + a for d, a in ways])[lowest]
    falls = (around.min(axis=0) < ground).ravel()
    water = np.ones(ground.size)
    for cell in np.argsort(-ground, axis=None).tolist():
        if falls[cell]:
            water[cell + shift[cell]] += water[cell]
        elif cell + side < ground.size:  # a hollow fills and spills downhill
            water[cell + side] += water[cell]
    return water.reshape(ground.shape)


def _enlarged(field: Values, size: int, zoom: float) -> Values:
    at = np.arange(size) / zoom - 0.5
    return np.asarray(ndimage.map_coordinates(field, np.meshgrid(at, at, indexing="ij"), order=1, mode="nearest"))


def weather_radar(seed: int, size: int) -> Pixels:
    """Rain in steps of colour over a dark map: storm cells along a front, rings of distance, borders, a clock."""
    rng = np.random.default_rng([seed, 502])
    rows, cols = np.mgrid[0:size, 0:size] / size
    front, start = float(rng.uniform(0.0, np.pi)), rng.uniform(0.2, 0.8, 2)
    rain = np.zeros((size, size))
    for _ in range(int(rng.integers(15, 60))):
        along, aside = rng.normal(0.0, 0.35), rng.normal(0.0, 0.07)
        row = start[0] + along * np.sin(front) + aside * np.cos(front)
        column = start[1] + along * np.cos(front) - aside * np.sin(front)
        wide = float(rng.uniform(0.01, 0.06))
        rain += rng.uniform(10, 45) * np.exp(
            -((rows - row) ** 2 + (cols - column) ** 2 * rng.uniform(0.4, 1.5)) / wide**2
        )
    rain = rain * rng.gamma(6.0, 1.0 / 6.0, rain.shape)
    rain = ndimage.uniform_filter(rain, 3)
    away = np.hypot(rows - 0.5, cols - 0.5)
    base = np.array(((15, 15, 20), (40, 60, 40), (225, 225, 215))[rng.integers(3)])
    colour = np.broadcast_to(base, (size, size, 3)).astype(np.uint8)
    for k, shade in enumerate(_RAIN):
        colour[(rain > 5 + 7 * k) & (away < 0.49)] = shade
    sheet = Image.fromarray(colour)
    draw = ImageDraw.Draw(sheet)
    pale = (150, 150, 150)
    for _ in range(int(rng.integers(2, 7))):
        place = rng.uniform(0.0, 1.0, 2) * size
        border = place + np.cumsum(rng.normal(0.0, 0.015, (70, 2)) + rng.normal(0.0, 0.01, 2), axis=0) * size
        draw.line([tuple(point) for point in border.tolist()], fill=pale, width=2)
    for ring in range(1, 5):
        radius = 0.122 * ring * size
        draw.ellipse((0.5 * size - radius, 0.5 * size - radius, 0.5 * size + radius, 0.5 * size + radius), outline=pale)
    draw.text(
        (8, 8),
        f"{int(rng.integers(24)):02d}:{int(rng.integers(60)):02d} UTC",
        fill=(240, 80, 80),
        font=font(size // 22),
    )
    for k, shade in enumerate(_RAIN):
        draw.rectangle((0.95 * size, (0.9 - 0.05 * k) * size, 0.99 * size, (0.945 - 0.05 * k) * size), fill=shade)
    return np.asarray(sheet)


def city_map(seed: int, size: int) -> Pixels:
    """A plan: blocks split again and again by streets, parks, a river with bridges, names along the main roads."""
    rng = np.random.default_rng([seed, 503])
    at_night = rng.random() < 0.3
    street, block, park, river = (
        ((70, 75, 90), (30, 34, 44), (35, 60, 45), (20, 40, 80))
        if at_night
        else ((255, 255, 255), (232, 226, 214), (190, 220, 170), (160, 200, 235))
    )
    side = int(1.5 * size)
    sheet = Image.new("RGB", (side, side), street)
    draw = ImageDraw.Draw(sheet)
    waiting = [(0.0, 0.0, float(side), float(side), 0)]
    least = size * float(rng.uniform(0.03, 0.08))
    while waiting:
        left, top, right, bottom, depth = waiting.pop()
        wide, high = right - left, bottom - top
        if max(wide, high) < 2.2 * least or (depth > 3 and rng.random() < 0.08):
            fill = park if rng.random() < 0.08 else block
            draw.rectangle((left, top, right, bottom), fill=fill)
            for _ in range(int(rng.integers(0, 4)) if fill == block else 0):
                x, y = left + wide * rng.uniform(0.1, 0.6), top + high * rng.uniform(0.1, 0.6)
                tone = tuple(int(v * (1.25 if at_night else 0.9)) for v in block)
                draw.rectangle((x, y, x + 0.3 * wide, y + 0.3 * high), fill=tone)
            continue
        gap, share = max(1.0, size * 0.012 / (1 + 0.5 * depth)), float(rng.uniform(0.3, 0.7))
        if wide > high:
            cut = left + share * wide
            waiting += [(left, top, cut - gap, bottom, depth + 1), (cut + gap, top, right, bottom, depth + 1)]
        else:
            cut = top + share * high
            waiting += [(left, top, right, cut - gap, depth + 1), (left, cut + gap, right, bottom, depth + 1)]
    course = np.linspace(0, side, 60)
    bows = side * (rng.uniform(0.3, 0.7) + 0.1 * np.sin(course / side * rng.uniform(3, 9) + rng.uniform(0, 6)))
    draw.line(
        list(zip(course.tolist(), bows.tolist(), strict=True)),
        fill=river,
        width=int(rng.uniform(0.02, 0.07) * size),
        joint="curve",
    )
    main = (255, 215, 120) if not at_night else (150, 120, 60)
    for _ in range(int(rng.integers(2, 6))):
        ends = [tuple(v) for v in (rng.uniform(0.0, 1.0, (2, 2)) * side).tolist()]
        draw.line(ends, fill=main, width=int(0.014 * size) + 1)
    turned = sheet.rotate(float(rng.uniform(0, 90)), Image.Resampling.BICUBIC)
    edge = (side - size) // 2
    shown = turned.crop((edge, edge, edge + size, edge + size))
    pen = ImageDraw.Draw(shown)
    for _ in range(int(rng.integers(3, 9))):
        place = tuple((rng.uniform(0.02, 0.8, 2) * size).tolist())
        name = ("Market Sq", "North Stn", "Old Town", "Hospital", "Harbour", "Museum")[rng.integers(6)]
        pen.text(place, name, fill=(200, 200, 200) if at_night else (60, 60, 60), font=font(size // 28))
    return np.asarray(shown)

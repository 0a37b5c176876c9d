"""What a camera sees through a round opening: the inside of an organ, the eye's ground, an ear drum, a microscope.

Grey as a reddish picture turns out: bright tissue, darker vessels. Not for: rings that a probe turns (ultrasound.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Picture,
    Rng,
    cloud,
    font,
    fractal,
    grid,
    picture_of,
    plain_sheet,
    small_shape,
    soften,
    words,
)


def endoscopy(rng: Rng) -> Picture:
    """Down a bowel, a windpipe or a stomach: folds around a dark tunnel, wet highlights, fine vessels."""
    shape = small_shape(rng)
    down, across = grid(shape)
    middle = rng.normal(0.0, 0.3, 2).astype(np.float32)
    y, x = down - middle[0], (across - middle[1]) * np.float32(rng.uniform(0.7, 1.4))
    angle, away = np.arctan2(y, x), np.hypot(y, x)
    away = away * (1.0 + 0.15 * cloud(rng, shape, 3)) + 0.02
    corners = int(rng.choice([0, 2, 3, 3, 4]))
    lumen = np.log(away * (1.0 + rng.uniform(0.0, 0.25) * np.cos(corners * angle + rng.uniform(0, 6.3))))
    phase = rng.uniform(0.6, 3.0) * lumen + rng.uniform(0.0, 0.3) * np.sin(angle + rng.uniform(0, 6.3))
    fold = phase % 1.0
    depth = np.clip(away / rng.uniform(0.3, 1.0), 0.0, 1.0) ** rng.uniform(0.5, 1.5)
    ledge = np.exp(-((1.0 - fold) / rng.uniform(0.05, 0.3)))
    if rng.random() < 0.5:  # folds without an edge
        fold = 0.5 + 0.5 * np.cos(2.0 * np.pi * phase)
        ledge = fold ** rng.uniform(2.0, 8.0)
    grey = depth * (rng.uniform(0.4, 0.8) + rng.uniform(-0.3, 0.3) * fold + rng.uniform(0.1, 0.5) * ledge)
    grey = soften(np.asarray(grey * (1.0 - rng.uniform(0.0, 0.4) * np.clip(away - 0.7, 0.0, 1.0)), np.float32), 1.0)
    if rng.random() < 0.7:
        starts = [(rng.uniform(0, shape[1]), rng.uniform(0, shape[0]), rng.uniform(0, 6.3)) for _ in range(6)]
        grey = grey * (1.0 - rng.uniform(0.1, 0.35) * organic_vessels(rng, shape, starts, rng.uniform(2.0, 4.0)))
    return _through_opening(rng, _wet(rng, np.asarray(grey, np.float32)))


def organ_surface(rng: Rng) -> Picture:
    """A bulging wet surface lit from the camera: bladder, liver, the white of an eye, an operation's field."""
    shape = small_shape(rng)
    down, across = grid(shape)
    height = np.float32(rng.uniform(0.1, 0.5)) * cloud(rng, shape, int(rng.integers(2, 6)))
    height = height + np.float32(rng.uniform(0.0, 0.03)) * fractal(rng, shape, 1.4)
    slope_down = np.gradient(height, axis=0) * 0.5 * min(shape)
    slope_across = np.gradient(height, axis=1) * 0.5 * min(shape)
    lamp = rng.normal(0.0, 0.5, 2)
    facing = (1.0 + slope_down * lamp[0] + slope_across * lamp[1]) / np.sqrt(1.0 + slope_down**2 + slope_across**2)
    near = np.exp(-np.hypot(down - 0.5 * lamp[0], across - 0.5 * lamp[1]) * rng.uniform(0.2, 1.0))
    grey = rng.uniform(0.5, 1.0) * np.clip(facing, 0.05, None) * near
    grey = grey + 0.6 * np.clip(facing - rng.uniform(0.9, 1.1), 0.0, None)
    side = [(0.0, rng.uniform(0, shape[0]), rng.normal(0.0, 0.6)) for _ in range(int(rng.integers(1, 5)))]
    top = [(rng.uniform(0, shape[1]), 0.0, np.pi / 2 + rng.normal(0.0, 0.6)) for _ in range(int(rng.integers(0, 4)))]
    vessels = organic_vessels(rng, shape, side + top, float(rng.uniform(2.0, 7.0)))
    grey = grey * (1.0 + float(rng.choice([-0.55, -0.4, -0.25, 0.3])) * vessels)
    if rng.random() < 0.3:  # an instrument reaches in
        turn, place = float(rng.uniform(0.0, 6.3)), rng.uniform(-0.3, 0.3)
        along = down * np.sin(turn) + across * np.cos(turn)
        aside = (down * np.cos(turn) - across * np.sin(turn) - place) / rng.uniform(0.06, 0.16)
        rod = (along > rng.uniform(-0.1, 0.5)) & (np.abs(aside) < 1.0)
        grey = np.where(rod, 0.25 + 0.6 * np.exp(-(((aside - 0.3) / 0.3) ** 2)), grey)
    return _through_opening(rng, _wet(rng, np.asarray(grey, np.float32)))


def retina(rng: Rng) -> Picture:
    """The eye's ground: a pale disc where all vessels begin, the dark macula beside it; also with a dye that glows."""
    shape = rows, columns = small_shape(rng)
    down, across = grid(shape)
    half = 0.5 * min(shape)
    nasal = float(rng.choice([-1.0, 1.0]))
    row, column = rng.normal(0.0, 0.12), nasal * rng.uniform(0.0, 0.7)
    grey = rng.uniform(0.35, 0.65) + rng.uniform(0.03, 0.1) * cloud(rng, shape, 3)
    grey = grey - rng.uniform(0.0, 0.3) * (down**2 + across**2)
    grey = grey + rng.uniform(0.0, 0.04) * fractal(rng, shape, 0.9)
    spot = (down - row - 0.05) ** 2 + (across - column + nasal * rng.uniform(0.55, 0.75)) ** 2
    grey = grey - rng.uniform(0.05, 0.25) * np.exp(-spot / rng.uniform(0.02, 0.06))
    x, y = 0.5 * columns + column * half, 0.5 * rows + row * half
    out = [nasal * -1.0, nasal * -1.0, nasal, nasal]
    rise = [-1.1, 1.1, -0.9, 0.9]
    starts = []
    for way, up in zip(out, rise, strict=True):
        for _ in range(int(rng.integers(1, 5))):
            starts.append((x, y, float(np.arctan2(up + rng.normal(0.0, 0.35), way * rng.uniform(0.3, 1.0)))))
    curl = float(rng.uniform(0.04, 0.11))
    width = float(rng.uniform(1.5, 3.8))
    vessels = organic_vessels(rng, shape, starts, width, curl)
    radius = rng.uniform(0.08, 0.2)
    disc = np.exp(-((((down - row) ** 2 + ((across - column) / rng.uniform(0.8, 1.0)) ** 2) / radius**2) ** 3))
    if rng.random() < 0.3:  # the dye's glow
        grey = 0.4 * grey + rng.uniform(0.3, 0.7) * vessels + rng.uniform(0.0, 0.4) * disc
    else:
        grey = np.maximum(grey, rng.uniform(0.8, 1.0) * disc) - rng.uniform(0.12, 0.4) * vessels
    for _ in range(int(rng.integers(0, 30)) if rng.random() < 0.4 else 0):  # fat or bleeding
        away = (down - rng.uniform(-0.7, 0.7)) ** 2 + (across - rng.uniform(-0.7, 0.7)) ** 2
        grey = grey + float(rng.choice([-0.25, 0.3])) * np.exp(-away / rng.uniform(0.0002, 0.003))
    return _through_opening(rng, np.asarray(grey, np.float32))


def ear_drum(rng: Rng) -> Picture:
    """A pale membrane at the end of a canal: the hammer's handle, the cone of light, thin vessels."""
    shape = small_shape(rng)
    down, across = grid(shape)
    y, x = down - rng.normal(0.0, 0.1), across - rng.normal(0.0, 0.1)
    wobble = 0.12 * cloud(rng, shape, 3)
    away = np.hypot(y, x * rng.uniform(0.85, 1.3)) / rng.uniform(0.45, 0.85) + wobble
    turn = float(rng.uniform(0.0, 6.3))
    along, aside = y * np.sin(turn) + x * np.cos(turn), y * np.cos(turn) - x * np.sin(turn)
    drum = rng.uniform(0.4, 0.75) + 0.1 * cloud(rng, shape, 3) + 0.15 * y
    drum = drum + 0.35 * np.exp(-((aside / 0.05) ** 2)) * (along > -0.05) * (along < 0.45)
    leant = float(rng.uniform(1.5, 2.6))
    ray = y * np.sin(turn + leant) + x * np.cos(turn + leant)
    beside = y * np.cos(turn + leant) - x * np.sin(turn + leant)
    drum = drum + rng.uniform(0.2, 0.7) * np.exp(-((beside / (0.25 * np.maximum(ray, 0.02))) ** 2)) * (ray > 0.04)
    canal = rng.uniform(0.15, 0.6) * (1.0 + 0.3 * cloud(rng, shape, 5)) * np.clip(1.6 - 0.4 * away, 0.2, None)
    grey = np.where(away < 1.0, drum, canal) - 0.3 * np.exp(-(((away - 1.02) / 0.06) ** 2))
    starts = [
        (shape[1] * rng.uniform(0.3, 0.7), shape[0] * rng.uniform(0.3, 0.7), rng.uniform(0, 6.3)) for _ in range(4)
    ]
    grey = grey - rng.uniform(0.0, 0.25) * organic_vessels(rng, shape, starts, 2.0)
    return _through_opening(rng, _wet(rng, soften(np.asarray(grey, np.float32), 0.8)))


def microscope_field(rng: Rng) -> Picture:
    """An eyepiece's round view: threads, grains, bubbles and rods of many sorts, pale or in dark-field light."""
    shape = rows, columns = small_shape(rng)
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    for _ in range(int(rng.integers(1, 5))):
        sort, count = int(rng.integers(4)), int(rng.integers(4, 60))
        size, ink = float(rng.uniform(2.0, 30.0)), int(rng.integers(60, 256))
        for _ in range(count):
            x, y, turn = rng.uniform(0, columns), rng.uniform(0, rows), float(rng.uniform(0.0, 6.3))
            if sort == 0:  # a bubble
                draw.ellipse((x - size, y - size, x + size, y + size), outline=(ink,) * 3, width=2)
            elif sort == 1:  # a rod
                dx, dy = size * np.cos(turn), size * np.sin(turn)
                draw.line((x - dx, y - dy, x + dx, y + dy), fill=(ink,) * 3, width=int(1 + size / 5))
            elif sort == 2:  # a grain
                draw.regular_polygon((x, y, 0.5 * size + 1.0), int(rng.integers(3, 8)), turn * 57.0, (ink,) * 3)
            else:  # a thread
                heading = turn + np.cumsum(rng.normal(0.0, 0.3, 30))
                points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * 0.3 * size
                draw.line([(x + a, y + b) for a, b in points.tolist()], fill=(ink,) * 3, width=int(1 + size / 12))
    bodies = soften(picture_of(sheet), float(rng.uniform(0.5, 3.0)))
    down, across = grid(shape)
    lamp = 1.0 - rng.uniform(0.0, 0.3) * ((down - rng.normal(0, 0.3)) ** 2 + (across - rng.normal(0, 0.3)) ** 2)
    if rng.random() < 0.35:
        grey = 0.05 + 0.9 * bodies
    else:
        grey = rng.uniform(0.6, 0.95) * lamp - rng.uniform(0.2, 0.6) * bodies
    return _through_opening(rng, np.asarray(grey + rng.uniform(0.0, 0.06) * fractal(rng, shape, 1.0), np.float32))


def organic_vessels(
    rng: Rng, shape: tuple[int, int], starts: list[tuple[float, float, float]], width: float, curl: float = 0.12
) -> Picture:
    """Vessels that wander and fork from starts (column, row, heading in radians), 1 inside and 0 outside.

    width: of the widest, pixels. curl: how fast they turn, radians a step.
    """
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    step = 0.022 * min(shape)
    waiting = [(x, y, heading, width * float(rng.uniform(0.6, 1.0))) for x, y, heading in starts]
    drawn = 0
    while waiting and drawn < 120:
        x, y, heading, wide = waiting.pop(0)
        drawn += 1
        steps = int(rng.integers(6, 24))
        turns = heading + np.cumsum(rng.normal(0.0, curl, steps) + rng.normal(0.0, 0.3 * curl))
        path: NDArray[np.float64] = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0) * step
        points = [(x, y), *((x + a, y + b) for a, b in path.tolist())]
        draw.line(points, fill=(int(min(255, 110 + 40 * wide)),) * 3, width=max(1, round(wide)), joint="curve")
        x, y = points[-1]
        if wide > 0.8 and -20 < x < shape[1] + 20 and -20 < y < shape[0] + 20:
            side = float(rng.choice([-1.0, 1.0]))
            waiting.append((x, y, float(turns[-1]) - 0.2 * side, wide * float(rng.uniform(0.75, 0.95))))
            waiting.append(
                (x, y, float(turns[-1]) + side * float(rng.uniform(0.4, 1.1)), wide * float(rng.uniform(0.4, 0.8)))
            )
    return soften(picture_of(sheet), float(rng.uniform(0.5, 0.9)))


def _wet(rng: Rng, picture: Picture) -> Picture:
    """Highlights of a lamp on moisture: small, white, in flocks."""
    gloss = cloud(rng, picture.shape, int(rng.integers(12, 40))) + 0.8 * cloud(rng, picture.shape, 4)
    return np.where(gloss > rng.uniform(1.9, 3.5), np.float32(rng.uniform(0.85, 1.1)), picture)


def _through_opening(rng: Rng, picture: Picture) -> Picture:
    """Black outside a circle, a circle cut off above and below, or a rectangle without its corners; or not at all."""
    down, across = grid((picture.shape[0], picture.shape[1]))
    sort, size = int(rng.integers(6)), float(rng.uniform(0.8, 1.05))
    away = np.hypot(down, across)
    if sort == 0:
        return picture * np.clip(1.3 - rng.uniform(0.1, 0.6) * away**2, 0.0, 1.0)
    if sort == 1:
        outside = np.maximum(
            np.maximum(np.abs(down), np.abs(across)) - size, np.abs(down) + np.abs(across) - 1.5 * size
        )
    elif sort == 2:
        outside = np.maximum(away - 1.15 * size, np.abs(down) - 0.85 * size)
    else:
        outside = away - size
    rim = np.clip(-outside / rng.uniform(0.005, 0.06), 0.0, 1.0)
    seen = np.asarray(picture * rim + rng.uniform(0.0, 0.06) * (1.0 - rim), np.float32)
    if rng.random() < 0.3:
        sheet, draw = plain_sheet((picture.shape[0], picture.shape[1]), (0, 0, 0))
        draw.text((3, 3), words(rng, 3).replace(" ", "\n"), fill=(230, 230, 230), font=font(int(rng.integers(8, 13))))
        seen = np.maximum(seen, picture_of(sheet))
    return seen

"""Drawings and renderings: plain grounds, sharp lines, writing, and vessel trees that a computer coloured in.

Not for: test signals and screens (patterns.py), grey light vessels with noise (inverted.py).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageDraw import ImageDraw

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Colour,
    Picture,
    Rng,
    any_colour,
    any_shape,
    cloud,
    font,
    paper_and_ink,
    picture_of,
    plain_sheet,
    soften,
    words,
)
from cathrt.export.models.keyframe.demo.outsiders.vessels import vessel_path


def vessel_mask(rng: Rng) -> Picture:
    """The outline of a tree filled with one shade: what a segmentation leaves, light on dark or dark on light."""
    shape = (int(rng.integers(200, 320)),) * 2
    inside = (vessel_path(rng, shape) > float(rng.uniform(0.05, 1.0))).astype(np.float32)
    paper, ink = rng.uniform(0.0, 0.15), rng.uniform(0.6, 1.0)
    if rng.random() < 0.5:
        paper, ink = 1.0 - paper, 1.0 - ink
    mask = np.float32(paper) + np.float32(ink - paper) * inside
    if rng.random() < 0.3:  # each part in a shade of its own
        shades = np.digitize(cloud(rng, shape, 3), [-0.5, 0.0, 0.5]).astype(np.float32)
        mask = mask + np.float32(rng.uniform(-0.2, 0.2)) * shades * inside
    return mask


def rendered_tree(rng: Rng) -> Picture:
    """A tree as a solid body, lit from one side, on a plain ground: the picture of a 3-D model or an animation."""
    shape = any_shape(rng)
    path = vessel_path(rng, shape)
    height = soften(path, float(rng.uniform(0.6, 1.2)))
    slope_down, slope_across = np.gradient(np.sqrt(height) * np.float32(rng.uniform(1.0, 3.0)))
    turn = rng.uniform(0.0, 2.0 * np.pi)
    facing = 1.0 / np.sqrt(1.0 + slope_down**2 + slope_across**2)
    lit = (0.7 - slope_down * np.sin(turn) * 0.6 - slope_across * np.cos(turn) * 0.6) * facing
    shine = np.clip(lit, 0.0, 1.0) ** np.float32(rng.uniform(6.0, 30.0))
    body = np.float32(rng.uniform(0.15, 0.8)) * (0.35 + 0.75 * np.clip(lit, 0.0, 1.0))
    body = body + np.float32(rng.uniform(0.0, 0.5)) * shine
    level = rng.uniform(0.75, 1.0) if rng.random() < 0.65 else rng.uniform(0.0, 0.35)
    ramp = np.linspace(-1.0, 1.0, shape[0], dtype=np.float32)[:, None] * np.float32(rng.choice([0.0, 0.06, -0.1]))
    cover = np.clip(path / 0.6, 0.0, 1.0)
    return np.asarray((np.float32(level) + ramp) * (1.0 - cover) + body * cover, np.float32)


def diagram(rng: Rng) -> Picture:
    """Boxes, ovals and arrows with words in them."""
    shape = rows, columns = any_shape(rng)
    paper, ink = paper_and_ink(rng, 0.15)
    sheet, draw = plain_sheet(shape, paper)
    across, down = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    centres = []
    for row in range(down):
        for column in range(across):
            if rng.random() < 0.25:
                continue
            x, y = (column + rng.uniform(0.35, 0.65)) * columns / across, (row + rng.uniform(0.35, 0.65)) * rows / down
            wide, high = rng.uniform(0.2, 0.42) * columns / across, rng.uniform(0.15, 0.35) * rows / down
            centres.append((x, y))
            shape_of = draw.ellipse if rng.random() < 0.3 else draw.rectangle
            fill = any_colour(rng) if rng.random() < 0.5 else None
            shape_of((x - wide, y - high, x + wide, y + high), fill=fill, outline=ink, width=int(rng.integers(1, 4)))
            draw.text((x - 0.9 * wide, y - 5), words(rng, 1), fill=ink, font=font(int(rng.integers(8, 15))))
    for start, stop in pairwise(centres):
        draw.line((start, stop), fill=ink, width=int(rng.integers(1, 3)))
        draw.regular_polygon((stop[0], stop[1], 5), 3, fill=ink)
    return picture_of(sheet)


def chart(rng: Rng) -> Picture:
    """Axes with curves, columns, points or a pie, a title and a legend."""
    shape = rows, columns = any_shape(rng)
    paper, ink = paper_and_ink(rng, 0.2)
    sheet, draw = plain_sheet(shape, paper)
    left, right, top, bottom = 0.12 * columns, 0.95 * columns, 0.12 * rows, 0.88 * rows
    draw.text((0.3 * columns, 4), words(rng, 4), fill=ink, font=font(14))
    kind = int(rng.integers(4))
    if kind < 3:
        for share in np.linspace(0.0, 1.0, int(rng.integers(4, 9))):
            y = bottom + share * (top - bottom)
            draw.line((left, y, right, y), fill=(170, 170, 170), width=1)
            draw.text((2, y - 5), f"{share * rng.uniform(1, 100):.0f}", fill=ink, font=font(9))
        draw.line((left, top, left, bottom, right, bottom), fill=ink, width=2)
    for _ in range(int(rng.integers(1, 5))):
        _plot(rng, draw, kind, (left, top, right, bottom))
    draw.text((0.5 * columns, 0.92 * rows), words(rng, 2), fill=ink, font=font(11))
    return picture_of(sheet)


def _plot(rng: Rng, draw: ImageDraw, kind: int, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    colour, count = any_colour(rng), int(rng.integers(4, 40))
    x = np.linspace(left, right, count)
    walk = np.cumsum(rng.standard_normal(count))
    y = bottom + (walk - walk.min()) / (np.ptp(walk) + 1e-6) * (top - bottom) * rng.uniform(0.4, 1.0)
    if kind == 0:
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colour, width=int(rng.integers(1, 4)))
    elif kind == 1:
        wide = float(rng.uniform(0.3, 0.9)) * (right - left) / count
        for at, high in zip(x.tolist(), y.tolist(), strict=True):
            draw.rectangle((at, high, at + wide, bottom), fill=colour)
    elif kind == 2:
        for at, high in zip(rng.uniform(left, right, count).tolist(), y.tolist(), strict=True):
            draw.ellipse((at - 3, high - 3, at + 3, high + 3), fill=colour)
    else:
        start = float(rng.uniform(0, 360))
        draw.pieslice((left, top, right, bottom), start, start + float(rng.uniform(30, 200)), fill=colour)


def text_page(rng: Rng) -> Picture:
    """A page of writing: paragraphs, headings, perhaps a table."""
    shape = rows, columns = any_shape(rng)
    paper, ink = paper_and_ink(rng, 0.15)
    sheet, draw = plain_sheet(shape, paper)
    y, margin = float(rng.uniform(4, 30)), float(rng.uniform(4, 40))
    size = int(rng.integers(7, 15))
    while y < rows - size:
        heading = rng.random() < 0.1
        if rng.random() < 0.12:
            y += size
        count = int(rng.integers(2, 6)) if heading else int((columns - 2 * margin) / (3.6 * size) * rng.uniform(0.6, 1))
        draw.text((margin, y), words(rng, max(1, count)), fill=ink, font=font(size + 5 if heading else size))
        y += size * (2.0 if heading else float(rng.uniform(1.2, 1.5)))
    if rng.random() < 0.3:
        for x in np.linspace(margin, columns - margin, int(rng.integers(2, 6))).tolist():
            draw.line((x, 0.3 * rows, x, 0.8 * rows), fill=ink)
    return picture_of(sheet)


def colour_map(rng: Rng) -> Picture:
    """Values over a plane in false colours, in steps or with contour lines, and a colour bar."""
    shape = rows, columns = any_shape(rng)
    field = cloud(rng, shape, int(rng.integers(2, 9)))
    value = (field - field.min()) / (np.ptp(field) + 1e-6)
    steps = int(rng.integers(4, 14))
    if rng.random() < 0.6:
        value = np.floor(value * steps) / steps
    knots = np.array([any_colour(rng) for _ in range(int(rng.integers(3, 7)))], np.float32)
    at = np.linspace(0.0, 1.0, len(knots))
    coloured = np.stack([np.interp(value, at, knots[:, k]) for k in range(3)], axis=-1)
    if rng.random() < 0.5:
        level = np.floor(value * steps)
        coloured[:, 1:][level[:, 1:] != level[:, :-1]] = 0.0
    sheet, draw = plain_sheet((rows + 30, columns + 60), paper_and_ink(rng, 0.2)[0])
    sheet.paste(Image.fromarray(coloured.astype(np.uint8)), (10, 15))
    for row in range(rows):
        share = 1.0 - row / rows
        bar: Colour = (0, 0, 0)
        bar = tuple(int(np.interp(share, at, knots[:, k])) for k in range(3))  # type: ignore[assignment]
        draw.line((columns + 18, 15 + row, columns + 32, 15 + row), fill=bar)
    draw.text((columns + 34, 15), f"{rng.uniform(0, 9):.1f}", fill=(90, 90, 90), font=font(11))
    return picture_of(sheet)


def anatomy_sketch(rng: Rng) -> Picture:
    """An organ's outline with vessels over it, drawn in ink with labels and their lines."""
    shape = rows, columns = any_shape(rng)
    paper, ink = paper_and_ink(rng)
    sheet, draw = plain_sheet(shape, paper)
    angle = np.linspace(0.0, 2.0 * np.pi, 60)
    radius = np.ones(60)
    for k in range(1, 6):
        radius += rng.normal(0.0, 0.22 / k) * np.cos(k * angle + rng.uniform(0.0, 6.3))
    middle = np.array([columns, rows]) * rng.uniform(0.42, 0.58, 2)
    outline = middle + 0.33 * min(shape) * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    fill = any_colour(rng) if rng.random() < 0.6 else paper
    draw.polygon([tuple(point) for point in outline.tolist()], fill=fill, outline=ink, width=int(rng.integers(1, 4)))
    for _ in range(int(rng.integers(4, 14))):
        _squiggle(rng, draw, middle, 0.3 * min(shape), any_colour(rng))
    for _ in range(int(rng.integers(2, 9))):
        inside = outline[int(rng.integers(60))] * 0.6 + middle * 0.4
        outside = (float(rng.choice([0.05, 0.8])) * columns, float(rng.uniform(0.05, 0.9)) * rows)
        draw.line((tuple(inside.tolist()), outside), fill=ink)
        draw.text(outside, words(rng, int(rng.integers(1, 3))), fill=ink, font=font(int(rng.integers(8, 13))))
    return picture_of(sheet)


def _squiggle(rng: Rng, draw: ImageDraw, start: NDArray[np.float64], reach: float, colour: Colour) -> None:
    heading = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, 0.25, 24))
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * reach / 18.0
    points = start + np.cumsum(steps, axis=0)
    draw.line([tuple(point) for point in points.tolist()], fill=colour, width=int(rng.integers(1, 8)), joint="curve")

"""Vessel trees grown over an ellipsoid, and pictures that show such a tree as no X-ray does.

Grown here, so that they share nothing with the phantom's trees that training saw.
Not for: pictures without a tree (scans.py, screens.py, views.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, Values, eight_bits, font

_STEP = 0.05  # of the ellipsoid's mean half axis
_MURRAY = 3.0  # a vessel's radius cubed is the sum of its daughters' cubed
_THINNEST = 0.008


@dataclass(frozen=True, slots=True, eq=False)
class GrownVessel:
    """points: (N, 3), the ellipsoid's half axes being about 1. radii: (N,).

    order: 0 for a trunk, then one more at each fork.
    """

    points: Values
    radii: Values
    order: int


def grow_tree(rng: np.random.Generator) -> list[GrownVessel]:
    """One or two trunks from near the top of an ellipsoid, each splitting on its way down."""
    axes = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.2, 0.25, 3)
    vessels: list[GrownVessel] = []
    for trunk in range(int(rng.integers(1, 3))):
        start = np.array([np.cos(2.0 * trunk), np.sin(2.0 * trunk), 1.2]) / np.sqrt(2.44) * axes
        waiting = [(start, rng.normal(0.0, 1.0, 3) - [0.0, 0.0, 0.8], float(rng.uniform(0.05, 0.08)), 0)]
        while waiting and len(vessels) < 70:
            start, heading, radius, order = waiting.pop(0)
            points = _course(rng, start, heading, axes, int(rng.integers(8, 26)))
            vessels.append(GrownVessel(points, np.linspace(radius, 0.85 * radius, len(points)), order))
            share = float(rng.uniform(0.2, 0.5))
            ahead = points[-1] - points[-7]
            aside = np.cross(ahead, points[-1]) * float(rng.choice([-1.0, 1.0]))
            for part, turn in ((1.0 - share, -0.3), (share, 0.8)):
                thinner = 0.85 * radius * part ** (1.0 / _MURRAY)
                if thinner > _THINNEST:
                    bend = turn * aside / max(float(np.linalg.norm(aside)), 1e-9) * np.linalg.norm(ahead)
                    waiting.append((points[-1], ahead + bend, thinner, order + (turn > 0)))
    return vessels


def _course(rng: np.random.Generator, start: Values, heading: Values, axes: Values, steps: int) -> Values:
    points = [start]
    heading = heading / np.linalg.norm(heading)
    for _ in range(steps):
        heading = heading + rng.normal(0.0, 0.18, 3)
        heading /= np.linalg.norm(heading)
        moved = points[-1] + _STEP * heading
        on_surface = moved / np.linalg.norm(moved / axes)
        points.append(0.4 * moved + 0.6 * on_surface)
    along = np.linspace(0.0, steps, 3 * steps + 1)  # closer together, so that balls at the points make a tube
    return np.column_stack([np.interp(along, np.arange(steps + 1), line) for line in np.transpose(points)])


def _seen(rng: np.random.Generator, vessels: list[GrownVessel], size: int) -> list[tuple[Values, Values]]:
    """Through a camera close by: of each vessel (N, 3) column, row and distance, and (N,) radius, in pixels."""
    turn, _ = np.linalg.qr(rng.normal(0.0, 1.0, (3, 3)))
    distance = float(rng.uniform(2.5, 6.0))
    scale = float(rng.uniform(0.3, 0.45)) * size * (distance - 0.5)
    middle = size * rng.uniform(0.42, 0.58, 2)
    views = []
    for vessel in vessels:
        turned = vessel.points @ turn.T
        away = distance - turned[:, 2]
        pixel = middle + scale * turned[:, :2] / away[:, None]
        views.append((np.column_stack([pixel, away]), scale * vessel.radii / away))
    return views


def _filled(views: list[tuple[Values, Values]], size: int) -> Values:
    """How much vessel lies behind each pixel, 0 to about 1."""
    depth = np.zeros((size, size))
    for places, radii in views:
        sheet = Image.new("L", (size, size))
        draw = ImageDraw.Draw(sheet)
        width = max(1, round(2.0 * float(radii.mean())))
        draw.line([tuple(place[:2]) for place in places.tolist()], fill=255, width=width, joint="curve")
        depth += np.asarray(sheet) / 255.0 * min(1.0, 0.08 * width + 0.2)
    return ndimage.gaussian_filter(depth, 0.8)


def tree_animation(seed: int, size: int) -> Pixels:
    """A frame of a film of a vessel tree that turns: solid, coloured, shaded, near parts before far ones, mostly on
    white."""
    rng = np.random.default_rng([seed, 101])
    ground = (255, 255, 255) if rng.random() < 0.6 else tuple(int(v) for v in rng.integers(0, 256, 3))
    sheet = Image.new("RGB", (size, size), ground)
    draw = ImageDraw.Draw(sheet)
    colour = np.array(((200, 30, 30), (230, 120, 60), (60, 90, 200), (220, 190, 160), (90, 90, 95))[rng.integers(5)])
    views = _seen(rng, grow_tree(rng), size)
    balls = np.concatenate([np.column_stack(view) for view in views])
    light = rng.uniform(-0.5, 0.5, 2)
    for x, y, away, radius in balls[np.argsort(-balls[:, 2])]:
        near = float(np.clip(1.6 - 0.25 * away, 0.5, 1.1))
        for share, brightness in ((1.0, 0.45), (0.8, 0.75), (0.5, 1.0), (0.2, 1.5)):
            size_of = max(0.7, share * radius * 1.3)
            cx, cy = x + light[0] * radius * (1.0 - share), y + light[1] * radius * (1.0 - share)
            fill = tuple(int(v) for v in np.clip(colour * near * brightness, 0, 255))
            draw.ellipse((cx - size_of, cy - size_of, cx + size_of, cy + size_of), fill=fill)
    if rng.random() < 0.3:
        draw.text((10, 10), "3D MODEL", fill=(120, 120, 120), font=ImageFont.load_default(size // 24))
    return np.asarray(sheet)


def segmentation(seed: int, size: int) -> Pixels:
    """Labels of a tree: every order of branch in its own flat colour, or all in one, on black."""
    rng = np.random.default_rng([seed, 102])
    vessels = grow_tree(rng)
    colours = rng.integers(90, 256, (12, 3)) if rng.random() < 0.6 else np.full((12, 3), 255)
    sheet = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(sheet)
    for vessel, (places, radii) in zip(vessels, _seen(rng, vessels, size), strict=True):
        fill = tuple(int(v) for v in colours[vessel.order % 12])
        width = max(2, round(2.4 * float(radii.mean())))
        draw.line([tuple(place[:2]) for place in places.tolist()], fill=fill, width=width, joint="curve")
    return np.asarray(sheet)


def light_subtraction(seed: int, size: int) -> Pixels:
    """A subtracted run of the wrong polarity: light vessels, dark grainy ground, edges where the patient moved."""
    rng = np.random.default_rng([seed, 103])
    vessels = _filled(_seen(rng, grow_tree(rng), size), size)
    bones = ndimage.gaussian_filter(rng.normal(0.0, 1.0, (size, size)), size / 25)
    edges = ndimage.sobel(bones / bones.std(), axis=int(rng.integers(2)))
    grain = ndimage.gaussian_filter(rng.normal(0.0, 1.0, (size, size)), float(rng.uniform(0.4, 1.0)))
    grey = rng.uniform(0.15, 0.4) + 0.6 * np.minimum(vessels, 1.2) + rng.uniform(0.0, 0.1) * edges
    return eight_bits(grey + rng.uniform(0.01, 0.06) * grain)


def inverted_angiogram(seed: int, size: int) -> Pixels:
    """An angiogram whose light and dark are exchanged: lungs dark, spine and ribs lighter, vessels lightest."""
    rng = np.random.default_rng([seed, 104])
    down, across = np.mgrid[0:size, 0:size] / size
    lung = 1.0 / (1.0 + np.exp(-(np.hypot(down - 0.6, across - rng.uniform(0.3, 0.7)) - 0.45) / 0.06))
    spine = np.exp(-(((across - rng.uniform(0.2, 0.8) - 0.2 * down) / 0.08) ** 2)) * (1.0 + 0.15 * np.sin(45.0 * down))
    ribs = np.maximum(np.sin(2.0 * np.pi * (rng.uniform(2.5, 4.5) * down + 1.2 * (across - 0.4) ** 2)) - 0.75, 0.0)
    ground = 0.45 - 0.3 * lung + 0.18 * spine + 0.3 * ribs * lung
    soft = ndimage.gaussian_filter(rng.normal(0.0, 1.0, (size, size)), size / 40)
    ground += 0.03 * soft / soft.std()
    vessels = np.minimum(_filled(_seen(rng, grow_tree(rng), size), size), 1.0)
    grey = ground + rng.uniform(0.3, 0.55) * vessels + rng.uniform(0.01, 0.03) * rng.normal(0.0, 1.0, (size, size))
    if rng.random() < 0.5:  # the collimator, which turned white
        edge = rng.uniform(0.02, 0.12, 4)
        closed = (down < edge[0]) | (down > 1.0 - edge[1]) | (across < edge[2]) | (across > 1.0 - edge[3])
        grey[closed] = 1.0
    return eight_bits(grey)


def anatomical_plate(seed: int, size: int) -> Pixels:
    """A page of an atlas: a heart in flesh colours with red and blue vessels on white paper, and names on lines."""
    rng = np.random.default_rng([seed, 105])
    paper = tuple(int(v) for v in 255 - rng.integers(0, 22, 3))
    columns = int(size * rng.uniform(0.75, 1.3))
    sheet = Image.new("RGB", (columns, size), paper)
    draw = ImageDraw.Draw(sheet)
    turn = np.linspace(0.0, 2.0 * np.pi, 120)
    tilt = float(rng.uniform(-0.5, 0.5))
    egg = np.stack([0.29 * np.sin(turn) * (1.0 - 0.25 * np.cos(turn)), 0.34 * np.cos(turn)], axis=1)
    egg = egg @ np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    middle = np.array([0.5 * columns, 0.55 * size])
    flesh = np.array([205, 120, 100]) + rng.integers(-25, 26, 3)
    for share in np.linspace(1.0, 0.1, 24):  # lighter towards the middle
        fill = tuple(int(v) for v in np.clip(flesh + 60 * (1.0 - share), 0, 255))
        outline = [
            tuple(point) for point in (middle + [-6 * (1 - share), -9 * (1 - share)] + share * size * egg).tolist()
        ]
        draw.polygon(outline, fill=fill)
    for vessel in grow_tree(rng):
        places = middle + 0.26 * size * vessel.points[:, :2]
        fill = (170, 25, 30) if vessel.order % 2 == 0 else (60, 70, 150)
        width = max(1, round(0.4 * size * float(vessel.radii.mean())))
        draw.line([tuple(place) for place in places.tolist()], fill=fill, width=width, joint="curve")
    letters = font(size // 34)
    names = ("Aorta", "A. coronaria sinistra", "R. circumflexus", "A. coronaria dextra", "Auricula", "Apex cordis")
    for k, name in enumerate(names[: int(rng.integers(2, 7))]):
        at = (0.03 * columns if k % 2 else 0.74 * columns, (0.08 + 0.14 * k) * size)
        draw.text(at, name, fill=(30, 30, 30), font=letters)
        target = middle + rng.uniform(-0.2, 0.2, 2) * size
        draw.line((at[0] + 20, at[1] + 14, *target.tolist()), fill=(60, 60, 60))
    draw.text((0.4 * columns, 0.95 * size), f"Fig. {int(rng.integers(1, 400))}", fill=(30, 30, 30), font=letters)
    return np.asarray(sheet)

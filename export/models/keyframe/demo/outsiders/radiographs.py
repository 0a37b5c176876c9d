"""X-ray pictures that no catheter laboratory takes: hands and feet, knees and elbows, teeth, breasts.

Not for: chests, spines and skulls, which fluoroscopy without contrast may well show; slices (photographs.body_slice).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL.ImageDraw import ImageDraw

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
)

_LIGHT_BONES_SHARE = 0.8  # the others are shown dark on a light ground


def hand_bones(rng: Rng) -> Picture:
    """The bones of a hand or a foot, spread fingers, soft tissue around them, black air, a side's letter."""
    shape = rows, columns = small_shape(rng)
    bones, bone = plain_sheet(shape, (0, 0, 0))
    flesh, tissue = plain_sheet(shape, (0, 0, 0))
    middle = np.array([columns * rng.uniform(0.42, 0.58), rows * rng.uniform(0.72, 0.85)])
    foot = rng.random() < 0.35
    size = float(rng.uniform(0.8, 1.1)) * min(shape)
    lean, mirror = float(rng.normal(0.0, 0.15)), float(rng.choice([-1.0, 1.0]))
    spread = float(rng.uniform(0.04, 0.09) if foot else rng.uniform(0.08, 0.3))
    for finger in range(5):
        turn = lean + mirror * ((finger - 2) * spread - (0.55 if finger == 0 and not foot else 0.0))
        way = np.array([np.sin(turn), -np.cos(turn)])
        at = middle + size * np.array([mirror * (finger - 2) * 0.055, 0.02 * abs(finger - 2)])
        parts = (0.24, 0.09, 0.05, 0.045) if foot else (0.2, 0.14, 0.085, 0.06)
        shrink = (0.72 if finger == 0 and not foot else 1.0) * (0.82 if finger == 4 else 1.0)
        wide = 0.026 * size * (1.5 if foot and finger == 0 else 1.0)
        tip = at
        for k, part in enumerate(parts if finger or foot else parts[:3]):
            start, tip = tip, tip + part * shrink * size * way
            _long_bone(bone, start + 0.008 * size * way, tip - 0.008 * size * way, wide * (0.85 ** max(0, k - 1)))
        tissue.line((*at.tolist(), *(tip + 0.02 * size * way).tolist()), fill=(120,) * 3, width=int(4.0 * wide))
        tissue.ellipse((tip[0] - 2 * wide, tip[1] - 2 * wide, tip[0] + 2 * wide, tip[1] + 2 * wide), fill=(120,) * 3)
    for _ in range(9):
        x, y = middle + size * rng.uniform((-0.13, 0.03), (0.13, 0.13))
        radius = size * float(rng.uniform(0.025, 0.045))
        bone.ellipse(
            (x - radius, y - radius, x + radius, y + 0.9 * radius), fill=(120,) * 3, outline=(215,) * 3, width=2
        )
    for side in (-0.06, 0.06):
        start = middle + size * np.array([side, 0.16])
        _long_bone(bone, start, start + size * np.array([0.3 * lean, 0.5]), 0.035 * size)
    corners = middle + size * np.array(
        [(-0.17, -0.2), (0.17, -0.2), (0.16, 0.1), (0.12, 0.6), (-0.12, 0.6), (-0.16, 0.1)]
    )
    tissue.polygon([tuple(corner) for corner in corners.tolist()], fill=(130,) * 3)
    return _exposed(rng, soften(picture_of(flesh), 4.0), soften(picture_of(bones), 0.9))


def joint_bones(rng: Rng) -> Picture:
    """A knee, an elbow or an ankle: two or three long bones that meet at a gap, perhaps with a plate and screws."""
    shape = rows, columns = small_shape(rng)
    bones, bone = plain_sheet(shape, (0, 0, 0))
    flesh, tissue = plain_sheet(shape, (0, 0, 0))
    size = float(min(shape))
    middle = np.array([columns * rng.uniform(0.4, 0.6), rows * rng.uniform(0.4, 0.6)])
    wide = size * float(rng.uniform(0.06, 0.11))
    turns = np.array([0.0, np.pi + rng.normal(0.0, 0.5)]) + rng.normal(0.0, 0.3)
    for k, turn in enumerate(turns.tolist()):
        way, aside = np.array([np.sin(turn), -np.cos(turn)]), np.array([np.cos(turn), np.sin(turn)])
        far = middle + 1.2 * size * way
        swell = float(rng.uniform(1.6, 3.0))
        tissue.line((*middle.tolist(), *far.tolist()), fill=(125,) * 3, width=int(wide * rng.uniform(4.5, 6.5)))
        pairs = ((-0.7, 0.8), (0.8, 0.5)) if k and rng.random() < 0.6 else ((0.0, 1.0),)
        for off, share in pairs:
            near = middle + 0.3 * wide * way + off * wide * aside
            _long_bone(bone, near, far + off * wide * aside, share * wide, swell)
    radius = 2.6 * wide
    tissue.ellipse(
        (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=(125,) * 3
    )  # the joint's capsule
    if rng.random() < 0.4:
        x, y = middle + size * rng.normal(0.0, 0.08, 2)
        bone.ellipse((x - wide, y - wide, x + wide, y + wide), fill=(150,) * 3, outline=(200,) * 3)
    metal, plate = plain_sheet(shape, (0, 0, 0))
    if rng.random() < 0.3:
        way = np.array([np.sin(turns[0]), -np.cos(turns[0])])
        start = middle + 0.1 * size * way
        plate.line((*start.tolist(), *(start + 0.35 * size * way).tolist()), fill=(255,) * 3, width=int(0.5 * wide) + 2)
        for share in np.linspace(0.05, 0.33, 6):
            at = start + share * size * way
            plate.line((at[0], at[1], at[0] + 1.7 * wide, at[1] + 0.2 * wide), fill=(255,) * 3, width=3)
    body = np.maximum(soften(picture_of(bones), 1.0), picture_of(metal))
    return _exposed(rng, soften(picture_of(flesh), 6.0), body)


def dental_panorama(rng: Rng) -> Picture:
    """Both rows of teeth unrolled into one wide picture: roots, fillings, the jaw below, dark above and beside."""
    rows = int(rng.integers(224, 300))
    shape = rows, columns = rows, int(rows * rng.uniform(1.4, 2.1))
    down, across = grid(shape)
    x = across / (columns / rows)
    bow = rng.uniform(0.1, 0.35) * (x**2 - 0.3) * float(rng.choice([-1.0, -1.0, 1.0]))
    jaw = np.exp(-(((down - 0.55 - bow + 0.3 * x**2) / 0.22) ** 2)) + 0.7 * np.exp(-(((np.abs(x) - 0.85) / 0.09) ** 2))
    grey = 0.15 + 0.3 * jaw + 0.2 * np.exp(-(((down + 0.5 - bow) / 0.25) ** 2)) + 0.2 * np.exp(-((x / 0.12) ** 2))
    grey = grey * (1.0 + 0.15 * fractal(rng, shape, 1.0)) + 0.05 * cloud(rng, shape, 3)
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    half, count = 0.5 * rows, int(rng.integers(12, 17))
    for upper in (-1.0, 1.0):
        for k in range(count):
            if rng.random() < 0.08:
                continue
            place = 0.72 * (2.0 * (k + 0.5) / count - 1.0)
            at = int(np.clip((place + 1.0) * 0.5 * columns, 0, columns - 1))
            y = half * (1.0 + 0.05 + bow[rows // 2, at] + upper * 0.05)
            back = abs(place) > 0.35
            wide = columns * 0.72 / count * (0.46 if back else 0.36)
            tall, root = half * float(rng.uniform(0.16, 0.22)), half * float(rng.uniform(0.22, 0.36))
            crown = int(rng.integers(150, 190))
            for shift in (-0.55, 0.55) if back else (0.0,):
                tip = (at + shift * wide * 1.2 + rng.normal(0, 1), y + upper * (tall + root))
                base = y + upper * 0.8 * tall
                draw.polygon([(at + shift * wide - 0.4 * wide, base), tip, (at + shift * wide + 0.4 * wide, base)],
                             fill=(crown - 35,) * 3)  # fmt: skip
            box = (at - wide, min(y, y + upper * tall), at + wide, max(y, y + upper * tall))
            draw.rounded_rectangle(box, 0.4 * wide, fill=(crown,) * 3, outline=(crown + 35,) * 3, width=2)
            if rng.random() < 0.15:
                y = y + 0.25 * upper * tall
                draw.ellipse((at - 0.6 * wide, y - 6, at + 0.6 * wide, y + 6), fill=(255,) * 3)
    teeth = soften(picture_of(sheet), float(rng.uniform(0.8, 1.6)))
    grey = np.maximum(grey, teeth) * np.clip(1.3 - x**4, 0.0, 1.0)
    return np.asarray(grey + 0.03 * rng.standard_normal(shape, np.float32), np.float32)


def breast_texture(rng: Rng) -> Picture:
    """A breast from one side on black: fat, strands and glands, the muscle as a wedge, specks of chalk."""
    shape = small_shape(rng)
    down, across = grid(shape)
    across = across / np.float32(shape[1] / min(shape))
    high, wide = rng.uniform(0.7, 1.0), rng.uniform(0.9, 1.7)
    away = np.hypot((down - rng.normal(0.0, 0.1)) / high, (across + 1.0) / wide) + 0.03 * cloud(rng, shape, 3)
    inside = np.clip((1.0 - away) / 0.08, 0.0, 1.0) ** 0.5
    strands = np.exp(rng.uniform(0.3, 0.8) * fractal(rng, shape, float(rng.uniform(1.3, 1.6))))
    gland = np.exp(-(((away - 0.4) / rng.uniform(0.2, 0.5)) ** 2))
    grey = 0.2 + rng.uniform(0.1, 0.35) * strands * gland + 0.05 * strands
    if rng.random() < 0.6:
        edge = rng.uniform(-0.9, -0.2) - (across + 1.0) * rng.uniform(0.9, 1.8)
        grey = grey + rng.uniform(0.15, 0.4) * np.clip((edge + rng.uniform(0.2, 0.8) - down) / 0.05, 0.0, 1.0)
    for _ in range(int(rng.integers(0, 14))):
        speck = (down - rng.uniform(-0.5, 0.5)) ** 2 + (across + rng.uniform(0.2, 0.9)) ** 2
        grey = grey + 0.5 * np.exp(-speck / rng.uniform(0.00005, 0.0006))
    grey = np.asarray(grey * inside, np.float32)
    if rng.random() < 0.5:
        sheet, draw = plain_sheet(shape, (0, 0, 0))
        draw.text((0.75 * shape[1], 0.08 * shape[0]), "L MLO" if rng.random() < 0.5 else "R CC", (255,) * 3, font(14))
        grey = np.maximum(grey, picture_of(sheet))
    grey = grey + np.float32(0.015) * rng.standard_normal(shape, np.float32)
    picture = np.asarray(grey, np.float32)
    return picture[:, ::-1].copy() if rng.random() < 0.5 else picture


def _long_bone(
    draw: ImageDraw, start: NDArray[np.float64], stop: NDArray[np.float64], wide: float, swell: float = 1.5
) -> None:
    """A shaft with thick walls and a marrow, swollen at both ends."""
    way = (stop - start) / max(float(np.linalg.norm(stop - start)), 1e-6)
    aside = np.array([-way[1], way[0]])
    length = float(np.linalg.norm(stop - start))
    along = np.linspace(0.0, 1.0, 13)
    ends = np.exp(-along * length / (1.3 * wide)) + np.exp(-(1.0 - along) * length / (1.3 * wide))
    half = wide * (0.62 + 0.62 * (swell - 0.62) * np.minimum(ends, 1.0))
    for share, ink in ((1.0, 205), (0.62, 120)):
        left = start + along[:, None] * (stop - start) + (share * half)[:, None] * aside
        right = start + along[:, None] * (stop - start) - (share * half)[:, None] * aside
        draw.polygon([tuple(point) for point in np.concatenate([left, right[::-1]]).tolist()], fill=(ink,) * 3)


def _exposed(rng: Rng, flesh: Picture, bones: Picture) -> Picture:
    """The film of bones within flesh: spongy grain, an edge of skin, noise, sometimes the other polarity."""
    shape = (flesh.shape[0], flesh.shape[1])
    sponge = 1.0 + rng.uniform(0.05, 0.25) * fractal(rng, shape, 0.7)
    grey = rng.uniform(0.3, 0.8) * flesh * (1.0 + 0.2 * cloud(rng, shape, 4)) + rng.uniform(0.5, 1.0) * bones * sponge
    sheet, draw = plain_sheet(shape, (0, 0, 0))
    if rng.random() < 0.5:
        at = (float(rng.choice([0.05, 0.85])) * shape[1], float(rng.uniform(0.05, 0.85)) * shape[0])
        draw.text(at, str(rng.choice(["L", "R", "D", "S"])), fill=(255, 255, 255), font=font(int(rng.integers(14, 30))))
    grey = np.maximum(grey, 1.2 * picture_of(sheet)) + rng.uniform(0.0, 0.1)
    grey = grey + rng.uniform(0.01, 0.04) * rng.standard_normal(shape, np.float32)
    picture = np.asarray(grey / 1.3, np.float32)
    picture = np.rot90(picture, int(rng.choice([0, 0, 0, 1, 2, 3])))
    return picture if rng.random() < _LIGHT_BONES_SHARE else 1.0 - picture

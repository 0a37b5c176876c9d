"""Pictures of other scanners: OCT and IVUS from inside a vessel, echocardiography, CT, MR, the eye's ground.

Not for: screens that only write and plot (screens.py).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, Values, eight_bits, font


def oct_frame(seed: int, size: int) -> Pixels:
    """One turn of an OCT catheter in its golden colours, rings of the sheath, shadow of the wire, and a scale bar."""
    rng = np.random.default_rng([seed, 201])
    lines, samples = 360, 300
    theta = np.linspace(0.0, 2.0 * np.pi, lines, endpoint=False)[:, None]
    radius = np.arange(samples)[None, :] / samples
    wall = 0.32 + 0.08 * np.sin(theta + rng.uniform(0, 6)) + 0.04 * np.sin(2 * theta + rng.uniform(0, 6))
    behind = radius - wall
    signal = np.where(behind > 0, np.exp(-behind * rng.uniform(5.0, 11.0)), 0.0)
    plaque = np.cos(theta - rng.uniform(0, 6)) > 0.4
    signal *= np.where(plaque & (behind > 0.05), rng.uniform(0.2, 0.6), 1.0)
    signal *= rng.gamma(2.0, 0.5, signal.shape)
    shadow = np.abs((theta - rng.uniform(0, 6)) % (2 * np.pi)) < rng.uniform(0.08, 0.2)
    signal = np.where(shadow & (radius > 0.2), 0.02, signal)
    for ring in (0.05, 0.075, 0.12):
        signal += 1.2 * np.exp(-(((radius - ring) / 0.005) ** 2))
    grey = _round(np.sqrt(np.clip(signal, 0.0, 1.0)), size)
    gold = np.stack([1.1 * grey, 0.8 * grey**1.2, 0.35 * grey**1.8], axis=-1)
    sheet = Image.fromarray(eight_bits(gold))
    draw = ImageDraw.Draw(sheet)
    draw.line((0.75 * size, 0.95 * size, 0.95 * size, 0.95 * size), fill=(255, 255, 255), width=3)
    draw.text(
        (0.02 * size, 0.02 * size), f"OCT  frame {int(rng.integers(1, 375))}", fill="white", font=font(size // 26)
    )
    return np.asarray(sheet)


def ivus_frame(seed: int, size: int) -> Pixels:
    """Intravascular ultrasound with a guide wire's bright arc, its echoes and its shadow, and the long view below."""
    rng = np.random.default_rng([seed, 202])
    lines, samples = 256, 220
    theta = np.linspace(0.0, 2.0 * np.pi, lines, endpoint=False)[:, None]
    radius = np.arange(samples)[None, :] / samples
    inner = 0.33 + 0.05 * np.sin(theta + rng.uniform(0, 6))
    outer = inner + 0.14 + 0.08 * np.cos(theta - rng.uniform(0, 6))
    strength = np.select([radius < inner, radius < outer, radius < outer + 0.03], [0.08, 0.45, 0.04], 0.8)
    strength = strength * np.exp(-1.2 * np.maximum(radius - outer, 0.0) / 0.4)
    wave = ndimage.gaussian_filter(rng.normal(size=(2, lines, samples)), (0.0, 2.5, 0.9), mode="wrap")
    echo = np.hypot(*wave) / wave.std() * strength
    wire = (theta - rng.uniform(0, 6)) % (2 * np.pi)
    beam = np.exp(-(((wire - 0.2) / 0.09) ** 2))
    echo *= 1.0 - 0.9 * (np.abs(wire - 0.2) < 0.12) * (radius > 0.24)
    for k in range(3):
        echo += 1.5 / (k + 1) * beam * np.exp(-(((radius - 0.22 - 0.07 * k) / 0.012) ** 2))
    echo = np.where(radius < 0.13, 1.5 * np.exp(-(((radius - 0.11) / 0.012) ** 2)), echo)
    grey = _round(np.log1p(6.0 * echo) / np.log(12.0), size)
    for tick in np.arange(0.1, 0.95, 0.1):
        for row, column in ((0.5, tick), (tick, 0.5)):
            r, c = int(row * size), int(column * size)
            grey[r - 1 : r + 2, c - 1 : c + 2] = 1.0
    along = np.log1p(6.0 * ndimage.gaussian_filter(rng.gamma(1.5, 0.4, (size // 5, size)), (0.8, 2.0))) / 3.0
    along[size // 10 - size // 40 : size // 10 + size // 40] *= 0.2
    return eight_bits(np.concatenate([grey, along]))


def echocardiogram(seed: int, size: int) -> Pixels:
    """Four chambers in a sector, the ECG in green below, depths at the side, writing in colours."""
    rng = np.random.default_rng([seed, 203])
    lines, samples = 180, 320
    half = float(rng.uniform(0.5, 0.8))
    angle = np.linspace(-half, half, lines)[:, None]
    depth = np.linspace(0.0, 1.0, samples)[None, :]
    zoom, tilt = rng.uniform(0.75, 1.25), rng.uniform(-0.35, 0.35)
    across, down = zoom * depth * np.sin(angle + tilt), zoom * depth * np.cos(angle + tilt)
    muscle = np.full((lines, samples), 0.35) * np.exp(-(((np.hypot(across * 1.4, down - 0.5)) / 0.55) ** 6))
    for row, column, high, wide in ((0.38, 0.1, 0.22, 0.09), (0.38, -0.13, 0.2, 0.07), (0.76, 0.11, 0.12, 0.1),
                                    (0.76, -0.13, 0.12, 0.1)):  # fmt: skip
        scale = rng.uniform(0.85, 1.15, 2)
        away = np.hypot((down - row) / (high * scale[0]), (across - column) / (wide * scale[1]))
        muscle = np.where(away < 1.0, 0.01, muscle + 0.5 * np.exp(-(((away - 1.08) / 0.08) ** 2)))
    valve = np.exp(-(((down - 0.62 - 0.2 * np.abs(across - 0.1)) / 0.008) ** 2)) * (np.abs(across) < 0.24)
    wave = ndimage.gaussian_filter(rng.normal(size=(2, lines, samples)), (0.0, 2.0, 0.8))
    echo = (muscle + valve) * np.hypot(*wave) / wave.std()
    gain = float(rng.uniform(6.0, 40.0))
    grey = np.clip(np.log1p(gain * echo) / np.log(1.5 * gain), 0.0, 1.0)
    columns = int(size * 4 / 3)
    rows, cols = np.mgrid[0:size, 0:columns].astype(float)
    y, x = (rows - 0.05 * size) / (0.85 * size), (cols - 0.5 * columns) / (0.85 * size)
    place = [(np.arctan2(x, y) + half) / (2.0 * half) * (lines - 1), np.hypot(x, y) * (samples - 1)]
    fan = ndimage.map_coordinates(grey, place, order=1, cval=0.0)
    sheet = Image.fromarray(eight_bits(np.repeat(fan[..., None], 3, axis=2)))
    draw = ImageDraw.Draw(sheet)
    beat = np.linspace(0.0, rng.uniform(2.0, 5.0), columns) % 1.0
    trace = 0.95 - 0.08 * np.exp(-(((beat - 0.4) / 0.015) ** 2)) - 0.015 * np.exp(-(((beat - 0.7) / 0.06) ** 2))
    draw.line(list(zip(range(columns), (size * trace).tolist(), strict=True)), fill=(60, 230, 90), width=2)
    for k in range(1, 16):
        draw.line((0.97 * columns, k * size / 17, 0.985 * columns, k * size / 17), fill=(200, 200, 200))
    draw.text((8, 8), f"A4C  {int(rng.integers(30, 90))} Hz\nHR {int(rng.integers(50, 120))}", fill=(240, 220, 90),
              font=font(size // 26))  # fmt: skip
    return np.asarray(sheet)


def chest_ct(seed: int, size: int) -> Pixels:
    """An axial slice of the chest: lungs black with light vessels, heart and aorta, spine, ribs and the table."""
    rng = np.random.default_rng([seed, 204])
    y, x = (np.mgrid[0:size, 0:size] - 0.5 * size) / (0.5 * size)
    y, x = y * rng.uniform(1.15, 1.5), x * rng.uniform(0.95, 1.15)
    bend = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 14) * size / 90
    body = np.hypot(y / 0.85, x / 0.97) + 0.2 * bend
    hu = np.where(body < 1.0, -80.0, -1000.0)
    hu[body < 0.92] = 50.0
    for side in (-1.0, 1.0):
        lung = np.hypot((y + 0.02) / 0.6, (x - side * 0.46) / 0.33) + 0.3 * bend
        hu[lung < 1.0] = -850.0
        dots = ndimage.gaussian_filter(rng.normal(size=(size, size)), 1.3)
        hu[(lung < 0.95) & (dots > 2.6 * dots.std())] = 0.0
    heart = np.hypot((y + 0.12) / 0.36, (x - 0.14) / 0.36) + 0.3 * bend
    hu[heart < 1.0] = 140.0 if rng.random() < 0.6 else 45.0
    for row, column, radius in ((0.32, 0.13, 0.1), (-0.3, -0.02, 0.11)):
        hu[np.hypot(y - row, x - column) < radius] = rng.uniform(50.0, 330.0)
    hu[np.hypot(y - 0.52, x) < 0.16] = 350.0
    hu[np.hypot(y - 0.6, x) < 0.06] = 20.0
    around = np.arctan2(y, x)
    hu[(np.abs(body - 0.86) < 0.025) & (np.sin(9.0 * around + rng.uniform(0, 6)) > 0.5)] = 500.0
    hu[np.abs(y - 1.02 - 0.08 * x**2) < 0.015] = -200.0
    hu = (
        ndimage.gaussian_filter(hu, 0.8)
        + rng.uniform(8.0, 40.0) * ndimage.gaussian_filter(rng.normal(size=hu.shape), 0.7) * 2
    )
    centre, width = ((40.0, 400.0), (-500.0, 1500.0))[int(rng.random() < 0.35)]
    return eight_bits((hu - centre) / width + 0.5)


def brain_mr(seed: int, size: int) -> Pixels:
    """An axial slice of the head in MR: scalp, skull, folded grey and white matter, ventricles."""
    rng = np.random.default_rng([seed, 205])
    y, x = (np.mgrid[0:size, 0:size] - 0.5 * size) / (0.5 * size)
    away = np.hypot(y / 0.85, x / 0.68)
    folds = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 55) * size / 16
    grey = np.select([away > 1.0, away > 0.94, away > 0.87, away > 0.84], [0.0, 0.85, 0.06, 0.15], 0.0)
    brain = away < 0.84
    white = away + 0.13 * np.abs(folds) + 0.05 * folds < 0.68
    grey[brain] = np.where(white, 0.75, 0.5)[brain]
    grey[brain & (away + 0.1 * folds > 0.78) & (np.abs(folds) < 0.25)] = 0.1
    horns = np.minimum(*(np.hypot((y + 0.05) / 0.26, (x - side * (0.1 + 0.25 * y)) / 0.06) for side in (-1.0, 1.0)))
    grey[(horns < 1.0) | ((np.abs(x) < 0.008) & brain)] = 0.12
    if rng.random() < 0.4:  # the other weighting
        grey = np.where(away < 0.87, 0.9 - grey, grey)
        grey[away > 1.0] = 0.0
    bias = 1.0 + 0.3 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))
    real, imaginary = 0.03 * rng.normal(size=(2, size, size))
    return eight_bits(np.hypot(ndimage.gaussian_filter(grey, 0.9) * bias + real, imaginary))


def eye_ground(seed: int, size: int) -> Pixels:
    """The retina in colour: an orange disc on black, the pale papilla, arching dark vessels, the dark macula."""
    rng = np.random.default_rng([seed, 206])
    y, x = (np.mgrid[0:size, 0:size] - 0.5 * size) / (0.5 * size)
    side = float(rng.choice([-1.0, 1.0]))
    papilla = np.array([rng.uniform(-0.08, 0.08), side * rng.uniform(0.35, 0.5)])
    red = 0.72 - 0.2 * np.hypot(y, x) ** 2 + 0.04 * ndimage.gaussian_filter(rng.normal(size=(size, size)), 3.0) * 8
    red = red - 0.22 * np.exp(-((np.hypot(y, x + 0.05 * side) / 0.16) ** 2))
    sheet = Image.new("L", (size, size))
    draw = ImageDraw.Draw(sheet)
    for rise in (-1.0, 1.0):
        for k in range(int(rng.integers(4, 8))):
            reach = np.linspace(0.0, 1.0, 60)
            bow = rise * (0.15 + 0.25 * k * rng.uniform(0.5, 1.2)) * np.sin(np.pi * np.minimum(reach * 0.9, 0.8))
            column = papilla[1] - side * reach * rng.uniform(0.5, 1.5) * (1.0 if k % 3 else -0.5)
            row = papilla[0] + bow + 0.015 * np.cumsum(rng.normal(size=60)) * 0.5
            places = np.stack([(column + 1.0) * size / 2, (row + 1.0) * size / 2], axis=1)
            width = max(1, round(size * rng.uniform(0.004, 0.013)))
            draw.line([tuple(p) for p in places.tolist()], fill=int(rng.integers(120, 255)), width=width, joint="curve")
    vessels = ndimage.gaussian_filter(np.asarray(sheet) / 255.0, 0.9)
    disc = np.exp(-((np.hypot(y - papilla[0], x - papilla[1]) / 0.12) ** 4))
    red = np.maximum(red * (1.0 - 0.45 * vessels), 0.95 * disc * (1.0 - 0.4 * vessels))
    colour = np.stack([red, 0.48 * red + 0.4 * disc - 0.12 * vessels, 0.2 * red + 0.3 * disc], axis=-1)
    colour[np.hypot(y, x) > rng.uniform(0.9, 0.98)] = 0.0
    return eight_bits(colour)


def _round(polar: Values, size: int) -> Values:
    """(size, size) from lines of samples, the first sample of each in the middle."""
    lines, samples = polar.shape
    y, x = np.mgrid[0:size, 0:size] - 0.5 * (size - 1)
    line = (np.arctan2(y, x) % (2 * np.pi)) / (2 * np.pi) * lines
    sample = np.hypot(y, x) / (0.49 * size) * samples
    wrapped = np.concatenate([polar, polar[:1]])
    picture = ndimage.map_coordinates(wrapped, [line, np.minimum(sample, samples - 1)], order=1)
    picture[sample >= samples] = 0.0
    return np.asarray(picture)

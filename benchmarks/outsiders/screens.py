"""What screens, paper and cameras show that no scanner made: colour bars, ECG paper, monitors, reports, landscapes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, Values, font

_BAR_COLOURS = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191))
_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def colour_bars(seed: int, size: int) -> Pixels:
    """The seven bars of broadcast engineering with their two lower rows, from a good line or a bad one."""
    rng = np.random.default_rng([seed, 301])
    columns = int(size * rng.choice([4 / 3, 16 / 9, 1.0]))
    sheet = Image.new("RGB", (columns, size))
    draw = ImageDraw.Draw(sheet)
    first, second = size * rng.uniform(0.6, 0.7), size * rng.uniform(0.73, 0.8)
    for k, colour in enumerate(_BAR_COLOURS):
        left, right = k * columns / 7, (k + 1) * columns / 7
        draw.rectangle((left, 0, right, first), fill=colour)
        draw.rectangle((left, first, right, second), fill=_BAR_COLOURS[6 - k] if k % 2 == 0 else (16, 16, 16))
    for k, colour in enumerate(((0, 33, 76), (255, 255, 255), (50, 0, 106), (16, 16, 16), (8, 8, 8), (28, 28, 28))):
        draw.rectangle((k * columns / 6, second, (k + 1) * columns / 6, size), fill=colour)
    if rng.random() < 0.5:
        draw.text((columns / 3, size / 3), f"CAM {int(rng.integers(1, 9))}", fill="black", font=font(size // 10))
    pixels = np.asarray(sheet) + rng.normal(0.0, rng.uniform(0.0, 12.0), (size, columns, 1))
    if rng.random() < 0.3:
        pixels = ndimage.gaussian_filter1d(pixels, rng.uniform(1.0, 5.0), axis=1)
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def _heart_beat(phase: Values, rng: np.random.Generator) -> Values:
    waves = ((0.2, 0.03, 0.12), (0.36, 0.01, -0.1), (0.38, 0.012, 1.0), (0.41, 0.012, -0.3), (0.62, 0.05, 0.25))
    return np.asarray(
        sum(rng.normal(1.0, 0.25) * high * np.exp(-(((phase - at) / wide) ** 2)) for at, wide, high in waves)
    )


def ecg_paper(seed: int, size: int) -> Pixels:
    """Twelve leads on paper of millimetre squares, with names, a calibration step and a line of writing."""
    rng = np.random.default_rng([seed, 302])
    columns = int(size * rng.uniform(1.2, 1.5))
    paper = (255, int(rng.integers(225, 252)), int(rng.integers(215, 250)))
    sheet = Image.new("RGB", (columns, size), paper)
    draw = ImageDraw.Draw(sheet)
    square = size / float(rng.uniform(90, 140))
    for k in range(int(columns / square) + 1):
        line = (225, 130, 130) if k % 5 == 0 else (245, 195, 195)
        draw.line((k * square, 0, k * square, size), fill=line)
        draw.line((0, k * square, columns, k * square), fill=line)
    beats, ink = float(rng.uniform(2.0, 4.5)), (20, 20, int(rng.integers(20, 90)))
    rows = 3 + int(rng.integers(0, 2))
    for row in range(rows):
        for part in range(4):
            left, right = (0.03 + 0.24 * part) * columns, (0.27 + 0.24 * part) * columns
            phase = (np.linspace(0, beats, 300) + 0.3 * part) % 1.0
            middle = (0.2 + 0.75 * row / rows) * size
            y = middle - rng.normal(6.0, 4.0) * square * _heart_beat(phase, rng) + rng.normal(0, 0.3, 300)
            draw.line(list(zip(np.linspace(left, right, 300).tolist(), y.tolist(), strict=True)), fill=ink, width=2)
            draw.text((left, middle - 9 * square), _LEADS[(row + 3 * part) % 12], fill=ink, font=font(size // 36))
    draw.text((10, 6), f"25 mm/s  10 mm/mV  {int(rng.integers(50, 120))}/min", fill=ink, font=font(size // 34))
    return np.asarray(sheet)


def monitor(seed: int, size: int) -> Pixels:
    """A haemodynamic monitor: curves in colours on black, each with its name and large numbers."""
    rng = np.random.default_rng([seed, 303])
    columns = int(size * rng.choice([16 / 9, 4 / 3]))
    sheet = Image.new("RGB", (columns, size), (0, 0, int(rng.integers(0, 25))))
    draw = ImageDraw.Draw(sheet)
    colours = ((80, 255, 90), (255, 70, 70), (90, 220, 255), (255, 240, 90), (240, 240, 240), (255, 150, 60))
    names = ("ECG II", "ART", "SpO2", "PA", "RESP", "LV")
    count = int(rng.integers(3, 7))
    for k in range(count):
        middle, room = (k + 0.55) * size / count, 0.8 * size / count
        phase = np.linspace(0.0, rng.uniform(4.0, 12.0), 700) % 1.0
        pulse = np.maximum(np.sin(np.pi * np.minimum(phase * 2.2, 1.0)), 0.35 * np.exp(-3.0 * phase) + 0.1)
        wave = _heart_beat(phase, rng) if k in (0, 4) else pulse
        y = middle + 0.4 * room - 0.7 * room * wave
        x = np.linspace(0.0, 0.74 * columns, 700)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=colours[k], width=2)
        draw.text((0.76 * columns, middle - 0.4 * room), names[k], fill=colours[k], font=font(size // 24))
        number = (
            f"{int(rng.integers(40, 190))}/{int(rng.integers(5, 99))}" if k % 2 else f"{int(rng.integers(40, 140))}"
        )
        draw.text((0.8 * columns, middle - 0.2 * room), number, fill=colours[k], font=font(size // (count + 4)))
        draw.line((0, (k + 1) * size / count, columns, (k + 1) * size / count), fill=(60, 60, 60))
    return np.asarray(sheet)


def dark_report(seed: int, size: int) -> Pixels:
    """A report in dark mode: rounded cards with keys and values, a gauge, small columns, a schematic of segments."""
    rng = np.random.default_rng([seed, 304])
    columns = int(size * rng.uniform(1.2, 1.8))
    base = int(rng.integers(14, 40))
    sheet = Image.new("RGB", (columns, size), (base, base, base + 8))
    draw = ImageDraw.Draw(sheet)
    across, down = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    wide, high = columns / across, 0.88 * size / down
    draw.text((14, 0.03 * size), "Study summary", fill=(235, 235, 240), font=font(size // 20))
    for k in range(across * down):
        left, top = (k % across) * wide + 10, 0.1 * size + (k // across) * high + 6
        draw.rounded_rectangle(
            (left, top, left + wide - 20, top + high - 14), 12, fill=(base + 18, base + 18, base + 26)
        )
        accent = tuple(int(v) for v in rng.integers(70, 256, 3))
        kind = int(rng.integers(4))
        if kind == 0:
            for row in range(int(high / (size / 18)) - 1):
                y = top + 10 + row * size / 18
                draw.text((left + 10, y), f"Parameter {row + 1}", fill=(150, 150, 160), font=font(size // 32))
                draw.text((left + 0.6 * wide, y), f"{rng.uniform(0, 100):.1f} %", fill=accent, font=font(size // 32))
        elif kind == 1:
            box = (left + 0.25 * wide, top + 0.15 * high, left + 0.25 * wide + 0.6 * high, top + 0.75 * high)
            draw.arc(box, 130, 410, fill=(90, 90, 100), width=size // 40)
            draw.arc(box, 130, 130 + int(rng.integers(30, 280)), fill=accent, width=size // 40)
        elif kind == 2:
            for bar in range(9):
                tall = float(rng.uniform(0.1, 0.75)) * high
                x = left + 14 + bar * (wide - 50) / 9
                draw.rectangle((x, top + high - 24 - tall, x + (wide - 60) / 12, top + high - 24), fill=accent)
        else:
            x, y = left + 0.5 * wide, top + 20
            for step in range(int(rng.integers(4, 9))):
                end = (x + float(rng.uniform(-0.2, 0.2)) * wide, y + 0.1 * high)
                draw.line((x, y, *end), fill=accent, width=4)
                draw.ellipse((end[0] - 6, end[1] - 6, end[0] + 6, end[1] + 6), outline=(220, 220, 220))
                draw.text((end[0] + 9, end[1] - 8), str(step + 1), fill=(200, 200, 200), font=font(size // 36))
                x, y = end
    return np.asarray(sheet)


def landscape(seed: int, size: int) -> Pixels:
    """A photograph of hills: sky with clouds and a sun, ridges that pale with distance, a lake that mirrors them."""
    rng = np.random.default_rng([seed, 305])
    columns = int(size * rng.uniform(1.2, 1.7))
    rows, cols = np.mgrid[0:size, 0:columns] / size
    clouds = np.zeros((size, columns))
    for k in range(5):
        coarse = Image.fromarray(rng.normal(size=(4 * 2**k, 6 * 2**k)).astype(np.float32))
        clouds += np.asarray(coarse.resize((columns, size), Image.Resampling.BICUBIC)) / 1.8**k
    sky = np.stack([0.45 + 0.3 * rows, 0.6 + 0.2 * rows, 0.9 - 0.1 * rows], axis=-1) * rng.uniform(0.6, 1.05)
    picture = sky + 0.18 * np.maximum(clouds, 0.0)[..., None]
    sun = rng.uniform((0.05, 0.1), (0.35, 1.2))
    picture += 1.2 * np.exp(-(((rows - sun[0]) ** 2 + (cols - sun[1]) ** 2) / 0.003))[..., None]
    ridges = int(rng.integers(3, 6))
    for k in range(ridges):
        walk = np.zeros(columns)
        for j in range(7):
            knots = rng.normal(size=3 * 2**j) / 2.0**j
            walk += np.interp(np.linspace(0.0, 1.0, columns), np.linspace(0.0, 1.0, len(knots)), knots)
        height = 0.35 + 0.42 * k / ridges - 0.06 * walk
        near = (k + 1) / ridges
        green = np.array([0.62, 0.68, 0.78]) * (1.0 - near) + rng.uniform(0.08, 0.3, 3) * near
        rough = 1.0 + 0.5 * near * ndimage.gaussian_filter(rng.normal(size=(size, columns)), (1.5, 0.8))
        picture = np.where((rows > height[None, :])[..., None], green * rough[..., None], picture)
    if rng.random() < 0.5:
        shore = int(size * rng.uniform(0.75, 0.88))
        mirror = ndimage.gaussian_filter1d(picture[2 * shore - size : shore][::-1], 3.0, axis=1)
        picture[shore:] = 0.75 * mirror + 0.02 * rng.normal(size=(size - shore, columns, 1))
    picture += rng.normal(0.0, 0.015, picture.shape)
    return np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)

"""Paper before a camera or on a scanner: forms filled in by hand, music, labels of parcels.

Not for: paper that an ECG runs over, and screens (screens.py).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, eight_bits, font

_FIELDS = (
    "Name",
    "Date of birth",
    "Address",
    "Telephone",
    "Insurance",
    "Referred by",
    "Complaint",
    "Remarks",
    "Signed",
)
_STREETS = ("Harbour Road", "Mill Lane", "Station Street", "Elm Avenue", "Church Hill", "Dock Side")
_TOWNS = ("LEEDS", "OSLO", "GRAZ", "NAGOYA", "PORTO", "QUEBEC")


def handwritten_form(seed: int, size: int) -> Pixels:
    """A printed form with ruled lines and boxes, filled in with a running hand, lying in uneven light."""
    rng = np.random.default_rng([seed, 401])
    columns = int(size * rng.uniform(0.7, 1.3))
    paper = tuple(int(v) for v in 250 - rng.integers(0, 30, 3))
    sheet = Image.new("RGB", (columns, size), paper)
    draw = ImageDraw.Draw(sheet)
    ink = ((20, 30, 120), (25, 25, 30), (15, 60, 90))[rng.integers(3)]
    draw.text(
        (0.08 * columns, 0.03 * size),
        f"FORM {int(rng.integers(100, 999))}-B",
        fill=(30, 30, 30),
        font=font(size // 18),
    )
    pitch = size * float(rng.uniform(0.055, 0.085))
    slant, height = float(rng.normal(0.35, 0.2)), float(rng.uniform(0.3, 0.5)) * pitch
    y, number = 0.16 * size, 0
    while y < 0.95 * size:
        left = 0.06 * columns
        if number < len(_FIELDS) or rng.random() < 0.2:
            draw.text((left, y - 0.5 * pitch), _FIELDS[number % len(_FIELDS)], fill=(90, 90, 90), font=font(size // 38))
            left = 0.3 * columns
        draw.line((left, y, 0.95 * columns, y), fill=(150, 150, 160))
        if rng.random() < 0.3:
            for box in range(int(rng.integers(2, 5))):
                x = left + (0.55 + 0.09 * box) * (columns - left)
                draw.rectangle((x, y - 0.4 * pitch, x + 0.35 * pitch, y - 0.05 * pitch), outline=(80, 80, 80))
                if rng.random() < 0.4:
                    draw.line((x, y - 0.4 * pitch, x + 0.4 * pitch, y), fill=ink, width=2)
        elif rng.random() < 0.9:
            x = left + 0.02 * columns
            while x < rng.uniform(0.5, 0.95) * columns:
                x = _written_word(rng, draw, (x, y - 0.1 * pitch), height, slant, ink) + 0.5 * height
        y, number = y + pitch, number + 1
    rows, cols = np.mgrid[0:size, 0:columns] / size
    shade = 1.0 - rng.uniform(0.0, 0.35) * np.hypot(rows - rng.uniform(0, 1), cols - rng.uniform(0, 1))
    turned = np.asarray(sheet.rotate(float(rng.normal(0.0, 2.5)), Image.Resampling.BICUBIC, fillcolor=(70, 60, 50)))
    return eight_bits(turned / 255.0 * shade[..., None] + rng.normal(0.0, 0.01, turned.shape))


def _written_word(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    height: float,
    slant: float,
    ink: tuple[int, int, int],
) -> float:
    """One line of the pen: loops to the right, some tall, some below the line. Returns where it ends."""
    letters = int(rng.integers(2, 9))
    turn = np.linspace(0.0, 2.0 * np.pi * letters, 24 * letters)
    which = np.minimum((turn / (2.0 * np.pi)).astype(int), letters - 1)
    tall = rng.choice([1.0, 1.0, 1.0, 2.2, -1.4], letters)[which]
    wide = rng.uniform(0.25, 0.75, letters)[which]
    up = 0.5 * (1.0 - np.cos(turn)) * tall + 0.12 * np.sin(2.0 * turn + rng.uniform(0, 6))
    x = at[0] + 0.12 * height * turn + 0.5 * height * wide * np.sin(turn) + slant * height * up
    y = at[1] - height * up
    draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=ink, width=max(1, round(height / 9)), joint="curve")
    if rng.random() < 0.4:
        draw.ellipse((x[30], at[1] - 1.6 * height, x[30] + 3, at[1] - 1.6 * height + 3), fill=ink)
    return float(x[-1])


def musical_score(seed: int, size: int) -> Pixels:
    """A page of music: staves of five lines, clefs, notes with stems and beams, bar lines, slurs, a title."""
    rng = np.random.default_rng([seed, 402])
    columns = int(size * rng.uniform(0.75, 1.4))
    sheet = Image.new("L", (columns, size), int(rng.integers(225, 256)))
    draw = ImageDraw.Draw(sheet)
    ink, gap = int(rng.integers(0, 50)), size * float(rng.uniform(0.011, 0.02))
    draw.text((0.35 * columns, 0.02 * size), f"Etude No. {int(rng.integers(1, 40))}", fill=ink, font=font(size // 20))
    left, right, top = 0.06 * columns, 0.95 * columns, 0.13 * size
    while top + 5 * gap < size:
        for line in range(5):
            draw.line((left, top + line * gap, right, top + line * gap), fill=ink)
        turn = np.linspace(0.0, 9.0, 60)  # a treble clef is a spiral on a stroke
        swirl = [
            (left + 2 * gap + 0.13 * gap * t * np.cos(t), top + 2.6 * gap + 0.2 * gap * t * np.sin(t)) for t in turn
        ]
        draw.line([*swirl, (left + 2.1 * gap, top - 1.5 * gap), (left + 1.7 * gap, top + 5.5 * gap)], fill=ink, width=2)
        x, step = left + 5 * gap, int(rng.integers(0, 9))
        while x < right - 3 * gap:
            group, start = int(rng.choice([1, 1, 2, 4])), x
            heads = []
            for _ in range(group):
                step = int(np.clip(step + rng.integers(-3, 4), -3, 12))
                y = top + (4.0 - 0.5 * step) * gap
                box = (x - 0.62 * gap, y - 0.45 * gap, x + 0.62 * gap, y + 0.45 * gap)
                if group == 1 and rng.random() < 0.4:
                    draw.ellipse(box, outline=ink, width=2)
                else:
                    draw.ellipse(box, fill=ink)
                heads.append((x, y))
                x += gap * float(rng.uniform(2.0, 3.6))
            up = -1.0 if np.mean([y for _, y in heads]) > top + 2 * gap else 1.0
            end = (min if up < 0 else max)(y for _, y in heads) + up * 3.2 * gap
            for hx, hy in heads:
                draw.line((hx - up * 0.55 * gap, hy, hx - up * 0.55 * gap, end), fill=ink, width=max(1, int(gap / 6)))
            if group > 1:
                draw.line(
                    (heads[0][0] - up * 0.55 * gap, end, heads[-1][0] - up * 0.55 * gap, end),
                    fill=ink,
                    width=int(gap / 2) + 1,
                )
            if rng.random() < 0.15:
                draw.arc((start, top - 2.5 * gap, x, top + gap), 190, 350, fill=ink, width=2)
            if rng.random() < 0.3:
                draw.line((x - gap, top, x - gap, top + 4 * gap), fill=ink, width=2)
        top += gap * float(rng.uniform(8.5, 11.0))
    page = np.asarray(sheet) / 255.0
    if rng.random() < 0.5:  # a curled page under a lamp
        bow = size * rng.uniform(0.0, 0.03) * np.sin(np.linspace(0.0, np.pi, columns))
        rows, cols = np.mgrid[0:size, 0:columns]
        page = ndimage.map_coordinates(page, [rows + bow, cols], order=1, mode="nearest")
        page = page * np.linspace(rng.uniform(0.5, 1.0), 1.0, columns)
    return eight_bits(page + rng.normal(0.0, 0.012, page.shape))


def parcel_label(seed: int, size: int) -> Pixels:
    """A sender's label: a matrix code with its three corner marks, a bar code, an address, on cardboard or bare."""
    rng = np.random.default_rng([seed, 403])
    columns = int(size * rng.uniform(0.8, 1.4))
    sheet = Image.new("L", (columns, size), 255)
    draw = ImageDraw.Draw(sheet)
    edge = 0.05 * size
    modules = int(rng.choice([21, 25, 29, 33]))
    code = rng.random((modules, modules)) < 0.5
    mark = np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True)
    for row, column in ((0, 0), (0, modules - 7), (modules - 7, 0)):
        code[max(0, row - 1) : row + 8, max(0, column - 1) : column + 8] = False
        code[row : row + 7, column : column + 7] = mark
    side = int(size * rng.uniform(0.3, 0.45))
    matrix = Image.fromarray(np.where(code, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    on_right = rng.random() < 0.5
    sheet.paste(matrix, (int(columns - edge - side) if on_right else int(edge), int(edge)))
    x = edge if on_right else edge + side + 0.05 * size
    lines = [
        f"{int(rng.integers(1, 200))} {_STREETS[rng.integers(6)]}",
        f"{_TOWNS[rng.integers(6)]} {int(rng.integers(1000, 99999))}",
    ]
    for k, line in enumerate(("TO:", *lines, f"{rng.uniform(0.1, 30):.2f} kg")):
        draw.text((x, edge + 0.09 * size * k), line, fill=0, font=font(size // 17))
    low = edge + side + 0.06 * size
    draw.line((edge, low, columns - edge, low), fill=0, width=4)
    x, narrow = 2 * edge, max(2.0, size / float(rng.uniform(140, 220)))
    while x < columns - 2 * edge:
        bar, space = rng.integers(1, 5, 2) * narrow
        draw.rectangle((x, low + 0.05 * size, x + bar - 1, low + 0.3 * size), fill=0)
        x += bar + space
    digits = " ".join(str(v) for v in rng.integers(0, 9999, 5))
    draw.text((3 * edge, low + 0.32 * size), digits, fill=0, font=font(size // 20))
    if rng.random() < 0.4:
        return np.asarray(sheet)
    ridges = 0.05 * np.sin(np.arange(size)[:, None] * rng.uniform(0.2, 0.6)) + 0.55
    board = np.broadcast_to(ridges, (size, columns)) + ndimage.gaussian_filter(
        rng.normal(0.0, 0.2, (size, columns)), (0.5, 3.0)
    )
    small = sheet.resize((int(0.8 * columns), int(0.8 * size)), Image.Resampling.BILINEAR).convert("LA")
    stuck = small.rotate(float(rng.normal(0.0, 12.0)), Image.Resampling.BICUBIC, expand=True)
    scene = Image.fromarray(eight_bits(board))
    scene.paste(
        stuck.getchannel("L"), ((columns - stuck.width) // 2, (size - stuck.height) // 2), stuck.getchannel("A")
    )
    return eight_bits(np.asarray(scene) / 255.0 * np.linspace(rng.uniform(0.5, 1.0), 1.0, columns))

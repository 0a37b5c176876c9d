"""Things seen from near by or by an instrument: crystals, tissue, an airway, warmth, a fingerprint, keys, a web.

Not for: other scanners of the heart and its vessels (scans.py).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from benchmarks.outsiders.canvas import Pixels, eight_bits, font

_IRON = np.array([(0, 0, 20), (60, 0, 140), (190, 20, 130), (240, 110, 20), (255, 210, 60), (255, 255, 235)]) / 255.0
_KEYS = "QWERTYUIOPASDFGHJKLZXCVBNM1234567890"


def crystal_micrograph(seed: int, size: int) -> Pixels:
    """A scanning electron microscope's picture: heaped blocks with bright edges, and the bar of data below."""
    rng = np.random.default_rng([seed, 601])
    sheet = Image.new("L", (size, size), int(rng.integers(15, 60)))
    draw = ImageDraw.Draw(sheet)
    grain, stretch = size * float(rng.uniform(0.03, 0.13)), float(rng.uniform(0.6, 3.0))
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) * [1.0, 1.0, stretch]
    sides = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
    normals = np.array([(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)], float)
    count = int(np.clip(2.5 * (size / grain) ** 2 / stretch, 60, 1500))
    for k in range(count):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        place = rng.uniform(0.0, size, 2)
        body = corners @ turn.T * grain * float(rng.uniform(0.4, 1.0))
        high = 0.35 + 0.65 * k / count  # what lies deep gets less of the beam
        for side, normal in zip(sides, normals @ turn.T, strict=True):
            if normal[2] <= 0.0:
                continue
            lit = high * (70 + 90 * (1.0 - normal[2]) + 60 * max(0.0, float(normal[0])))
            outline = [tuple(point) for point in (place + body[list(side), :2]).tolist()]
            draw.polygon(outline, fill=int(min(lit, 230)), outline=int(min(255, 1.45 * lit + 20)))
    grey = ndimage.gaussian_filter(np.asarray(sheet) / 255.0, 0.8) + rng.normal(
        0.0, rng.uniform(0.02, 0.07), (size, size)
    )
    ready = Image.fromarray(eight_bits(grey))
    pen = ImageDraw.Draw(ready)
    pen.rectangle((0, 0.93 * size, size, size), fill=0)
    pen.text((8, 0.94 * size), f"15.0kV  x{int(rng.integers(2, 90)) * 100}  SE", fill=255, font=font(size // 26))
    pen.line((0.7 * size, 0.965 * size, 0.9 * size, 0.965 * size), fill=255, width=4)
    return np.asarray(ready)


def histology_slide(seed: int, size: int) -> Pixels:
    """Stained tissue: glands with pale lumens, nuclei in rows along their walls, pink fibres between them."""
    rng = np.random.default_rng([seed, 602])
    scale = size * float(rng.uniform(0.02, 0.05))
    noise = rng.normal(size=(size, size))
    field = ndimage.gaussian_filter(noise, scale) - ndimage.gaussian_filter(noise, 1.6 * scale)
    field /= field.std()
    lumen = float(rng.uniform(0.8, 1.6))
    wall = np.exp(-(((field - lumen + 0.45) / 0.4) ** 2))
    fibre = ndimage.gaussian_filter(rng.normal(size=(size, size)), (0.7, 4.0))
    bent = ndimage.map_coordinates(fibre, np.mgrid[0:size, 0:size] + 12.0 * field, order=1, mode="wrap")
    density = 0.45 + 0.12 * bent / bent.std() + 0.25 * wall
    density = np.where(field > lumen, 0.04, density)
    sheet = Image.new("L", (size, size))
    draw = ImageDraw.Draw(sheet)
    nucleus = max(2.0, 0.22 * scale)
    down, across = np.gradient(ndimage.gaussian_filter(field, 1.0))
    for row, column in rng.integers(0, size, (int(1.2 * (size / nucleus) ** 2 / 3), 2)).tolist():
        if rng.random() > 0.06 + 0.8 * wall[row, column] * (field[row, column] < lumen - 0.1):
            continue
        turn = np.arctan2(down[row, column], across[row, column])
        circle = np.linspace(0.0, 2.0 * np.pi, 10)
        long, thin = nucleus * rng.uniform(0.8, 1.3), nucleus * rng.uniform(0.4, 0.7)
        x = column + long * np.cos(circle) * np.cos(turn) - thin * np.sin(circle) * np.sin(turn)
        y = row + long * np.cos(circle) * np.sin(turn) + thin * np.sin(circle) * np.cos(turn)
        draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=int(rng.integers(130, 256)))
    blue = ndimage.gaussian_filter(np.asarray(sheet) / 255.0, 0.8)
    pink = np.array([0.08, 0.75, 0.3]) * rng.uniform(0.7, 1.2, 3)
    violet = np.array([0.9, 1.2, 0.35]) * rng.uniform(0.7, 1.2, 3)
    colour = 0.97 * np.exp(-density[..., None] * pink - blue[..., None] * violet)
    return eight_bits(colour + rng.normal(0.0, 0.01, colour.shape))


def bronchoscopy(seed: int, size: int) -> Pixels:
    """The windpipe's fork by a lamp at the camera: two dark ways, the keel between them, rings of cartilage.

    Found by marching along each ray until the wall of three joined pipes.
    """
    rng = np.random.default_rng([seed, 603])
    side = 130
    y, x = (np.mgrid[0:side, 0:side] - 0.5 * side) / (0.5 * side)
    rays = np.stack([x, y, np.full_like(x, rng.uniform(1.0, 1.6))], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    roll = float(rng.uniform(0.0, np.pi))
    apart = np.array([np.cos(roll), np.sin(roll), 0.0])
    fork, opening = float(rng.uniform(1.2, 4.0)), float(rng.uniform(0.3, 0.7))
    ways = [np.array([0.0, 0.0, 1.0]), *(np.array([0.0, 0.0, 1.0]) + opening * sign * apart for sign in (-1.0, 1.0))]
    bores = (1.0, float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.5, 0.7)))
    at = np.broadcast_to(np.append(rng.normal(0.0, 0.2, 2), 0.0), rays.shape).copy()
    travelled = np.zeros((side, side))
    for _ in range(36):
        inside = np.full((side, side), -9.0)
        for k, (way, bore) in enumerate(zip(ways, bores, strict=True)):
            from_start = at - (np.array([0.0, 0.0, fork]) if k else 0.0)
            way = way / np.linalg.norm(way)
            along = from_start @ way
            beside = np.linalg.norm(from_start - along[..., None] * way, axis=-1)
            ribbed = 0.05 * np.sin(along * 9.0)
            room = bore + ribbed - beside
            room = np.minimum(room, along + 0.5) if k else np.minimum(room, fork + 0.35 - along)
            inside = np.maximum(inside, room)
        step = np.clip(0.6 * inside, -0.05, 0.4)
        travelled += step
        at = at + step[..., None] * rays
    lit = 1.0 / (0.35 + 0.5 * travelled) ** 2
    slope = np.hypot(*np.gradient(ndimage.gaussian_filter(travelled, 1.0))) * side / 100.0
    lit = lit * (0.45 + 0.55 / (1.0 + slope / np.maximum(travelled, 0.3)))
    patches = ndimage.gaussian_filter(rng.normal(size=(side, side)), 4.0)
    lit = lit * (1.0 + 0.08 * patches / patches.std())
    spots = ndimage.gaussian_filter(rng.normal(size=(side, side)), 1.2)
    lit = np.where((spots > 2.7 * spots.std()) & (travelled < 3.0), 1.6, lit)
    grey = np.asarray(Image.fromarray(lit.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
    grey = np.clip(grey / np.percentile(grey, rng.uniform(85.0, 97.0)), 0.0, 1.3)
    rows, cols = (np.mgrid[0:size, 0:size] - 0.5 * size) / (0.5 * size)
    colour = grey[..., None] * np.array([0.95, 0.55, 0.45]) + 0.25 * np.maximum(grey - 0.9, 0.0)[..., None]
    colour[np.hypot(rows, cols) > rng.uniform(0.85, 1.3)] = 0.0
    colour = colour + rng.normal(0.0, 0.012, colour.shape)
    return eight_bits(colour)


def thermogram(seed: int, size: int) -> Pixels:
    """A hand by its warmth in the colours of iron: cool finger tips, warm veins' paths blurred, a cross and a scale."""
    rng = np.random.default_rng([seed, 604])
    columns = int(size * rng.choice([1.0, 4 / 3]))
    rows, cols = np.mgrid[0:size, 0:columns] / size
    warm = np.full((size, columns), rng.uniform(0.05, 0.3)) + 0.05 * (rows - 0.5) * rng.normal()
    palm = np.array([rng.uniform(0.58, 0.72), rng.uniform(0.4, 0.6) * columns / size])
    away = np.hypot((rows - palm[0]) / 1.15, cols - palm[1]) - 0.16
    away = np.minimum(away, np.where(rows > palm[0], np.abs(cols - palm[1]) - 0.11, 9.0))  # the wrist
    mirror = float(rng.choice([-1.0, 1.0]))
    for k, (turn, long) in enumerate(((-1.0, 0.25), (-0.3, 0.38), (-0.06, 0.42), (0.17, 0.4), (0.4, 0.32))):
        turn = mirror * turn + rng.normal(0.0, 0.06)
        way = np.array([-np.cos(turn), np.sin(turn)])
        along = np.clip((rows - palm[0]) * way[0] + (cols - palm[1]) * way[1], 0.0, long * (0.9 + 0.1 * (k == 2)))
        finger = np.hypot(rows - palm[0] - along * way[0], cols - palm[1] - along * way[1]) - 0.036
        away = np.minimum(away, finger)
    far = np.hypot(rows - palm[0] - 0.1, cols - palm[1])
    blotch = ndimage.gaussian_filter(rng.normal(size=(size // 8, columns // 8)), 3.0)
    blotch = np.asarray(Image.fromarray((blotch / blotch.std()).astype(np.float32)).resize((columns, size)))
    skin = rng.uniform(0.75, 0.95) - rng.uniform(-0.1, 0.9) * far + 0.04 * blotch
    warm = np.where(away < 0.0, skin, warm + 0.15 * np.exp(-np.maximum(away, 0.0) / 0.03))
    warm = ndimage.gaussian_filter(warm, size / 160) + rng.normal(0.0, 0.01, warm.shape)
    warm = np.clip(warm, 0.0, 1.0)
    if rng.random() < 0.35:
        colour = np.repeat(warm[..., None], 3, axis=2)
    else:
        knots = np.linspace(0.0, 1.0, len(_IRON))
        colour = np.stack([np.interp(warm, knots, _IRON[:, k]) for k in range(3)], axis=-1)
    sheet = Image.fromarray(eight_bits(colour))
    draw = ImageDraw.Draw(sheet)
    x, y = 0.5 * columns, 0.5 * size
    draw.line((x - 14, y, x + 14, y), fill="white", width=2)
    draw.line((x, y - 14, x, y + 14), fill="white", width=2)
    draw.text((8, 8), f"{rng.uniform(28.0, 36.0):.1f} C", fill="white", font=font(size // 18))
    for row in range(int(0.2 * size), int(0.8 * size)):
        share = 1.0 - (row / size - 0.2) / 0.6
        shade = [int(255 * np.interp(share, np.linspace(0.0, 1.0, len(_IRON)), _IRON[:, k])) for k in range(3)]
        draw.line((0.95 * columns, row, 0.98 * columns, row), fill=tuple(shade))
    return np.asarray(sheet)


def fingerprint(seed: int, size: int) -> Pixels:
    """Ridges of a finger around a core, inked on paper: noise filtered along a field of directions."""
    rng = np.random.default_rng([seed, 605])
    side = 240
    rows, cols = np.mgrid[0:side, 0:side].astype(float)
    core = np.array([rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.58)]) * side
    delta = np.array([rng.uniform(0.75, 0.95), rng.uniform(0.1, 0.9)]) * side
    lean = rng.uniform(-0.2, 0.2)
    heading = 0.5 * (np.arctan2(rows - core[0], cols - core[1]) - np.arctan2(rows - delta[0], cols - delta[1])) + lean
    pitch, ways = float(rng.uniform(6.0, 9.0)), 12
    which = np.rint(heading / np.pi * ways).astype(int) % ways
    y, x = np.mgrid[-9:10, -9:10].astype(float)
    ridges = rng.normal(size=(side, side))
    spectra = []
    for k in range(ways):
        turn = np.pi * k / ways
        across = y * np.cos(turn) - x * np.sin(turn)
        kernel = np.cos(2.0 * np.pi * across / pitch) * np.exp(-(x**2 + y**2) / (2.0 * 3.4**2))
        spectra.append(np.fft.rfft2(kernel - kernel.mean(), (side, side)))
    for _ in range(6):
        spectrum = np.fft.rfft2(ridges)
        turned = [np.roll(np.fft.irfft2(spectrum * s, (side, side)), (-9, -9), (0, 1)) for s in spectra]
        ridges = np.tanh(2.0 * np.choose(which, turned) / np.std(turned))
    pressed = np.hypot((rows / side - 0.5) / 0.47, (cols / side - 0.5) / rng.uniform(0.33, 0.42))
    dry = ndimage.gaussian_filter(rng.normal(size=(side, side)), 5.0)
    ink = np.clip(0.5 + 0.9 * ridges, 0.0, 1.0) * np.clip((1.0 - pressed) / 0.08, 0.0, 1.0)
    ink = ink * np.clip(0.85 + 0.25 * dry / dry.std(), 0.0, 1.0)
    fine = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
    paper = rng.uniform(0.75, 1.0) + rng.normal(0.0, 0.02, (size, size))
    sheet = Image.fromarray(eight_bits(paper - rng.uniform(0.5, 0.85) * fine))
    ImageDraw.Draw(sheet).text(
        (8, 8), f"R{int(rng.integers(1, 6))} {int(rng.integers(1000, 9999))}", fill=60, font=font(size // 22)
    )
    return np.asarray(sheet)


def keyboard(seed: int, size: int) -> Pixels:
    """Keys photographed aslant from above: rows of letters that recede, each key's rim lit, a shadow over the desk."""
    rng = np.random.default_rng([seed, 606])
    columns = int(size * rng.uniform(1.0, 1.5))
    pale = rng.random() < 0.5
    case, letter = ((60, 205, 240), 40) if pale else ((15, 45, 70), 220)
    sheet = Image.new("L", (2 * columns, 2 * size), case[0])
    draw = ImageDraw.Draw(sheet)
    pitch = size * float(rng.uniform(0.13, 0.3))
    for row in range(int(2 * size / pitch) + 1):
        x = float(rng.uniform(-0.9, 0.0)) * pitch
        while x < 2 * columns:
            wide = pitch * float(rng.choice([1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 2.2]))
            box = (x + 0.05 * pitch, (row + 0.05) * pitch, x + wide - 0.05 * pitch, (row + 0.95) * pitch)
            draw.rounded_rectangle(box, 0.12 * pitch, fill=case[1])
            top = (box[0] + 0.1 * pitch, box[1] + 0.05 * pitch, box[2] - 0.1 * pitch, box[3] - 0.17 * pitch)
            draw.rounded_rectangle(top, 0.1 * pitch, fill=case[2])
            sign = (
                ("shift", "enter", "ctrl", "tab")[rng.integers(4)]
                if wide > 1.2 * pitch
                else _KEYS[rng.integers(len(_KEYS))]
            )
            draw.text((top[0] + 0.08 * pitch, top[1] + 0.05 * pitch), sign, fill=letter, font=font(int(0.3 * pitch)))
            x += wide
    turned = sheet.rotate(float(rng.uniform(-35, 35)), Image.Resampling.BICUBIC, fillcolor=case[0])
    lean = float(rng.uniform(0.0, 0.9))
    first = (1.0 + lean / 2, 0.1, 0.25 * columns, 0.0, 1.0 + lean, 0.25 * size, 0.0, lean / size)
    seen = turned.transform((columns, size), Image.Transform.PERSPECTIVE, first, Image.Resampling.BICUBIC)
    rows, cols = np.mgrid[0:size, 0:columns] / size
    lamp = np.exp(-((rows - rng.uniform(0, 1)) ** 2 + (cols - rng.uniform(0, 1.3)) ** 2) / rng.uniform(0.3, 1.5))
    grey = np.asarray(seen) / 255.0 * (0.45 + 0.75 * lamp)
    sharp, soft = grey, ndimage.gaussian_filter(grey, size / 120)
    focus = np.exp(-(((rows - rng.uniform(0.4, 0.9)) / 0.4) ** 2))
    return eight_bits(sharp * focus + soft * (1.0 - focus) + rng.normal(0.0, 0.015, grey.shape))


def spider_web(seed: int, size: int) -> Pixels:
    """Spokes and a spiral that sags between them, beaded with dew, before a blurred garden or a dark sky."""
    rng = np.random.default_rng([seed, 607])
    columns = int(size * rng.choice([1.0, 4 / 3, 3 / 2]))
    coarse = (rng.random((6, 8, 1)) + 0.15 * rng.random((6, 8, 3))).astype(np.float32)
    layers = [Image.fromarray(coarse[..., k]).resize((columns, size), Image.Resampling.BICUBIC) for k in range(3)]
    garden = (
        np.stack([np.asarray(layer) for layer in layers], axis=-1) * np.array([0.4, 0.6, 0.35]) * rng.uniform(0.3, 1.2)
    )
    sheet = Image.new("L", (columns, size))
    draw = ImageDraw.Draw(sheet)
    middle = np.array([columns, size]) * rng.uniform(0.35, 0.65, 2)
    spokes = int(rng.integers(14, 34))
    turns = np.linspace(0.0, 2.0 * np.pi, spokes, endpoint=False) + rng.normal(0.0, 1.0 / spokes, spokes)
    ways = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    reach = rng.uniform(0.4, 0.75, spokes) * size
    for way, far in zip(ways, reach, strict=True):
        draw.line((*middle.tolist(), *(middle + 1.2 * far * way).tolist()), fill=150)
    radius, pitch, number = 0.05 * size, size * float(rng.uniform(0.009, 0.022)), 0
    dew = rng.random() < 0.6
    share = np.linspace(0.0, 1.0, 9)[:, None]
    while radius < 0.72 * size:
        k, after = number % spokes, (number + 1) % spokes
        if radius < min(reach[k], reach[after]) and rng.random() > 0.02:
            start, stop = middle + radius * ways[k], middle + (radius + pitch / spokes) * ways[after]
            sag = 0.12 * np.linalg.norm(stop - start) * 4.0 * share * (1.0 - share)
            thread = start + share * (stop - start) - sag * (0.5 * (ways[k] + ways[after]))
            draw.line([tuple(point) for point in thread.tolist()], fill=130)
            for x, y in thread[2::3].tolist() if dew else ():
                drop = float(rng.uniform(0.3, 1.3))
                draw.ellipse((x - drop, y - drop, x + drop, y + drop), fill=255)
        radius, number = radius + pitch / spokes, number + 1
    web = ndimage.gaussian_filter(np.asarray(sheet) / 255.0, 0.6)[..., None]
    return eight_bits(garden * (1.0 - web) + rng.uniform(0.7, 1.1) * web + rng.normal(0.0, 0.01, garden.shape))

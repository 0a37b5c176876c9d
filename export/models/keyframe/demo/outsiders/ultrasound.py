"""Ultrasound from outside and pictures from inside a vessel: speckle, sectors, rings.

All are drawn along their beams (depth down the rows, one beam a column) and then laid out as the device would.
"""

from __future__ import annotations

import numpy as np

from cathrt.export.models.keyframe.demo.outsiders.canvas import (
    Picture,
    Rng,
    any_shape,
    cloud,
    grid,
    soften,
)

_DEPTHS, _BEAMS = 160, 200


def ultrasound_sector(rng: Rng) -> Picture:
    """A fan from a small probe: chambers dark, walls bright, everything speckled."""
    tissue = cloud(rng, (_DEPTHS, _BEAMS), int(rng.integers(2, 5)))
    echo = np.where(tissue > rng.uniform(-0.3, 0.5), 0.9, rng.uniform(0.02, 0.25)).astype(np.float32)
    echo = echo + 1.5 * np.exp(-(((tissue - 0.1) / 0.12) ** 2))
    echo = echo * np.exp(cloud(rng, echo.shape, 6) - np.linspace(0.0, rng.uniform(0.0, 5.0), _DEPTHS)[:, None])
    beams = _compressed_echo(rng, soften(echo, 1.5), float(rng.uniform(1.5, 6.0)))
    shape = any_shape(rng)
    down, across = grid(shape)
    down = down + np.float32(rng.uniform(0.8, 1.0))
    apart = float(rng.uniform(0.0, 0.5))  # of a curved probe: how far the beams' common point lies behind its face
    depth = (np.hypot(down + apart, across) - apart) / rng.uniform(1.5, 2.0)
    half = np.radians(rng.uniform(25.0, 50.0))
    angle = np.arctan2(across, down + apart) / half
    return _laid_out(beams, depth, 0.5 * (angle + 1.0))


def ultrasound_strip(rng: Rng) -> Picture:
    """A straight probe: layers of skin, fat and muscle, and a vessel as a dark oval."""
    shape = any_shape(rng)
    layers = np.repeat(cloud(rng, (_DEPTHS, 4), int(rng.integers(4, 12)))[:, :1], _BEAMS, axis=1)
    bend = (6.0 * cloud(rng, (1, _BEAMS), 3)).astype(int)[0]
    echo = np.stack([np.roll(layers[:, k], bend[k]) for k in range(_BEAMS)], axis=1)
    echo = np.exp(0.8 * echo + 0.5 * cloud(rng, (_DEPTHS, _BEAMS), 12))
    down, across = grid((_DEPTHS, _BEAMS))
    for _ in range(int(rng.integers(1, 4))):
        row, column, high, wide = *rng.uniform(-0.6, 0.6, 2), rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.9)
        away = np.sqrt(((down - row) / high) ** 2 + ((across - column) / wide) ** 2)
        echo = np.where(away < 1.0, np.float32(0.03), echo) + 2.0 * np.exp(-(((away - 1.05) / 0.05) ** 2))
    beams = _compressed_echo(rng, echo.astype(np.float32), float(rng.uniform(1.5, 5.0)))
    down, across = grid(shape)
    top, slant = rng.uniform(0.0, 0.2), rng.choice([0.0, 0.0, rng.uniform(-0.3, 0.3)])
    depth = 0.5 * (down + 1.0) * rng.uniform(1.0, 1.2) - top
    return _laid_out(beams, depth, 0.5 * (across * rng.uniform(0.8, 1.3) + 1.0 + slant * depth))


def oct_ring(rng: Rng) -> Picture:
    """Optical coherence tomography: a bright thin wall around a dark lumen, catheter rings in the middle."""
    wall = _light_beams(rng)
    shape = any_shape(rng)
    picture = _turned(rng, wall, shape)
    if rng.random() < 0.35:  # the pullback seen from the side, below
        strip = soften(np.tile(wall[:, : _BEAMS // 8], (1, 9)), 1.0)[:: max(1, _DEPTHS // (shape[0] // 4))]
        rows = min(len(strip), shape[0] // 4)
        columns = min(strip.shape[1], shape[1])
        picture[-rows:, :columns] = strip[:rows, :columns]
    return picture


def oct_beams(rng: Rng) -> Picture:
    """The same before it is turned into a ring: the catheter as stripes on one side, the wall as a wavy band."""
    beams = _light_beams(rng)
    return beams.T.copy() if rng.random() < 0.3 else beams


def ivus_disc(rng: Rng) -> Picture:
    """Intravascular ultrasound: a disc of coarse speckle, dark middle, layers of the wall, marks of scale."""
    depth = np.linspace(0.0, 1.0, _DEPTHS, dtype=np.float32)[:, None]
    lumen, media = (_around(rng, float(rng.uniform(*span)), 0.12) for span in ((0.25, 0.4), (0.45, 0.65)))
    media = np.maximum(media, lumen + 0.05)
    blood = np.float32(rng.uniform(0.02, 0.2))
    echo = np.where(depth < lumen, blood, np.float32(rng.uniform(0.3, 0.8)))
    echo = echo + 0.9 * np.exp(-(((depth - lumen) / 0.02) ** 2))
    echo = np.where(np.abs(depth - media) < 0.025, np.float32(0.05), echo)
    echo = np.where(depth > media + 0.025, 1.2 * np.exp(-(depth - media) / rng.uniform(0.1, 0.5)), echo)
    if rng.random() < 0.5:  # calcium: bright, with a shadow behind it
        start, wide = int(rng.integers(_BEAMS)), int(rng.integers(12, 60))
        arc = (np.arange(_BEAMS) - start) % _BEAMS < wide
        echo = np.where(arc & (depth > media), np.float32(0.03), echo)
        echo = echo + 2.0 * arc * np.exp(-(((depth - media + 0.03) / 0.03) ** 2))
    beams = _compressed_echo(rng, echo.astype(np.float32), float(rng.uniform(2.0, 6.0)))
    probe = float(rng.uniform(0.08, 0.18))
    beams = np.where(depth < probe, np.float32(0.02), beams)
    beams = beams + np.float32(rng.uniform(0.3, 0.9)) * np.exp(-(((depth - probe - 0.02) / 0.02) ** 2))
    picture = _turned(rng, beams, any_shape(rng))
    return _with_ticks(picture) if rng.random() < 0.5 else picture


def _light_beams(rng: Rng) -> Picture:
    """(depths, beams): what near infrared light sends back from a vessel's wall."""
    depth = np.linspace(0.0, 1.0, _DEPTHS, dtype=np.float32)[:, None]
    edge = _around(rng, float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.05, 0.25)))
    behind = depth - edge
    layers = 1.0 + 0.5 * np.sin(behind * rng.uniform(30.0, 70.0)) * np.exp(-behind / 0.1)
    back = np.where(behind > 0.0, layers * np.exp(-behind / np.float32(rng.uniform(0.08, 0.25))), np.float32(0.01))
    back = back * np.exp(0.4 * cloud(rng, (_DEPTHS, _BEAMS), 8))
    for _ in range(int(rng.integers(0, 3))):  # wires and struts throw shadows
        start, wide = int(rng.integers(_BEAMS)), int(rng.integers(3, 18))
        shadow = (np.arange(_BEAMS) - start) % _BEAMS < wide
        back = np.where(shadow & (behind > 0.0), 0.05 * back, back)
    beams = _compressed_echo(rng, back.astype(np.float32), 1.0)
    for radius in np.cumsum(rng.uniform(0.02, 0.06, int(rng.integers(2, 5)))):
        beams = beams + np.float32(rng.uniform(0.3, 1.0)) * np.exp(-(((depth - np.float32(radius)) / 0.006) ** 2))
    return np.clip(beams, 0.0, 1.0)


def _around(rng: Rng, radius: float, roughness: float) -> Picture:
    """A closed curve: (beams,) radius at each angle."""
    angle = np.linspace(0.0, 2.0 * np.pi, _BEAMS, endpoint=False)
    bumps = sum(rng.normal(0.0, roughness / k) * np.cos(k * angle + rng.uniform(0.0, 6.3)) for k in range(1, 5))
    return np.asarray(radius * (1.0 + bumps), np.float32)


def _compressed_echo(rng: Rng, echo: Picture, wide: float) -> Picture:
    """Speckle (Rayleigh, `wide` beams across) on an echo's strength, then the logarithm that screens show."""
    parts = rng.standard_normal((2, *echo.shape), np.float32)
    if wide > 1.0:
        reach = np.arange(-int(2 * wide), int(2 * wide) + 1)
        taps = np.exp(-0.5 * (reach / (0.5 * wide)) ** 2).astype(np.float32)
        taps /= np.sqrt(np.sum(taps**2))
        parts = sum(tap * np.roll(parts, int(k), 2) for k, tap in zip(reach, taps, strict=True))
    seen = np.hypot(*parts) * echo
    span = float(rng.uniform(2.0, 4.0))
    return np.asarray(np.clip(1.0 + np.log10(seen / 2.0 + 1e-6) / span * 2.0, 0.0, 1.0), np.float32)


def _laid_out(beams: Picture, depth: Picture, beam: Picture) -> Picture:
    """Beams to picture. depth, beam: of each pixel, 0 to 1 where it is seen; black elsewhere."""
    depths, count = beams.shape
    seen = (depth >= 0.0) & (depth < 1.0) & (beam >= 0.0) & (beam < 1.0)
    row = np.clip(depth * (depths - 1), 0, depths - 1.001)
    column = np.clip(beam * (count - 1), 0, count - 1.001)
    top, left = row.astype(np.int32), column.astype(np.int32)
    down, across = row - top, column - left
    upper = beams[top, left] * (1.0 - across) + beams[top, left + 1] * across
    lower = beams[top + 1, left] * (1.0 - across) + beams[top + 1, left + 1] * across
    return np.where(seen, upper * (1.0 - down) + lower * down, 0.0).astype(np.float32)


def _turned(rng: Rng, beams: Picture, shape: tuple[int, int]) -> Picture:
    """Beams around a middle that need not be the picture's."""
    down, across = grid(shape)
    off = rng.normal(0.0, 0.05, 2).astype(np.float32)
    down, across = down - off[0], across - off[1]
    angle = np.arctan2(down, across) / (2.0 * np.pi) + 0.5
    closed = np.concatenate([beams, beams[:, :1]], axis=1)
    return _laid_out(closed, np.hypot(down, across) / rng.uniform(0.85, 1.4), angle)


def _with_ticks(picture: Picture) -> Picture:
    rows, columns = picture.shape
    marked = picture.copy()
    for share in np.linspace(0.1, 0.9, 9):
        marked[int(share * rows) - 2 : int(share * rows) + 3, columns // 2] = 1.0
        marked[rows // 2, int(share * columns) - 2 : int(share * columns) + 3] = 1.0
    return marked

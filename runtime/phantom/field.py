"""The exposed field: collimator blades, the round field of older image intensifiers, and what lies outside.

Not for: scatter that reaches the shadow of the blades (detector.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Wedge:
    """A semi-transparent blade slid over bright lung. heading_deg: the way from its edge into its shade, 0 to the
    image's right, 90 down. edge: distance of the edge from the image's centre that way, soft: width of the slope, both
    shares of half the width. depth: nepers in its full shade."""

    heading_deg: float
    edge: float
    soft: float
    depth: float


@dataclass(frozen=True, slots=True)
class Field:
    """Blades as shares of the matrix from its left and top; below 0 or above 1 a blade is out of sight.

    wedges: equalisation filters, each where its edge lies and how it is turned (see Wedge).
    round_radius: of the round field as a share of half the width, or None. penumbra: pixels of a 512 matrix.
    leak: share of the beam under the blades. blanked: the display paints the outside black.
    declared: the run tells where the field ends.
    """

    left: float
    right: float
    top: float
    bottom: float
    round_radius: float | None
    penumbra: float
    leak: float
    blanked: bool
    declared: bool
    wedges: tuple[Wedge, ...]

    def filtered(self, rows: int, columns: int) -> NDArray[np.float32]:
        """(rows, columns) nepers that the wedges take from the beam."""
        down = (np.arange(rows) + 0.5) / (0.5 * columns) - rows / columns
        across = (np.arange(columns) + 0.5) / (0.5 * columns) - 1.0
        taken = np.zeros((rows, columns))
        for wedge in self.wedges:
            turn = np.radians(wedge.heading_deg)
            into = np.cos(turn) * across[None, :] + np.sin(turn) * down[:, None] - wedge.edge
            taken += wedge.depth * np.clip(into / wedge.soft, 0.0, 1.0)
        return taken.astype(np.float32)

    def openness(self, rows: int, columns: int) -> NDArray[np.float32]:
        """(rows, columns) share of the beam let through, 1 in the open field."""
        soft = self.penumbra * columns / 512.0
        column, row = np.arange(columns) + 0.5, np.arange(rows) + 0.5
        across = np.minimum(column - self.left * columns, self.right * columns - column)
        down = np.minimum(row - self.top * rows, self.bottom * rows - row)
        inside = np.minimum(down[:, None], across[None, :])
        if self.round_radius is not None:
            away = np.hypot(row[:, None] - rows / 2, column[None, :] - columns / 2)
            inside = np.minimum(inside, self.round_radius * columns / 2 - away)
        share = np.clip(0.5 + inside / (2 * soft), 0.0, 1.0)
        return np.asarray(self.leak + (1.0 - self.leak) * share * share * (3 - 2 * share), dtype=np.float32)

    def exposed_columns(self, rows: int, columns: int) -> NDArray[np.int32]:
        """(rows, 2) columns [start, stop) of each row that are at least half open; start == stop where none is."""
        half_open = self.openness(rows, columns) >= 0.5
        start = half_open.argmax(axis=1)
        stop = columns - half_open[:, ::-1].argmax(axis=1)
        empty = ~half_open.any(axis=1)
        start[empty] = stop[empty] = 0
        return np.stack([start, stop], axis=1).astype(np.int32)


_OPEN = -0.05  # a blade drawn back this far leaves no trace in the picture


def sample_field(rng: np.random.Generator, *, closed: bool) -> Field:
    """Draw a field: open, framed by thin black borders, collimated, or round; `closed` shuts the blades to a slit."""
    style = rng.random()
    left = right = top = bottom = _OPEN
    if 0.3 <= style < 0.65:
        left, right, top, bottom = (float(v) for v in np.where(rng.random(4) < 0.7, rng.uniform(0.0, 0.03, 4), _OPEN))
    elif style >= 0.65:
        left, right, top, bottom = (float(v) for v in np.where(rng.random(4) < 0.6, rng.uniform(0.01, 0.12, 4), _OPEN))
    if closed:
        across, gap = rng.uniform(0.2, 0.8), rng.uniform(-0.02, 0.03)
        left, right = float(across - gap), float(1.0 - across - gap)
    round_radius = float(rng.uniform(1.02, 1.2)) if rng.random() < 0.15 else None
    return Field(
        left=left,
        right=1.0 - right,
        top=top,
        bottom=1.0 - bottom,
        round_radius=round_radius,
        penumbra=float(rng.uniform(0.8, 4.0)),
        leak=float(rng.uniform(0.001, 0.02)),
        blanked=bool(rng.random() < 0.8),
        declared=bool(rng.random() < 0.4),
        wedges=tuple(_sample_wedge(rng) for _ in range(int(rng.choice(3, p=[0.55, 0.33, 0.12])))),
    )


def _sample_wedge(rng: np.random.Generator) -> Wedge:
    return Wedge(
        heading_deg=float(rng.choice([0.0, 180.0, 90.0, -90.0], p=[0.38, 0.38, 0.12, 0.12]) + rng.normal(0.0, 22.0)),
        edge=float(rng.uniform(0.15, 0.85)),
        soft=float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))),
        depth=float(rng.uniform(0.2, 1.0)),
    )

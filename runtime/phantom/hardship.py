"""What makes a run hard to read: dark hearts, wedges, steep views, unusual trees, metal, narrow fields, pale contrast.

Each was seen to mislead a key-frame model on real runs. A scene draws them at the rates below, or is told to have one.
Not for: what a scene is made of otherwise (scene.py), or what a reader loses by it (labels.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from cathrt.runtime.phantom.anatomy import Side
from cathrt.runtime.phantom.background import Chest
from cathrt.runtime.phantom.contrast import Bolus
from cathrt.runtime.phantom.detector import Display
from cathrt.runtime.phantom.field import Field, Wedge

Hardship = Literal[
    "dark_heart",
    "wedge",
    "deep_caudal",
    "deep_cranial",
    "large_circumflex",
    "rich_right",
    "metal",
    "narrow_field",
    "pale_contrast",
    "slow_rate",
    "video",
]
HARDSHIPS: tuple[Hardship, ...] = get_args(Hardship)
SLOW_RATE_HZ = 7.5
# How often a scene has each, where it can have it.
_RATE: dict[Hardship, float] = {
    "dark_heart": 0.18,
    "wedge": 0.12,
    "deep_caudal": 0.1,
    "deep_cranial": 0.1,
    "large_circumflex": 0.15,
    "rich_right": 0.2,
    "metal": 0.08,
    "narrow_field": 0.1,
    "pale_contrast": 0.1,
    "slow_rate": 0.05,
    "video": 0.12,
}
_SIDE_OF: dict[Hardship, Side] = {"large_circumflex": "left", "rich_right": "right"}
_OF_CORONARY_RUNS: tuple[Hardship, ...] = ("large_circumflex", "rich_right", "pale_contrast")
OF_PATIENTS: tuple[Hardship, ...] = ("dark_heart", "metal")  # not of a beam in which nobody lies


def side_with(hardship: Hardship | None) -> Side | None:
    """The side that this hardship is of, None where it goes with either."""
    return None if hardship is None else _SIDE_OF.get(hardship)


def draw_hardships(
    rng: np.random.Generator, side: Side, forced: Hardship | None, *, coronary: bool, closed: bool
) -> frozenset[Hardship]:
    """What the scene has: each at its rate, and `forced` for certain. Raises ValueError where the scene cannot have it.

    coronary: whether a coronary artery fills; those of arteries and contrast need one. closed: whether the blades are
    shut, which leaves no field to be narrowed.
    """
    possible = [
        hardship
        for hardship in HARDSHIPS
        if _SIDE_OF.get(hardship, side) == side
        and (coronary or hardship not in _OF_CORONARY_RUNS)
        and not (closed and hardship == "narrow_field")
    ]
    if forced is not None and forced not in possible:
        raise ValueError(
            f"hardship {forced!r}: a scene of the {side} artery, {'filled' if coronary else 'not filled'}"
            f"{', with a closed collimator' if closed else ''}, cannot have it: expected one of {', '.join(possible)}"
        )
    drawn = rng.random(len(HARDSHIPS))
    found = {h for h, at in zip(HARDSHIPS, drawn, strict=True) if h in possible and at < _RATE[h]}
    if forced is not None:
        found.add(forced)
    if {"deep_caudal", "deep_cranial"} <= found:
        found.discard("deep_cranial" if forced != "deep_cranial" else "deep_caudal")
    return frozenset(found)


def steep_view(rng: np.random.Generator, side: Side, hardships: frozenset[Hardship]) -> tuple[float, float] | None:
    """(primary, secondary) degrees of a steep view, LAO, CRA > 0; None where none is asked for."""
    if "deep_caudal" in hardships:
        primary = rng.choice([45.0, -20.0, 0.0]) if side == "left" else rng.choice([40.0, 0.0, -25.0])
        steepest = 44.0 if side == "left" else 30.0
        return float(primary + rng.normal(0.0, 7.0)), -float(rng.uniform(24.0, steepest))
    if "deep_cranial" in hardships:
        primary = rng.choice([0.0, -25.0, 40.0]) if side == "left" else rng.choice([0.0, 30.0, -25.0])
        return float(primary + rng.normal(0.0, 7.0)), float(rng.uniform(30.0, 46.0))
    if "large_circumflex" in hardships and rng.random() < 0.5:  # where it makes the C of a right artery
        return float(rng.normal(-12.0, 12.0)), -float(rng.uniform(12.0, 34.0))
    return None


def darkened(chest: Chest, rng: np.random.Generator) -> Chest:
    """A large heart between thin lungs, before dense bone."""
    return replace(
        chest,
        heart=float(rng.uniform(1.12, 1.5)),
        lung_density=float(rng.uniform(0.16, 0.32)),
        bone=float(rng.uniform(1.0, 2.2)),
        clutter=float(np.exp(rng.uniform(np.log(0.04), np.log(0.13)))),
    )


def unharmonised(display: Display, rng: np.random.Generator) -> Display:
    """A display that leaves the dark dark."""
    return replace(display, harmonisation=display.harmonisation * float(rng.uniform(0.0, 0.6)))


def filtered_by_wedges(field: Field, rng: np.random.Generator) -> Field:
    """One or two wedges pushed over the arteries."""
    wedges = tuple(
        Wedge(
            heading_deg=float(rng.choice([0.0, 180.0, 90.0, -90.0]) + rng.normal(0.0, 25.0)),
            edge=float(rng.uniform(-0.2, 0.5)),
            soft=float(np.exp(rng.uniform(np.log(0.04), np.log(0.4)))),
            depth=float(rng.uniform(0.6, 1.7)),
        )
        for _ in range(int(rng.integers(1, 3)))
    )
    return replace(field, wedges=wedges)


def narrowed(field: Field, rng: np.random.Generator) -> Field:
    """Blades that leave some 40 to 75 % of the width, and a wide border in black, grey or the shade of leakage."""
    left, right, top, bottom = (float(v) for v in rng.uniform(0.06, 0.3, 4))
    return replace(field, left=left, right=1.0 - right, top=top, bottom=1.0 - bottom, declared=bool(rng.random() < 0.3))


def thinned(bolus: Bolus, rng: np.random.Generator) -> Bolus:
    """Little contrast medium, or much blood in it."""
    return replace(bolus, peak=float(np.exp(rng.uniform(np.log(0.13), np.log(0.35)))))


def as_video(display: Display, rng: np.random.Generator) -> Display:
    """What a screen recording leaves of a picture: 8 bits, fewer pixels, blocks."""
    return replace(
        display,
        relationship="DISP",
        bits_stored=8,
        jpeg_quality=int(rng.integers(22, 60)),
        resampled=float(rng.uniform(0.42, 0.85)),
        noise_share=display.noise_share * float(rng.uniform(0.4, 1.0)),
    )

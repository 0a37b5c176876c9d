"""The table of outsiders: what kinds there are, for what reason each is refused, and how one becomes a training image.

Not for: the kinds that prove the refusal, which share none of these drawers (benchmarks/outsiders).
N pictures, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.outsiders import (
    drawings,
    inverted,
    nature,
    patterns,
    photographs,
    radiographs,
    round_fields,
    scenes,
    ultrasound,
)
from cathrt.export.models.keyframe.demo.outsiders.canvas import Picture, Rng, damaged
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.frame import Grayscale, Run, Timing
from cathrt.runtime.preprocess import Preprocessor

# The frames of dataset.py before mean and standard deviation.
AS_TRAINED = Preprocessing(
    input="image",
    layout="NCHW",
    height=224,
    width=224,
    window="percentile",
    percentiles=(1.0, 99.0),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    masked_value=0.0,
)

# Name, English text, Japanese text: of each column of the domain output but the first, for the manifest's section.
OUTSIDER_REASONS: tuple[tuple[str, str, str], ...] = (
    ("inverted", "light vessels on a dark ground", "白黒反転（血管が白い画像）"),
    ("drawing", "a drawing, chart, text or rendering", "図・グラフ・文書・CG画像"),
    ("intravascular_or_ultrasound", "ultrasound or an image from inside a vessel", "超音波または血管内画像"),
    ("test_pattern", "a test pattern or a screen", "テストパターンまたは画面"),
    ("other_picture", "another kind of picture", "その他の画像"),
)


@dataclass(frozen=True, slots=True)
class _Family:
    """Kinds that look alike. share: how often one of them is drawn; shares add up to 1."""

    reason: str
    share: float
    drawers: tuple[Callable[[Rng], Picture], ...]


# Each of the first four reasons is one family. "Another kind of picture" is five, so it is drawn more often than they.
_FAMILIES: tuple[_Family, ...] = (
    _Family("inverted", 0.15, (inverted.inverted_frame, inverted.inverted_subtraction, inverted.maximum_projection)),
    _Family(
        "drawing",
        0.15,
        (
            drawings.vessel_mask,
            drawings.rendered_tree,
            drawings.diagram,
            drawings.chart,
            drawings.text_page,
            drawings.colour_map,
            drawings.anatomy_sketch,
        ),
    ),
    _Family(
        "intravascular_or_ultrasound",
        0.15,
        (
            ultrasound.ultrasound_sector,
            ultrasound.ultrasound_strip,
            ultrasound.oct_ring,
            ultrasound.oct_beams,
            ultrasound.ivus_disc,
        ),
    ),
    _Family(
        "test_pattern",
        0.15,
        (
            patterns.bars,
            patterns.grating,
            patterns.resolution_chart,
            patterns.ramp,
            patterns.flat_message,
            patterns.desktop,
        ),
    ),
    _Family(
        "other_picture",
        0.08,
        (
            photographs.dead_leaves,
            photographs.lit_solids,
            photographs.winter_trees,
            photographs.leaf,
            photographs.report,
            photographs.snow,
        ),
    ),
    _Family(
        "other_picture",
        0.09,
        (
            scenes.hills,
            scenes.cloud_sky,
            scenes.seashore,
            scenes.street,
            scenes.room,
            scenes.portrait,
            scenes.crowd,
        ),
    ),
    _Family(
        "other_picture",
        0.08,
        (
            photographs.texture,
            nature.wood,
            nature.marble,
            nature.cobbles,
            nature.foliage,
            nature.ripples,
            nature.dunes,
            nature.fur,
        ),
    ),
    _Family(
        "other_picture",
        0.09,
        (
            photographs.cells,
            round_fields.endoscopy,
            round_fields.organ_surface,
            round_fields.retina,
            round_fields.ear_drum,
            round_fields.microscope_field,
        ),
    ),
    _Family(
        "other_picture",
        0.06,
        (
            photographs.body_slice,
            radiographs.hand_bones,
            radiographs.joint_bones,
            radiographs.dental_panorama,
            radiographs.breast_texture,
        ),
    ),
)
_SHARES = np.array([family.share for family in _FAMILIES])
_REASON_OF = {drawer.__name__: family.reason for family in _FAMILIES for drawer in family.drawers}

OUTSIDER_KINDS: tuple[str, ...] = tuple(_REASON_OF)
_LEAST_SPAN = 60  # grey levels from the darkest to the lightest pixel


def reason_of(kind: str) -> str:
    """The reason for which this kind is refused. Raises KeyError for a kind that there is none of."""
    return _REASON_OF[kind]


def outsider(seed: int, side: int = 224) -> tuple[NDArray[np.uint8], str, str]:
    """Draw one picture: (H, W) uint8 with H = W = side, its kind and its reason. Same arguments, same result.

    A family is drawn as often as its share says, and within it every kind as often as any other. The picture went
    through the runtime's own percentile window and resize, as a still would. Raises ValueError for a negative seed.
    """
    rng, drawer = _drawer_of(seed)
    while True:
        image = _as_tensor_shows(damaged(rng, drawer(rng)), side)
        if np.ptp(image) > _LEAST_SPAN:  # a window may leave nothing of a few letters on a plain ground
            return image, drawer.__name__, _REASON_OF[drawer.__name__]


def kind_of(seed: int) -> str:
    """The kind of the picture that outsider() draws for this seed."""
    return _drawer_of(seed)[1].__name__


def _drawer_of(seed: int) -> tuple[Rng, Callable[[Rng], Picture]]:
    """The seed's drawer and the generator to draw with."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 20]))
    family = _FAMILIES[int(rng.choice(len(_FAMILIES), p=_SHARES))]
    return rng, family.drawers[int(rng.integers(len(family.drawers)))]


def render_outsiders(seeds: Sequence[int], side: int = 224) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(N, H, W) uint8 pictures, and (N,) int64 of their reasons' places in OUTSIDER_REASONS."""
    names = [name for name, _, _ in OUTSIDER_REASONS]
    images = np.empty((len(seeds), side, side), np.uint8)
    reasons = np.empty(len(seeds), np.int64)
    for row, seed in enumerate(seeds):
        images[row], _, reason = outsider(seed, side)
        reasons[row] = names.index(reason)
    return images, reasons


def _as_tensor_shows(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """What the runtime makes of an 8-bit still of any shape, before mean and standard deviation."""
    rows, columns = pixels.shape
    run = Run("", "outsider", 1, rows, columns, Grayscale(bits_stored=8), Timing(1.0, "default"))
    tensor = np.empty((1, 3, side, side), np.float32)
    Preprocessor(run, replace(AS_TRAINED, height=side, width=side))(np.ascontiguousarray(pixels), tensor)
    return np.asarray(np.rint(tensor[0, 0] * 255.0), np.uint8)

"""The table of outsiders: what kinds there are, for what reason each is refused, and how one becomes a training image.

Not for: the kinds that prove the refusal, which share none of these drawers (benchmarks/outsiders).
N pictures, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.demo.outsiders import drawings, inverted, patterns, photographs, ultrasound
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

_DRAWERS: dict[str, tuple[Callable[[Rng], Picture], ...]] = {
    "inverted": (inverted.inverted_frame, inverted.inverted_subtraction, inverted.maximum_projection),
    "drawing": (
        drawings.vessel_mask,
        drawings.rendered_tree,
        drawings.diagram,
        drawings.chart,
        drawings.text_page,
        drawings.colour_map,
        drawings.anatomy_sketch,
    ),
    "intravascular_or_ultrasound": (
        ultrasound.ultrasound_sector,
        ultrasound.ultrasound_strip,
        ultrasound.oct_ring,
        ultrasound.oct_beams,
        ultrasound.ivus_disc,
    ),
    "test_pattern": (
        patterns.bars,
        patterns.grating,
        patterns.resolution_chart,
        patterns.ramp,
        patterns.flat_message,
        patterns.desktop,
    ),
    "other_picture": (
        photographs.dead_leaves,
        photographs.texture,
        photographs.lit_solids,
        photographs.winter_trees,
        photographs.leaf,
        photographs.body_slice,
        photographs.cells,
        photographs.report,
        photographs.snow,
    ),
}
_REASON_OF = {drawer.__name__: reason for reason, drawers in _DRAWERS.items() for drawer in drawers}

OUTSIDER_KINDS: tuple[str, ...] = tuple(_REASON_OF)
_LEAST_SPAN = 60  # grey levels from the darkest to the lightest pixel


def reason_of(kind: str) -> str:
    """The reason for which this kind is refused. Raises KeyError for a kind that there is none of."""
    return _REASON_OF[kind]


def outsider(seed: int, side: int = 224) -> tuple[NDArray[np.uint8], str, str]:
    """Draw one picture: (H, W) uint8 with H = W = side, its kind and its reason. Same arguments, same result.

    Every reason is as likely as any other, and within it every kind. The picture went through the runtime's own
    percentile window and resize, as a still would. Raises ValueError for a negative seed.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 20]))
    reason = OUTSIDER_REASONS[int(rng.integers(len(OUTSIDER_REASONS)))][0]
    drawers = _DRAWERS[reason]
    drawer = drawers[int(rng.integers(len(drawers)))]
    while True:
        image = _as_tensor_shows(damaged(rng, drawer(rng)), side)
        if np.ptp(image) > _LEAST_SPAN:  # a window may leave nothing of a few letters on a plain ground
            return image, drawer.__name__, reason


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

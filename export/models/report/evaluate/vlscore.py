"""VLScore: how well a draft agrees with a reference, given the picture: the triangle of the three in one space.

The idea is Dawidowicz's, Hirsch's and Tal's (arXiv 2410.17357): the smaller the area between the embeddings of
picture, reference and draft, the better. The code is ours, and so are these choices: embeddings are scaled to length
1, the mean is taken over a study's pictures, and, unless an encoder says otherwise, the score is 0 where the area is
the largest that three points of the unit sphere can have. Scores of two encoders cannot be compared, nor with those
of papers. Not for: choosing between models: in CAG-VLM's study clinicians and VLScore disagreed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import ConfigError

LARGEST_AREA = 3.0 * math.sqrt(3.0) / 4.0  # an equilateral triangle on a great circle
Embedding = NDArray[np.float64]


def vlscore(
    pictures: Sequence[Embedding], reference: Embedding, draft: Embedding, zero_area: float = LARGEST_AREA
) -> float:
    """0 to 1, larger is better; the mean over the pictures, of which there is at least one.

    Embeddings: one dimension, of one length. zero_area: from which on the score is 0. Raises ConfigError for what is no
    direction: zeros, NaN, infinities.
    """
    if not pictures:
        raise ConfigError("a study without a picture has no VLScore: name its pictures")
    ends = [direction(one) for one in (reference, draft)]
    return float(np.mean([max(0.0, 1.0 - triangle_area(direction(one), *ends) / zero_area) for one in pictures]))


def triangle_area(one: Embedding, other: Embedding, third: Embedding) -> float:
    """Of three points of any dimension."""
    if not one.shape == other.shape == third.shape:
        raise ConfigError(
            f"embeddings of {one.shape}, {other.shape} and {third.shape} values, expected one space: "
            "use a picture and a text encoder that were trained together"
        )
    along, across = other - one, third - one
    return 0.5 * math.sqrt(max(0.0, float((along @ along) * (across @ across) - (along @ across) ** 2)))


def direction(embedding: Embedding) -> Embedding:
    """Scaled to length 1."""
    length = float(np.linalg.norm(embedding))
    if not (math.isfinite(length) and length > 0.0):
        raise ConfigError(f"an embedding of length {length:g}, expected a direction: the encoder cannot be used")
    return embedding / length

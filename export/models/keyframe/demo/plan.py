"""All that decides a training besides its frames, and what the rows of the network's last layer are.

Not for: the steps themselves (training.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Arithmetic = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides the result besides the frames and the machine's arithmetic.

    resolutions: (side in pixels, share of the steps), in order. Most steps are taken at 160, half the work of 224,
    where the network will run; much below that the arteries are thinner than a pixel and nothing is learnt.
    warmup_share: of the steps. layer_scale: first value of gamma, see ConvNext. average: weight of the past in the
    moving average of the weights. cell_weight: of the cells' loss beside that of the labels. arithmetic: of products
    and convolutions; bfloat16 halves the time of a step where the CPU multiplies it (AVX-512 BF16, AMX) and multiplies
    the time elsewhere. Weights, moments and losses are single precision in either. without_history: share of the pairs
    that are shown as the first frame of a run, so that single stills stay known.
    """

    arch: str = "convnext_atto"
    arithmetic: Arithmetic = "float32"
    steps: int = 6000
    batch: int = 32
    outsiders: int = 6
    start: str = "random"
    seed: int = 0
    resolutions: tuple[tuple[int, float], ...] = ((160, 0.72), (224, 0.28))
    learning_rate: float = 1.5e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    layer_scale: float = 0.5
    average: float = 0.995
    cell_weight: float = 1.0
    readability_weight: float = 2.0
    order_weight: float = 0.5
    domain_weight: float = 0.5
    gradient_norm: float = 1.0
    without_history: float = 0.25

    def side_at(self, step: int) -> int:
        reached = 0.0
        for side, share in self.resolutions:
            reached += share
            if step < reached * self.steps:
                return side
        return self.resolutions[-1][0]

    def learning_rate_at(self, step: int) -> float:
        """Linear rise, then a straight line to zero: over few steps it leaves more for the last, largest resolution
        than a cosine does."""
        rising = max(1, round(self.warmup_share * self.steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (self.steps - step) / max(1, self.steps - rising)


@dataclass(frozen=True, slots=True)
class LastLayer:
    """What the rows of the last layer are: `classes`, then one for readability, then `domain`."""

    classes: int
    domain: int

    @property
    def total(self) -> int:
        return self.classes + 1 + self.domain

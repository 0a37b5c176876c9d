"""What a step of training is to make small: losses of the last layer's rows and of the cells.

Not for: steps, weights and frames (training.py).
B frames, neighbours of one run first, then outsiders.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cathrt.export.models.keyframe.demo.plan import LastLayer, Plan

# A cell shows an artery if the beam crosses this much contrast medium in it: 0.4 mm at 350 mg iodine per ml.
VESSEL_TENTHS_MM = 4
IGNORED = -100
# A pair counts in full from this difference of readability; log-odds are sharpened, since order matters near the top.
ORDER_APART, ORDER_SHARPNESS = 0.1, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Of a batch whose first A frames are angiograms. targets: (A, classes). readability: (A,). domain: (B,) int64, 0
    or the number of a reason."""

    targets: Tensor
    readability: Tensor
    domain: Tensor


def last_layer_loss(found: Tensor, truth: Truth, plan: Plan, rows: LastLayer) -> Tensor:
    """Of the last layer's rows. found: (B, rows), the A angiograms before the outsiders."""
    count = len(truth.targets)
    targets = truth.targets * (1.0 - plan.label_smoothing) + plan.label_smoothing / rows.classes
    loss = F.cross_entropy(found[:count, : rows.classes], targets)
    readable = found[:count, rows.classes]
    loss = loss + plan.readability_weight * F.binary_cross_entropy_with_logits(readable, truth.readability)
    loss = loss + plan.order_weight * order_loss(readable, truth.readability)
    return loss + plan.domain_weight * F.cross_entropy(found[:, rows.classes + 1 :], truth.domain)


def cell_loss(scores: Tensor, vessels: Tensor, side: Tensor) -> Tensor:
    """Cross entropy of each cell: 0 no artery, 1 left, 2 right; cells that hold a little of one are left out."""
    path = F.adaptive_max_pool2d(vessels, scores.shape[-2:])[:, 0]
    truth = torch.where(path >= VESSEL_TENTHS_MM, side[:, None, None] + 1, 0)
    truth[(path > 0.3 * VESSEL_TENTHS_MM) & (path < VESSEL_TENTHS_MM)] = IGNORED
    return F.cross_entropy(scores, truth, ignore_index=IGNORED)


def order_loss(readable: Tensor, truth: Tensor) -> Tensor:
    """Which of two neighbours is the more readable, log-odds in `readable`: pairs count by how far they are apart."""
    ahead, truly = readable[0::2] - readable[1::2], truth[0::2] - truth[1::2]
    apart = (truly.abs() / ORDER_APART).clamp(max=1.0)
    right = (truly > 0).float()
    loss = F.binary_cross_entropy_with_logits(ORDER_SHARPNESS * ahead, right, weight=apart, reduction="sum")
    return loss / apart.sum().clamp(min=1.0)

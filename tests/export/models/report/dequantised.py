"""Weights as a decoder reads them once they were stored in 8 or 4 bits.

Not for: the stored file itself (export/models/report/stored_decoder.py).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.weight_forms import quantise
from cathrt.export.models.report.shape import GemmaShape
from cathrt.export.models.report.stored_decoder import Bits
from tests.export.models.report.model_weights import ModelWeights


class Dequantised:
    """Weights (shape.Weights) as they are after they were stored in `bits`."""

    def __init__(self, weights: ModelWeights, bits: Bits, block: int) -> None:
        self.weights, self.bits, self.block = weights, bits, block

    @property
    def shape(self) -> GemmaShape:
        return self.weights.shape

    @property
    def names(self) -> Collection[str]:
        return self.weights.names

    def tensor(self, name: str) -> NDArray[Any]:
        values = self.weights.tensor(name)
        if name.endswith("_proj.weight") or "embed_tokens" in name:
            return dequantised(values, self.bits, self.block)
        return values


def dequantised(values: NDArray[np.float32], bits: Bits, block: int) -> NDArray[np.float32]:
    """Values (outputs, inputs) as they are after they were stored; storing them once more changes nothing."""
    stored, scales = quantise(values, "int4" if bits == 4 else "int8", block, "float16")
    blocks = stored.reshape(len(values), -1, block) * scales[..., None]
    return blocks.reshape(values.shape).astype(np.float32)

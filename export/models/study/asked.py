"""What `cathrt export study` is asked, as the recipe takes it.

Not for: what every kind of model is asked (model_kind.OwnRequest).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cathrt.export.models.study.quantised import Layers
from cathrt.export.quantize.qdq import WeightBits
from cathrt.runtime.bundle.manifest import Precision, Rest
from cathrt.runtime.models.study.section import Empty


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's own options. checkpoint: None for random weights. encoder: which network random weights are of.

    layers, weight_bits, rest: of int8. name: None for that of the checkpoint's file. worth, card, training: files of
    what was measured of these weights, of their model card, and of how they were trained.
    """

    product: str
    precision: Precision
    checkpoint: Path | None = None
    encoder: str = "mvit_v2_s"
    settings: Path | None = None
    empty: Empty = "hidden"
    layers: Layers = "linears"
    weight_bits: WeightBits = 8
    rest: Rest = "float32"
    name: str | None = None
    worth: Path | None = None
    card: Path | None = None
    training: Path | None = None
    demonstration: bool = False

"""Which rows of a checkpoint's last layer make which output: classes, then readability, then domain.

Everything that tells the outputs apart reads it here: the graph, the PyTorch reference, the manifest, the comparison.
Not for: what the numbers of an output mean (runtime/models/keyframe/finding.py).
B batch.
"""

# mypy: allow-subclassing-any
# (mypy skips torch, so nn.Module is Any here)
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from cathrt.runtime.models.keyframe.section import KeyframeSection

OUTPUT, READABILITY, DOMAIN = "logits", "readability", "domain"  # as every exported graph names them


def outputs_of(section: KeyframeSection) -> dict[str, int]:
    """Rows of each output by its name, in the order in which the last layer has them. A plain network has one output.

    A name that occurs twice takes the rows of the last; keyframe_faults refuses such a section.
    """
    rows = {section.output: len(section.labels)}
    if section.readability is not None:
        rows[section.readability.output] = 1
    if section.domain is not None:
        rows[section.domain.output] = 1 + len(section.domain.reasons)
    return rows


class SplitOutputs(nn.Module):
    """A network of one last layer, whose rows are given as the outputs that they make: image to a tuple of (B, rows).

    Raises ValueError when called, if the network has another number of rows.
    """

    def __init__(self, network: nn.Module, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.network = network
        self._rows = list(outputs.values())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        rows: Tensor = self.network(image)
        if rows.shape[1] != sum(self._rows):
            raise ValueError(f"the network gives {rows.shape[1]} rows, its outputs take {self._rows}")
        return tuple(rows.split(self._rows, dim=1))

"""What a bundle of this kind says of its model: its labels, and which frames its preprocessing was made for.

Not for: reading logits (finding.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Len, MinLen

from cathrt.runtime.bundle.manifest import Manifest, Section
from cathrt.runtime.errors import ManifestError

CLASSIFIER = "classifier"  # role of its one network


@dataclass(frozen=True, slots=True)
class GenericSection(Section):
    """output: name of the logits tensor, (1, len(labels)). labels: of its columns, in their order, each once.

    square_frames: the model's own preprocessing keeps a frame's aspect and crops it, which is the same as ours for
    square frames alone; runs of other frames are refused.
    """

    kind: Literal["generic"] = field(default="generic", kw_only=True)
    output: str
    labels: Annotated[tuple[Annotated[str, MinLen(1)], ...], Len(2)]
    square_frames: bool


def section_of(manifest: Manifest) -> GenericSection:
    """The section of a bundle of this kind. Raises ManifestError for a bundle of another one."""
    if not isinstance(manifest.model, GenericSection):
        raise ManifestError(f"bundle {manifest.name} holds a {manifest.kind} model, expected generic: name another")
    return manifest.model


def generic_faults(manifest: Manifest) -> list[str]:
    """Do the labels fit the network's output, and is its one input made of a frame?"""
    section, network = section_of(manifest), manifest.network(CLASSIFIER)
    faults = []
    made = [preprocessing.input for preprocessing in network.preprocessing]
    if len(network.inputs) != 1 or [tensor.name for tensor in network.inputs] != made or network.buckets:
        faults.append(
            f"networks.{CLASSIFIER}: found inputs {[tensor.name for tensor in network.inputs]}, of which {len(made)} "
            f"are made of a frame, and {len(network.buckets)} buckets: expected one input, made of a frame, of fixed "
            "shape"
        )
    columns = len(section.labels)
    output = next((tensor for tensor in network.outputs if tensor.name == section.output), None)
    if output is None or output.shape != (1, columns) or not output.dtype.startswith("float"):
        listed = ", ".join(f"{one.name} {str(one.shape)[:80]} {one.dtype}" for one in network.outputs)
        faults.append(
            f"model.labels: found {columns} and outputs {listed}, expected {section.output} {(1, columns)} of floats"
        )
    twice = [name for name, times in Counter(section.labels).items() if times > 1]
    if twice:
        faults.append(f"model.labels: found {twice[:5]} more than once, expected each once")
    return faults

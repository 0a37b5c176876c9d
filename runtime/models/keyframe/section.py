"""What a keyframe bundle says of its model: which output holds the classes, what they mean, the thresholds.

Not for: reading logits (finding.py) or deciding over time (policy.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Len

from cathrt.runtime.bundle.manifest import Manifest, Score, Section
from cathrt.runtime.errors import ManifestError

CLASSIFIER = "classifier"  # role of its one network


@dataclass(frozen=True, slots=True)
class KeyframeLabel:
    """Meaning of one output column."""

    name: str
    laterality: Literal["left", "right"]
    quality: Literal["better", "bad", "others"]


@dataclass(frozen=True, slots=True)
class KeyframeSection(Section):
    """Meaning of the network's output and the thresholds it was evaluated with.

    output: name of the logits tensor, (1, len(labels)).
    laterality_threshold: below it the side is "unknown". visible_threshold: P(better)+P(bad) below it, likewise.
    key_frame_threshold: P(better) at or above it makes a candidate.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    output: str
    labels: Annotated[tuple[KeyframeLabel, ...], Len(2)]
    laterality_threshold: Score
    visible_threshold: Score
    key_frame_threshold: Score


KeyframeManifest = Manifest[KeyframeSection]  # for annotations; calling it fails, as of every frozen generic


def section_of(manifest: Manifest) -> KeyframeSection:
    """The section of a keyframe bundle. Raises ManifestError for a bundle of another kind."""
    if not isinstance(manifest.model, KeyframeSection):
        raise ManifestError(f"bundle {manifest.name} holds a {manifest.kind} model, expected keyframe: name another")
    return manifest.model


def keyframe_faults(manifest: Manifest) -> list[str]:
    """Do the labels fit the output that they speak of?"""
    section, network = section_of(manifest), manifest.network(CLASSIFIER)
    faults = []
    if (
        len(network.inputs) != 1
        or [tensor.name for tensor in network.inputs] != [made.input for made in network.preprocessing]
        or network.buckets
    ):
        faults.append(
            f"networks.{CLASSIFIER}: found inputs {[tensor.name for tensor in network.inputs]}, of which "
            f"{len(network.preprocessing)} are made of a frame, and {len(network.buckets)} buckets: "
            "expected one input, made of a frame, of fixed shape"
        )
    expected = (1, len(section.labels))
    logits = [tensor for tensor in network.outputs if tensor.name == section.output]
    if not logits or logits[0].shape != expected or not logits[0].dtype.startswith("float"):
        found = ", ".join(f"{made.name} {str(made.shape)[:80]} {made.dtype}" for made in network.outputs)
        faults.append(
            f"model.labels: found {len(section.labels)} and outputs {found}, "
            f"expected {section.output} {expected} of floats"
        )
    names = [label.name for label in section.labels]
    if len(set(names)) != len(names):
        faults.append(f"model.labels: found names {names}, expected each once")
    return faults

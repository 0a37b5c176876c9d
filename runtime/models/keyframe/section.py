"""What a keyframe bundle says of its model: which output holds the classes, what they mean, the thresholds.

Not for: reading logits (finding.py) or deciding over time (policy.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Len, MinLen

from cathrt.runtime.bundle.manifest import Manifest, Network, Score, Section
from cathrt.runtime.errors import ManifestError

CLASSIFIER = "classifier"  # role of its one network


@dataclass(frozen=True, slots=True)
class KeyframeLabel:
    """Meaning of one output column."""

    name: str
    laterality: Literal["left", "right"]
    quality: Literal["better", "bad", "others"]


@dataclass(frozen=True, slots=True)
class ReadabilityOutput:
    """A further output: how well the vessels of a frame can be read. It takes the place of P(better) as its score.

    output: name of the tensor, (1, 1), log-odds: its sigmoid is the readability, in [0, 1].
    poor_below: a run's best frame under it is the best available, and poor.
    """

    output: str
    poor_below: Score


@dataclass(frozen=True, slots=True)
class DomainReason:
    """A kind of picture that the network was not made for. text, text_ja: how a reader is told, in a few words."""

    name: Annotated[str, MinLen(1)]
    text: Annotated[str, MinLen(1)]
    text_ja: Annotated[str, MinLen(1)]


@dataclass(frozen=True, slots=True)
class DomainOutput:
    """A further output: whether the frame is an angiogram at all.

    output: name of the tensor, (1, 1 + len(reasons)), logits: column 0 is an angiogram, then one column a reason.
    threshold: with P(angiogram) below it the frame is outside the domain.
    """

    output: str
    reasons: Annotated[tuple[DomainReason, ...], MinLen(1)]
    threshold: Score


@dataclass(frozen=True, slots=True)
class KeyframeSection(Section):
    """Meaning of the network's outputs and the thresholds they were evaluated with.

    output: name of the logits tensor, (1, len(labels)).
    laterality_threshold: below it a frame's side is "unknown". visible_threshold: P(better)+P(bad) below it, likewise.
    key_frame_threshold: a score at or above it makes a key frame. The score is the readability, or P(better) where the
    bundle has no such output.
    run_visible_threshold: P(better)+P(bad) that a run needs to have a side and key frames; None: visible_threshold.
    run_evidence: how far a run must stand out to have a side and key frames (ranking.stands_out); None: not asked.
    readability, domain: further outputs of the network; None where it has none, as a plain CAG-VLM network.
    """

    kind: Literal["keyframe"] = field(default="keyframe", kw_only=True)
    output: str
    labels: Annotated[tuple[KeyframeLabel, ...], Len(2)]
    laterality_threshold: Score
    visible_threshold: Score
    key_frame_threshold: Score
    run_visible_threshold: Score | None = None
    run_evidence: Score | None = None
    readability: ReadabilityOutput | None = None
    domain: DomainOutput | None = None


KeyframeManifest = Manifest[KeyframeSection]  # for annotations; calling it fails, as of every frozen generic


def section_of(manifest: Manifest) -> KeyframeSection:
    """The section of a keyframe bundle. Raises ManifestError for a bundle of another kind."""
    if not isinstance(manifest.model, KeyframeSection):
        raise ManifestError(f"bundle {manifest.name} holds a {manifest.kind} model, expected keyframe: name another")
    return manifest.model


def keyframe_faults(manifest: Manifest) -> list[str]:
    """Do labels, reasons and further outputs fit the network that they speak of?"""
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
    count = len(section.labels)
    faults += _output_faults(network, "model.labels", f"{count} and ", section.output, count)
    faults += _twice("model.labels", "names", [label.name for label in section.labels])
    outputs = [section.output]
    if section.readability is not None:
        faults += _output_faults(network, "model.readability", "", section.readability.output, 1)
        outputs.append(section.readability.output)
    if section.domain is not None:
        count = len(section.domain.reasons)
        faults += _output_faults(network, "model.domain", f"{count} reasons and ", section.domain.output, 1 + count)
        faults += _twice("model.domain.reasons", "names", [reason.name for reason in section.domain.reasons])
        outputs.append(section.domain.output)
    return faults + _twice("model", "outputs", outputs)


def _output_faults(network: Network, key: str, counted: str, output: str, columns: int) -> list[str]:
    """Does the network have this output, with so many columns of floats?"""
    found = [tensor for tensor in network.outputs if tensor.name == output]
    if found and found[0].shape == (1, columns) and found[0].dtype.startswith("float"):
        return []
    listed = ", ".join(f"{made.name} {str(made.shape)[:80]} {made.dtype}" for made in network.outputs)
    return [f"{key}: found {counted}outputs {listed}, expected {output} {(1, columns)} of floats"]


def _twice(key: str, what: str, names: list[str]) -> list[str]:
    return [f"{key}: found {what} {names}, expected each once"] if len(set(names)) != len(names) else []

"""manifest.json as dataclasses: what a bundle says of its model, and nothing of how it is read.

The schema lives here and nowhere else; export builds these same dataclasses and writes them. Not for: checking a
document against it (bundle/check.py) and opening a bundle (bundle/opening.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len

from cathrt.runtime.bundle.fingerprint import EngineFingerprint
from cathrt.runtime.ports import TensorSpec

SCHEMA_VERSION = 1
# Stands in Manifest; pydantic hands it down to every dataclass in it. Unknown keys, coerced types, NaN are errors.
_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

Score = Annotated[float, Ge(0.0), Le(1.0)]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a frame becomes the input tensor. Everything the model was trained with; the runtime knows none of it.

    input: name of the tensor. layout: "NCHW" or "NHWC"; height, width in pixels; channels repeat the grey value.
    window: "voi_else_percentile" uses the object's VOI where it has one, "percentile" never does.
    percentiles: low and high percent of the exposed pixels that map to 0 and 1.
    mean, std: applied per channel to values in [0, 1]. masked_value: grey in [0, 1] for what lies outside the exposure.
    """

    input: str
    layout: Literal["NCHW", "NHWC"]
    height: Annotated[int, Ge(1), Le(4096)]
    width: Annotated[int, Ge(1), Le(4096)]
    window: Literal["voi_else_percentile", "percentile"]
    percentiles: tuple[Annotated[float, Ge(0.0), Le(100.0)], Annotated[float, Ge(0.0), Le(100.0)]]
    mean: tuple[float, float, float]
    std: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]]
    masked_value: Score


@dataclass(frozen=True, slots=True)
class KeyframeLabel:
    """Meaning of one output column."""

    name: str
    laterality: Literal["left", "right"]
    quality: Literal["better", "bad", "others"]


@dataclass(frozen=True, slots=True)
class KeyframeSemantics:
    """Meaning of the keyframe model's output and the thresholds it was judged with.

    output: name of the logits tensor, (1, len(labels)).
    laterality_threshold: below it the side is "unknown". visible_threshold: P(better)+P(bad) below it, likewise.
    key_frame_threshold: P(better) at or above it makes a candidate.
    """

    output: str
    labels: Annotated[tuple[KeyframeLabel, ...], Len(2)]
    laterality_threshold: Score
    visible_threshold: Score
    key_frame_threshold: Score


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A TensorRT plan in the bundle, and what it was built from and for."""

    file: str
    fingerprint: EngineFingerprint


@dataclass(frozen=True, slots=True)
class Artifact:
    """The file an engine opens, and the precision it must compute in (never the library's default).

    plans: for TensorRT, what was built from `file`; each fits the devices in its fingerprint. None for other engines.
    weight_bits: of int8 weights: with 7 every x86 CPU sums exactly, with 8 only those with VNNI (cpu.py).
    """

    file: str
    precision: Literal["float32", "bfloat16", "float16", "int8"]
    plans: tuple[PlanFile, ...] = ()
    weight_bits: Literal[7, 8] = 8


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json, schema version 1.

    files: sha256 (hex) of every file of the bundle but manifest.json and manifest.sig.
    artifacts: by engine name ("openvino", "onnxruntime", "tensorrt-rtx", "tensorrt").
    demonstration: True for weights that serve to show the line, not to read angiograms.
    provenance: free JSON: how the weights came to be, tool versions. evidence: free JSON: measured accuracy, latency.
    """

    __pydantic_config__ = _STRICT
    schema_version: int
    name: str
    kind: Literal["keyframe"]
    files: dict[str, str]
    artifacts: dict[str, Artifact]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    keyframe: KeyframeSemantics
    demonstration: bool
    provenance: dict[str, Any]
    evidence: dict[str, Any]

    @property
    def random_init(self) -> bool:
        """Whether the weights were drawn and never trained: for measuring speed, and refused by the live line."""
        return self.provenance.get("random_init", False) is not False

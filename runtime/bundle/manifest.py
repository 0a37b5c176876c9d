"""manifest.json as dataclasses: what a bundle says of its model, its networks and its files.

The schema lives here and nowhere else; export builds these same dataclasses and writes them. What is peculiar to one
kind of model stands in a Section of its own (models/<kind>/section.py). Not for: checking a document against it
(check.py) and opening a bundle (opening.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, Literal

from annotated_types import Ge, Gt, Le
from typing_extensions import TypeVar

from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE, UNPROVEN_NOTICE
from cathrt.runtime.bundle.fingerprint import EngineFingerprint
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.tensor import TensorSpec

SCHEMA_VERSION = 2  # 2: several networks, shape buckets, a section of its own for each kind of model
# Stands in Manifest; pydantic hands it down to every dataclass in it. Unknown keys, coerced types, NaN are errors.
_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

_FIXED: Mapping[str, int] = {}  # the bucket of a network without named dimensions

Score = Annotated[float, Ge(0.0), Le(1.0)]
Channel = Literal["grey", "contrast", "change"]
Precision = Literal["float32", "bfloat16", "float16", "int8", "int4"]
Rest = Literal["float32", "bfloat16"]
# What a network is worth: is it right more often than what takes no network? export/qualify/worth.py measures it.
WorthVerdict = Literal["better than chance", "no better than chance", "not enough evidence"]
BETTER: WorthVerdict = "better than chance"
NO_BETTER: WorthVerdict = "no better than chance"
TOO_FEW: WorthVerdict = "not enough evidence"
WORTH_VERDICTS = (BETTER, TOO_FEW, NO_BETTER)  # the worst last


@dataclass(frozen=True, slots=True)
class History:
    """What channels show beside the grey value: how it differs from what the run showed before.

    channels: what each of the three shows. "grey": the value itself. "contrast": its difference from a background that
    follows brighter values within rise_s and darker ones within fall_s, so that contrast medium is below 0. "change":
    its difference from the mean of about the last recent_s. Differences are 0 on the first frame of a run.
    rise_s, fall_s, recent_s: time constants in seconds. Formula: kernels/reference/ingest.py.
    """

    channels: tuple[Channel, Channel, Channel]
    rise_s: Annotated[float, Gt(0.0)]
    fall_s: Annotated[float, Gt(0.0)]
    recent_s: Annotated[float, Gt(0.0)]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a frame becomes one input tensor. Everything the model was trained with; the runtime knows none of it.

    input: name of the tensor. layout: "NCHW" or "NHWC"; height, width in pixels. history: what the channels show; None
    for a grey value that all three repeat.
    window: "voi_else_percentile" uses the object's VOI where it has one, "percentile" never does.
    percentiles: low and high percent of the exposed pixels that map to 0 and 1.
    mean, std: applied per channel to grey values in [0, 1] and to their differences. masked_value: grey in [0, 1] for
    what lies outside the exposure.
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
    history: History | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the tensor it makes of one frame."""
        size = (self.height, self.width)
        return (1, 3, *size) if self.layout == "NCHW" else (1, *size, 3)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A TensorRT plan in the bundle, and what it was built from and for."""

    file: str
    fingerprint: EngineFingerprint


@dataclass(frozen=True, slots=True)
class Artifact:
    """The file an engine opens, and the precision it must compute in (never the library's default).

    plans: for TensorRT, what was built from `file`; each fits the devices in its fingerprint. None for other engines.
    weight_bits: of int8 weights: with 7 every x86 CPU sums exactly, with 8 only those with VNNI (engines/cpu.py).
    rest: of int8 and int4 in OpenVINO: what everything but int8 products is computed in. "bfloat16" holds on CPUs that
    multiply in it; the others compute the rest in float32, in which the artifact was qualified too.
    weights_only: of int8 and int4: weights alone are stored so, and made wider before they are multiplied; no
    activation is rounded to int8. There is no int4 but of weights.
    """

    file: str
    precision: Precision
    plans: tuple[PlanFile, ...] = ()
    weight_bits: Literal[7, 8] = 8
    rest: Rest = "float32"
    weights_only: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredTensor:
    """An input or output as the manifest declares it. shape: sizes, or names of sizes that a bucket sets ("N")."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str  # a NumPy name: "float32", "int8", ...

    def in_bucket(self, bucket: Mapping[str, int]) -> TensorSpec:
        """The tensor with every name replaced by its size. Raises ManifestError where a name has none."""
        missing = sorted({size for size in self.shape if isinstance(size, str)} - bucket.keys())
        if missing:
            raise ManifestError(f"tensor {self.name} {self.shape}: the bucket {dict(bucket)} gives no {missing}")
        return TensorSpec(self.name, tuple(bucket[s] if isinstance(s, str) else s for s in self.shape), self.dtype)


@dataclass(frozen=True, slots=True)
class Network:
    """One network of the model, as each engine has it.

    artifacts: by engine name ("openvino", "onnxruntime", "tensorrt-rtx", "tensorrt").
    buckets: the sizes that the named dimensions may have together; an engine is opened for one of them. Empty where
    all shapes are fixed.
    preprocessing: the inputs that are made of a frame, each with how. Empty for a network that reads no frames.
    """

    artifacts: dict[str, Artifact]
    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    buckets: tuple[dict[str, Annotated[int, Ge(1)]], ...] = ()
    preprocessing: tuple[Preprocessing, ...] = ()

    def input_specs(self, bucket: Mapping[str, int] = _FIXED) -> tuple[TensorSpec, ...]:
        """The inputs in one bucket. Raises ManifestError as DeclaredTensor.in_bucket."""
        return tuple(tensor.in_bucket(bucket) for tensor in self.inputs)

    def output_specs(self, bucket: Mapping[str, int] = _FIXED) -> tuple[TensorSpec, ...]:
        """The outputs in one bucket. Raises ManifestError as DeclaredTensor.in_bucket."""
        return tuple(tensor.in_bucket(bucket) for tensor in self.outputs)


@dataclass(frozen=True, slots=True)
class Section:
    """What a bundle says of its model beyond files and tensors. Each kind has a dataclass that narrows `kind`."""

    kind: str


SectionT = TypeVar("SectionT", bound=Section, default=Section, covariant=True)


@dataclass(frozen=True, slots=True)
class Manifest(Generic[SectionT]):
    """manifest.json, schema version 2.

    files: sha256 (hex) of every file of the bundle but manifest.json and manifest.sig.
    networks: by role; which roles there are is the kind's to say. model: the section of the kind.
    demonstration: True for weights that serve to show the line, not to read angiograms.
    provenance: free JSON: how the weights came to be, tool versions. evidence: free JSON: measured accuracy, latency.
    worth: what the network was found to be worth when it was exported; None: not stated.
    """

    __pydantic_config__ = _STRICT
    schema_version: int
    name: str
    files: dict[str, str]
    networks: dict[str, Network]
    model: SectionT
    demonstration: bool
    provenance: dict[str, Any]
    evidence: dict[str, Any]
    worth: WorthVerdict | None = None

    @property
    def notice(self) -> str:
        """What every output of the bundle must say."""
        return {NO_BETTER: NO_BETTER_NOTICE, TOO_FEW: UNPROVEN_NOTICE}.get(self.worth or BETTER, NOTICE)

    @property
    def kind(self) -> str:
        """Key of the models' table."""
        return self.model.kind

    @property
    def random_init(self) -> bool:
        """Whether the weights were drawn and never trained: for measuring speed, and refused by the live line."""
        return self.provenance.get("random_init", False) is not False

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that every network has an artifact for, by name."""
        per_network = [network.artifacts.keys() for network in self.networks.values()]
        return tuple(sorted(set.intersection(*map(set, per_network)))) if per_network else ()

    @property
    def networks_without_artifacts(self) -> dict[str, Network]:
        """What the networks are, whatever files they are in."""
        return {role: replace(network, artifacts={}) for role, network in self.networks.items()}

    def network(self, role: str) -> Network:
        """The network of that role. Raises ManifestError where the bundle has none."""
        if role not in self.networks:
            raise ManifestError(f"bundle {self.name} has no network {role!r}, only {sorted(self.networks)}")
        return self.networks[role]

    def all_artifacts(self) -> Iterator[tuple[str, str, Artifact]]:
        """Role, engine and artifact of every one there is."""
        for role, network in self.networks.items():
            for engine, artifact in network.artifacts.items():
                yield role, engine, artifact

    def opened_by(self, engine: str) -> tuple[str, ...]:
        """The files that an engine's artifacts are, one a network."""
        return tuple(artifact.file for _, name, artifact in self.all_artifacts() if name == engine)

    def with_artifacts(self, role: str, artifacts: Mapping[str, Artifact]) -> Manifest[SectionT]:
        """The same manifest with other artifacts for one network."""
        networks = {**self.networks, role: replace(self.network(role), artifacts=dict(artifacts))}
        return replace(self, networks=networks)

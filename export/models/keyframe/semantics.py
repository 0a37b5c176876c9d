"""What a network's numbers mean, where its weights do not say: preprocessing, labels, thresholds.

Taken from a bundle, from a TOML file, or, for random weights, from the demonstration. A checkpoint holds none of it,
and nothing here guesses: the order of classes is the one thing that no test could find out afterwards.
Not for: choosing thresholds (demo/thresholds.py), or the names of tensors, which the exported graph sets.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Len

from cathrt.export.bundle.sign import canonical_json
from cathrt.export.models.keyframe.outputs import DOMAIN, OUTPUT, READABILITY, outputs_of
from cathrt.export.models.keyframe.to_onnx import INPUT
from cathrt.runtime.bundle.check import manifest_from_json
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, DeclaredTensor, Manifest, Network, Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import MODELS
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeManifest, KeyframeSection, section_of
from cathrt.runtime.outside.input_file import toml_from_file
from cathrt.runtime.outside.validation import faults_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
# What the exported graph settles, by table; a file that gives it could only contradict.
_SETTLED: Mapping[str, Mapping[str, str]] = {
    "preprocessing": {"input": INPUT, "layout": "NCHW"},
    "keyframe": {"output": OUTPUT},
}
# The same of the tables in [keyframe] that only networks with further outputs have.
_SETTLED_FURTHER: Mapping[str, Mapping[str, str]] = {
    "readability": {"output": READABILITY},
    "domain": {"output": DOMAIN},
}


@dataclass(frozen=True, slots=True)
class Semantics:
    """name: of the bundle.   demonstration: as in the manifest, weights that are not for reading angiograms."""

    __pydantic_config__ = _STRICT
    name: Annotated[str, Len(1, 100)]
    preprocessing: Preprocessing
    keyframe: KeyframeSection
    demonstration: bool = False


def semantics_from_toml(path: Path) -> Semantics:
    """Read a file of the form in docs/export.md. Raises ConfigError naming each key that does not fit."""
    from pydantic import ValidationError

    document = toml_from_file(path)
    for table, settled in _SETTLED.items():
        if not isinstance(document.get(table), dict):
            raise ConfigError(f"{path}: no table [{table}]: docs/export.md shows the form")
        document[table] = _with_settled(path, table, document[table], settled)
    for key in document["preprocessing"].keys() & {"mean", "std"}:
        document["preprocessing"][key] = _for_each_channel(document["preprocessing"][key])
    for table, settled in _SETTLED_FURTHER.items():
        if isinstance(given := document["keyframe"].get(table), dict):
            document["keyframe"][table] = _with_settled(path, f"keyframe.{table}", given, settled)
    try:
        # Through JSON, because strict validation takes tables and arrays for dataclasses and tuples only there.
        found = _adapter().validate_json(json.dumps(document, default=str))
    except ValidationError as exc:
        raise ConfigError(f"{path}: {'; '.join(faults_of(exc))}: see docs/export.md for the keys") from exc
    return _checked(found, str(path))


def semantics_of_bundle(bundle: Bundle, name: str, *, demonstration: bool = False) -> Semantics:
    """Those of another bundle, for weights that answer the same question: labels, thresholds, preprocessing.

    What the other bundle is does not come along: name and demonstration are those of the new weights. Raises
    ConfigError where its input is no image of three planes, which is what is exported.
    """
    manifest = bundle.manifest
    (preprocessing,) = manifest.network(CLASSIFIER).preprocessing
    if preprocessing.layout != "NCHW":
        raise ConfigError(
            f"--like {bundle.path}: its network reads {preprocessing.layout}, exported networks read NCHW: "
            "give --semantics FILE.toml"
        )
    section = section_of(manifest)
    readability, domain = section.readability, section.domain
    section = dataclasses.replace(
        section,
        output=OUTPUT,
        readability=None if readability is None else dataclasses.replace(readability, output=READABILITY),
        domain=None if domain is None else dataclasses.replace(domain, output=DOMAIN),
    )
    found = Semantics(name, dataclasses.replace(preprocessing, input=INPUT), section, demonstration)
    return _checked(found, str(bundle.path))


def demonstration_semantics(name: str) -> Semantics:
    """Those of the shipped demonstration, for weights that know nothing anyway."""
    from cathrt.runtime.models import open_bundle

    return semantics_of_bundle(open_bundle(demonstration_bundle(), shipped_keys()), name, demonstration=True)


def manifest_of(
    semantics: Semantics,
    artifacts: Mapping[str, Artifact],
    provenance: Mapping[str, Any],
    evidence: Mapping[str, Any],
) -> KeyframeManifest:
    """The manifest but for its files."""
    given = semantics.preprocessing
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=semantics.name,
        files={},
        networks={
            CLASSIFIER: Network(
                artifacts=dict(artifacts),
                inputs=(DeclaredTensor(INPUT, (1, 3, given.height, given.width), "float32"),),
                outputs=tuple(
                    DeclaredTensor(name, (1, rows), "float32") for name, rows in outputs_of(semantics.keyframe).items()
                ),
                preprocessing=(given,),
            )
        },
        model=semantics.keyframe,
        demonstration=semantics.demonstration,
        provenance=dict(provenance),
        evidence=dict(evidence),
    )


def _with_settled(path: Path, table: str, given: dict[str, Any], settled: Mapping[str, str]) -> dict[str, Any]:
    """A table of the file with what the graph settles. Raises ConfigError where the file gives that itself."""
    if both := sorted(given.keys() & settled.keys()):
        raise ConfigError(f"{path}: {table}.{both[0]}: the exported graph settles it, remove the key")
    return {**given, **settled}


def _for_each_channel(given: Any) -> Any:
    """One number, in a list or alone, as three alike; anything else as it is, for whoever checks it."""
    alone = given[0] if isinstance(given, list) and len(given) == 1 else given
    return [alone] * 3 if isinstance(alone, float) else given


def _checked(semantics: Semantics, origin: str) -> Semantics:
    """The manifest's own checks, before hours of work and not after them."""
    size = (semantics.preprocessing.height, semantics.preprocessing.width)
    if any(side % 32 for side in size):
        raise ConfigError(f"{origin}: input {size[0]}x{size[1]}: ConvNeXt halves it five times, give multiples of 32")
    artifact = Artifact("model.onnx", "float32")
    manifest = manifest_of(semantics, {"openvino": artifact}, {}, {})
    try:
        manifest_from_json(canonical_json(dataclasses.replace(manifest, files={"model.onnx": "0" * 64})), MODELS)
    except ManifestError as exc:
        raise ConfigError(f"{origin}: {exc}") from exc
    return semantics


@cache
def _adapter() -> TypeAdapter[Semantics]:
    from pydantic import TypeAdapter

    return TypeAdapter(Semantics)

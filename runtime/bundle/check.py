"""Reading manifest.json: JSON, schema version, schema, and whether the manifest agrees with itself.

For bytes whose signature already holds (opening.py). What a kind of model demands comes in through `kinds`, since
bundles know no model. Not for: the files that the manifest lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol, Union

from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE, check_name
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, History, Manifest, Network, PlanFile, Section
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.outside.validation import faults_of
from cathrt.runtime.tensor import MAX_RANK, MAX_TENSOR_BYTES, TensorSpec

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MOST_FAULTS = 20
_MOST_FILES = 256
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# By name and not by np.dtype(), which takes "(1099511627776,)f4" and runs out of kinds of error for the rest.
_DTYPES = frozenset(
    ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"]
)


class Kind(Protocol):
    """What a bundle must know of a kind of model to check its manifest: a row of the models' table fits by shape.

    section: the dataclass of its section, with `kind` narrowed to its name. roles: the networks it consists of;
    optional_roles: those of them that a bundle may lack.
    faults: what does not fit in its section, in words; networks, shapes and files have been checked by then.
    """

    @property
    def section(self) -> type[Section]: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def optional_roles(self) -> frozenset[str]: ...
    @property
    def faults(self) -> Callable[[Manifest], list[str]]: ...


def manifest_from_json(document: bytes, kinds: Mapping[str, Kind]) -> Manifest:
    """The manifest, checked against the schema and against itself. Raises ManifestError listing what does not fit."""
    from pydantic import ValidationError

    try:
        fields = json.loads(
            document.decode("utf-8"), object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as exc:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ManifestError(f"{MANIFEST}: not valid JSON ({exc}): export the bundle again") from exc
    if not isinstance(fields, dict):
        raise ManifestError(
            f"{MANIFEST}: is a JSON {type(fields).__name__}, expected an object: export the bundle again"
        )
    _check_version(fields.get("schema_version"))
    try:
        # From the fields and not from the bytes again: two parsers may read one document in two ways.
        manifest = _adapter(tuple(kind.section for kind in kinds.values())).validate_json(json.dumps(fields))
    except ValidationError as exc:
        faults = [_without_tag(fault, kinds) for fault in faults_of(exc)]
    else:
        kind = kinds[manifest.kind]
        faults = [*_file_faults(manifest), *_role_faults(manifest, kind)]
        for role, network in manifest.networks.items():
            faults += _tensor_faults(f"networks.{role}", network)
        faults = faults or kind.faults(manifest)
        if not faults:
            return manifest
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    raise ManifestError(
        f"{MANIFEST}: " + "; ".join(fault[:400] for fault in faults[:_MOST_FAULTS]) + more + ": export the bundle again"
    )


def _without_tag(fault: str, kinds: Collection[str]) -> str:
    """Of a section that is one of several, the key names the section's kind too, which is no key of the document."""
    tag = next((f"model.{kind}." for kind in kinds if fault.startswith(f"model.{kind}.")), "")
    return f"model.{fault.removeprefix(tag)}" if tag else fault


def _check_version(version: object) -> None:
    if type(version) is int and version == SCHEMA_VERSION:
        return
    older = type(version) is int and 0 < version < SCHEMA_VERSION
    raise ManifestError(
        f"{MANIFEST}: schema_version is {version!r}, this version of cathrt reads {SCHEMA_VERSION}: "
        + (
            "the bundle was made by an earlier version: export it again from its weights, or use that version"
            if older
            else "export the bundle again with this version of cathrt, or update cathrt"
        )
    )


def _role_faults(manifest: Manifest, kind: Kind) -> list[str]:
    if kind.roles - kind.optional_roles <= manifest.networks.keys() <= kind.roles:
        return []
    may_lack = f" and may lack {sorted(kind.optional_roles)}" if kind.optional_roles else ""
    return [f"networks: found {sorted(manifest.networks)}, a {manifest.kind} bundle has {sorted(kind.roles)}{may_lack}"]


def _file_faults(manifest: Manifest) -> list[str]:
    for name in manifest.files:
        check_name(name)
    faults = [
        f"files.{name}: found {sha256!r}, expected a sha256 of 64 lower-case hex digits"
        for name, sha256 in manifest.files.items()
        if not _SHA256.fullmatch(sha256)
    ]
    if len(manifest.files) > _MOST_FILES:
        faults.append(f"files: found {len(manifest.files)}, expected at most {_MOST_FILES}, since each is kept open")
    own = {MANIFEST, SIGNATURE} & manifest.files.keys()
    faults += [f"files.{name}: a bundle does not list its own {name}" for name in sorted(own)]
    for role, network in manifest.networks.items():
        faults += _artifact_faults(manifest, role, network)
    return faults


def _artifact_faults(manifest: Manifest, role: str, network: Network) -> Iterator[str]:
    if not network.artifacts:
        yield f"networks.{role}.artifacts: found none, expected one for at least one engine"
    for engine, artifact in network.artifacts.items():
        where = f"networks.{role}.artifacts.{engine}"
        needed = [artifact.file, *(plan.file for plan in artifact.plans)]
        if artifact.file.endswith(".xml"):  # OpenVINO IR keeps its weights beside the graph
            needed.append(artifact.file.removesuffix(".xml") + ".bin")
        if artifact.weight_bits != 8 and artifact.precision != "int8":
            yield f"{where}: {artifact.weight_bits}-bit weights in {artifact.precision}, expected that of int8 alone"
        if artifact.rest != "float32" and (engine != "openvino" or artifact.precision not in ("int8", "int4")):
            found = f"a {artifact.rest} rest in {artifact.precision}"
            yield f"{where}: {found}, expected that of int8 or int4 in openvino alone"
        if artifact.weights_only != (artifact.precision == "int4") and artifact.precision != "int8":
            yield f"{where}: weights_only is {artifact.weights_only} in {artifact.precision}, expected it in int4 alone"
        yield from (f"{where}: {name!r} is not among files" for name in needed if name not in manifest.files)
        for plan in artifact.plans:
            yield from _plan_faults(where, engine, artifact, plan, manifest.files.get(artifact.file))


def _plan_faults(where: str, engine: str, artifact: Artifact, plan: PlanFile, expected: str | None) -> Iterator[str]:
    """A plan belongs to the engine it is listed for, and was built from the file that stands beside it."""
    made_of = plan.fingerprint.onnx_sha256
    if plan.fingerprint.target != engine:
        yield f"{where}: {plan.file} was built by {plan.fingerprint.target}, expected {engine}"
    if not plan.fingerprint.sm:
        yield f"{where}: {plan.file} is for no compute capability, expected at least one"
    if expected is not None and made_of != expected:
        yield f"{where}: {plan.file} was built from {made_of[:64]!r}, {artifact.file} is {expected!r}"


def _tensor_faults(where: str, network: Network) -> list[str]:
    """Names, types and sizes that no engine could allocate; preprocessing that fits no input."""
    faults: list[str] = []
    for side, tensors in (("inputs", network.inputs), ("outputs", network.outputs)):
        names = [tensor.name for tensor in tensors]
        if not tensors or len(set(names)) != len(names):
            faults.append(f"{where}.{side}: found names {names}, expected at least one and each once")
    declared = {size for tensor in (*network.inputs, *network.outputs) for size in tensor.shape if type(size) is str}
    for number, bucket in enumerate(network.buckets):
        if bucket.keys() != declared:
            faults.append(
                f"{where}.buckets.{number}: sets {sorted(bucket)}, the shapes name {sorted(declared) or 'nothing'}"
            )
    if declared and not network.buckets:
        faults.append(f"{where}.buckets: found none, the shapes name {sorted(declared)}")
    if len({tuple(sorted(bucket.items())) for bucket in network.buckets}) != len(network.buckets):
        faults.append(f"{where}.buckets: one occurs twice")
    if faults:
        return faults
    for bucket in network.buckets or ({},):
        specs = [(f"{where}.inputs", spec) for spec in network.input_specs(bucket)]
        specs += [(f"{where}.outputs", spec) for spec in network.output_specs(bucket)]
        found = [fault for side, spec in specs for fault in _spec_faults(f"{side}.{spec.name}", spec)]
        if not found and (total := sum(spec.size_bytes for _, spec in specs)) > MAX_TENSOR_BYTES:
            found.append(f"{where}: inputs and outputs take {total} bytes, expected at most {MAX_TENSOR_BYTES}")
        faults += found
    return faults or list(_preprocessing_faults(where, network))


def _spec_faults(where: str, spec: TensorSpec) -> Iterator[str]:
    """What no engine could allocate, or no array can be."""
    if not 1 <= len(spec.shape) <= MAX_RANK or any(size < 1 for size in spec.shape):
        yield f"{where}: found shape {_shape(spec)}, expected 1 to {MAX_RANK} sizes of 1 and more"
    if spec.dtype not in _DTYPES:
        yield f"{where}: found dtype {spec.dtype!r}, expected a NumPy name such as 'float32'"


def _preprocessing_faults(where: str, network: Network) -> Iterator[str]:
    made = [preprocessing.input for preprocessing in network.preprocessing]
    if len(set(made)) != len(made):
        yield f"{where}.preprocessing: makes {made}, expected each input once"
    inputs = {tensor.name: tensor for tensor in network.inputs}
    for number, preprocessing in enumerate(network.preprocessing):
        at = f"{where}.preprocessing.{number}"
        tensor = inputs.get(preprocessing.input)
        if tensor is None or tensor.shape != preprocessing.shape or tensor.dtype not in ("float32", "float16"):
            found = "no such input" if tensor is None else f"{tensor.name} {str(tensor.shape)[:80]} {tensor.dtype}"
            yield f"{at}: makes {preprocessing.input} {preprocessing.shape} float32 or float16, inputs have {found}"
        low, high = preprocessing.percentiles
        if low >= high:
            yield f"{at}.percentiles: found {low}, {high}, expected the low one first"
        if preprocessing.history is not None:
            yield from _history_faults(f"{at}.history", preprocessing.history)


def _history_faults(where: str, history: History) -> Iterator[str]:
    found = f"{where}.channels: found {', '.join(history.channels)}, expected"
    if history.channels[0] != "grey":
        yield f"{found} grey first, which is what people are shown"
    if set(history.channels) == {"grey"}:
        yield f"{found} contrast or change among them; without either there is no history"


def _shape(spec: TensorSpec) -> str:
    return str(spec.shape)[:80]


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a key occurs twice among {sorted(names)[:20]}")
    return dict(pairs)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"found {text}, which is no JSON number")


@cache
def _adapter(sections: tuple[type[Section], ...]) -> TypeAdapter[Manifest]:
    """Of a manifest whose model is one of the sections, told apart by `kind`."""
    from pydantic import Field, TypeAdapter

    tagged: Any = sections[0]
    if len(sections) > 1:
        tagged = Annotated[Union[sections], Field(discriminator="kind")]  # noqa: UP007 (made at run time)
    manifest: Any = Manifest
    return TypeAdapter(manifest[tagged])

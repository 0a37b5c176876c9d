"""Reading manifest.json: JSON, schema version, schema, and whether the manifest agrees with itself.

For bytes whose signature already holds (bundle/opening.py). Not for: the files that the manifest lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE, check_name
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, PlanFile
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.ports import MAX_RANK, MAX_TENSOR_BYTES, TensorSpec
from cathrt.runtime.validation import faults_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MOST_FAULTS = 20
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# By name and not by np.dtype(), which takes "(1099511627776,)f4" and runs out of kinds of error for the rest.
_DTYPES = frozenset(
    ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"]
)


def manifest_from_json(document: bytes) -> Manifest:
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
    version = fields.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ManifestError(
            f"{MANIFEST}: schema_version is {version!r}, this runtime knows {SCHEMA_VERSION}: "
            "export the bundle again with this version of cathrt, or update cathrt"
        )
    try:
        # From the fields and not from the bytes again: two parsers may read one document in two ways.
        manifest = _adapter().validate_json(json.dumps(fields))
    except ValidationError as exc:
        faults = faults_of(exc)
    else:
        faults = [*_file_faults(manifest), *_tensor_faults(manifest), *_meaning_faults(manifest)]
        if not faults:
            return manifest
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    raise ManifestError(
        f"{MANIFEST}: " + "; ".join(fault[:400] for fault in faults[:_MOST_FAULTS]) + more + ": export the bundle again"
    )


def _file_faults(manifest: Manifest) -> list[str]:
    for name in manifest.files:
        check_name(name)
    faults = [
        f"files.{name}: found {sha256!r}, expected a sha256 of 64 lower-case hex digits"
        for name, sha256 in manifest.files.items()
        if not _SHA256.fullmatch(sha256)
    ]
    own = {MANIFEST, SIGNATURE} & manifest.files.keys()
    faults += [f"files.{name}: a bundle does not list its own {name}" for name in sorted(own)]
    if not manifest.artifacts:
        faults.append("artifacts: found none, expected one for at least one engine")
    for engine, artifact in manifest.artifacts.items():
        needed = [artifact.file]
        if artifact.file.endswith(".xml"):  # OpenVINO IR keeps its weights beside the graph
            needed.append(artifact.file.removesuffix(".xml") + ".bin")
        needed += [plan.file for plan in artifact.plans]
        if artifact.weight_bits != 8 and artifact.precision != "int8":
            found = f"{artifact.weight_bits}-bit weights in {artifact.precision}"
            faults.append(f"artifacts.{engine}: {found}, expected that of int8 alone")
        faults += [f"artifacts.{engine}: {name!r} is not among files" for name in needed if name not in manifest.files]
        faults += [fault for plan in artifact.plans for fault in _plan_faults(manifest, engine, artifact, plan)]
    return faults


def _plan_faults(manifest: Manifest, engine: str, artifact: Artifact, plan: PlanFile) -> Iterator[str]:
    """A plan belongs to the engine it is listed for, and was built from the file that stands beside it."""
    made_of, expected = plan.fingerprint.onnx_sha256, manifest.files.get(artifact.file)
    if plan.fingerprint.target != engine:
        yield f"artifacts.{engine}: {plan.file} was built by {plan.fingerprint.target}, expected {engine}"
    if not plan.fingerprint.sm:
        yield f"artifacts.{engine}: {plan.file} is for no compute capability, expected at least one"
    if expected is not None and made_of != expected:
        yield f"artifacts.{engine}: {plan.file} was built from {made_of[:64]!r}, {artifact.file} is {expected!r}"


def _tensor_faults(manifest: Manifest) -> list[str]:
    faults: list[str] = []
    for side, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        names = [spec.name for spec in specs]
        if not specs or len(set(names)) != len(names):
            faults.append(f"{side}: found names {names}, expected at least one and each once")
        for spec in specs:
            faults += _spec_faults(f"{side}.{spec.name}", spec)
    if not faults and (total := sum(spec.size_bytes for spec in (*manifest.inputs, *manifest.outputs))) > (
        MAX_TENSOR_BYTES
    ):
        faults.append(f"inputs and outputs: found {total} bytes in all, expected at most {MAX_TENSOR_BYTES}")
    return faults


def _spec_faults(where: str, spec: TensorSpec) -> Iterator[str]:
    """What no engine could allocate, or no array can be."""
    if not 1 <= len(spec.shape) <= MAX_RANK or any(size < 1 for size in spec.shape):
        yield f"{where}: found shape {_shape(spec)}, expected 1 to {MAX_RANK} sizes of 1 and more"
    if spec.dtype not in _DTYPES:
        yield f"{where}: found dtype {spec.dtype!r}, expected a NumPy name such as 'float32'"


def _meaning_faults(manifest: Manifest) -> list[str]:
    """Do preprocessing and labels fit the tensors they speak of?"""
    faults = []
    preprocessing, semantics = manifest.preprocessing, manifest.keyframe
    size = (preprocessing.height, preprocessing.width)
    shape = (1, 3, *size) if preprocessing.layout == "NCHW" else (1, *size, 3)
    frames = [TensorSpec(preprocessing.input, shape, dtype) for dtype in ("float32", "float16")]
    if not (len(manifest.inputs) == 1 and manifest.inputs[0] in frames):
        faults.append(f"inputs: found {_text(manifest.inputs)}, preprocessing makes {_text((frames[0],))} or float16")
    logits = [spec for spec in manifest.outputs if spec.name == semantics.output]
    if not logits or logits[0].shape != (1, len(semantics.labels)) or not logits[0].dtype.startswith("float"):
        faults.append(
            f"outputs: found {_text(manifest.outputs)}, the {len(semantics.labels)} labels of keyframe need "
            f"{semantics.output} (1, {len(semantics.labels)}) of floats"
        )
    names = [label.name for label in semantics.labels]
    if len(set(names)) != len(names):
        faults.append(f"keyframe.labels: found names {names}, expected each once")
    low, high = preprocessing.percentiles
    if low >= high:
        faults.append(f"preprocessing.percentiles: found {low}, {high}, expected the low one first")
    return faults


def _text(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {_shape(spec)} {spec.dtype}" for spec in specs) or "nothing"


def _shape(spec: TensorSpec) -> str:
    return str(spec.shape)[:80]


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a key stands twice among {sorted(names)[:20]}")
    return dict(pairs)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"found {text}, which is no JSON number")


@cache
def _adapter() -> TypeAdapter[Manifest]:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)

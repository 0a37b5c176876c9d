"""A Hugging Face image classifier as export takes it: graph, float32 network, manifest.

Not for: running optimum-onnx (child.py), or what its processor's settings mean (processor.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from cathrt.export.graph.fold import Feeds, Layout, check_pass
from cathrt.export.model_kind import NetworkSource, SourceModel
from cathrt.export.models.generic.child import OptimumExport, export_with_optimum, given_python
from cathrt.export.models.generic.fidelity import ModelCheck, check_model, pictures
from cathrt.export.models.generic.graph import OUTPUT, plain_graph
from cathrt.export.models.generic.processor import INPUT, Prepared, prepared_as
from cathrt.export.qualify.reference import reference_from_onnx
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, DeclaredTensor, Manifest, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.generic.section import CLASSIFIER, GenericSection
from cathrt.runtime.outside.plain_text import shown

REFERENCE = "PyTorch float32, through optimum-onnx, in ONNX Runtime"
_LONGEST_NAME = 100
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options. name: of the bundle; None for that of the folder."""

    name: str | None = None
    random_init: bool = False
    window: Literal["voi_else_percentile", "percentile"] = "voi_else_percentile"
    approximate_resample: bool = False


def source_of(model: Path, python: Path | None, asked: Asked) -> SourceModel:
    """The model in a folder. Raises ConfigError for what cannot be represented, EngineError where optimum-onnx or its
    graph fails."""
    sha256 = model_sha256(model)
    interpreter, seen = given_python(python), pictures()
    export = export_with_optimum(interpreter, model, seen)
    prepared = prepared_as(
        export.processor, window=asked.window, approximate_resample=asked.approximate_resample
    )  # fmt: skip
    made = prepared.preprocessing
    plain = plain_graph(export.graph, (made.height, made.width), prepared.crop, len(export.labels))
    check = check_model(seen, export, prepared, plain)
    name = asked.name if asked.name is not None else shown(model.resolve().name)[:_LONGEST_NAME]
    about = {
        "arch": export.architecture,
        "weights_named_as": "transformers",
        "random_init": asked.random_init,
        "exported_by": dict(export.versions),
        "model_check": check.record(prepared),
    }
    networks = {CLASSIFIER: _network(plain, {"weights": sha256, "versions": dict(export.versions)})}
    return SourceModel(_manifest(name, export, prepared), sha256, about, networks, _notes(export, prepared, check))


def source_of_bundle(bundle: Bundle, weights: Path | None, state: str | None = None) -> SourceModel | None:
    """What a bundle was made of, from the plain graph that its export left; None without one.

    Raises ConfigError where the file is another, or a set of weights is named: there is one.
    """
    if weights is None:
        return None
    if state is not None:
        raise ConfigError(f"--state {state}: a bundle of this kind was made of one set of weights: leave it out")
    chain = bundle.manifest.provenance.get("chain")
    made_of = chain.get("onnx") if isinstance(chain, Mapping) else None
    try:
        plain = weights.read_bytes()
    except OSError as exc:
        raise ConfigError(f"--weights {weights}: cannot be read ({exc.strerror}): check the path") from exc
    sha256 = hashlib.sha256(plain).hexdigest()
    if sha256 != made_of:
        raise ConfigError(
            f"--weights {weights}: {sha256[:16]}, bundle {bundle.manifest.name} was made of the graph "
            f"{str(made_of)[:16]}: give model.onnx of the folder plain-... in .work of its export"
        )
    return SourceModel(bundle.manifest, sha256, {}, {CLASSIFIER: _network(plain, {"onnx": sha256})})


def _network(plain: bytes, identity: Mapping[str, Any]) -> NetworkSource:
    """The graph was held against PyTorch already; each later form is held against it."""

    def written(feeds: Feeds | None) -> bytes:  # noqa: ARG001 (check_model has seen more than one frame of noise)
        return plain

    def canonical(model: onnx.ModelProto, layout: Layout, feeds: Feeds | None) -> onnx.ModelProto:  # noqa: ARG001
        """As it is, in either layout: no pattern of any architecture is known."""
        if feeds is not None:
            check_pass("canonical", onnx.load_from_string(plain), model, feeds)
        return model

    about = {**identity, "graph": hashlib.sha256(plain).hexdigest()}
    return NetworkSource(about, written, canonical, lambda: reference_from_onnx(plain, threads=1), REFERENCE)


def _manifest(name: str, export: OptimumExport, prepared: Prepared) -> Manifest[GenericSection]:
    made = prepared.preprocessing
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        files={},
        networks={
            CLASSIFIER: Network(
                artifacts={},
                inputs=(DeclaredTensor(INPUT, made.shape, "float32"),),
                outputs=(DeclaredTensor(OUTPUT, (1, len(export.labels)), "float32"),),
                preprocessing=(made,),
            )
        },
        model=GenericSection(OUTPUT, export.labels, prepared.square_frames),
        demonstration=False,
        provenance={},
        evidence={},
    )


def _notes(export: OptimumExport, prepared: Prepared, check: ModelCheck) -> tuple[str, ...]:
    notes = []
    if export.left_out:
        more = f" and {len(export.left_out) - _NAMED} more" if len(export.left_out) > _NAMED else ""
        listed = ", ".join(map(shown, export.left_out[:_NAMED]))
        notes.append(f"left out, {export.architecture} has no such weights: {listed}{more}")
    if prepared.square_frames:
        notes.append("runs of frames that are not square will be refused: the model crops them")
    if prepared.replaced:
        notes.append(
            f"{prepared.replaced}: tensors differ by {check.grey_mean:.3g} grey levels of 255 on average and "
            f"{check.grey_largest:.3g} at most, {check.same_label} of {check.pictures} pictures keep their label"
        )
    return tuple(notes)


def model_sha256(model: Path) -> str:
    """Of the names and bytes of the files directly in the folder: hex. Raises ConfigError where it is no model."""
    if not (model / "config.json").is_file() or not (model / "preprocessor_config.json").is_file():
        raise ConfigError(
            f"--model {model}: found no config.json, or no preprocessor_config.json, expected a folder as "
            "save_pretrained leaves it, of the model and of its image processor: nothing is fetched and nothing guessed"
        )
    total = hashlib.sha256()
    try:
        for path in sorted(path for path in model.iterdir() if path.is_file()):
            with path.open("rb") as file:
                total.update(path.name.encode(errors="surrogateescape") + b"\0")
                total.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as exc:
        raise ConfigError(f"--model {model}: cannot be read ({exc.strerror}): check its permissions") from exc
    return total.hexdigest()

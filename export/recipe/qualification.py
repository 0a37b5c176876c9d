"""Qualifies each artifact on the qualification set; leaves the report that people read.

Shared by `cathrt export` and `cathrt qualify`. Not for: what the figures mean (a kind's Criteria, qualify/measure.py)
and whether a bundle is signed (recipe.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from cathrt.export.graph.fold import Layout
from cathrt.export.model_kind import NetworkSource, SourceModel
from cathrt.export.qualify.alone import ALONE_CALLS, measure_alone
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.evidence import Qualified
from cathrt.export.qualify.kept import Kept
from cathrt.export.qualify.measure import Contest, Qualification, qualify
from cathrt.export.qualify.page import qualification_page
from cathrt.export.qualify.reference import Network, reference_from_onnx
from cathrt.export.qualify.reference_answers import ReferenceAnswers
from cathrt.export.qualify.runs import (
    FIRST_SEED,
    MATRIX,
    RunInput,
    Truths,
    folder_inputs,
    opened_run,
    phantom_inputs,
)
from cathrt.export.recipe.answering import answering, at_a_time, not_run
from cathrt.export.recipe.stage_cache import code_sha256, folder_sha256, tool_versions
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.outside.plain_text import json_escaped
from cathrt.runtime.phantom.scene import PHANTOM_VERSION

Advance = Callable[[int, int], None]  # told (done, total)


@dataclass(frozen=True, slots=True, eq=False)
class QualificationSet:
    """inputs: what is opened, run by run.   identity: JSON: what these are, so that a finished qualification is known
    again.   all_of_first: so many of them are compared in any case, the others until the gate is decided."""

    inputs: Sequence[RunInput]
    identity: Mapping[str, Any]
    all_of_first: int = 0


@dataclass(frozen=True, slots=True)
class Qualifying:
    """What to qualify with. alone_calls: of the engine alone in a process of its own; 0 leaves that out. kept: where
    the reference's answers are kept from one qualification to the next, if anywhere."""

    runs: QualificationSet
    config: Config = field(default_factory=Config)
    alone_calls: int = ALONE_CALLS
    kept: Kept | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The network that has the last word. identity: JSON: all that its answers depend on, beside this code and its
    tools. source: None for a bundle's own graph."""

    network: Network
    name: str
    identity: Mapping[str, Any]
    source: NetworkSource | None = None

    def float_graph(self, layout: Layout) -> onnx.ModelProto:
        """Its float32 graph in one layout. Only where there is a source."""
        assert self.source is not None
        return self.source.canonical(onnx.load_from_string(self.source.plain(None)), layout, None)


def qualification_set(
    phantoms: int, folder: Path | None, config: Config, truths: Truths, kept: Kept | None = None
) -> QualificationSet:
    """A folder's runs, where given, and held-out phantom runs. Raises SourceError where there is none, or no folder.

    truths: of the kind of model that is qualified. kept: where rendered phantom runs are kept, if anywhere.
    """
    # The folder first: a file in it that is no run is then known before minutes of phantoms are compared.
    inputs = folder_inputs(truths, folder, config.limits) if folder is not None else []
    given = len(inputs)
    inputs += phantom_inputs(truths, phantoms, kept) if phantoms else []
    if not inputs:
        raise SourceError(
            "qualification set: no run: leave --qualify-phantoms at its default, or give --qualify-on DIR"
        )
    identity = {
        "phantoms": [FIRST_SEED, phantoms, MATRIX, PHANTOM_VERSION],
        "folder": folder_sha256(folder) if folder is not None else None,
    }
    return QualificationSet(inputs, identity, given)


def reference_of(model: SourceModel, role: str) -> Reference:
    """The float32 network that the weights are of."""
    source = model.networks[role]
    identity = {"network": source.reference_name, **source.identity}
    return Reference(source.reference(), source.reference_name, identity, source)


def own_reference(bundle: Bundle, role: str) -> Reference:
    """A bundle's own float32 graph. Raises ConfigError where it holds none."""
    manifest = bundle.manifest
    for engine, artifact in sorted(manifest.network(role).artifacts.items()):
        # OpenVINO gets its bfloat16 by a hint: its graph is the float32 one.
        float32 = artifact.precision == "float32" or (engine, artifact.precision) == ("openvino", "bfloat16")
        if float32 and artifact.file.endswith(".onnx"):
            network = reference_from_onnx(bundle.read(artifact.file), threads=1)
            name = f"{artifact.file} itself, in float32 in ONNX Runtime"
            return Reference(network, name, {"onnxruntime": manifest.files[artifact.file]})
    raise ConfigError(
        f"bundle {manifest.name} holds no float32 graph to be compared with: give --weights with the file it was "
        "exported from"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What is qualified: a bundle's network in one engine. layer_errors: worst first, () where not measured."""

    bundle: Bundle
    role: str
    engine: str
    layer_errors: Sequence[tuple[str, float]] = ()

    @property
    def not_run(self) -> str:
        return not_run(self.bundle, self.role, self.engine)


def in_float32_rest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those whose int8 artifact has another rest, with a float32 rest: so they run on CPUs without bfloat16."""
    found = []
    for one in candidates:
        manifest = one.bundle.manifest
        artifact = manifest.network(one.role).artifacts[one.engine]
        if artifact.rest != "float32":
            plain = manifest.with_artifacts(one.role, {one.engine: replace(artifact, rest="float32")})
            found.append(replace(one, bundle=replace(one.bundle, manifest=plain)))
    return found


def qualification_of(
    candidate: Candidate,
    criteria: Criteria[Any, Any],
    gate: Any,
    reference: Reference,
    qualifying: Qualifying,
    advance: Advance,
) -> Qualification:
    """Both networks over the set, until the gate is decided. The artifact is opened as it is, for one frame, once on
    each CPU with one thread: so every CPU is busy, and nothing but the artifact answers.

    Raises EngineError where this machine cannot run the artifact, nor its graph in its stead, in its precision.
    """
    config, bundle, role, engine = qualifying.config, candidate.bundle, candidate.role, candidate.engine
    note = candidate.not_run
    alone = None
    if qualifying.alone_calls and not note:
        alone = measure_alone(bundle, role, engine, config.engine, qualifying.alone_calls)
    open_engine = partial(answering, bundle, role, engine, replace(config.engine, threads=1))
    decided_by = {**reference.identity, "code": code_sha256(), "tools": tool_versions()}
    contest = Contest(
        bundle.manifest,
        role,
        [open_engine] * at_a_time(bundle, role, engine, config.engine),
        engine,
        ReferenceAnswers(reference.network, decided_by, qualifying.kept),
        reference.name + (f"; {note}" if note else ""),
        candidate.layer_errors,
        config,
        tool_versions(),
    )
    runs, preprocessing = qualifying.runs, bundle.manifest.network(role).preprocessing
    return qualify(
        [partial(opened_run, entry, preprocessing) for entry in runs.inputs],
        contest,
        criteria,
        gate,
        all_of_first=runs.all_of_first,
        alone=alone,
        advance=advance,
    )


def write_report(folder: Path, qualified: Qualified, note: str) -> tuple[str, ...]:
    """qualification.html and qualification.json in a folder, which is made anew. Returns the failures as text.

    The page may show frames of the qualification set, and is as confidential as these.
    """
    found, criteria = qualified.found, qualified.criteria
    failures = tuple(map(str, qualified.failures))
    document = {
        "model": found.model,
        "engine": found.engine,
        "about": dict(found.about),
        "failures": failures,
        "not_run": note or None,
        **criteria.shown.details(found.comparison),
        **qualified.evidence,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-report-"))
    try:
        page = qualification_page(found, criteria, qualified.gate)
        (unfinished / "qualification.html").write_text(page, encoding="utf-8")
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        plain = "\n".join(map(json_escaped, text.split("\n")))
        (unfinished / "qualification.json").write_text(plain, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return failures

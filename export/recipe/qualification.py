"""Qualifies each artifact on the qualification set; leaves the report that people read.

Shared by `cathrt export` and `cathrt qualify`. Not for: what the figures mean (a kind's Criteria, qualify/measure.py)
and whether a bundle is signed (recipe.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from cathrt.export.graph.fold import Layout
from cathrt.export.model_kind import NetworkSource, SourceModel
from cathrt.export.qualify.alone import ALONE_CALLS, measure_alone
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.evidence import Qualified
from cathrt.export.qualify.measure import Contest, Qualification, qualify
from cathrt.export.qualify.page import qualification_page
from cathrt.export.qualify.reference import Network, reference_from_onnx
from cathrt.export.qualify.runs import (
    FIRST_SEED,
    MATRIX,
    OpenedRun,
    RunInput,
    Truths,
    folder_inputs,
    opened_runs,
    phantom_inputs,
)
from cathrt.export.recipe.answering import answering, not_run
from cathrt.export.recipe.stage_cache import folder_sha256
from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.outside.plain_text import json_escaped
from cathrt.runtime.phantom.scene import PHANTOM_VERSION

Advance = Callable[[int, int], None]  # told (done, total)


@dataclass(frozen=True, slots=True, eq=False)
class QualificationSet:
    """inputs: what is opened, run by run.   identity: JSON: what these are, so that a finished qualification is known
    again."""

    inputs: Sequence[RunInput]
    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Qualifying:
    """What to qualify with. alone_calls: of the engine alone in a process of its own; 0 leaves that out."""

    runs: QualificationSet
    config: Config = field(default_factory=Config)
    alone_calls: int = ALONE_CALLS


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The network that has the last word. identity: of its weights, hex. source: None for a bundle's own graph."""

    network: Network
    name: str
    identity: str
    source: NetworkSource | None = None

    def float_graph(self, layout: Layout) -> onnx.ModelProto:
        """Its float32 graph in one layout. Only where there is a source."""
        assert self.source is not None
        return self.source.canonical(onnx.load_from_string(self.source.plain(None)), layout, None)


def qualification_set(phantoms: int, folder: Path | None, config: Config, truths: Truths) -> QualificationSet:
    """Held-out phantom runs and, where given, a folder's runs. Raises SourceError where there is none, or no folder.

    truths: of the kind of model that is qualified.
    """
    # The folder first: a file in it that is no run is then known before minutes of phantoms are compared.
    inputs = folder_inputs(truths, folder, config.limits) if folder is not None else []
    inputs += phantom_inputs(truths, phantoms) if phantoms else []
    if not inputs:
        raise SourceError(
            "qualification set: no run: leave --qualify-phantoms at its default, or give --qualify-on DIR"
        )
    identity = {
        "phantoms": [FIRST_SEED, phantoms, MATRIX, PHANTOM_VERSION],
        "folder": folder_sha256(folder) if folder is not None else None,
    }
    return QualificationSet(inputs, identity)


def reference_of(model: SourceModel, role: str) -> Reference:
    """The float32 network that the weights are of."""
    source = model.networks[role]
    return Reference(source.reference(), source.reference_name, model.weights_sha256, source)


def own_reference(bundle: Bundle, role: str) -> Reference:
    """A bundle's own float32 graph. Raises ConfigError where it holds none."""
    manifest = bundle.manifest
    for engine, artifact in sorted(manifest.network(role).artifacts.items()):
        # OpenVINO gets its bfloat16 by a hint: its graph is the float32 one.
        float32 = artifact.precision == "float32" or (engine, artifact.precision) == ("openvino", "bfloat16")
        if float32 and artifact.file.endswith(".onnx"):
            network = reference_from_onnx(bundle.read(artifact.file), cpu_quota())
            name = f"{artifact.file} itself, in float32 in ONNX Runtime"
            return Reference(network, name, manifest.files[artifact.file])
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


def qualification_of(
    candidate: Candidate, criteria: Criteria[Any, Any], reference: Reference, qualifying: Qualifying, advance: Advance
) -> Qualification:
    """Both networks over every frame of the set.

    Raises EngineError where this machine cannot run the artifact, nor its graph in its stead, in its precision.
    """
    config, bundle, role, engine = qualifying.config, candidate.bundle, candidate.role, candidate.engine
    note = candidate.not_run
    with answering(bundle, role, engine, config.engine) as network:
        contest = Contest(
            bundle.manifest,
            role,
            network,
            engine,
            reference.network,
            reference.name + (f"; {note}" if note else ""),
            candidate.layer_errors,
            config,
        )
        alone = None
        if qualifying.alone_calls and not note:
            alone = measure_alone(bundle, role, engine, config.engine, qualifying.alone_calls)
        runs = _told(qualifying.runs.inputs, bundle.manifest.network(role).preprocessing, advance)
        return qualify(runs, contest, criteria, alone)


def write_report(folder: Path, qualified: Qualified, note: str) -> tuple[str, ...]:
    """qualification.html and qualification.json in a folder, which is made anew. Returns the failures as text.

    The page may show frames of the qualification set, and is as confidential as these.
    """
    found, criteria = qualified.found, qualified.criteria
    failures = tuple(map(str, qualified.failures))
    document = {
        "model": found.model,
        "engine": found.engine,
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


def _told(inputs: Sequence[RunInput], preprocessing: Sequence[Preprocessing], advance: Advance) -> Iterator[OpenedRun]:
    for number, run in enumerate(opened_runs(inputs, preprocessing)):
        advance(number, len(inputs))
        yield run
    advance(len(inputs), len(inputs))

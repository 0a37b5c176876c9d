"""Qualifies each artifact on the judge set; a plan without its GPU is qualified as ONNX on the CPU.

Shared by `cathrt export` and `cathrt qualify`; leaves the report that people read. Not for: what the figures mean
(models/keyframe/comparison.py, qualify/measure.py) and whether a bundle is signed (recipe.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cathrt.export.models.keyframe.checkpoint import Checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.qualify.alone import ALONE_CALLS, measure_alone
from cathrt.export.qualify.evidence import evidence_of, verdict
from cathrt.export.qualify.judge_set import (
    FIRST_SEED,
    MATRIX,
    JudgeInput,
    JudgeRun,
    folder_inputs,
    judge_runs,
    phantom_inputs,
)
from cathrt.export.qualify.measure import (
    Contest,
    Network,
    Qualification,
    qualify,
    reference_from_module,
    reference_from_onnx,
)
from cathrt.export.qualify.page import qualification_page
from cathrt.export.recipe.stage_cache import folder_sha256
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.engines import GPU_ENGINES, open_engine
from cathrt.runtime.engines.cpu import sums_int8_exactly
from cathrt.runtime.engines.device_probe import probe_in_child
from cathrt.runtime.engines.fake import FakeEngine, Tensors
from cathrt.runtime.engines.openvino import open_openvino
from cathrt.runtime.engines.request import NetworkRequest
from cathrt.runtime.errors import EngineError, SourceError
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.outside.plain_text import json_escaped
from cathrt.runtime.phantom.scene import PHANTOM_VERSION
from cathrt.runtime.ports import Engine

Advance = Callable[[int, int], None]  # told (done, total)


@dataclass(frozen=True, slots=True, eq=False)
class JudgeSet:
    """inputs: what is opened, run by run.   identity: JSON: what these are, so that a finished judgement is known."""

    inputs: Sequence[JudgeInput]
    identity: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judging:
    """What to judge with. alone_calls: of the engine alone in a process of its own; 0 leaves that out."""

    judge: JudgeSet
    config: Config = field(default_factory=Config)
    alone_calls: int = ALONE_CALLS


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The network that has the last word. identity: of its weights, hex. checkpoint: None for a bundle's own graph."""

    network: Network
    name: str
    identity: str
    checkpoint: Checkpoint | None = None


def judge_set(phantoms: int, folder: Path | None, config: Config) -> JudgeSet:
    """Held-out phantom runs and, where given, a folder's runs. Raises SourceError where there is nothing to judge."""
    # The folder first: a file in it that is no run is then known before minutes of phantoms are judged.
    inputs = folder_inputs(folder, config.limits) if folder is not None else []
    inputs += phantom_inputs(phantoms) if phantoms else []
    if not inputs:
        raise SourceError("judge set: no run: leave --judge-phantoms at its default, or give --judge DIR")
    identity = {
        "phantoms": [FIRST_SEED, phantoms, MATRIX, PHANTOM_VERSION],
        "folder": folder_sha256(folder) if folder is not None else None,
    }
    return JudgeSet(inputs, identity)


def reference_of(checkpoint: Checkpoint) -> Reference:
    """The float32 PyTorch network with these weights."""
    module = ConvNext(ARCHS[checkpoint.arch], classes=checkpoint.classes)
    module.load_state_dict(dict(checkpoint.state))
    return Reference(reference_from_module(module), "PyTorch float32", checkpoint.sha256, checkpoint)


def judged(
    bundle: Bundle,
    engine: str,
    reference: Reference,
    judging: Judging,
    layer_errors: Sequence[tuple[str, float]],
    advance: Advance,
) -> Qualification:
    """Both networks over every frame of the set.

    Raises EngineError where this machine cannot run the artifact, nor its graph in its stead, in its precision.
    """
    config = judging.config
    note = not_run(bundle, engine)
    with _answering(bundle, engine, config) as network:
        contest = Contest(
            bundle.manifest,
            network,
            engine,
            reference.network,
            reference.name + (f"; {note}" if note else ""),
            layer_errors,
            _policy(config),
        )
        alone = None
        if judging.alone_calls and not note:
            alone = measure_alone(bundle, engine, config.engine, judging.alone_calls)
        runs = _told(judging.judge.inputs, bundle, advance)
        return qualify(runs, contest, alone)


def not_run(bundle: Bundle, engine: str) -> str:
    """What evidence of an artifact that cannot run here must say; nothing where it is itself what answers."""
    if _runs_here(bundle, engine):
        return ""
    artifact = bundle.manifest.network(CLASSIFIER).artifacts[engine]
    stand_in = "OpenVINO" if artifact.precision == "bfloat16" else "ONNX Runtime"
    return (
        f"the plans for {engine} were NOT run, since that needs their GPU: their graph {artifact.file} answered in "
        f"{stand_in} on the CPU, whose rounding and speed are not those of the plans"
    )


def write_report(folder: Path, found: Qualification, gate: Gate, note: str) -> tuple[str, ...]:
    """qualification.html and qualification.json in a folder, which is made anew. Returns the failures as text.

    The page may show frames of the judge set, and is as confidential as these.
    """
    failures = tuple(map(str, verdict(found, gate)))
    document = {
        "model": found.model,
        "engine": found.engine,
        "failures": failures,
        "not_run": note or None,
        "labels": found.labels,
        "flips": [asdict(flip) for flip in found.comparison.flips],
        **evidence_of(found, gate),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-report-"))
    try:
        (unfinished / "qualification.html").write_text(qualification_page(found, gate), encoding="utf-8")
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        plain = "\n".join(map(json_escaped, text.split("\n")))
        (unfinished / "qualification.json").write_text(plain, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return failures


def _told(inputs: Sequence[JudgeInput], bundle: Bundle, advance: Advance) -> Iterator[JudgeRun]:
    for number, run in enumerate(judge_runs(inputs, bundle.manifest.network(CLASSIFIER).preprocessing[0])):
        advance(number, len(inputs))
        yield run
    advance(len(inputs), len(inputs))


@contextmanager
def _answering(bundle: Bundle, engine: str, config: Config) -> Iterator[Engine]:
    """The artifact's own engine, or whatever on the CPU computes its graph nearest to how it is written."""
    if _runs_here(bundle, engine):
        opened = open_engine(engine, bundle, CLASSIFIER, config.engine)
    else:
        opened = _stand_in(NetworkRequest.of(bundle, CLASSIFIER, engine, config.engine))
    try:
        yield opened
    finally:
        opened.close()


def _runs_here(bundle: Bundle, engine: str) -> bool:
    """Whether the artifact itself can answer: on the CPU always, on a GPU where one is at hand that a plan is for."""
    if engine not in GPU_ENGINES:
        return True
    try:
        device = probe_in_child()
    except EngineError:
        return False
    return any(device.sm in plan.fingerprint.sm for plan in bundle.manifest.network(CLASSIFIER).artifacts[engine].plans)


def _stand_in(request: NetworkRequest) -> Engine:
    artifact = request.artifact
    if artifact.precision == "bfloat16":  # ONNX Runtime has no bfloat16 convolution on the CPU
        return open_openvino(request)
    if artifact.precision == "int8" and not sums_int8_exactly(artifact.weight_bits):
        raise EngineError(
            f"{artifact.file} is int8, but this CPU has no VNNI and would clip the sums in 16 bits: judge it on one "
            "that has, or export another precision"
        )
    network = reference_from_onnx(request.bundle.read(artifact.file), request.config.threads)
    (image,), (logits,) = request.inputs, request.outputs

    def compute(inputs: Tensors, outputs: Tensors) -> None:
        outputs[logits.name][...] = network(inputs[image.name])

    return FakeEngine(request.inputs, request.outputs, compute)


def _policy(config: Config) -> KeyframePolicyConfig:
    policy = config.policy.get("keyframe")
    return policy if isinstance(policy, KeyframePolicyConfig) else KeyframePolicyConfig()

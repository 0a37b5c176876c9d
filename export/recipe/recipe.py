"""From weights to a qualified, signed bundle for each target: the order of the stages and what each target takes.

Nothing is signed that misses its gate; a report is left either way. Stages that are done are not done again
(stage_cache.py). Not for: the stages themselves (recipe/stages.py), what each target takes
(recipe/targets.py), or reading a command line (cli.py).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import canonical_json, public_key, write_bundle
from cathrt.export.graph.fold import Target
from cathrt.export.qualify.evidence import evidence_of, sign_qualified
from cathrt.export.qualify.file import read_qualification, write_qualification
from cathrt.export.qualify.measure import Qualification
from cathrt.export.recipe.judging import Judging, Reference, judged, not_run, reference_of, write_report
from cathrt.export.recipe.stage_cache import StageCache, Told, file_sha256
from cathrt.export.recipe.targets import Built, Recipe, build, require_possible
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import CathrtError, ManifestError
from cathrt.runtime.models import open_bundle

_JUDGED_BY = ("gate", "judge_set", "reference")  # of the evidence: what it rests on, not what was measured
WORK = ".work"  # under the output folder: results of stages, to go on from
Advance = Callable[[str, int, int], None]  # told (what, done, total)


class GateError(CathrtError):
    """A network misses its gate: its report is written, and it is not signed."""

    exit_code = 10


@dataclass(frozen=True, slots=True, eq=False)
class ExportRequest:
    """What to export, and where to. key: None leaves unsigned files, which the runtime refuses."""

    recipe: Recipe
    out: Path
    judging: Judging
    key: Ed25519PrivateKey | None


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one target. path: the signed bundle, or the unsigned files; None where the gate was missed.

    not_run: what evidence says of an artifact that could not run here; empty where it did.
    """

    target: Target
    failures: tuple[str, ...]
    report: Path
    path: Path | None
    signed: bool
    not_run: str


def export_keyframe(
    request: ExportRequest,
    told: Told = lambda stage, how: None,
    advance: Advance = lambda what, done, total: None,
) -> tuple[Exported, ...]:
    """Build for every target, then judge each; what passes is signed. told: after each stage, made or kept.

    Raises ConfigError for what no target takes, before anything is built, and what the stages raise.
    """
    require_possible(request.recipe)
    cache = StageCache(request.out / WORK, told)
    built = [build(request.recipe, target, cache) for target in request.recipe.targets]
    reference = reference_of(request.recipe.checkpoint)
    return tuple(_qualified(request, one, reference, cache, advance) for one in built)


def _qualified(
    request: ExportRequest, built: Built, reference: Reference, cache: StageCache, advance: Advance
) -> Exported:
    target, final = built.target, request.out / built.target
    with _candidate(request, built) as candidate:
        note = not_run(candidate, target)
        # A bundle that is there already and its report belong together: neither is replaced without the other.
        signed = _signed_before(final, candidate, request.key)
        found = _judged_once(request, built, candidate, reference, cache, advance)
        if signed is not None:
            _require_judged_alike(signed, evidence_of(found, request.recipe.gate), target)
        report = request.out / f"{target}.report"
        failures = write_report(report, found, request.recipe.gate, note)
        if failures:
            return Exported(target, failures, report, None, signed=False, not_run=note)
        if note:
            evidence = {**candidate.manifest.evidence, "not_run": {target: note}}
            candidate = replace(candidate, manifest=replace(candidate.manifest, evidence=evidence))
        if request.key is None:
            path = _unsigned(request.out / f"{target}.unsigned", built)
            return Exported(target, (), report, path, signed=False, not_run=note)
        if signed is None:
            sign_qualified(final, candidate, [(found, request.recipe.gate)], request.key)
    return Exported(target, (), report, final, signed=True, not_run=note)


@contextmanager
def _candidate(request: ExportRequest, built: Built) -> Iterator[Bundle]:
    """The bundle as the runtime will open it, signed with a key that nobody trusts and that is gone afterwards."""
    passing = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(dir=request.out / WORK, prefix=".candidate-") as folder:
        path = write_bundle(Path(folder) / built.target, built.manifest, built.payload, passing)
        yield open_bundle(path, [public_key(passing)])


def _judged_once(
    request: ExportRequest,
    built: Built,
    candidate: Bundle,
    reference: Reference,
    cache: StageCache,
    advance: Advance,
) -> Qualification:
    def make(folder: Path) -> None:
        found = judged(
            candidate,
            built.target,
            reference,
            request.judging,
            built.layer_errors,
            lambda done, total: advance(f"judging {built.target}", done, total),
        )
        write_qualification(folder, found)

    config = request.judging.config
    inputs = {
        "manifest": json.loads(canonical_json(candidate.manifest)),
        "reference": reference.identity,
        "judge": dict(request.judging.judge.identity),
        "engine": asdict(config.engine),
        "policy": {kind: asdict(policy) for kind, policy in config.policy.items()},
        "alone_calls": request.judging.alone_calls,
    }
    return read_qualification(cache.result(f"qualification-{built.target}", inputs, make))


def _unsigned(folder: Path, built: Built) -> Path:
    """The bundle's files but for its signature, made anew. The runtime refuses such a folder."""
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-unsigned-"))
    try:
        digests = {}
        for name, path in built.payload.items():
            shutil.copyfile(path, unfinished / name)
            digests[name] = file_sha256(path)
        (unfinished / "manifest.json").write_bytes(canonical_json(replace(built.manifest, files=digests)))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _signed_before(folder: Path, candidate: Bundle, key: Ed25519PrivateKey | None) -> Bundle | None:
    """The bundle that this export signed before, if there is one, which is left as it is.

    Raises ManifestError where the folder holds anything else: it is not written over.
    """
    if key is None or not os.path.lexists(folder):
        return None
    found = open_bundle(folder, [public_key(key)])
    if replace(found.manifest, evidence={}) != replace(candidate.manifest, evidence={}):
        raise ManifestError(f"{folder}: holds another bundle, which is not written over: remove it or name another")
    return found


def _require_judged_alike(signed: Bundle, found: dict[str, Any], target: Target) -> None:
    """Raises ManifestError where the evidence of the signed bundle rests on another gate or judge set than this one."""
    told = signed.manifest.evidence.get("qualification", {}).get(target, {})
    unlike = [name for name in _JUDGED_BY if told.get(name) != json.loads(json.dumps(found[name]))]
    if unlike:
        raise ManifestError(
            f"{signed.path}: was signed with another {', '.join(unlike)} in its evidence and is not written over: "
            "remove it or name another"
        )

"""From weights to a qualified, signed bundle for each target: the order of the stages and what each target takes.

Nothing is signed that misses its gate, or that is worth nothing unless that is asked for; a report is left either way.
Stages that are done are not done again
(stage_cache.py). Not for: the stages themselves (recipe/stages.py), what each target takes
(recipe/targets.py), or reading a command line (commands/).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import canonical_json, public_key, write_bundle
from cathrt.export.graph.fold import Target
from cathrt.export.qualify.evidence import (
    Qualified,
    evidence_by_engine,
    sign_qualified,
    worst_fidelity,
    worth_of_all,
)
from cathrt.export.qualify.exported import Exported
from cathrt.export.qualify.file import read_qualification, write_qualification
from cathrt.export.qualify.measure import Qualification
from cathrt.export.recipe.qualification import (
    Candidate,
    Qualifying,
    Reference,
    in_float32_rest,
    qualification_of,
    reference_of,
    write_report,
)
from cathrt.export.recipe.stage_cache import StageCache, Told, file_sha256
from cathrt.export.recipe.targets import Built, Recipe, build, require_possible
from cathrt.runtime.bundle.manifest import BETTER
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import CathrtError, ManifestError
from cathrt.runtime.models import open_bundle

_QUALIFIED_BY = ("gate", "judge_set", "reference")  # of the evidence: what it rests on, not what was measured
WORK = ".work"  # under the output folder: results of stages, to go on from
Advance = Callable[[str, int, int], None]  # called with (what, done, total)


class GateError(CathrtError):
    """A network misses its gate, or nothing shows that it keeps it or is worth anything: its report is written, and it
    is not signed."""

    exit_code = 10


@dataclass(frozen=True, slots=True, eq=False)
class ExportRequest:
    """What to export, and where to. key: None leaves unsigned files, which the runtime refuses. sign_anyway: also a
    network that was not found to be better than chance."""

    recipe: Recipe
    out: Path
    qualifying: Qualifying
    key: Ed25519PrivateKey | None
    sign_anyway: bool = False


def export_model(
    request: ExportRequest,
    told: Told = lambda stage, how: None,
    advance: Advance = lambda what, done, total: None,
) -> tuple[Exported, ...]:
    """Build for every target, then qualify each; what passes is signed. told: after each stage, made or kept.

    Raises ConfigError for what no target takes, before anything is built, and what the stages raise.
    """
    recipe = request.recipe
    require_possible(recipe)
    cache = StageCache(request.out / WORK, told)
    built = [build(recipe, target, cache) for target in recipe.targets]
    references = {role: reference_of(recipe.model, role) for role in recipe.model.networks}
    return tuple(_exported(request, one, references, cache, advance) for one in built)


def _exported(
    request: ExportRequest, built: Built, references: Mapping[str, Reference], cache: StageCache, advance: Advance
) -> Exported:
    target, final = built.target, request.out / built.target
    with _candidate(request, built) as bundle:
        candidates = [Candidate(bundle, role, target, built.layer_errors[role]) for role in bundle.manifest.networks]
        note = " | ".join(dict.fromkeys(one.not_run for one in candidates if one.not_run))
        # A bundle that is there already and its report belong together: neither is replaced without the other.
        signed = _signed_before(final, bundle, request.key)

        def qualified_as(candidates: Sequence[Candidate], request: ExportRequest) -> list[Qualified]:
            port, gates = request.recipe.port, request.recipe.gates
            found = [
                _qualified_once(request, one, gates[one.role], references[one.role], cache, advance)
                for one in candidates
            ]
            return [Qualified(one, port.criteria[one.role], gates[one.role]) for one in found]

        qualified = qualified_as(candidates, request)
        # Alone in a process it would run as the manifest says.
        beside = replace(request, qualifying=replace(request.qualifying, alone_calls=0))
        float32 = qualified_as(in_float32_rest(candidates), beside)
        if signed is not None:
            _require_qualified_alike(signed, evidence_by_engine(bundle.manifest, qualified)[target], target)
        report = request.out / f"{target}.report"
        failures: list[str] = []
        for each in qualified:
            several = len(qualified) > 1
            failures += write_report(report / each.found.role if several else report, each, note)
        for each in float32:
            failures += write_report(report / f"{each.found.role}.float32-rest", each, note)
        done = Exported(
            target,
            fidelity=worst_fidelity([each.fidelity for each in (*qualified, *float32)]),
            failures=tuple(failures),
            worth=worth_of_all(qualified),
            report=report,
            path=None,
            signed=False,
            not_run=note,
            accuracy=tuple(str(figure) for one in qualified if one.found.worth for figure in one.found.worth.figures),
        )
        if done.fidelity != "passed" or (done.worth not in (None, BETTER) and not request.sign_anyway):
            return done
        told: dict[str, Any] = {"not_run": {target: note}} if note else {}
        if float32:
            told["qualification_float32_rest"] = evidence_by_engine(bundle.manifest, float32)
        if told:
            evidence = {**bundle.manifest.evidence, **told}
            bundle = replace(bundle, manifest=replace(bundle.manifest, evidence=evidence))
        if request.key is None:
            return replace(done, path=_unsigned(request.out / f"{target}.unsigned", built))
        if signed is None:
            sign_qualified(final, bundle, qualified, request.key, sign_anyway=request.sign_anyway)
    return replace(done, path=final, signed=True)


@contextmanager
def _candidate(request: ExportRequest, built: Built) -> Iterator[Bundle]:
    """The bundle as the runtime will open it, signed with a key that nobody trusts and that is gone afterwards."""
    passing = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(dir=request.out / WORK, prefix=".candidate-") as folder:
        path = write_bundle(Path(folder) / built.target, built.manifest, built.payload, passing)
        yield open_bundle(path, [public_key(passing)])


def _qualified_once(
    request: ExportRequest, candidate: Candidate, gate: Any, reference: Reference, cache: StageCache, advance: Advance
) -> Qualification:
    qualifying, criteria = request.qualifying, request.recipe.port.criteria[candidate.role]
    what = candidate.engine if len(request.recipe.model.networks) == 1 else f"{candidate.engine}-{candidate.role}"

    def make(folder: Path) -> None:
        found = qualification_of(
            candidate,
            criteria,
            gate,
            reference,
            qualifying,
            lambda done, total: advance(f"qualifying {what}", done, total),
        )
        write_qualification(folder, found, criteria)

    inputs = {
        "manifest": json.loads(canonical_json(candidate.bundle.manifest)),
        "role": candidate.role,
        "gate": asdict(gate),
        "reference": dict(reference.identity),
        "runs": dict(qualifying.runs.identity),
        "engine": asdict(qualifying.config.engine),
        "settings": dict(criteria.settings(qualifying.config)),
        "alone_calls": qualifying.alone_calls,
    }
    return read_qualification(cache.result(f"qualification-{what}", inputs, make), criteria)


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
    if replace(found.manifest, evidence={}, worth=None) != replace(candidate.manifest, evidence={}):
        raise ManifestError(f"{folder}: holds another bundle, which is not overwritten: remove it or name another")
    return found


def _require_qualified_alike(signed: Bundle, found: dict[str, Any], target: Target) -> None:
    """Raises ManifestError where the evidence of the signed bundle rests on another gate or set than this one."""
    told = signed.manifest.evidence.get("qualification", {}).get(target, {})
    now = json.loads(json.dumps(found))
    pairs = [(told, now)] if len(signed.manifest.networks) == 1 else [(told.get(role, {}), now[role]) for role in now]
    unlike = [name for name in _QUALIFIED_BY if any(before.get(name) != after[name] for before, after in pairs)]
    if unlike:
        raise ManifestError(
            f"{signed.path}: was signed with another {', '.join(unlike)} in its evidence and is not overwritten: "
            "remove it or name another"
        )

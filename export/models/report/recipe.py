"""From a checkpoint and an adapter to a qualified, signed bundle for all targets: the order of the stages.

Nothing is signed that misses its gate, or whose worth nothing shows unless that is asked for; a report is left either
way. Stages that are done are not done again. Not for: the stages themselves, or reading a command line (options.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cathrt.export.bundle.candidate import candidate, leave_unsigned, sign_candidate, signed_before
from cathrt.export.model_kind import OwnRequest
from cathrt.export.models.report.asked import Asked
from cathrt.export.models.report.bundle import TargetParts, manifest_of
from cathrt.export.models.report.comparison import Comparison
from cathrt.export.models.report.fidelity import Expected, compared, expected_of
from cathrt.export.models.report.gate import GATES, Gate, for_untrained
from cathrt.export.models.report.merge_told import MergeTold, merge_told
from cathrt.export.models.report.provenance import provenance_of, tools
from cathrt.export.models.report.qualified import TargetVerdict
from cathrt.export.models.report.report_folder import ReportFolder
from cathrt.export.models.report.source import Source, source_of
from cathrt.export.models.report.targets import StandIn, parts_of, require_possible, stand_in_for
from cathrt.export.models.report.worth import ReportWorth, worth_from
from cathrt.export.qualify.exported import AnyTarget, Exported
from cathrt.export.qualify.gate import tightened
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.bundle.manifest import BETTER, Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.report.section import DECODER

WORK = ".work"
BUNDLE, REPORT, UNSIGNED = "bundle", "bundle.report", "bundle.unsigned"


def export_report(request: OwnRequest, asked: Asked) -> tuple[Exported, ...]:
    """Raises ConfigError for what cannot be exported, before anything is built, and what the stages raise."""
    require_possible(asked, request.targets)
    gate = tightened(GATES[asked.precision], request.limits)
    source = source_of(asked)
    worth = worth_from(asked.worth, source.sha256)
    for note in source.notes:
        request.note(note)
    cache = StageCache(request.out / WORK, request.told)
    parts = {target: parts_of(cache, source, asked, target, request.sm) for target in request.targets}
    merge = merge_told(cache, source)
    for line in merge.lines if merge is not None else ():
        request.note(line)
    told = provenance_of(source, asked, parts, merge)
    manifest, payload = manifest_of(source, parts, told, demonstration=asked.demonstration)
    expected = expected_of(cache, source, asked.base, request.advance)
    with candidate(request.out / WORK, manifest, payload) as opened:
        found = _Export(request, asked, source, cache, expected, for_untrained(gate) if asked.random_init else gate)
        return found.finished(opened, parts, worth, merge)


class _Export:
    """One export, from the candidate on."""

    def __init__(
        self, request: OwnRequest, asked: Asked, source: Source, cache: StageCache, expected: Expected, gate: Gate
    ) -> None:
        self._request, self._asked, self._source, self._cache = request, asked, source, cache
        self._expected, self._gate = expected, gate

    def finished(
        self, opened: Bundle, parts: Mapping[AnyTarget, TargetParts], worth: ReportWorth, merge: MergeTold | None
    ) -> tuple[Exported, ...]:
        """Qualify each target, leave the report, and sign if everything passes."""
        out, key = self._request.out, self._request.key
        before = signed_before(out / BUNDLE, opened.manifest, key)
        verdicts = [self._verdict(opened, target, one) for target, one in parts.items()]
        evidence = self._evidence(opened.manifest, verdicts, worth)
        about = [
            f"weights {self._source.sha256[:16]}, {'never trained' if self._asked.random_init else 'trained'}; context "
            f"{self._asked.context}; set {self._expected.set_sha256[:16]}",
            ", ".join(f"{name} {number}" for name, number in sorted(tools().items())),
        ]
        left = ReportFolder(opened.manifest.name, verdicts, evidence, parts, worth, merge, about)
        left.write(out / REPORT)
        passed = all(one.fidelity == "passed" for one in verdicts)
        path, signed = None, False
        if passed and (worth.verdict == BETTER or self._request.sign_anyway):
            manifest = replace(opened.manifest, evidence=evidence, worth=worth.verdict)
            if key is None:
                path = leave_unsigned(opened, manifest, out / UNSIGNED)
            else:
                signed, path = True, out / BUNDLE
                if before is None:
                    sign_candidate(opened, manifest, key, path)
                else:
                    _require_signed_alike(before, manifest)
        if before is not None:
            before.close()
        return tuple(
            Exported(
                one.target, one.fidelity, tuple(map(str, one.failures)), worth.verdict, out / REPORT, path, signed,
                one.not_run, worth.lines,
            )
            for one in verdicts
        )  # fmt: skip

    def _verdict(self, opened: Bundle, target: AnyTarget, own: TargetParts) -> TargetVerdict:
        """Of the artifacts in their engine, or of what stands in for plans that no engine here runs."""
        precision, reference = self._asked.precision, self._expected.name
        stand_in = stand_in_for(self._cache, self._source, self._asked, target)
        if stand_in is None:
            found = self._compared(opened, target, target, own)
            return TargetVerdict(target, precision, found, self._gate, reference, target)
        manifest, payload = manifest_of(
            self._source, {stand_in.engine: stand_in.parts}, opened.manifest.provenance, demonstration=False
        )
        with candidate(self._request.out / WORK, manifest, payload) as standing:
            found = self._compared(standing, stand_in.engine, target, stand_in.parts)
        return TargetVerdict(
            target, precision, found, self._gate, reference, stand_in.says, _not_run(target, stand_in)
        )  # fmt: skip

    def _compared(self, bundle: Bundle, engine: AnyTarget, target: AnyTarget, parts: TargetParts) -> Comparison:
        """Once for the same files, whatever else is in the bundle."""
        adapter, config = TypeAdapter(Comparison), self._request.settings.engine

        def make(folder: Path) -> None:
            found = compared(
                bundle, engine, config, self._expected, self._source, self._asked.base, self._request.advance
            )
            (folder / "comparison.json").write_bytes(adapter.dump_json(found))

        manifest = bundle.manifest
        inputs = {
            "artifacts": {role: asdict(network.artifacts[engine]) for role, network in manifest.networks.items()},
            "files": {name: manifest.files[name] for name in parts.files()},
            "section": asdict(self._source.section),
            "engine": engine,
            "config": asdict(config),
            "set": self._expected.set_sha256,
            "reference": self._expected.name,
        }
        kept = self._cache.result(f"qualification-{target}", inputs, make)
        return adapter.validate_json((kept / "comparison.json").read_bytes())

    def _evidence(self, manifest: Manifest, verdicts: Sequence[TargetVerdict], worth: ReportWorth) -> dict[str, Any]:
        files = {target: manifest.network(DECODER).artifacts[target].file for target in self._request.targets}
        told: dict[str, Any] = {
            "qualification": {
                one.target: one.evidence(manifest.files[files[one.target]], self._expected.set_sha256, tools())
                for one in verdicts
            },
            "worth": {"verdict": worth.verdict, "figures": list(worth.lines), "measured_on": worth.measured_on},
        }
        if not_run := {one.target: one.not_run for one in verdicts if one.not_run}:
            told["not_run"] = not_run
        return told


def _not_run(target: AnyTarget, stand_in: StandIn) -> str:
    answered = stand_in.says[0].upper() + stand_in.says[1:]
    return (
        f"the plans for {target} were NOT run: no engine of cathrt runs a report network from a plan yet. "
        f"{answered} answered in their place, whose rounding and speed are not those of the plans"
    )


def _require_signed_alike(before: Bundle, manifest: Manifest) -> None:
    """Raises ManifestError where the bundle that is there was signed with another worth, gate or set."""
    told, now = before.manifest.evidence.get("qualification", {}), manifest.evidence["qualification"]
    unlike = [] if before.manifest.worth == manifest.worth else ["worth"]
    for name in ("gate", "judge_set", "reference"):
        if any(told.get(target, {}).get(name) != json.loads(json.dumps(one[name])) for target, one in now.items()):
            unlike.append(name)
    if unlike:
        raise ManifestError(
            f"{before.path}: was signed with another {', '.join(unlike)} in its evidence and is not overwritten: "
            "remove it or name another"
        )

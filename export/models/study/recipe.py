"""From a checkpoint to a qualified, signed bundle for all targets: the order of the stages.

Nothing is signed that misses its gate, or whose worth nothing shows unless that is asked for; a report is left either
way. Stages that are done are not done again. Not for: the stages themselves, or reading a command line (options.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cathrt.export.bundle.candidate import candidate, leave_unsigned, sign_candidate, signed_before
from cathrt.export.model_kind import OwnRequest
from cathrt.export.models.study.answering import engine_answers
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.bundle import manifest_of, provenance_of
from cathrt.export.models.study.cases import COMPARED_CLIPS, COMPARED_SEED, Clips, Study, phantom_clips, studies_of
from cathrt.export.models.study.comparison import Comparison, compared
from cathrt.export.models.study.gate import GATES, Gate
from cathrt.export.models.study.page import write_report
from cathrt.export.models.study.reference import Expected, expected_of
from cathrt.export.models.study.source import Source, source_of
from cathrt.export.models.study.targets import StandIn, TargetParts, parts_of, require_possible, stand_in_for
from cathrt.export.models.study.verdict import TargetVerdict
from cathrt.export.models.study.worth import StudyWorth, worth_from
from cathrt.export.qualify.exported import AnyTarget, Exported
from cathrt.export.qualify.gate import tightened
from cathrt.export.recipe.stage_cache import StageCache, tool_versions
from cathrt.runtime.bundle.manifest import BETTER, Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models.study.section import ENCODER

WORK = ".work"
BUNDLE, REPORT, UNSIGNED = "bundle", "bundle.report", "bundle.unsigned"


def export_study(request: OwnRequest, asked: Asked) -> tuple[Exported, ...]:
    """Raises ConfigError for what cannot be exported, before anything is built, and what the stages raise."""
    require_possible(asked, request.targets)
    gate = tightened(GATES[asked.precision], request.limits)
    source = source_of(asked)
    worth = worth_from(asked.worth, source.weights.sha256)
    for note in source.weights.notes:
        request.note(note)
    cache = StageCache(request.out / WORK, request.told)
    parts = {target: parts_of(cache, source, asked, target, request.sm) for target in request.targets}
    told = provenance_of(source, asked, parts)
    manifest, payload = manifest_of(source, parts, told, demonstration=asked.demonstration)
    clips = phantom_clips(source.section.clip, COMPARED_CLIPS, COMPARED_SEED)
    studies = studies_of(len(clips), source.section.runs)
    with candidate(request.out / WORK, manifest, payload) as opened:
        return _Export(request, asked, source, cache, clips, studies, gate).finished(opened, parts, worth)


class _Export:
    """One export, from the candidate on."""

    def __init__(
        self,
        request: OwnRequest,
        asked: Asked,
        source: Source,
        cache: StageCache,
        clips: Clips,
        studies: Sequence[Study],
        gate: Gate,
    ) -> None:
        self._request, self._asked, self._source, self._cache = request, asked, source, cache
        self._clips, self._studies, self._gate = clips, studies, gate
        told = json.dumps([clips.sha256, [asdict(study) for study in studies]])
        self._set_sha256 = hashlib.sha256(told.encode()).hexdigest()

    def finished(
        self, opened: Bundle, parts: Mapping[AnyTarget, TargetParts], worth: StudyWorth
    ) -> tuple[Exported, ...]:
        """Qualify each target, leave the report, and sign if everything passes."""
        out, key = self._request.out, self._request.key
        before = signed_before(out / BUNDLE, opened.manifest, key)
        advance = self._request.advance
        expected = expected_of(
            self._cache, self._source, self._clips, self._studies, lambda done, of: advance("float32 network", done, of)
        )
        verdicts = [self._verdict(opened, target, one, expected) for target, one in parts.items()]
        evidence = self._evidence(opened.manifest, verdicts, worth)
        write_report(out / REPORT, opened.manifest.name, verdicts, worth, evidence, self._about())
        path, signed = None, False
        passed = all(one.fidelity == "passed" for one in verdicts)
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

    def _verdict(self, opened: Bundle, target: AnyTarget, own: TargetParts, expected: Expected) -> TargetVerdict:
        """Of the artifacts in their engine, or of what stands in for plans that no engine here runs."""
        stand_in = stand_in_for(self._cache, self._source, self._asked, target)
        if stand_in is None:
            found = self._compared(opened, target, target, own, expected)
            return TargetVerdict(target, self._asked.precision, found, self._gate, target)
        manifest, payload = manifest_of(
            self._source, {stand_in.engine: stand_in.parts}, opened.manifest.provenance, demonstration=False
        )
        with candidate(self._request.out / WORK, manifest, payload) as standing:
            found = self._compared(standing, stand_in.engine, target, stand_in.parts, expected)
        return TargetVerdict(
            target, self._asked.precision, found, self._gate, stand_in.says, _not_run(target, stand_in)
        )  # fmt: skip

    def _compared(
        self, bundle: Bundle, engine: AnyTarget, target: AnyTarget, parts: TargetParts, expected: Expected
    ) -> Comparison:
        """Once for the same files, whatever else is in the bundle."""
        adapter, config, advance = TypeAdapter(Comparison), self._request.settings.engine, self._request.advance

        def make(folder: Path) -> None:
            features, outputs = engine_answers(
                bundle, engine, config, self._clips, self._studies, lambda done, of: advance(target, done, of)
            )
            found = compared(self._source.section, (expected.features, features), (expected.outputs, outputs))
            (folder / "comparison.json").write_bytes(adapter.dump_json(found))

        manifest = bundle.manifest
        inputs = {
            "artifacts": {role: asdict(network.artifacts[engine]) for role, network in manifest.networks.items()},
            "files": {name: manifest.files[name] for name in parts.files()},
            "section": asdict(self._source.section),
            "engine": engine,
            "config": asdict(config),
            "set": self._set_sha256,
        }
        kept = self._cache.result(f"qualification-{target}", inputs, make)
        return adapter.validate_json((kept / "comparison.json").read_bytes())

    def _evidence(self, manifest: Manifest, verdicts: Sequence[TargetVerdict], worth: StudyWorth) -> dict[str, Any]:
        files = {target: manifest.network(ENCODER).artifacts[target].file for target in self._request.targets}
        told: dict[str, Any] = {
            "qualification": {
                one.target: one.evidence(manifest.files[files[one.target]], self._set_sha256, tool_versions())
                for one in verdicts
            },
            "worth": {
                "verdict": worth.verdict,
                "figures": list(worth.lines),
                "measured_on": worth.measured_on,
                "no_better": list(worth.no_better),
            },
        }
        if not_run := {one.target: one.not_run for one in verdicts if one.not_run}:
            told["not_run"] = not_run
        return told

    def _about(self) -> list[str]:
        trained = "never trained" if self._asked.checkpoint is None else "trained"
        return [
            f"weights {self._source.weights.sha256[:16]}, {trained}; product {self._source.product.name}; set "
            f"{self._set_sha256[:16]}",
            ", ".join(f"{name} {number}" for name, number in sorted(tool_versions().items())),
        ]


def _not_run(target: AnyTarget, stand_in: StandIn) -> str:
    answered = stand_in.says[0].upper() + stand_in.says[1:]
    return (
        f"the plans for {target} were NOT run: study networks are compared on the CPU alone. {answered} "
        "answered in their place, whose rounding and speed are not those of the plans"
    )


def _require_signed_alike(before: Bundle, manifest: Manifest) -> None:
    """Raises ManifestError where the bundle that is there was signed with another gate or set."""
    told, now = before.manifest.evidence.get("qualification", {}), manifest.evidence["qualification"]
    unlike = [
        name
        for name in ("gate", "judge_set", "reference")
        if any(told.get(target, {}).get(name) != json.loads(json.dumps(one[name])) for target, one in now.items())
    ]
    if unlike:
        raise ManifestError(
            f"{before.path}: was signed with another {', '.join(unlike)} in its evidence and is not overwritten: "
            "remove it or name another"
        )

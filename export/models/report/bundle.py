"""A report bundle in the making: its files and manifest, a candidate that is qualified, and the same files signed.

The networks may have gigabytes, so they are copied once: the candidate's folder becomes the bundle's. Not for: whether
it may be signed (recipe.py), or bundles of other kinds (export/bundle/sign.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.join import CARD
from cathrt.export.bundle.sign import Content, canonical_json, public_key, signature_line, write_bundle
from cathrt.export.models.report.networks import Form
from cathrt.export.models.report.plans import NetworkPlan
from cathrt.export.models.report.source import Source
from cathrt.export.qualify.exported import AnyTarget
from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network, PlanFile, Precision, Rest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.report.section import DECODER, ReportSection


@dataclass(frozen=True, slots=True, eq=False)
class TargetParts:
    """What one target's artifacts are made of. folder: of the bundle that its files go to, "" for the bundle itself.

    plans: by role, for TensorRT. precision: of the decoder; in int4, the networks beside it have int8. rest: of each.
    """

    form: Form
    folder: str
    precision: Precision
    rest: Rest = "float32"
    plans: Mapping[str, NetworkPlan] | None = None

    def artifact(self, role: str) -> Artifact:
        plans: tuple[PlanFile, ...] = ()
        if self.plans is not None:
            plan = self.plans[role]
            plans = (PlanFile(self._plan_name(role, plan), plan.fingerprint),)
        file = f"{self.folder}{self.form.networks[role].files[0].name}"
        precision: Precision = "int8" if self.precision == "int4" and role != DECODER else self.precision
        return Artifact(file, precision, plans, rest=self.rest, weights_only=precision in ("int8", "int4"))

    def files(self) -> dict[str, Content]:
        """By its name in the bundle, where to copy it from."""
        found: dict[str, Content] = {
            f"{self.folder}{path.name}": path for one in self.form.networks.values() for path in one.files
        }
        for role, plan in (self.plans or {}).items():
            name = self._plan_name(role, plan)
            found |= {name: plan.plan, f"{name}.layers.json": plan.layers}
        return found

    def _plan_name(self, role: str, plan: NetworkPlan) -> str:
        return f"{self.folder}{role}.plan.sm{'-'.join(map(str, plan.fingerprint.sm))}"


def manifest_of(
    source: Source, parts: Mapping[AnyTarget, TargetParts], provenance: Mapping[str, Any], *, demonstration: bool
) -> tuple[Manifest[ReportSection], dict[str, Content]]:
    """The manifest, complete but for files and evidence, and the files by their names."""
    any_form = next(iter(parts.values())).form
    networks = {
        role: Network(
            artifacts={target: one.artifact(role) for target, one in parts.items()},
            inputs=written.inputs,
            outputs=written.outputs,
            buckets=written.buckets,
        )
        for role, written in any_form.networks.items()
    }
    payload: dict[str, Content] = {source.section.tokenizer: source.document}
    if source.card is not None:
        payload[CARD] = source.card
    for one in parts.values():
        payload |= one.files()
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=source.name,
        files={},
        networks=networks,
        model=source.section,
        demonstration=demonstration,
        provenance=dict(provenance),
        evidence={},
    )
    return manifest, payload


@contextmanager
def candidate(folder: Path, manifest: Manifest, payload: Mapping[str, Content]) -> Iterator[Bundle]:
    """The bundle as the runtime will open it, in a new folder below `folder`, signed with a key that nobody trusts."""
    passing = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".candidate-") as name:
        path = write_bundle(Path(name) / "bundle", manifest, payload, passing)
        with open_bundle(path, [public_key(passing)]) as opened:
            yield opened


def sign_candidate(opened: Bundle, manifest: Manifest, key: Ed25519PrivateKey, final: Path) -> Path:
    """Make the candidate's folder the bundle at `final`, which must not exist, with this manifest and signature.

    manifest: with the candidate's own files. Opened as the runtime opens it before it is renamed. Raises ManifestError.
    """
    if os.path.lexists(final):
        raise ManifestError(f"{final}: exists already and is not overwritten: remove it or name another")
    if manifest.files != opened.manifest.files:
        raise ManifestError(f"{final}: its files are not those that were qualified: export it again")
    document = canonical_json(manifest)
    for name, content in ((MANIFEST, document), (SIGNATURE, signature_line(document, key))):
        _written_anew(opened.path / name, content)
    opened.path.chmod(0o755)
    open_bundle(opened.path, [public_key(key)]).close()
    opened.path.rename(final)
    return final


def leave_unsigned(opened: Bundle, manifest: Manifest, final: Path) -> Path:
    """Make the candidate's folder `final`, made anew, without a signature. The runtime refuses such a folder."""
    _written_anew(opened.path / MANIFEST, canonical_json(manifest))
    (opened.path / SIGNATURE).unlink()
    opened.path.chmod(0o755)
    shutil.rmtree(final, ignore_errors=True)
    opened.path.rename(final)
    return final


def signed_before(final: Path, manifest: Manifest, key: Ed25519PrivateKey | None) -> Bundle | None:
    """The bundle that this export signed before, if there is one, which is left as it is.

    manifest: of the candidate, with its files. Raises ManifestError where the folder holds anything else.
    """
    if key is None or not os.path.lexists(final):
        return None
    found = open_bundle(final, [public_key(key)])
    if replace(found.manifest, evidence={}, worth=None) != replace(manifest, evidence={}, worth=None):
        found.close()
        raise ManifestError(f"{final}: holds another bundle, which is not overwritten: remove it or name another")
    return found


def _written_anew(path: Path, content: bytes) -> None:
    path.unlink()
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o644)

"""Several engines' artifacts of the same weights in one bundle: a lab gets one folder, whatever its box computes with.

Nothing is compared here: what is joined was signed, so it kept its gate or was measured by whoever trained it. Not for:
other weights, labels or preprocessing under one name; such bundles are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.engine_records import by_engine, evidence_about, provenance_about, provenance_of
from cathrt.export.bundle.real_figures import figures_of
from cathrt.export.bundle.sign import Content, write_bundle
from cathrt.runtime.bundle.manifest import WORTH_VERDICTS, Artifact, Manifest, WorthVerdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import VerifiedFile
from cathrt.runtime.errors import ManifestError

CARD = "MODEL_CARD.md"
_SAME = ("model", "networks_without_artifacts", "demonstration", "random_init")


def join(
    base: Bundle,
    others: Sequence[Bundle],
    key: Ed25519PrivateKey,
    folder: Path,
    real: dict[str, Any] | None = None,
    card: Callable[[Manifest], str] | None = None,
) -> Path:
    """Write `base` with the artifacts of `others` added, or in place of its own for the same engine, signed.

    real: what benchmarks.accuracy printed of the resulting bundle, for its evidence and card.
    card: writes the model card of a demonstration anew, where `base` has one.

    Name, card and training provenance are the base's; provenance.engines and evidence say of each added engine how it
    was made and what was measured of it. What the base says of an artifact that is replaced goes with it. Its worth is
    the worst that any of them states.
    Raises ManifestError where the bundles are not of the same weights and meaning, or two of the others have the same
    engine, ConfigError where `real` is of another model.
    """
    for other in others:
        _require_the_same(base.manifest, other.manifest, other.path)
        _require_whole(other)
    _require_each_engine_once(others)
    joined = base.manifest
    payload: dict[str, Content] = {}
    for other in others:
        for role, engine, artifact in other.manifest.all_artifacts():
            names = _new_names(engine, artifact, other)
            payload |= {renamed: other.file(name) for name, renamed in names.items()}
            artifacts = {**joined.network(role).artifacts, engine: _renamed(artifact, names)}
            joined = joined.with_artifacts(role, artifacts)
    added = {engine for other in others for _, engine, _ in other.manifest.all_artifacts()}
    payload |= {name: base.file(name) for name in _kept(base, added)}
    kept = {engine for _, engine, _ in base.manifest.all_artifacts()} - added
    joined = replace(
        joined,
        files={},
        provenance=_provenance(base.manifest, kept, others),
        evidence=_evidence(base.manifest, kept, others),
        worth=_worth([base, *others]),
    )
    if real is not None:
        digests = {name: content.sha256 for name, content in payload.items() if isinstance(content, VerifiedFile)}
        joined = replace(joined, evidence={**joined.evidence, "real": figures_of(real, joined, digests)})
    if card is not None and CARD in payload and base.manifest.demonstration:
        payload[CARD] = card(joined).encode()
    return write_bundle(folder, joined, payload, key)


def _require_the_same(base: Manifest, other: Manifest, path: Path) -> None:
    unlike = [name for name in _SAME if getattr(base, name) != getattr(other, name)]
    if unlike:
        raise ManifestError(f"{path}: its {', '.join(unlike)} differ from those of {base.name}: join what is alike")
    weights = [_weights(manifest) for manifest in (base, other)]
    if None in weights or weights[0] != weights[1]:
        raise ManifestError(
            f"{path}: made of weights {str(weights[1])[:16]}, {base.name} of {str(weights[0])[:16]}: expected the same "
            "in both manifests' provenance.chain: export them from one checkpoint"
        )
    sets = [_set_of_weights(manifest) for manifest in (base, other)]
    if sets[0] != sets[1]:
        raise ManifestError(
            f"{path}: made of the set of weights {sets[1]}, {base.name} of {sets[0]} in the same file: export both "
            "with the same --state"
        )


def _require_whole(other: Bundle) -> None:
    """Every engine to add has every network: of a replaced engine nothing stays that was measured with another."""
    for engine in {engine for _, engine, _ in other.manifest.all_artifacts()} - set(other.manifest.engines):
        missing = [role for role, network in other.manifest.networks.items() if engine not in network.artifacts]
        raise ManifestError(
            f"{other.path}: {engine} has no artifact for {', '.join(missing)}: export all networks for it"
        )


def _worth(bundles: Sequence[Bundle]) -> WorthVerdict | None:
    """Of the same weights: the worst that is stated."""
    stated = (bundle.manifest.worth for bundle in bundles if bundle.manifest.worth is not None)
    return max(stated, key=WORTH_VERDICTS.index, default=None)


def _weights(manifest: Manifest) -> str | None:
    chain = manifest.provenance.get("chain")
    found = chain.get("weights") if isinstance(chain, Mapping) else None
    return found if isinstance(found, str) else None


def _set_of_weights(manifest: Manifest) -> str | None:
    """Which set was taken of a file that holds several; None of a file that holds one."""
    read = manifest.provenance.get("weights_read")
    found = read.get("set") if isinstance(read, Mapping) else None
    return found if isinstance(found, str) else None


def _require_each_engine_once(others: Sequence[Bundle]) -> None:
    engines = [engine for other in others for engine in other.manifest.engines]
    if twice := sorted({engine for engine in engines if engines.count(engine) > 1}):
        raise ManifestError(f"{', '.join(twice)}: in more than one of the bundles to add, expected each engine once")


def _files_of(artifact: Artifact, bundle: Bundle) -> set[str]:
    """What belongs to an artifact: its own files, those named after them (OpenVINO's .bin, a plan's layers), and those
    that its graph keeps tensors in."""
    named = {artifact.file, *(plan.file for plan in artifact.plans)}
    stems = {name.removesuffix(".xml") for name in named}
    beside = {name for name in bundle.files if any(name == stem or name.startswith(f"{stem}.") for stem in stems)}
    return beside | {tensor.file for tensor in bundle.external.get(artifact.file, ())}


def _new_names(engine: str, artifact: Artifact, bundle: Bundle) -> dict[str, str]:
    """By its name there, what a file of the artifact is called in the joined bundle.

    A graph finds the files of its tensors by their place beside it, so these move together into a folder.
    """
    between = "/" if bundle.external.get(artifact.file) else "."
    return {name: f"{engine}{between}{name}" for name in sorted(_files_of(artifact, bundle))}


def _kept(base: Bundle, added: Collection[str]) -> set[str]:
    """The base's files but for those that only a replaced artifact needs. added: engines that others bring."""
    replaced: set[str] = set()
    needed: set[str] = set()
    for _, engine, artifact in base.manifest.all_artifacts():
        (replaced if engine in added else needed).update(_files_of(artifact, base))
    return base.manifest.files.keys() - (replaced - needed)


def _renamed(artifact: Artifact, names: Mapping[str, str]) -> Artifact:
    plans = tuple(replace(plan, file=names[plan.file]) for plan in artifact.plans)
    return replace(artifact, file=names[artifact.file], plans=plans)


def _provenance(base: Manifest, kept: Collection[str], others: Sequence[Bundle]) -> dict[str, Any]:
    """The base's own, and how each added engine was made."""
    told = provenance_about(base, kept)
    added = {engine: provenance_of(other.manifest, engine) for other in others for engine in other.manifest.engines}
    made = {**told.get("engines", {}), **added}
    return {**told, "engines": made} if made else told


def _evidence(base: Manifest, kept: Collection[str], others: Sequence[Bundle]) -> dict[str, Any]:
    """The base's own of what is kept of it, and what the others tell of their artifacts."""
    joined = evidence_about(base, kept)
    for other in others:
        theirs = evidence_about(other.manifest, other.manifest.engines)
        for key, told in by_engine(theirs).items():
            joined[key] = {**joined.get(key, {}), **told}
        if "real" in theirs:
            joined.setdefault("real", theirs["real"])
    return joined

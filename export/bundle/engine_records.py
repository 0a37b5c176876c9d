"""What a manifest says of each engine's artifact, and what is left of it when the artifact is replaced.

Figures of an artifact that is no longer in a bundle must not be signed with it. Not for: taking figures (evidence.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.engines import ENGINES, SIZED_ENGINES

# Keys under which figures name the file that they were taken of: sha256, hex.
_MEASURED_ON = ("artifact_sha256", "model_sha256")
# What provenance says of the weights, whatever artifact was made of them.
_GONE = object()
_NAMES = ENGINES.keys() | SIZED_ENGINES.keys()
_OF_THE_WEIGHTS = ("arch", "weights_named_as", "weights_read", "random_init", "seed")


def evidence_about(manifest: Manifest, engines: Collection[str]) -> dict[str, Any]:
    """The manifest's evidence without what speaks of an artifact other than that of one of `engines` in it.

    Of an artifact speak: an entry under an engine's name, figures with an "engine", figures with the sha256 of the file
    they were taken of. A bare number under an engine's name says of no file what it was taken of, so it stays only
    where the artifact came with the bundle and not by a later join.
    """
    ours = {engine: {manifest.files[file] for file in manifest.opened_by(engine)} for engine in engines}
    joined = set(manifest.provenance.get("engines", {}))
    found: dict[str, Any] = _kept(manifest.evidence, "", ours, joined)
    return found


def by_engine(evidence: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of evidence that are a mapping from engine to figures."""
    return {
        key: dict(value)
        for key, value in evidence.items()
        if isinstance(value, Mapping) and value and value.keys() <= _NAMES
    }


def provenance_of(manifest: Manifest, engine: str) -> dict[str, Any]:
    """How this engine's artifact was made: in a joined bundle it stands under the engine's name."""
    told = manifest.provenance
    found: Mapping[str, Any] = told.get("engines", {}).get(engine, told)
    return {key: value for key, value in found.items() if key != "engines"}


def provenance_about(manifest: Manifest, engines: Collection[str]) -> dict[str, Any]:
    """The manifest's provenance without what says how another artifact than that of one of `engines` was made."""
    told = {key: value for key, value in manifest.provenance.items() if key != "engines"}
    if told.get("target", "") in _NAMES - set(engines):
        chain = {key: value for key, value in told.get("chain", {}).items() if key == "weights"}
        told = {key: told[key] for key in _OF_THE_WEIGHTS if key in told} | ({"chain": chain} if chain else {})
    others = {name: made for name, made in manifest.provenance.get("engines", {}).items() if name in engines}
    return {**told, "engines": others} if others else told


def _kept(value: Any, engine: str, ours: Mapping[str, set[str]], joined: Collection[str]) -> Any:
    """The value without what is of other artifacts, or _GONE.

    engine: the one under whose name the value stands, or "". ours: sha256 of the artifacts' files by engine.
    """
    if isinstance(value, list):
        return [kept for item in value if (kept := _kept(item, engine, ours, joined)) is not _GONE]
    if not isinstance(value, Mapping):
        bare = isinstance(value, int | float) and not isinstance(value, bool)
        return _GONE if bare and engine in joined else value
    named = value.get("engine")
    engine = named if isinstance(named, str) and named in _NAMES else engine
    if engine and engine not in ours:
        return _GONE
    if measured_on := [value[key] for key in _MEASURED_ON if key in value]:
        fitting = ours[engine] if engine else set().union(*ours.values())
        return value if all(sha256 in fitting for sha256 in measured_on) else _GONE
    found = {}
    for key, item in value.items():
        under = key if key in _NAMES else engine
        kept = _GONE if under and under not in ours else _kept(item, under, ours, joined)
        if kept is not _GONE and (kept != {} or item == {}):
            found[key] = kept
    return found

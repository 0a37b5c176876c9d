"""The models there are: one row a kind. Each knows what its tensors mean, none knows a back-end.

A new model is one folder here and one row in this table (docs/bundle.md). Not for: running networks (line/).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime import config
from cathrt.runtime.bundle import opening, shipped
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, Policy
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.journal.records import RecordParts
from cathrt.runtime.model_kind import ModelKind, Reader, Writer
from cathrt.runtime.models.generic import GENERIC
from cathrt.runtime.models.keyframe import KEYFRAME
from cathrt.runtime.models.report import REPORT
from cathrt.runtime.models.study import STUDY

MODELS: dict[str, ModelKind] = {
    "keyframe": KEYFRAME,
    "generic": GENERIC,
    "report": REPORT,
    "study": STUDY,
}


def open_bundle(path: Path, trusted_keys: Collection[str]) -> Bundle:
    """Check a bundle of any kind in MODELS, from its signature to its last file, and hand it out.

    Raises ManifestError and ConfigError as bundle.opening.open_bundle does.
    """
    return opening.open_bundle(path, trusted_keys, MODELS)


def trusted_bundle(folder: Path | None, config: Config) -> Bundle:
    """open_bundle() with the keys that the configuration trusts beside our own; None for the demonstration bundle."""
    return open_bundle(folder or shipped.demonstration_bundle(), (*shipped.shipped_keys(), *config.trust.keys))


def trusted_bundles(folders: Sequence[Path], config: Config) -> list[Bundle]:
    """Those of several folders, or the demonstration bundle alone where none is named. As trusted_bundle()."""
    return [trusted_bundle(folder, config) for folder in folders] or [trusted_bundle(None, config)]


@dataclass(frozen=True, slots=True)
class GivenBundles:
    """What was named, by the part that it takes. on_frames: at least one. writer: of drafts of studies. readers: of
    studies, each of which gives records of its own."""

    on_frames: tuple[Bundle, ...]
    writer: Bundle | None
    readers: tuple[Bundle, ...] = ()


def given_bundles(folders: Sequence[Path], config: Config) -> GivenBundles:
    """Those of several folders; for frames the demonstration bundle where none of them judges any.

    Raises ConfigError for more than one that writes drafts, for the same reader twice, and as trusted_bundle() does.
    """
    bundles = [trusted_bundle(folder, config) for folder in folders]
    writers = [bundle for bundle in bundles if (row := MODELS[bundle.manifest.kind].on_studies) and row.writer]
    readers = [bundle for bundle in bundles if (row := MODELS[bundle.manifest.kind].on_studies) and row.reader]
    if len(writers) > 1:
        names = " and ".join(bundle.manifest.name for bundle in writers)
        raise ConfigError(f"bundles {names} both write drafts of studies, expected one: leave the other out")
    if len({bundle.manifest_sha256 for bundle in readers}) < len(readers):
        raise ConfigError("the same bundle that reads studies is named twice, expected each once: leave one out")
    on_frames = tuple(bundle for bundle in bundles if bundle not in (*writers, *readers))
    on_frames = on_frames or (trusted_bundle(None, config),)
    return GivenBundles(on_frames, writers[0] if writers else None, tuple(readers))


def open_writer(bundle: Bundle, config: Config) -> Writer:
    """The writer of drafts of such a bundle. It loads no network yet. Raises ConfigError for a bundle of another kind,
    ManifestError for weights that were drawn and never trained."""
    manifest = bundle.manifest
    if manifest.random_init:
        raise ManifestError(
            f"bundle {manifest.name} holds random weights, its drafts mean nothing: it is for measuring speed with the "
            "benchmarks; export trained weights"
        )
    row = MODELS[manifest.kind].on_studies
    if row is None or row.writer is None:
        raise ConfigError(f"bundle {manifest.name}: a {manifest.kind} model writes no drafts: name one that does")
    return row.writer(bundle, config.engine, config.policy.get(manifest.kind))


def open_reader(bundle: Bundle, config: Config) -> Reader:
    """The reader of such a bundle. It loads no network yet. Raises ConfigError for a bundle of another kind,
    ManifestError for weights that were drawn and never trained."""
    manifest = bundle.manifest
    if manifest.random_init:
        raise ManifestError(
            f"bundle {manifest.name} holds random weights, its findings mean nothing: it is for measuring speed with "
            "the benchmarks; export trained weights"
        )
    row = MODELS[manifest.kind].on_studies
    if row is None or row.reader is None:
        raise ConfigError(f"bundle {manifest.name}: a {manifest.kind} model reads no studies: name one that does")
    return row.reader(bundle, config.engine, config.policy.get(manifest.kind))


def load_config(path: Path | None) -> Config:
    """Read the configuration with a table [policy.<kind>] for each kind in MODELS. Raises ConfigError."""
    return config.load_config(path, policies())


def policies() -> dict[str, type[Policy]]:
    """The dataclass of each kind's table [policy.<kind>]."""
    return {name: kind.policy for name, kind in MODELS.items()}


def record_parts() -> RecordParts:
    """Every class that the models put into records."""
    kinds = MODELS.values()
    return RecordParts(
        findings=tuple(made for kind in kinds for made in kind.findings),
        news=tuple(made for kind in kinds for made in kind.news),
        results=tuple(made for kind in kinds for made in kind.results),
        drafts=tuple(made for kind in kinds for made in kind.drafts),
        readings=tuple(made for kind in kinds for made in kind.readings),
    )

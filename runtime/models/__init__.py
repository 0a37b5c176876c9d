"""The models there are: one row a kind. Each knows what its tensors mean, none knows a back-end.

A new model is one folder here and one row in this table (docs/bundle.md). Not for: running networks (line/).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cathrt.runtime import config
from cathrt.runtime.bundle import opening
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, Policy
from cathrt.runtime.journal.records import RecordParts
from cathrt.runtime.model_kind import ModelKind
from cathrt.runtime.models.keyframe import KEYFRAME

MODELS: dict[str, ModelKind] = {
    "keyframe": KEYFRAME,
}


def open_bundle(path: Path, trusted_keys: Collection[str]) -> Bundle:
    """Check a bundle of any kind in MODELS, from its signature to its last file, and hand it out.

    Raises ManifestError and ConfigError as bundle.opening.open_bundle does.
    """
    return opening.open_bundle(path, trusted_keys, MODELS)


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
    )

"""The models there are: one row a kind. Each knows what its tensors mean, none knows a back-end.

A new model is one folder here and one row in this table (docs/bundle.md). Not for: running networks (line/).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cathrt.runtime.alert import Finding
from cathrt.runtime.bundle import opening
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.models.keyframe import KEYFRAME
from cathrt.runtime.models.kind import ModelKind

MODELS: dict[str, ModelKind] = {
    "keyframe": KEYFRAME,
}


def open_bundle(path: Path, trusted_keys: Collection[str]) -> Bundle:
    """Check a bundle of any kind in MODELS, from its signature to its last file, and hand it out.

    Raises ManifestError and ConfigError as bundle.opening.open_bundle does.
    """
    return opening.open_bundle(path, trusted_keys, MODELS)


FINDINGS: tuple[type[Finding], ...] = tuple(kind.finding for kind in MODELS.values())

"""What the runtime knows of a kind of model: a row of the MODELS table.

Not for: any single model (its folder).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cathrt.runtime.alert import Finding
from cathrt.runtime.bundle.manifest import Manifest, Section


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One kind. Its dataclasses have a field `kind`, narrowed to a Literal of the kind's name.

    section: of the manifest. roles: the networks of its bundles. faults: what does not fit in a manifest of this kind.
    finding: what it says of a frame.
    """

    section: type[Section]
    roles: frozenset[str]
    faults: Callable[[Manifest[Any]], list[str]]
    finding: type[Finding]

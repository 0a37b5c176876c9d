"""What benchmarks.accuracy printed of real angiograms, on its way into a bundle's evidence and card.

Real images are used for evaluation only; how often goes along. Not for: evaluating (benchmarks/accuracy.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import read_input_file

EVALUATED_BY = "python -m benchmarks.accuracy --json"


def printed_figures(path: Path) -> dict[str, Any]:
    """The last line of what benchmarks.accuracy --json printed; the rows before it may be there or not."""
    try:
        document = json.loads(read_input_file(path).decode("utf-8").strip().rpartition("\n")[2])
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{path}: no JSON in its last line ({exc}): give what {EVALUATED_BY} printed") from exc
    if not isinstance(document, dict) or document.get("bench") != "accuracy" or "headline" not in document:
        raise ConfigError(f"{path}: its last line is no headline of accuracy: evaluate this bundle with {EVALUATED_BY}")
    return document


def figures_of(found: dict[str, Any], manifest: Manifest, digests: dict[str, str]) -> dict[str, Any]:
    """The figures, as they are. digests: sha256 of the bundle's files.

    Raises ConfigError if they were taken of another model than the bundle's engine computes, or nobody counted looks.
    """
    ours = [digests.get(file) for file in manifest.opened_by(str(found.get("engine")))]
    if found.get("model_sha256") not in ours:
        raise ConfigError(
            f"--real: figures of model {found.get('model_sha256')} in {found.get('engine')}, expected {ours}: evaluate "
            "this bundle"
        )
    if not found.get("looks"):
        raise ConfigError(f"--real: looks is {found.get('looks')}, expected how often it was looked: add --looks N")
    return found

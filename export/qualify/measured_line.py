"""The last line that a benchmark printed of a bundle, on its way into an export of the same weights: --worth.

Not for: what the figures in it amount to (a kind's worth.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import read_input_file

FoundT = TypeVar("FoundT")


def from_measured_line(
    path: Path, bench: str, weights_sha256: str, read: Callable[[Mapping[str, Any]], FoundT]
) -> FoundT:
    """What `read` makes of the last line of the output of benchmarks.<bench> --json.

    weights_sha256: of the weights that are exported; the line says of which it is (provenance.chain.weights of its
    bundle). Raises ConfigError where it is of others, of another benchmark, or no such line: `read` raises KeyError,
    TypeError and ValueError for that.
    """
    command = f"python -m benchmarks.{bench} --json"
    try:
        document = json.loads(read_input_file(path).decode("utf-8").strip().rpartition("\n")[2])
        if document["bench"] != bench:
            raise ConfigError(f"{path}: its last line is of {document['bench']!r}, expected {bench}: run {command}")
        measured = str(document["weights_sha256"])
        found = read(document)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise ConfigError(
            f"{path}: no figures in its last line ({type(exc).__name__}: {exc}): give what {command} printed"
        ) from exc
    if measured != weights_sha256:
        raise ConfigError(
            f"{path}: figures of weights {measured[:16]}, these are {weights_sha256[:16]}: evaluate a bundle of these"
        )
    return found

"""Files that a user gives to go into a bundle as they are: a model card, what is known of a training.

Not for: weights (checkpoint/), or figures of what a model is worth (qualify/measured_line.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import read_input_file


def given_bytes(option: str, path: Path) -> bytes:
    """Raises ConfigError, which names the option, where the file cannot be read."""
    try:
        return read_input_file(path)
    except OSError as exc:
        raise ConfigError(f"{option} {path}: cannot be read ({exc.strerror}): check the path") from exc


def given_object(option: str, path: Path) -> dict[str, Any]:
    """One JSON object. Raises ConfigError, which names the option, for anything else."""
    try:
        document = json.loads(given_bytes(option, path).decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{option} {path}: is no JSON ({exc}): give a file with one object") from exc
    if not isinstance(document, dict):
        raise ConfigError(f"{option} {path}: holds a {type(document).__name__}, expected one JSON object")
    return document

"""Small files that a command is given: configuration, keys, figures. Read whole, and only if they are plain files.

A pipe would make the command wait, a device would never end. Not for: images (sources/), weights
(cathrt.export.checkpoint), bundles (bundle/files.py), which have rules of their own.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import ConfigError

MAX_BYTES = 16 << 20


def read_input_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file. Raises OSError: what the system says, or that it is none, or that it is larger."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes", str(path))
    return data


def toml_from_file(path: Path) -> dict[str, Any]:
    """A TOML document. Raises ConfigError where the file cannot be read, is none, or holds what JSON cannot say."""
    try:
        document = tomllib.loads(read_input_file(path).decode("utf-8"))
        json.dumps(document, default=str)  # numbers without end, tables in tables without end
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): give a readable TOML file") from exc
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path}: not valid TOML ({exc}): correct the file") from exc
    return document

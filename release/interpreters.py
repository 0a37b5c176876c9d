"""The Python interpreters that wheels are built and tried with: those that are there, and which are missing.

Not for: which versions are supported (lock.py).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence

_ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"


def interpreters(wanted: Sequence[str], named: Iterable[str] = ()) -> dict[str, str]:
    """By version, an interpreter that runs. wanted: versions. named: paths to look at before python3.X on the path."""
    found: dict[str, str] = {}
    for path in (*named, *(f"python{version}" for version in wanted)):
        version = _version(path)
        if version in wanted:
            found.setdefault(version, path)
    return {version: found[version] for version in wanted if version in found}


def _version(path: str) -> str:
    """As "3.12"; "" where it is none, or does not run."""
    if shutil.which(path) is None:
        return ""
    done = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=False)
    version, _, implementation = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and implementation == "cpython" else ""

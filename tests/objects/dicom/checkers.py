"""The programs that others check DICOM objects with: dciodvfy and dcentvfy (dicom3tools), dsrdump (DCMTK).

Not for: skipping where they are missing (each test says so aloud).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("dciodvfy", "dcentvfy", "dsrdump")


def missing_programs() -> list[str]:
    """Those that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def iod_errors(path: Path) -> list[str]:
    """What dciodvfy finds wrong with one object."""
    return _errors(["dciodvfy", str(path)])


def disagreements(paths: Sequence[Path]) -> list[str]:
    """Where dcentvfy finds objects of one patient, study or series that contradict each other."""
    return _errors(["dcentvfy", *map(str, paths)])


def dump_of(path: Path) -> tuple[int, str]:
    """dsrdump's exit status, and its picture of a structured document with all that it complains of."""
    done = subprocess.run(["dsrdump", "+Pf", "+Pc", str(path)], capture_output=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def _errors(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return [line for line in said if line.startswith(("Error", "Abort"))]

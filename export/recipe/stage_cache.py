"""Results of finished stages on disk, so that an interrupted export goes on where it stopped.

A result is a folder, named by its stage and by the sha256 of all that went into it. It is made beside its place and
renamed into it, so there is a whole one or none, and checked against its own hashes before it is used again.
Not for: deciding what goes into a stage (recipe/stages.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cathrt.runtime.errors import SourceError
from cathrt.runtime.outside.output_files import output_folder

_LISTING = "stage.json"
_KEY_DIGITS = 20
_PACKAGES = Path(__file__).resolve().parents[2]  # holds export, runtime and kernels
# Whose versions go into every key, since their results do.
TOOLS = ("cathrt", "torch", "onnx", "numpy", "onnxruntime", "openvino")

Make = Callable[[Path], None]
Told = Callable[[str, str], None]


class StageCache:
    """A folder of results. told(stage, "made" or "kept") after each stage."""

    def __init__(self, folder: Path, told: Told = lambda stage, how: None) -> None:
        self._folder, self._told = folder, told
        output_folder(folder)

    def result(self, stage: str, inputs: Mapping[str, Any], make: Make) -> Path:
        """The folder of a stage's result: the one there is for these inputs, or what `make` writes into a new one.

        inputs: JSON: everything that the result depends on beside this code and the versions of TOOLS.
        """
        asked = {"stage": stage, "inputs": inputs, "tools": tool_versions(), "code": code_sha256()}
        key = hashlib.sha256(json.dumps(asked, sort_keys=True, allow_nan=False).encode()).hexdigest()
        folder = self._folder / f"{stage}-{key[:_KEY_DIGITS]}"
        if _is_whole(folder):
            self._told(stage, "kept")
            return folder
        unfinished = Path(tempfile.mkdtemp(dir=self._folder, prefix=".unfinished-"))
        try:
            make(unfinished)
            listing = {path.name: file_sha256(path) for path in sorted(unfinished.iterdir())}
            (unfinished / _LISTING).write_text(json.dumps({**asked, "files": listing}, indent=1), encoding="utf-8")
            for path in unfinished.iterdir():
                _to_disk(path)
            shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self._told(stage, "made")
        return folder


def tool_versions() -> dict[str, str]:
    """Versions of what computes the results."""
    return {name: version(name) for name in TOOLS}


@cache
def code_sha256() -> str:
    """Of this version of cathrt's Python sources, in the order of their names: other code, other results."""
    total = hashlib.sha256()
    for path in code_files():
        total.update(f"{path.relative_to(_PACKAGES)}|{file_sha256(path)}|".encode())
    return total.hexdigest()


def code_files() -> list[Path]:
    """Every Python file that a result may depend on."""
    packages = (_PACKAGES / name for name in ("export", "runtime", "kernels"))
    return [path for package in packages for path in sorted(package.rglob("*.py"))]


def file_sha256(path: Path) -> str:
    """Hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """Of every file's name and bytes below a folder; hex. Names are in it: of stills they tell the run and the side.

    Raises SourceError where one cannot be read.
    """
    total = hashlib.sha256()
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            total.update(hashlib.sha256(os.fsencode(path.relative_to(folder))).digest())
            total.update(bytes.fromhex(file_sha256(path)))
    except OSError as exc:
        raise SourceError(f"{exc.filename}: cannot be read ({exc.strerror}): check its permissions and disk") from exc
    return total.hexdigest()


def _is_whole(folder: Path) -> bool:
    try:
        files = json.loads((folder / _LISTING).read_text(encoding="utf-8"))["files"]
        found = {path.name: file_sha256(path) for path in folder.iterdir() if path.name != _LISTING}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(files == found)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

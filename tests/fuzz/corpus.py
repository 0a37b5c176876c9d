"""The inputs that fuzzing has found worth keeping: one ZIP file a target, each input named by its hash."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpora"
LONGEST_KEPT = 4096  # bytes of an input
MOST_KEPT_BYTES = 150_000  # of a target, packed
_ALWAYS = (1980, 1, 1, 0, 0, 0)  # so that the same inputs make the same file


def read_corpus(name: str) -> dict[str, bytes]:
    """The kept inputs of a target by their hash."""
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def write_corpus(name: str, inputs: Iterable[bytes]) -> int:
    """Keep these inputs, the shortest first, as far as MOST_KEPT_BYTES allow. Returns how many are kept."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.zip"
    kept = 0
    with zipfile.ZipFile(path, "w") as file:
        for data in sorted(set(inputs), key=lambda data: (len(data), data)):
            info = zipfile.ZipInfo(hashlib.sha256(data).hexdigest()[:16], _ALWAYS)
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
            kept += 1
            if file.start_dir > MOST_KEPT_BYTES:
                break
    return kept

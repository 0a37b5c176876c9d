"""Writes a command's output files: whole or not at all. A file that cannot be written is a SinkError.

Not for: the journal (journal/file.py) and bundles (cathrt.export.bundle.sign), which have more to promise.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cathrt.runtime.errors import SinkError


@contextmanager
def writing(path: Path, option: str = "--out") -> Iterator[None]:
    """What the system says against writing `path` becomes a SinkError that names it. option: that chose the path."""
    try:
        yield
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written ({exc.strerror}): choose another {option}, or make room") from exc


@contextmanager
def whole_file(path: Path, option: str = "--out") -> Iterator[Path]:
    """A name to write under; what was written gets its own name only once it is whole, and goes where it is not."""
    part = path.with_name(f"{path.name}.part")
    try:
        with writing(path, option):
            yield part
            os.replace(part, path)
    finally:
        with suppress(OSError):  # it is mostly gone, and where its folder is no folder, writing() has said so
            part.unlink()


def output_folder(path: Path, option: str = "--out") -> None:
    """Make the folder if it is not there, and see that files can be made in it: before the work, not after it."""
    with writing(path, option):
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()

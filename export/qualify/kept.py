"""What one qualification computed and the next can use again: rendered runs, and what the reference answered.

A file's name is the sha256 of everything that decides its content, and it begins with the sha256 of that content: a
damaged file is noticed, removed and made anew. The oldest files go where a folder grows beyond its limit. Not for:
results of an export's stages, which are all of its own (recipe/stage_cache.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cathrt.runtime.outside.output_files import writing

LIMIT_BYTES = 3 << 30  # 64 runs take a third of it
_DIGEST_BYTES = hashlib.sha256().digest_size
_UNFINISHED = ".unfinished-"


def user_cache() -> Path:
    """The user's folder for it, by the XDG Base Directory Specification: $XDG_CACHE_HOME, by default ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"  # the specification ignores relative ones
    return base / "cathrt" / "qualify"


class Kept:
    """A folder of such files. May be used by several threads and processes at once."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        """Makes the folder, for its owner alone. Raises SinkError where it cannot be made."""
        self._folder, self._limit_bytes = folder, limit_bytes
        self._making_room = threading.Lock()
        with writing(folder, "--cache"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, decided_by: Mapping[str, Any]) -> bytes | None:
        """What is kept for this; None where nothing is, or what is there is damaged, which is removed.

        decided_by: JSON: everything that the content depends on.
        """
        path = self._path(decided_by)
        try:
            whole = path.read_bytes()
            os.utime(path)  # used: among the last to go
        except OSError:
            return None
        content = whole[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != whole[:_DIGEST_BYTES]:
            path.unlink(missing_ok=True)
            return None
        return content

    def put(self, decided_by: Mapping[str, Any], content: bytes) -> None:
        """Keep it: whole or not at all, in the place of what was kept for this. Raises SinkError where it cannot be
        written."""
        path = self._path(decided_by)
        with writing(path, "--cache"):
            descriptor, unfinished = tempfile.mkstemp(dir=self._folder, prefix=_UNFINISHED)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(content).digest())
                    file.write(content)
                os.replace(unfinished, path)
            except BaseException:
                Path(unfinished).unlink(missing_ok=True)
                raise
            self._make_room()

    def _path(self, decided_by: Mapping[str, Any]) -> Path:
        text = json.dumps(decided_by, sort_keys=True, allow_nan=False)
        return self._folder / hashlib.sha256(text.encode()).hexdigest()

    def _make_room(self) -> None:
        """Remove the files that were used longest ago until the others fit the limit."""
        with self._making_room, os.scandir(self._folder) as entries:
            found = []
            for entry in entries:
                try:
                    about = entry.stat()
                except FileNotFoundError:  # another process made room, or finished a file
                    continue
                found.append((about.st_mtime_ns, about.st_size, entry.path))
            excess = sum(size for _, size, _ in found) - self._limit_bytes
            for _, size, path in sorted(found):
                if excess <= 0:
                    break
                Path(path).unlink(missing_ok=True)
                excess -= size

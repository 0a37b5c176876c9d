"""A phantom run whose frames are rendered once and kept.

Not for: where they are kept (kept.py), or what is rendered (runtime/phantom).
"""

from __future__ import annotations

import hashlib
import io
import time
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cathrt.export.qualify.kept import Kept
from cathrt.runtime import phantom
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.phantom import PhantomSource
from cathrt.runtime.phantom.scene import PHANTOM_VERSION

_LEVEL = 1  # of zlib: a third to half of the size; reading it takes a sixth of the time of rendering
# Besides the phantom's own files. Pillow writes text and compresses with loss.
_DRAWN_WITH = ("numpy", "pillow")


class KeptPhantom:
    """Fits the Source port. What is kept is exactly what the phantom renders: it is the same run."""

    def __init__(self, source: PhantomSource, kept: Kept) -> None:
        self._source, self._kept = source, kept

    @property
    def run(self) -> Run:
        return self._source.run

    def frames(self) -> Iterator[Frame | LostFrame]:
        """Every frame in order. All of them are in memory at once: some ten megabytes."""
        scene = self._source.scene
        decided_by: dict[str, Any] = {
            "what": "rendered phantom run",
            "seed": scene.seed,
            "run": self._source.run.run_id,
            "matrix": scene.carm.rows,
            "version": PHANTOM_VERSION,
            "code": phantom_sha256(),
            "drawn_with": {name: version(name) for name in _DRAWN_WITH},
        }
        content = self._kept.get(decided_by)
        if content is not None:
            for index, pixels in enumerate(_unpacked(content)):
                pixels.setflags(write=False)
                yield Frame(pixels, index, time.monotonic_ns())
            return
        rendered = []
        for item in self._source.frames():
            if isinstance(item, Frame):
                rendered.append(item.pixels)
            yield item
        if len(rendered) == scene.frame_count:  # not where the run was closed on the way
            self._kept.put(decided_by, _packed(np.stack(rendered)))

    def close(self) -> None:
        self._source.close()


@cache
def phantom_sha256() -> str:
    """Of every file that decides what a scene's pixels are: the phantom's Python and its compiled part."""
    total = hashlib.sha256()
    for folder in sorted(map(Path, phantom.__path__)):
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".py", ".so")):
            total.update(f"{path.name}|".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _packed(frames: np.ndarray[Any, Any]) -> bytes:
    plain = io.BytesIO()
    np.save(plain, frames, allow_pickle=False)
    return zlib.compress(plain.getbuffer(), _LEVEL)


def _unpacked(content: bytes) -> np.ndarray[Any, Any]:
    frames: np.ndarray[Any, Any] = np.load(io.BytesIO(zlib.decompress(content)), allow_pickle=False)
    return frames

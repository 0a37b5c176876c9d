"""The rendering process of a live phantom: python -m cathrt.runtime.phantom.renderer, started by
renderer_process.py and by nothing else. Not for: use as a library.

Arguments: a SceneRecipe as JSON, and the parent's process id. Standard output: the run as one JSON line, then frames,
each its index (4 bytes, little endian) and its pixels. Standard input: windows of two 4-byte numbers, first and stop:
the frames that may be rendered now, in order; a newer window replaces an older one, and what lies before it is passed
over. End of input ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import sys

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.phantom.source import PhantomSource
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.sources.messages import document_from_run

WINDOW = struct.Struct("<II")
INDEX = struct.Struct("<I")
_NICER = 10  # priority below the line's own


def main(arguments: list[str]) -> None:
    """Render until nobody wants any more."""
    recipe, parent = arguments
    die_with_parent(int(parent))
    os.nice(_NICER)
    source = PhantomSource(SceneRecipe(**json.loads(recipe)).scene())
    with contextlib.suppress(BrokenPipeError):  # the parent has closed the source or is gone
        _write(json.dumps(document_from_run(source.run), allow_nan=False).encode() + b"\n")
        _serve(source)


def _serve(source: PhantomSource) -> None:
    following, stop = 0, 0
    while (window := _latest_window(wait=following >= stop)) is not None:
        first, stop = window or (following, stop)
        following = max(following, first)
        if following < min(stop, source.scene.frame_count):
            _write(INDEX.pack(following) + source.render(following).tobytes())
            following += 1
        else:
            stop = following


def _latest_window(*, wait: bool) -> tuple[int, int] | tuple[()] | None:
    """The newest window there is, () where there is none yet, None at the end of input. wait: until there is one."""
    if not wait and not select.select([sys.stdin], [], [], 0.0)[0]:
        return ()
    pieces = os.read(sys.stdin.fileno(), 512 * WINDOW.size)  # windows are written whole, so none is cut
    if not pieces:
        return None
    first, stop = WINDOW.unpack_from(pieces, len(pieces) - WINDOW.size)
    return first, stop


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


if __name__ == "__main__":
    main(sys.argv[1:])

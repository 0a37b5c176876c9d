"""The decoder process, unconfined, that ends with what it imports or opens after its walls would have gone up.

`python tests/sources/late_imports.py ...` in place of `python -m cathrt.runtime.sources.decoder.fork_server ...`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from cathrt.runtime.sources.decoder import child, fork_server
from cathrt.runtime.sources.decoder.confinement import Walls


def watch(**_: int) -> Walls:
    """In place of confine()."""

    def ended(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("import", "open", "os.listdir", "os.scandir", "socket.__new__", "os.fork", "os.exec"):
            os.write(2, f"after the walls: {event} {arguments[0]}\n".encode())
            os._exit(9)

    sys.addaudithook(ended)
    return Walls(seccomp=True, landlock=1)


child.confine = watch
fork_server.main(sys.argv[1:])

"""Fork servers other than the real one: each runs a program of the test's, and is kept for the next test that asks.

Not for: what a stand-in says (liars.py).
"""

from __future__ import annotations

import atexit
from functools import cache

from cathrt.runtime.sources.decoder.servers import ForkServer
from cathrt.runtime.sources.discover import InputKind

# The decoder is the Python text that stands in place of the input's path; it finds what it was given in `given`.
SCRIPTED = """
import json, os, sys
from cathrt.runtime.sources.decoder import fork_server
def act(given):
    request = json.loads(os.pread(given.request, 1 << 20, 0))
    exec(request["paths"][0], {"given": given, "request": request})
fork_server.READERS = {"dicom": lambda: None}
fork_server.main(sys.argv[1:], act)
"""


@cache
def server(kind: InputKind, *program: str) -> ForkServer:
    """program: arguments to the interpreter, which end in fork_server.main(sys.argv[1:])."""
    made = ForkServer(kind, program)
    atexit.register(made.close)
    return made

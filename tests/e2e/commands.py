"""`cathrt` as a user types it, without paying for its imports each time: every call is a fork of one warm process.

The fork's descriptors are set first and then the entry point of the script runs. Not for: what happens while Python
starts, such as closed descriptors; those tests start a process of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_SERVER = r"""
import ctypes, json, os, resource, struct, sys, traceback
import cathrt.export.commands.cli

def obey_permissions():
    "Root reads what it may not: no longer, here and in what is started from here."
    libc, overriding = ctypes.CDLL(None, use_errno=True), (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    data = ctypes.create_string_buffer(24)
    libc.capget(header, data)
    words = list(struct.unpack("6I", data.raw))
    keep = ~sum(1 << capability for capability in overriding)
    words[:3] = [word & keep for word in words[:3]]
    for capability in overriding:
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.capset(header, ctypes.create_string_buffer(struct.pack("6I", *words), 24))

for line in sys.stdin:
    request = json.loads(line)
    if {"export", "qualify", "join"} & set(request["arguments"][:1]):
        import onnx, torch  # slow, and inherited by every later child
    child = os.fork()
    if child == 0:
        for descriptor, (path, flags) in enumerate(request["streams"]):
            os.dup2(os.open(path, flags), descriptor)
        os.chdir(request["cwd"])
        if request["obeying"]:
            obey_permissions()
        if request["most_bytes"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (request["most_bytes"],))
        sys.argv = ["cathrt", *request["arguments"]]
        code = 1
        try:
            cathrt.export.commands.main()
        except SystemExit as exc:
            code = exc.code
        except BaseException:
            traceback.print_exc()
        try:
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            code = 120
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """What --json printed, a line an object."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def cathrt(
    *arguments: str | Path,
    cwd: Path | None = None,
    stdout: str | None = None,
    stderr: str | None = None,
    obeying: bool = False,
    most_bytes: int | None = None,
) -> Done:
    """Run the command. stdout, stderr: a path to send them to, such as /dev/full, instead of catching them.

    obeying: what permissions forbid is forbidden to root too. most_bytes: of any file, as on a disk that fills up.
    """
    with tempfile.TemporaryDirectory() as folder:
        caught = Path(folder, "stdout"), Path(folder, "stderr")
        for path in caught:
            path.touch()
        outputs = [given or str(path) for given, path in zip((stdout, stderr), caught, strict=True)]
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "obeying": obeying,
            "most_bytes": most_bytes,
            "streams": [(os.devnull, os.O_RDONLY), *((path, os.O_WRONLY) for path in outputs)],
        }
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        said = [path.read_bytes().decode("utf-8") for path in caught]
        return Done(code, *said)


@cache
def _server() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end_server() -> None:
    """For the end of the session (conftest.py)."""
    if _server.cache_info().currsize:
        with _server() as server:
            assert server.stdin is not None
            server.stdin.close()
        _server.cache_clear()

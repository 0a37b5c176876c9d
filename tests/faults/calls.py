"""Runs functions in processes whose calls to write, sync and rename files are noted in order, and may be made to fail.

Each process is a fork of one small helper with calls.c preloaded, so that a case costs milliseconds and not an
interpreter. Not for: judging the order (call_order.py).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO

from cathrt.runtime.journal.records import prepare_records
from cathrt.runtime.models import record_parts
from tests.stub_driver.build import compiler

ROOT = Path(__file__).resolve().parents[2]
_SOURCE = Path(__file__).with_name("calls.c")
_FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-g", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]


@dataclass(frozen=True, slots=True)
class Strike:
    """One call that does not go well: the `nth` of its kind ("" for any) on a file whose name ends in `suffix`.

    call: write, sync, truncate, rename, unlink or create. action: "kill" or "stop" before it is made, or "fail" (EIO).
    """

    call: str
    suffix: str
    nth: int
    action: str = "kill"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the process meets. log: where its calls are noted, only those on files below `folder`.

    space: bytes by which the files there may grow before the disk is full; None for no limit.
    """

    log: str
    folder: str
    strike: Strike | None = None
    space: int | None = None


def build_calls() -> Path:
    """The shared library, built at most once for its source."""
    digest = hashlib.sha256(_SOURCE.read_bytes() + " ".join(_FLAGS).encode()).hexdigest()[:16]
    library = ROOT / "build" / "calls" / digest / "calls.so"
    if not library.is_file():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            made = Path(scratch) / library.name
            subprocess.run([compiler(), *_FLAGS, "-shared", "-o", str(made), str(_SOURCE), "-ldl"], check=True)
            made.replace(library)
    return library


class Nursery:
    """Starts functions by name ("tests.faults.kill_cases:drive") in processes of their own."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers

    def start(self, function: str, *arguments: str | int, conditions: Conditions | None = None) -> int:
        """Start it and return its process id. The arguments reach it as they are."""
        return self._order({"start": function, "arguments": arguments, "conditions": conditions and asdict(conditions)})

    def wait(self, pid: int) -> int:
        """Wait for its end. Returns what the function returned (0 for None), -9 after a kill, 1 if it raised."""
        return self._order({"wait": pid})

    def run(self, function: str, *arguments: str | int, conditions: Conditions | None = None) -> int:
        """Start it and wait for its end."""
        return self.wait(self.start(function, *arguments, conditions=conditions))

    def _order(self, order: dict[str, object]) -> int:
        print(json.dumps(order), file=self._orders, flush=True)
        return int(self._answers.readline())


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A helper process that forks the others. calls.c is loaded before it starts."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.calls"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(build_calls())},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Nursery(process.stdin, process.stdout)
        process.stdin.close()


def _serve() -> None:
    prepare_records(record_parts())  # here, so that no fork has to
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            module, _, name = order["start"].partition(":")
            function = getattr(import_module(module), name)  # here, so that the next fork has it loaded already
            answer = os.fork()
            if answer == 0:
                status = 1
                try:
                    if order["conditions"] is not None:
                        _meet(order["conditions"])
                    status = function(*order["arguments"]) or 0
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(status)
        print(answer, flush=True)


def _meet(conditions: dict[str, object]) -> None:
    library = ctypes.CDLL(None)
    library.calls_note(os.fsencode(str(conditions["log"])), os.fsencode(str(conditions["folder"])))
    strike = conditions["strike"]
    if isinstance(strike, dict):
        action = strike["action"][0].encode()
        library.calls_strike(
            strike["call"].encode(), strike["suffix"].encode(), ctypes.c_long(strike["nth"]), ctypes.c_char(action)
        )
    if conditions["space"] is not None:
        library.calls_space(ctypes.c_long(conditions["space"]))


if __name__ == "__main__":
    _serve()

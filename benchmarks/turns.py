"""Variants that live in processes of their own and are timed in turns, one call at a time while the others wait.

So no thread pool spins beside another's call, and memory and load time are one variant's alone. Not for: what a variant
computes, or functions of this process (benchmarks/measure.py times those).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from benchmarks.measure import ROOT, Samples

# Idle threads of libgomp, TBB and ONNX Runtime spin a few ms at most before they sleep; `idle_cpu_ns` shows whether so.
_SETTLE_S = 0.02

Call = Callable[[], Any]


@dataclass(slots=True)
class Turns:
    """Samples of one variant. idle_cpu_ns: what its process burnt while it waited for each turn and others ran."""

    samples: Samples = field(default_factory=Samples)
    idle_cpu_ns: list[int] = field(default_factory=list)


class Variant(AbstractContextManager["Variant"]):
    """The parent's end of a child `python -m module arguments` that calls `serve`. facts: what the child sent first."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = " ".join(["python -m", module, *arguments])
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts: Mapping[str, Any] = self._answer()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def time(self, call: str, turns: Turns | None) -> None:
        """One call untimed, so that it finds caches as its own last call left them, and one timed into `turns`."""
        answer = self.ask("time", call)
        if turns is not None:
            turns.samples.began_ns.append(answer["began_ns"])
            turns.samples.took_ns.append(answer["took_ns"])
            turns.idle_cpu_ns.append(answer["idle_cpu_ns"])

    def ask(self, what: str, argument: str = "") -> Any:
        """The child's answer to "time CALL", "result ARGUMENT" or "memory". Ends the program where the child has."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # the answer, which is none, tells of it
            print(what, argument, file=self._child.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"{self._command} ended with exit code {self._end()}: its message stands above")
        return json.loads(line)

    def _end(self) -> int:
        if self._child.returncode is None:
            self._child.communicate()
        return self._child.returncode


def take_turns(
    variants: Mapping[str, tuple[Variant, str]], *, rounds: int, warm_up: int, seed: int = 0
) -> dict[str, Turns]:
    """Time each (variant, its call) once per round, in an order drawn anew each round; warm-up rounds are dropped."""
    turns = {name: Turns() for name in variants}
    order = list(variants.items())
    shuffle = random.Random(seed).shuffle
    for number in range(warm_up + rounds):
        shuffle(order)
        for name, (variant, call) in order:
            variant.time(call, turns[name] if number >= warm_up else None)
    return turns


def take_stdout() -> TextIO:
    """Standard output for answers alone: whatever else the process prints from now on goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(answers: TextIO, facts: Mapping[str, Any], calls: Mapping[str, Call], result: Callable[[str], Any]) -> None:
    """The child's end: tell the facts, then answer until the parent closes the pipe.

    calls: what can be timed. result: answers "result ARGUMENT".
    """
    print(json.dumps(facts), file=answers)
    quiet_ns = time.process_time_ns()
    for line in sys.stdin:
        what, _, argument = line.strip().partition(" ")
        idle_ns = time.process_time_ns() - quiet_ns
        if what == "time":
            answer = _timed(calls[argument]) | {"idle_cpu_ns": idle_ns}
        elif what == "memory":
            answer = {"peak_rss_mb": peak_rss_mb()}
        else:
            answer = result(argument)
        quiet_ns = time.process_time_ns()
        print(json.dumps(answer), file=answers)


def _timed(call: Call) -> dict[str, int]:
    call()
    began = time.monotonic_ns()
    call()
    took = time.monotonic_ns() - began
    time.sleep(_SETTLE_S)
    return {"began_ns": began, "took_ns": took}


def peak_rss_mb(root: Path = Path("/")) -> float:
    """Highest resident memory of this process so far. Unlike ru_maxrss, not the parent's before exec (Linux)."""
    for line in (root / "proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise SystemExit("/proc/self/status has no VmHWM: measure memory on a Linux kernel that counts it")

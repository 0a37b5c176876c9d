"""How every benchmark measures and reports: interleaved rounds, the machine's stalls counted, JSON rows.

Not for: what is measured. Run as `python -m benchmarks.measure` it is the heartbeat that notices stalls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
_BEAT_NS = 1_000_000
_STALL_NS = 5_000_000
_SWEEP_BYTES = 64 << 20  # far beyond any last-level cache one core gets


def exit_at_sigterm() -> None:
    """From now on SIGTERM ends this process through its `finally` blocks, which end the children that it started."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))


@dataclass(slots=True)
class Samples:
    """Wall times of one variant: when each call began (monotonic ns) and how long it took (ns)."""

    began_ns: list[int] = field(default_factory=list)
    took_ns: list[int] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        return float(np.median(self.took_ns)) / 1e6


def interleave(
    variants: Mapping[str, Callable[[int], object]],
    *,
    rounds: int,
    warm_up: int = 5,
    clock: Callable[[], int] = time.monotonic_ns,
) -> dict[str, Samples]:
    """Time each variant once per round, so that a slow spell of the machine meets all alike.

    The order within a round is drawn anew (with a fixed seed), so that no variant always finds the caches as the same
    other one left them. Each variant is called with the number of the round. The first warm_up rounds are dropped.
    clock: what is timed, ns; time.thread_time_ns for the CPU time of the caller alone.
    """
    samples = {name: Samples() for name in variants}
    order = list(variants.items())
    shuffle = random.Random(0).shuffle
    for number in range(warm_up + rounds):
        shuffle(order)
        for name, call in order:
            began = time.monotonic_ns()
            started = clock()
            call(number)
            took = clock() - started
            if number >= warm_up:
                samples[name].began_ns.append(began)
                samples[name].took_ns.append(took)
    return samples


def interleave_with_limit(
    calls: Mapping[str, Callable[[int], object]], *, rounds: int, read_bytes: int, write_bytes: int
) -> dict[str, Samples]:
    """interleave(), and as "limit" what reading and writing so many bytes takes at the memory speed of each round."""
    buffer = sweep_buffer()
    sweeps: list[tuple[float, float]] = []
    samples = interleave({**calls, "limit": lambda _: sweeps.append(sweep_seconds(buffer))}, rounds=rounds)
    samples["limit"].took_ns = [
        round((read * read_bytes + write * write_bytes) * 1e9) for read, write in sweeps[-rounds:]
    ]
    return samples


def pin_to_one_core() -> int:
    """Keep this process on one core, the last it may use; returns its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def sweep_seconds(buffer: NDArray[np.uint64]) -> tuple[float, float]:
    """Seconds per byte that one thread needs to read from, and to write to, memory: one sweep each over buffer."""
    began = time.monotonic_ns()
    buffer.max()
    read = time.monotonic_ns()
    buffer.fill(read)
    written = time.monotonic_ns()
    return (read - began) / 1e9 / buffer.nbytes, (written - read) / 1e9 / buffer.nbytes


def sweep_buffer() -> NDArray[np.uint64]:
    """The memory sweep_seconds walks over, touched once."""
    return np.ones(_SWEEP_BYTES // 8, dtype=np.uint64)


class Heartbeat(AbstractContextManager["Heartbeat"]):
    """A child process that sleeps a millisecond at a time and notes when it woke far too late.

    A process, not a thread: a thread would also notice whoever holds the interpreter lock. It runs on the cores this
    process had when it was made, so make it before pin_to_one_core.
    """

    def __init__(self) -> None:
        self.stalls: list[tuple[int, int]] = []
        self._notes = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe that nobody reads would fill and stop it
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=self._notes,
        )

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Stop the child and take its stalls, (from, to) in monotonic ns. May be called twice."""
        if self._child.returncode is None:
            self._child.communicate()
            with self._notes as notes:
                notes.seek(0)
                self.stalls = [(int(a), int(b)) for a, b in (line.split() for line in notes)]

    def hits(self, samples: Samples) -> int:
        """How many samples overlap a stall of the machine."""
        return sum(
            any(began < to and frm < began + took for frm, to in self.stalls)
            for began, took in zip(samples.began_ns, samples.took_ns, strict=True)
        )


def row(bench: str, case: str, impl: str, samples: Samples, heartbeat: Heartbeat, **more: Any) -> dict[str, Any]:
    """One result row. stalled: samples during which the machine itself stood still; they stay in the numbers."""
    took = np.array(samples.took_ns) / 1e6
    return {
        "bench": bench,
        "case": case,
        "impl": impl,
        "n": len(took),
        "min_ms": round(float(took.min()), 4),
        "median_ms": round(float(np.median(took)), 4),
        "p99_ms": round(float(np.quantile(took, 0.99, method="higher")), 4),
        "max_ms": round(float(took.max()), 4),
        "stalled": heartbeat.hits(samples),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **more,
    }


def headline(bench: str, figures: Mapping[str, float], heartbeat: Heartbeat, packages: Iterable[str]) -> dict[str, Any]:
    """The last row: the figures to quote, the machine they were measured on, the commit, and how it was run."""
    return {
        "bench": bench,
        "headline": {key: round(value, 4) for key, value in figures.items()},
        "machine": machine(packages) | {"stalls": len(heartbeat.stalls)},
        "commit": commit(),
        "config": config(),
    }


def config(settings: Any = None) -> dict[str, Any]:
    """How a row was made: arguments (of a path its last part), and the configuration if there is one."""
    found: dict[str, Any] = {"arguments": [word.rsplit("/", 1)[-1] for word in sys.argv[1:]]}
    return found if settings is None else found | asdict(settings)


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """What a reader needs to judge the numbers by."""
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text() if cpu.is_file() else ""
    fields = dict(
        (part.strip() for part in line.split(":", 1)) for line in text.split("\n\n")[0].splitlines() if ":" in line
    )
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "cpu": fields.get("model name", platform.processor() or platform.machine()),
        "simd": sorted(flags & {"sse4_2", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "sve"}),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def commit() -> str:
    """The commit measured, with "+" where tracked files differ from it; "unknown" outside a git checkout."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode != 0
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def report(rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print the rows: one JSON object a line, or a table and the headline figures for a person."""
    for entry in rows:
        if as_json:
            print(json.dumps(entry), flush=True)
        elif "headline" in entry:
            for key, value in entry["headline"].items():
                print(f"{key}: {value}")
        else:
            times = "  ".join(f"{key[:-3]} {entry[key]:9.3f}" for key in ("min_ms", "median_ms", "p99_ms", "max_ms"))
            print(f"{entry['case']:<22} {entry['impl']:<28} {times} ms  n {entry['n']}  stalled {entry['stalled']}")


def command(
    description: str | None, rows: Callable[[int], Iterable[Mapping[str, Any]]], *, quick: int, full: int
) -> None:
    """The command line that every benchmark has. rows(count): count is `full`, or `quick` under --quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="few rounds, under a minute: no figure to quote")
    options = parser.parse_args()
    report(rows(quick if options.quick else full), as_json=options.json)


def _beat() -> None:
    """Until stdin closes: sleep a beat, print each wake-up that came later than _STALL_NS."""
    import select

    before = time.monotonic_ns()
    while not select.select([sys.stdin], [], [], _BEAT_NS / 1e9)[0]:
        now = time.monotonic_ns()
        if now - before > _BEAT_NS + _STALL_NS:
            print(before + _BEAT_NS, now)
        before = now


if __name__ == "__main__":
    _beat()

"""Changes one decision of a kernel's source at a time (a rounding, a clamp, a border, an order, a constant) and sees
whether the op's exercise notices.

decisions/<source>.txt lists them, one a line: the text that takes the decision, " => ", the text that takes it wrongly.
The first must stand in the source exactly once. `python -m tests.emulation.decision [SOURCE ...]` prints every outcome.
Not for: barriers, bound tests, atomics and fences, which are switched off without a new build (mutation.py).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.emulation.build import KERNELS, Build, program
from tests.emulation.ops import OPS, Op
from tests.emulation.stream import EmulatedStream, EmulationError, Runner

LISTS = Path(__file__).resolve().parent / "decisions"
ARROW = " => "
JOBS = 2
LIMIT_S = 30.0  # a changed bound may be the end of a loop
# The small cases first. Full frames notice what overflows; the address build notices what leaves an array.
TRIALS: tuple[tuple[Build, str], ...] = (("plain", "small"), ("plain", "full_frame"), ("address", "small"))


@dataclass(frozen=True, slots=True)
class Change:
    """In `source`, a file of kernels/src, `new` in place of `old`."""

    source: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.source}: {self.old}{ARROW}{self.new}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """noticed_by: the trial, "" when none did."""

    change: Change
    op: str
    noticed_by: str


def listed() -> dict[str, list[Change]]:
    """The changes of every list, by source. Raises ValueError for a line that no longer fits its source."""
    return {path.stem: read(path) for path in sorted(LISTS.glob("*.txt"))}


def read(path: Path) -> list[Change]:
    changes: list[Change] = []
    source = (KERNELS / path.stem).read_text(encoding="utf-8")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        old, arrow, new = line.partition(ARROW)
        if not arrow or source.count(old) != 1:
            raise ValueError(
                f"{path.name}:{number}: {old!r} stands {source.count(old)} times in {path.stem}: expected "
                f"OLD{ARROW}NEW with an OLD that stands there once"
            )
        changes.append(Change(path.stem, old, new))
    return changes


def ops_of(source: str) -> list[str]:
    """The ops whose exercises must notice: that of the .cu, or all whose .cu includes the header."""
    if source.endswith(".cu"):
        return [source.removesuffix(".cu")]
    include = f'#include "{source}"'
    return [name for name, op in OPS.items() if include in (KERNELS / op.sources[0]).read_text(encoding="utf-8")]


def outcome_of(change: Change, op: str) -> Outcome:
    """Raises BuildError where the changed source does not compile."""
    with _changed(change, OPS[op]) as kernels:
        noticed = (f"{size}, {build}" for build, size in TRIALS if _notices(op, build, size, kernels))
        return Outcome(change, op, next(noticed, ""))


def try_all(changes: Sequence[Change]) -> list[Outcome]:
    """Every change with every op that must notice it, two at a time. Raises whatever an exercise raises unchanged."""
    pairs = [(change, op) for change in changes for op in ops_of(change.source)]
    for op in {op: None for _, op in pairs}:
        _exercise(op, "plain", "small", program("plain"))
    with ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(lambda pair: outcome_of(*pair), pairs))


@contextmanager
def _changed(change: Change, op: Op) -> Iterator[Path]:
    """A folder with the op's sources and all headers, one of them changed, for as long as it is tried."""
    with tempfile.TemporaryDirectory() as folder:
        for path in [*KERNELS.glob("*.cuh"), *KERNELS.glob("*.hpp"), *(KERNELS / name for name in op.sources)]:
            text = path.read_text(encoding="utf-8")
            changed = text.replace(change.old, change.new) if path.name == change.source else text
            (Path(folder) / path.name).write_text(changed, encoding="utf-8")
        yield Path(folder)


def _notices(op: str, build: Build, size: str, kernels: Path) -> bool:
    try:
        with np.errstate(all="ignore"):  # the reference may meet any rubbish
            _exercise(op, build, size, program(build, kernels, own=kernels))
    except (AssertionError, EmulationError):
        return True
    return False


def _exercise(op: str, build: Build, size: str, made: Path) -> None:
    runner = Runner(build, made, symbolize=False, limit_s=LIMIT_S)
    try:
        getattr(OPS[op].exercise, size)(EmulatedStream(runner))
    finally:
        runner.close()


def report(outcomes: Sequence[Outcome], seconds: float) -> str:
    """A line of counts; then, a line each, who survived."""
    survivors = [outcome for outcome in outcomes if not outcome.noticed_by]
    lines = [f"{len(outcomes)} decisions changed, {len(survivors)} not noticed; {seconds:.1f} s"]
    return "\n".join([*lines, *(f"  survived: {o.op}: {o.change}" for o in survivors)])


def main(sources: Sequence[str]) -> None:
    changes = listed()
    for source in sources or changes:
        started = time.monotonic()
        outcomes = try_all(changes[source])
        for outcome in outcomes:
            print(f"  {outcome.op}: {outcome.change}: {outcome.noticed_by or 'SURVIVED'}")
        print(f"{source}: {report(outcomes, time.monotonic() - started)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

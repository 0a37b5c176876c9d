"""Breaks kernels one site at a time and sees whether their exercise notices.

A site is a barrier, a bound test, an atomic or a fence in the source. `python -m tests.emulation.mutation [OP ...]`
prints the outcome of every one. Not for: what breaking does (sites.hpp, block.cpp, cuda_emu.hpp).
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cathrt.kernels.cuda.stream import Stream
from tests.emulation.build import KERNELS, Build, program
from tests.emulation.ops import OPS
from tests.emulation.stream import EmulatedStream, EmulationError, Runner

JOBS = 2
LIMIT_S = 30.0  # a bound that always holds may be the end of a loop
SITE = re.compile(r"\b(CU_BOUND|__syncthreads\w*|__syncwarp|__threadfence\w*|atomic[A-Z]\w*)\s*\(")
EQUIVALENT = re.compile(r"//\s*mutation: equivalent, (\S.*)")
# Which build is likeliest to notice comes first. Seeds: in other orders other threads read too early.
TRIALS: dict[str, tuple[tuple[Build, int], ...]] = {
    "bound": (("address", 0), ("plain", 0), ("plain", 1), ("thread", 0)),
    "barrier": (("plain", 0), ("plain", 1), ("plain", 2), ("thread", 0), ("address", 0)),
    "atomic": (("plain", 0), ("thread", 0), ("plain", 1), ("plain", 2), ("address", 0)),
    "fence": (("thread", 0), ("plain", 0), ("address", 0)),
}

Exercise = Callable[[Stream], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """noticed_by: the build, "" when none did."""

    site: str
    noticed_by: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Sites:
    """Of source text, by the names the runner gives them. equivalent: those no test can notice, and why."""

    tested: list[str]
    equivalent: dict[str, str] = field(default_factory=dict)


def sites_of(sources: Sequence[Path]) -> Sites:
    """Every site that stands in the sources, comments apart."""
    sites = Sites([])
    for source in sources:
        text = source.read_text(encoding="utf-8")
        reasons = _equivalent_lines(text)
        bare = re.sub(r"/\*.*?\*/|//[^\n]*", lambda comment: re.sub(r"[^\n]", " ", comment[0]), text, flags=re.DOTALL)
        for row, line in enumerate(bare.splitlines(), 1):
            for match in SITE.finditer(line):
                name = f"{_kind(match[1])} {source.name}:{row}:{match.start() + 1}"
                if row in reasons:
                    sites.equivalent[name] = reasons[row]
                else:
                    sites.tested.append(name)
    return sites


def _equivalent_lines(text: str) -> dict[int, str]:
    """Lines whose sites are let off: those with the comment, or below a line that is nothing but the comment."""
    found = {}
    for row, line in enumerate(text.splitlines(), 1):
        if match := EQUIVALENT.search(line):
            found[row + 1 if line.lstrip().startswith("//") else row] = match[1]
    return found


def _kind(word: str) -> str:
    starts = {"CU_BOUND": "bound", "__sync": "barrier", "__threadfence": "fence", "atomic": "atomic"}
    return next(kind for start, kind in starts.items() if word.startswith(start))


def executed_sites(exercise: Exercise, kernels: Path = KERNELS) -> dict[str, int]:
    """Runs the exercise as it is, in the address build: how often each site was executed."""
    runner = Runner("address", program("address", kernels))
    try:
        exercise(EmulatedStream(runner))
        return runner.sites()
    finally:
        runner.close()


def try_all(exercise: Exercise, sites: Sequence[str], kernels: Path = KERNELS) -> list[Outcome]:
    """One broken site after another, on two runners at a time. Raises whatever the unbroken exercise raises."""
    workers = [_Worker(exercise, kernels) for _ in range(JOBS)]
    try:
        with ThreadPoolExecutor(JOBS) as pool:
            shares = pool.map(lambda at: [workers[at].outcome(site) for site in sites[at::JOBS]], range(JOBS))
            return [outcome for share in shares for outcome in share]
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """Keeps a runner of each build for as long as it lives and nothing can have spoilt it."""

    def __init__(self, exercise: Exercise, kernels: Path) -> None:
        self._exercise = exercise
        self._kernels = kernels
        self._runners: dict[Build, Runner] = {}

    def outcome(self, site: str) -> Outcome:
        started = time.monotonic()
        kind = site.split()[0]
        noticed_by = next((build for build, seed in TRIALS[kind] if self._notices(build, seed, site)), "")
        return Outcome(site, noticed_by, time.monotonic() - started)

    def _notices(self, build: Build, seed: int, site: str) -> bool:
        runner = self._runner(build)
        runner.seed(seed)
        runner.mutate(site)
        stream = EmulatedStream(runner)
        try:
            with np.errstate(all="ignore"):  # the reference may meet any rubbish
                self._exercise(stream)
        except (AssertionError, EmulationError):
            return True
        finally:
            # without a sanitizer a step outside an array may have hit the runner itself
            if runner.alive and not (build != "address" and site.startswith("bound")):
                runner.mutate("")
                stream.close()
            else:
                self._runners.pop(build).close()
        return False

    def _runner(self, build: Build) -> Runner:
        if build not in self._runners:
            self._runners[build] = Runner(build, program(build, self._kernels), symbolize=False, limit_s=LIMIT_S)
        return self._runners[build]

    def close(self) -> None:
        for runner in self._runners.values():
            runner.close()


def report(op: str, outcomes: Sequence[Outcome], equivalent: dict[str, str], seconds: float) -> str:
    """A line of counts; then, a line each, who survived and who was let off."""
    by = Counter(outcome.noticed_by or "nobody" for outcome in outcomes)
    counts = ", ".join(f"{count} by {who}" for who, count in by.most_common())
    lines = [f"{op}: {len(outcomes)} sites broken, noticed {counts}; {len(equivalent)} let off; {seconds:.1f} s"]
    lines += [f"  survived: {outcome.site}" for outcome in outcomes if not outcome.noticed_by]
    lines += [f"  let off: {site}: {why}" for site, why in equivalent.items()]
    return "\n".join(lines)


def main(names: Sequence[str]) -> None:
    for name in names or OPS:
        started = time.monotonic()
        sites = sites_of([KERNELS / source for source in OPS[name].sources])
        outcomes = try_all(OPS[name].exercise.small, sites.tested)
        for outcome in outcomes:
            print(f"  {outcome.site}: {outcome.noticed_by or 'SURVIVED'}, {outcome.seconds:.2f} s")
        print(report(name, outcomes, sites.equivalent, time.monotonic() - started))


if __name__ == "__main__":
    main(sys.argv[1:])

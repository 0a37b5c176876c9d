"""One soak: a box, the load on it, samples of it, and its books at the end.

Not for: the command line (__main__.py), what the figures are (figures.py).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.soak.activity import Activities
from benchmarks.soak.books import Books, counts_from_lines
from benchmarks.soak.inputs import read_runs, write_screens, write_twin
from benchmarks.soak.lab import Lab, SoakError
from benchmarks.soak.latency import windows
from benchmarks.soak.load import Load
from benchmarks.soak.plan import Plan
from benchmarks.soak.readers import Follower
from benchmarks.soak.receiver import Receiver
from benchmarks.soak.sampling import Sample
from benchmarks.soak.stores import Modality
from benchmarks.soak.swaps import Swaps
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.journal.head import noted_head
from cathrt.runtime.processes.supervisor import PROCESSES

# So small that rows and objects go within the hour; retention begins ten minutes after a start.
RETENTION = (
    "[retention]\nlive_mib = 4\nstudy_mib = 2\nstore_mib = 200\nkeep_hours = 0.02\nfree_mib = 128\nlog_mib = 64\n"
)
_FOLLOWED = ("live", "study")
_WINDOW_S = 60.0
_END_S = 30.0


@dataclass(slots=True)
class Soaked:
    """What came of it. partial: it was stopped early. exit_code: of `cathrt run`. said: lines of its log at the end."""

    samples: list[Sample]
    books: Books
    seconds: float
    partial: bool
    exit_code: int
    load: dict[str, Any]
    faults: dict[str, dict[str, int]]
    failures: list[str]
    warnings: list[str] = field(default_factory=list)


def soak(plan: Plan, work: Path, samples_to: Path | None, stop: threading.Event) -> Soaked:
    """Prepare everything, then run for plan.seconds or until `stop`. Raises SoakError: the box ended by itself."""
    screens, runs, key = (
        write_screens(work / "screens", plan),
        read_runs(work / "runs", plan),
        write_twin(work / "twin"),
    )
    receiver = Receiver(work)
    lab = Lab(work, screens, (key,), (receiver.section(), RETENTION))
    activities = Activities()
    followers = {name: Follower(lab, name, activities.over) for name in _FOLLOWED}
    swaps = Swaps(lab, (work / "twin", demonstration_bundle()))
    load = Load(lab, activities, followers, Modality(lab, runs), swaps, receiver)
    samples: list[Sample] = []
    with _running(lab), _open(samples_to) as into:
        load.start(plan)
        try:
            _sampled(plan, lab, samples, into, stop)
            seconds, partial = lab.now_s, stop.is_set()
            _settle(plan, load)
            pruned = _pruned(lab)
            exit_code = lab.stop()
            _hear_the_end(lab, followers)
        finally:
            activities.end(_END_S)
        books = _books(lab, load)
        _write_windows(into, books, plan, activities)
    return Soaked(
        samples, books, seconds, partial, exit_code, load.document() | {"retention": pruned},
        {name: dict(found) for name, found in activities.faults.items() if found}, activities.failures,
        _warnings(lab),
    )  # fmt: skip


@contextmanager
def _running(lab: Lab) -> Iterator[None]:
    lab.start()
    try:
        yield
    finally:
        lab.kill()


@contextmanager
def _open(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as into:
        yield into


def _sampled(plan: Plan, lab: Lab, samples: list[Sample], into: TextIO | None, stop: threading.Event) -> None:
    """Samples at fixed times; what comes late is not made up for."""
    number = 0
    while lab.now_s < plan.seconds:
        lab.require_alive()
        samples.append(lab.sample())
        if into is not None:
            print(json.dumps(samples[-1].document()), file=into, flush=True)
        number = max(number + 1, int(lab.now_s / plan.sample_s) + 1)
        if stop.wait(max(0.0, min(number * plan.sample_s, plan.seconds) - lab.now_s)):
            return


def _settle(plan: Plan, load: Load) -> None:
    """Bring no new load, and wait until what is under way has arrived."""
    load.resting.set()
    load.stays.set()
    until = time.monotonic() + plan.settle_s
    while not load.settled() and time.monotonic() < until:
        load.lab.require_alive()
        time.sleep(0.5)


def _pruned(lab: Lab) -> dict[str, Any]:
    """What each keeper says that it has deleted, and what it holds back."""
    return {name: lab.state.read_report(f"retention-{name}") for name in PROCESSES}


def _hear_the_end(lab: Lab, followers: dict[str, Follower]) -> None:
    """The box has ended, so the feed's last bytes have been sent: wait until they are read."""
    until = time.monotonic() + _END_S
    rows = _rows(lab)
    while any(followers[name].rows < rows[name] for name in followers) and time.monotonic() < until:
        time.sleep(0.1)
    for name, follower in followers.items():
        follower.finish(rows[name])


def _rows(lab: Lab) -> dict[str, int]:
    """The last row of each journal."""
    heads = {"live": noted_head(lab.state.live_journal), "study": noted_head(lab.state.study_journal)}
    return {name: 0 if head is None else head.seq for name, head in heads.items()}


def _books(lab: Lab, load: Load) -> Books:
    live, study = load.followers["live"], load.followers["study"]
    missing = load.modality.unconfirmed(study.summaries)
    return Books(
        counts=counts_from_lines(lab.lines("counts")),
        outcomes=live.outcomes,
        faults_of_delivery=[*live.odd, *study.odd, *load.outlet_faults()],
        came_s=live.came_s,
        latencies_ms=live.latencies_ms,
        stored=len(load.modality.stored),
        unconfirmed=len(missing),
    )


def _write_windows(into: TextIO | None, books: Books, plan: Plan, activities: Activities) -> None:
    if into is None:
        return
    for window in windows(books.came_s, books.latencies_ms, min(_WINDOW_S, plan.seconds / 8.0)):
        print(json.dumps({"type": "window", **asdict(window)}), file=into)
    for failure in activities.failures:
        print(json.dumps({"type": "failure", "text": failure}), file=into)


def _warnings(lab: Lab, most: int = 10) -> list[str]:
    """The last lines of the box's log."""
    lines: Sequence[str] = lab.log.read_text(encoding="utf-8", errors="replace").splitlines()
    return list(lines[-most:])


__all__ = ["SoakError", "Soaked", "soak"]

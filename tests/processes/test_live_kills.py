"""The live process killed at each point of the line and of its journal: it comes back with whole books."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cathrt.runtime.failpoints import JOURNAL_POINTS, LINE_POINTS
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.counts_file import CountsRead, read_counts
from cathrt.runtime.processes.state_folder import StateFolder

PATIENCE_S = 120.0
# Those that a live run with one sink goes by while the process is well.
POINTS = [point for point in (*LINE_POINTS, *JOURNAL_POINTS) if point not in ("journal.between_sinks", "journal.close")]
FEW = ("line.judged", "journal.after_commit")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    memory = tmp_path / "memory"
    memory.mkdir()
    made = StateFolder(tmp_path / "state")
    made.make(memory)
    (tmp_path / "lab.toml").write_text(
        '[[sources]]\nname = "A"\nkind = "phantom"\nrate_hz = 60.0\nbudget_ms = 5000.0\nqueue_frames = 8\n'
    )
    return made


def started(state: StateFolder, point: str, after: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.processes.fragile_live", point, str(after), str(state.path)]
    return subprocess.Popen([*command, "--config", str(state.path.parent / "lab.toml")])


def counts_of(state: StateFolder) -> CountsRead:
    found = read_counts(state.counts("A"))
    assert found is not None
    return found


def runs_to_its_end(state: StateFolder) -> float:
    """Until two more runs are over; then it is drained. Returns the seconds until its first durable verdict."""
    before = read_counts(state.counts("A"))
    wanted = (0 if before is None else before.values["runs"]) + 3
    began_ns, first_ns = time.monotonic_ns(), 0
    child = started(state, "-", 0)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while (found := read_counts(state.counts("A"))) is None or found.values["runs"] < wanted:
            if found is not None and first_ns == 0 and found.values["verdict_ns"] > began_ns:
                first_ns = found.values["verdict_ns"]
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.terminate()
        assert child.wait(PATIENCE_S) == 0
    finally:
        child.kill()
        child.wait()
    assert first_ns > 0
    return (first_ns - began_ns) / 1e9


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in FEW else pytest.mark.slow) for point in POINTS]
)
@pytest.mark.parametrize("after", [pytest.param(0, marks=pytest.mark.slow), 17])
def test_what_a_kill_leaves_is_made_whole_by_the_next_start(
    point: str, after: int, state: StateFolder, record_property: Callable[[str, object], None]
) -> None:
    if point in ("line.alerted", "line.summarised"):
        after //= 8  # there are few of these
    child = started(state, point, after)
    try:
        assert child.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()
    record_property("recovery_s", round(runs_to_its_end(state), 3))

    report = verify_journal(state.live_journal, record_parts())
    assert report.sound, [(books.source, books.anomalies) for books in report.passes]
    counts = counts_of(state)
    assert (counts.waiting, counts.unjudged) == (0, 0)
    verdicts = sum(sum(books.verdicts.values()) for books in report.passes)
    assert counts.values["frames"] == verdicts + counts.values["lost"]
    assert counts.values["lost"] <= 16, "more than can have been in hand"

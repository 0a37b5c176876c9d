"""Shared memory that is taken away while processes run: by a reader that dies, by a system that clears it.

What holds: live goes on, health says what is missing, and the next start counts anew from the row at which it begins
(I4); the journal is untouched (I7).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.journal.head import noted_head
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.health import health_of
from tests.faults.operations.processes import live, made_state, supervised_live
from tests.faults.operations.test_disk import books_are_whole

Recorded = Callable[[str, object], None]
CONFIG = Config(sources=(SourceConfig(name="A", kind="phantom"),))
# Attaches to the counts by Python's own shared memory, whose tracker (up to Python 3.12) removes at its end what it
# knows, and reads them as a file too; then it dies.
READER = """
import os, signal, sys
from multiprocessing import resource_tracker, shared_memory
path = os.path.realpath(sys.argv[1])
name = os.path.relpath(path, "/dev/shm")
try:
    held = shared_memory.SharedMemory(name=name)
except (OSError, ValueError):
    held = None  # no name of shared memory: the file is in a folder
resource_tracker.ensure_running()
file = open(path, "rb").read()
print(len(file), flush=True)
sys.stdin.read()
"""


def test_a_reader_that_dies_takes_no_counts_with_it(tmp_path: Path) -> None:
    state = made_state(tmp_path)
    with live(state, {}) as running:
        path = state.counts("A")
        for end in (signal.SIGKILL, signal.SIGTERM, None):
            with subprocess.Popen(
                [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as reader:
                assert reader.stdout is not None
                assert int(reader.stdout.readline()) == 4096
                if end is not None:
                    reader.send_signal(end)
                reader.communicate()
            running.wait_for_more("received", 5)
            assert path.exists()
    books_are_whole(running)


def test_counts_that_are_unlinked_are_missed_by_health_and_made_anew_at_the_next_start(
    tmp_path: Path, record_property: Recorded
) -> None:
    state = made_state(tmp_path)
    with live(state, {}) as running:
        running.wait_for_more("met", 5)
        state.counts("A").unlink()
        health = health_of(state, CONFIG, time.monotonic_ns())
        assert any("no counts" in reason and "shared memory was cleared" in reason for reason in health.reasons)
        before = _rows(state.live_journal)
        running.wait_for(lambda: _rows(state.live_journal) > before + 10)  # live goes on
    began = time.monotonic()
    with live(state, {}) as running:
        record_property("recovery_s", round(time.monotonic() - began, 3))
        running.wait_for_more("runs", 1)
        counts = running.counts
        assert counts is not None
        assert counts.since_seq > before
    report = verify_journal(state.live_journal, record_parts())
    assert report.sound
    assert running.count("received") == running.count("held") + running.count("frames")


def test_the_whole_folder_in_shared_memory_may_vanish_and_live_comes_back(
    tmp_path: Path, record_property: Recorded
) -> None:
    state = made_state(tmp_path)
    with supervised_live(state) as running:
        running.wait_for_more("met", 5)
        folder = state.memory.resolve()
        gone = folder.rename(folder.with_name(f"{folder.name}.gone"))  # at once: nobody writes into it meanwhile
        shutil.rmtree(gone)
        began = time.monotonic()
        running.wait_for(lambda: running.count("met") > 0)
        record_property("recovery_s", round(time.monotonic() - began, 3))
        running.wait_for_more("runs", 1)
        health = health_of(state, CONFIG, time.monotonic_ns())
        assert not any("not running" in reason for reason in health.reasons), "the supervisor's heartbeat is gone"
    assert verify_journal(state.live_journal, record_parts()).sound
    state.dismiss_memory()


def _rows(journal: Path) -> int:
    noted = noted_head(journal)
    return 0 if noted is None else noted.seq

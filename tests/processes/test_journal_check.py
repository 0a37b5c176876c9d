"""The check beside the live process: nothing to do, sound, unsound, ended; and what health says of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.check import unsound_path
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.processes.journal_check import CHECKED, JournalCheck, check_said
from cathrt.runtime.processes.state_folder import StateFolder
from tests.journal.pruned import of_run
from tests.passes import AT_ONCE, tampered, write

NEWEST = 10
PATIENCE_S = 60.0


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    write(folder.live_journal, [record for name in "abc" for record in of_run(name)])
    yield folder
    folder.dismiss_memory()


def until(check: JournalCheck, over: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not over():
        assert time.monotonic() < ends, "the check does not end"
        check.look()
        threading.Event().wait(0.01)


def told(state: StateFolder) -> str:
    return str((state.read_report(CHECKED) or {}).get("state"))


def notes(state: StateFolder) -> list[str]:
    return check_said(state.read_report(CHECKED), time.monotonic_ns())


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "cathrt.runtime.processes.journal_check" in each.cmdline()]


def test_what_was_checked_at_the_start_needs_no_child(state: StateFolder) -> None:
    with Journal(state.live_journal, AT_ONCE) as journal, closing(JournalCheck(state, journal)) as check:
        check.look()
        assert children() == []
        assert (told(state), notes(state)) == ("whole", [])


def test_a_sound_journal_is_said_to_be_checked_and_then_nothing_is_said(state: StateFolder) -> None:
    with Journal(state.live_journal, AT_ONCE, newest=NEWEST) as journal, closing(JournalCheck(state, journal)) as check:
        check.look()
        (note,) = notes(state)
        assert note.startswith("live.journal: its first 56 rows are being checked, for ")
        until(check, lambda: told(state) == "whole")
        assert (children(), notes(state)) == ([], [])


def test_a_row_that_was_changed_ends_the_process_and_the_next_start_refuses_the_journal(state: StateFolder) -> None:
    tampered(state.live_journal, "UPDATE record SET body = replace(body, '0.9', '0.1') WHERE seq = 2")
    with Journal(state.live_journal, AT_ONCE, newest=NEWEST) as journal, closing(JournalCheck(state, journal)) as check:
        with pytest.raises(JournalError, match=r"live.journal: row 2: .*not what was written"):
            until(check, lambda: False)
    assert "row 2" in unsound_path(state.live_journal).read_text()
    with pytest.raises(JournalError, match=r"row 2: .*not what was written"):
        Journal(state.live_journal, AT_ONCE, newest=NEWEST)


def test_a_check_that_is_killed_is_a_note_and_ends_nothing(state: StateFolder) -> None:
    with Journal(state.live_journal, AT_ONCE, newest=NEWEST) as journal, closing(JournalCheck(state, journal)) as check:
        (child,) = children()
        os.kill(child.pid, signal.SIGKILL)
        until(check, lambda: told(state) == "unknown")
        assert notes(state) == [
            "live.journal: its first 56 rows could not be checked (the check ended with -9): run `cathrt verify`"
        ]


def test_at_the_end_of_the_process_the_check_ends_too(state: StateFolder) -> None:
    with Journal(state.live_journal, AT_ONCE, newest=NEWEST) as journal:
        with closing(JournalCheck(state, journal)):
            (child,) = children()
        assert not child.is_running()

"""The rows of a journal that its process did not check at its start are checked by a child, so that live need not wait.

    python -m cathrt.runtime.processes.journal_check JOURNAL PARENT_PID

The child has the lowest priority, and nothing of the live process: it holds up no frame. What does not add up ends the
process that writes, and its next start refuses the journal. Not for: the check itself (journal/whole.py).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.children.parent import end_child, exit_status, start_child
from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.whole import note_unsound, require_whole
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.outside.plain_text import shown
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.state_folder import StateFolder

NEWEST_ROWS = 50_000  # that are checked at the start: half a second. The others follow beside
CHECKED = "journal-check"  # a report
_LOWEST_NICE = 19
_MOST_SAID = 4000  # bytes, which a pipe holds

_log = logging.getLogger(__name__)


class JournalCheck:
    """One check. look() is for the main thread of the process that writes the journal, and never waits."""

    def __init__(self, state: StateFolder, journal: Journal) -> None:
        """Begins at once, where there is anything to check."""
        self._path, self._rows = journal.path, journal.unproved
        self._report = KeptReport(state, CHECKED)
        self._told: dict[str, Any] = {"rows": self._rows, "since_ns": time.monotonic_ns(), "state": "whole", "why": ""}
        self._child: subprocess.Popen[bytes] | None = None
        if self._rows:
            self._told["state"] = "checking"
            self._child = start_child(partial(_started, self._path))

    def look(self) -> None:
        """Raises JournalError where a row is not what was written; noted for the next start."""
        self._report.keep(self._told)
        if self._child is None or (code := exit_status(self._child, 0.0)) is None:
            return
        assert self._child.stdout is not None
        said = shown(self._child.stdout.read(_MOST_SAID).decode(errors="replace").strip())
        self.close()
        if code == JournalError.exit_code:
            note_unsound(self._path, said)
            raise JournalError(said)
        self._told = {**self._told, "state": "whole", "why": ""}
        if code:
            self._told |= {"state": "unknown", "why": f"the check ended with {code}"}
            _log.error("%s: its older rows could not be checked (the check ended with %d)", self._path.name, code)
        self._report.keep(self._told)

    def close(self) -> None:
        """End the check, if it runs."""
        if self._child is not None:
            end_child(self._child)
            assert self._child.stdout is not None
            self._child.stdout.close()
            self._child = None


def check_said(report: dict[str, Any] | None, now_ns: int) -> list[str]:
    """Notes for health. report: None where the live process has not told yet."""
    if report is None or report["state"] == "whole":
        return []
    if report["state"] == "checking":
        since_s = (now_ns - report["since_ns"]) / 1e9
        return [f"live.journal: its first {report['rows']} rows are being checked, for {since_s:.0f} s so far"]
    return [
        f"live.journal: its first {report['rows']} rows could not be checked ({report['why']}): run `cathrt verify`"
    ]


def _started(journal: Path) -> subprocess.Popen[bytes]:
    module, parent = "cathrt.runtime.processes.journal_check", str(os.getpid())
    command = [sys.executable, "-m", module, str(journal.absolute()), parent]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)


def _main(journal: Path, parent_pid: int) -> int:
    die_with_parent(parent_pid)
    os.nice(_LOWEST_NICE)
    try:
        require_whole(journal)
    except JournalError as exc:
        sys.stdout.buffer.write(str(exc).encode(errors="backslashreplace")[:_MOST_SAID])
        sys.stdout.flush()
        return JournalError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), int(sys.argv[2])))

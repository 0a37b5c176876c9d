"""`cathrt run` as the kills meet it: two live phantoms, a listener, a feed, and notes of all that is told to others.

Not for: kills (plan.py) and those who use it (users.py).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cathrt.runtime.errors import CathrtError
from tests.e2e.running_box import PROCESSES, Box

SOURCES = ("A", "B")
SUPERVISOR = "supervisor"
VICTIMS = (*PROCESSES, SUPERVISOR)
_PATIENCE_S = 120.0


class KilledBox(Box):
    """One state folder and the `cathrt run` on it, which may be started again and again.

    folder: holds all of it. more: of the configuration.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SOURCES)
        self.more = ""

    @property
    def stored_notes(self) -> Path:
        """UIDs of objects whose sender was told success."""
        return self.folder / "stored.jsonl"

    def feed_notes(self, name: str) -> Path:
        """What the reader of a feed was given."""
        return self.folder / f"feed-{name}.jsonl"

    @property
    def outlet_folder(self) -> Path:
        """What receivers of outlets were given."""
        return self.folder / "outlets"

    def outlet_notes(self) -> Sequence[Path]:
        """One file for each receiver."""
        return sorted(self.outlet_folder.glob("*.jsonl"))

    def journal(self, name: str) -> Path:
        """The journal of that name."""
        return self.state.live_journal if name == "live" else self.state.study_journal

    def outputs(self) -> Sequence[Path]:
        """What each start of the command printed, in order."""
        return sorted(self.folder.glob("out-*.jsonl"))

    def start(self) -> None:
        """Start the command; what it prints goes to a file of its own, since a kill may cut its last line."""
        config = self.folder / "lab.toml"
        config.write_text(self._config() + self.more, encoding="utf-8")
        out = self.folder / f"out-{len(self.outputs()) + 1:04}.jsonl"
        command = [sys.executable, "-m", "cathrt.runtime.commands.cli", "run", str(self.state.path), "--json"]
        with out.open("xb") as shown, (self.folder / "err").open("ab") as said:
            self.child = subprocess.Popen([*command, "--config", str(config)], stdout=shown, stderr=said)

    def living(self, victim: str) -> int | None:
        """The process id of a process that was started, ready or not; None where there is none now."""
        assert self.child is not None
        if victim == SUPERVISOR:
            return self.child.pid
        with suppress(ValueError, CathrtError):
            report = self.state.read_report(SUPERVISOR) or {}
            if report.get("pid") != self.child.pid:
                return None  # of the one before
            for process in report.get("processes", ()):
                if process["name"] == victim and process["state"] in ("starting", "running"):
                    return int(process["pid"])
        return None

    def judged_ns(self) -> dict[str, int]:
        """When each source had its newest durable verdict; 0 where there was none."""
        found = {source: self.counts(source) for source in self.sources}
        return {source: 0 if counts is None else counts.values["verdict_ns"] for source, counts in found.items()}

    def wait_until_killed(self) -> None:
        """After a kill of the supervisor: until it and all that it started are gone."""
        assert self.child is not None
        self.child.wait(_PATIENCE_S)
        report = self.state.read_report(SUPERVISOR) or {}
        pids = [process["pid"] for process in report.get("processes", ()) if process["pid"]]
        deadline = time.monotonic() + _PATIENCE_S
        while any(_is_ours(pid) for pid in pids):
            if time.monotonic() > deadline:
                raise SystemExit("kills: a process has outlived its supervisor")
            time.sleep(0.01)


def _is_ours(pid: int) -> bool:
    """Whether a process of `cathrt run` has that number."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"cathrt.runtime.processes." in words

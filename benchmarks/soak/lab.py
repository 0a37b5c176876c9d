"""`cathrt run` on a state folder of its own, and where its doors are. Not for: the load on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.soak.sampling import Sample, disk_free_mb, process_sample, shared_memory_bytes, size_of
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.supervisor import PROCESSES, SUPERVISOR

COMMAND = (sys.executable, "-m", "cathrt.runtime.commands.cli")
_START_S = 120.0
_STOP_S = 180.0
_LOOK_S = 0.1


class SoakError(RuntimeError):
    """The box cannot be soaked, or ended by itself."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Lab:
    """One box. screens: file of each plane. trusted: keys of further bundles. sections: more of its TOML."""

    folder: Path
    screens: Mapping[str, Path]
    trusted: Sequence[str] = ()
    sections: Sequence[str] = ()
    feed_port: int = field(default_factory=free_port)
    listener_port: int = field(default_factory=free_port)
    began_s: float = 0.0
    child: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.folder / "state")

    @property
    def now_s(self) -> float:
        """Since the clock of the soak began."""
        return time.monotonic() - self.began_s

    @property
    def log(self) -> Path:
        return self.folder / "stderr.log"

    @property
    def printed(self) -> Path:
        return self.folder / "stdout.jsonl"

    def start(self) -> None:
        """Start it and wait until its gateway answers and every source has a verdict or a picture. Raises SoakError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "lab.toml"
        config.write_text(self.config(), encoding="utf-8")
        command = [*COMMAND, "run", str(self.state.path), "--json", "--config", str(config)]
        with self.printed.open("wb") as out, self.log.open("wb") as err:
            self.child = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, start_new_session=True)
        deadline = time.monotonic() + _START_S
        while len(self.pids()) <= len(PROCESSES) or not self._answers():
            self.require_alive()
            if time.monotonic() > deadline:
                raise SoakError(f"not ready within {_START_S:g} s: {self._said()}")
            time.sleep(_LOOK_S)
        self.began_s = time.monotonic()

    def config(self) -> str:
        """Its TOML."""
        sources = [
            f'[[sources]]\nname = "{name}"\nkind = "video"\naddress = "{path}?loop"\nrate_hz = 15.0\n'
            for name, path in self.screens.items()
        ]
        return "\n".join([
            *sources,
            f"[feed]\nport = {self.feed_port}\n[page]\nport = 0\n",
            f"[listener]\nport = {self.listener_port}\nreserve_mib = 64\ndrain_s = 5.0\n"
            "study_settle_s = 5.0\nstudy_idle_s = 20.0\nstudy_long_idle_s = 40.0\n",
            "[supervisor]\nreserve_mib = 64\ndrain_s = 60.0\n",
            f"[trust]\nkeys = {json.dumps(list(self.trusted))}\n",
            *self.sections,
        ])  # fmt: skip

    def require_alive(self) -> None:
        """Raises SoakError where it has ended by itself."""
        if self.child is None or self.child.poll() is not None:
            raise SoakError(f"`cathrt run` has ended: {self._said()}")

    def pids(self) -> dict[str, int]:
        """Of the supervisor and of each process that runs."""
        report = self.state.read_report(SUPERVISOR) or {} if self.state.memory.exists() else {}
        found = {one["name"]: int(one["pid"]) for one in report.get("processes", ()) if one["state"] == "running"}
        if self.child is not None:
            found[SUPERVISOR] = self.child.pid
        return found

    def sample(self) -> Sample:
        """Everything of this moment."""
        pids = self.pids()
        others = pids.values()
        processes = {name: found for name, pid in pids.items() if (found := process_sample(pid, others)) is not None}
        state = self.state.path
        sizes = {
            "live journal": size_of(self.state.live_journal),
            "live journal's WAL": size_of(state / "live.journal-wal"),
            "study journal": size_of(self.state.study_journal),
            "study journal's WAL": size_of(state / "study.journal-wal"),
            "store": size_of(self.state.store),
            "state folder": size_of(state),
            "log": size_of(self.log),
            "printed": size_of(self.printed),
            "shared memory": shared_memory_bytes(),
        }
        return Sample(self.now_s, pids, processes, sizes, disk_free_mb(state))

    def stop(self) -> int:
        """SIGTERM, and wait. Returns the exit code. Raises SoakError where it does not end."""
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(_STOP_S)
        except subprocess.TimeoutExpired as exc:
            raise SoakError(f"not ended {_STOP_S:g} s after SIGTERM: {self._said()}") from exc

    def kill(self) -> None:
        """Whatever happened, nothing goes on: the kernel kills the processes with their supervisor."""
        if self.child is not None and self.child.poll() is None:
            os.kill(self.child.pid, signal.SIGKILL)
            self.child.wait()
        if self.state.memory.exists():
            self.state.dismiss_memory()

    def lines(self, type_: str) -> list[dict[str, Any]]:
        """What it printed of one type."""
        lines = map(json.loads, self.printed.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["type"] == type_]

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.feed_port), 1.0).close()
        except OSError:
            return False
        return True

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

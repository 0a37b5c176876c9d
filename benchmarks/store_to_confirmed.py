"""From a stored run to its confirmed result: `python -m benchmarks.store_to_confirmed --json [--work DIR]`.

A run of 96 frames of 512² is sent by DCMTK's storescu to `cathrt listen`, and the study process judges it. Timed: from
the moment its object is durable, just before the sender's last byte is acknowledged, until its summary is durable in
study.journal. On a machine with nothing else to do, and with one core busy. Not for: the time of the transfer, which
is given beside it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.replay_inputs import Archive, archive_folder
from cathrt.runtime.alert import Outcome, RunSummary
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.state_folder import StateFolder

ROUNDS, FRAMES = 5, 96
CASES = (
    Archive("8 bit, JPEG Lossless", 512, 8, "jpeg-lossless", (90_000_000, 90_000_001)),
    Archive("12 in 16 bit, uncompressed", 512, 12, "explicit-le", (90_000_031, 90_000_080)),
)
MACHINES = ("idle machine", "one core busy")
_LONGEST_S = 120.0
_LOOK_S = 0.005


@dataclass(slots=True)
class Sent:
    """Runs of one case on one machine: what was timed of each."""

    samples: measure.Samples = field(default_factory=measure.Samples)
    transfer_s: list[float] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        return max(self.samples.took_ns) / 1e9


class Place:
    """A listener and a study process on one state folder, both warm."""

    def __init__(self, state: StateFolder, port: int) -> None:
        self._port = port
        self._store = StoreReader(state.store)
        self._journal = JournalReader(state.study_journal)
        self._head, self._seq = Head(), 0

    def send(self, path: Path, frames: int, into: Sent | None) -> None:
        """Store a file and wait for its summary. Exits where a frame was not judged."""
        began_ns, began_s = time.monotonic_ns(), time.time()
        subprocess.run(["storescu", "-R", "-xs", "-aec", "CATHRT", "127.0.0.1", str(self._port), str(path)], check=True)
        (received,) = self._store.received(after=self._seq)
        self._seq = received.seq
        summary, confirmed_s = self._summary_of(received.arrival.sop_instance_uid)
        if summary.verdicts[Outcome.MET] != frames:
            raise SystemExit(f"{path}: {summary.verdicts} of {frames} frames: nothing is reported")
        if into is not None:
            durable_after_ns = round((received.received_at - began_s) * 1e9)
            into.samples.began_ns.append(began_ns + durable_after_ns)
            into.samples.took_ns.append(round((confirmed_s - received.received_at) * 1e9))
            into.transfer_s.append(durable_after_ns / 1e9)

    def _summary_of(self, source: str) -> tuple[RunSummary, float]:
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline:
            for row in self._journal.read(self._head):
                now_s = time.time()
                self._head = row.place
                record = record_from_body(row.stored.body, record_parts()) if row.stored.type == "run" else None
                if isinstance(record, RunSummary) and record.source == source:
                    return record, now_s
            time.sleep(_LOOK_S)
        raise SystemExit(f"{source}: no summary within {_LONGEST_S:g} s")


def rows(work: Path, rounds: int, frames: int) -> Iterator[dict[str, Any]]:
    """One row for each case and machine, and the headline."""
    if shutil.which("storescu") is None:
        raise SystemExit("no storescu of DCMTK: apt-get install dcmtk")
    turns = [(case.name, machine) for case in CASES for machine in MACHINES]
    files = {
        case.name: iter(sorted(archive_folder(case, work, 2 + rounds * len(MACHINES), frames).iterdir()))
        for case in CASES
    }
    sent = {turn: Sent() for turn in turns}
    shuffle = random.Random(0).shuffle
    with measure.Heartbeat() as heartbeat, TemporaryDirectory(prefix="cathrt-bench-") as folder:
        with place_in(Path(folder)) as place:
            for case in CASES * 2:  # warm-up
                place.send(next(files[case.name]), frames, None)
            for _ in range(rounds):
                shuffle(turns)
                for name, machine in turns:
                    with busy(cores=MACHINES.index(machine)):
                        place.send(next(files[name]), frames, sent[name, machine])
        heartbeat.finish()
        for (name, machine), made in sent.items():
            yield measure.row(
                "store_to_confirmed", name, machine, made.samples, heartbeat,
                frames=frames, sender="DCMTK storescu", transfer_s=round(float(np.median(made.transfer_s)), 3),
            )  # fmt: skip
        yield measure.headline("store_to_confirmed", figures(sent), heartbeat, ("numpy", "openvino", "pynetdicom"))


def figures(sent: Mapping[tuple[str, str], Sent]) -> dict[str, float]:
    """The longest of all rounds and cases, on each machine."""
    longest = {machine: max(made.longest_s for (_, on), made in sent.items() if on == machine) for machine in MACHINES}
    return {
        "store_to_confirmed_s": longest["idle machine"],
        "store_to_confirmed_one_core_busy_s": longest["one core busy"],
    }


@contextmanager
def place_in(folder: Path) -> Iterator[Place]:
    """Start both processes, and end them as their supervisor does."""
    state = StateFolder(folder / "state")
    state.store.mkdir(parents=True)
    config = folder / "lab.toml"
    config.write_text("[listener]\nport = 0\n", encoding="utf-8")
    listen = ("cathrt.runtime.commands.cli", "listen", str(state.store))
    with ExitStack() as stack:
        listener = stack.enter_context(_started(*listen, "--config", str(config), stderr=subprocess.PIPE))
        assert listener.stderr is not None
        said = listener.stderr.readline().decode()
        if "listening" not in said:
            raise SystemExit(f"the listener does not start: {said}")
        stack.enter_context(_started("cathrt.runtime.processes.study", str(state.path), "--config", str(config)))
        yield Place(state, int(said.rsplit(":", 1)[1]))
    state.dismiss_memory()


@contextmanager
def _started(*words: str, stderr: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=measure.ROOT, stdout=subprocess.DEVNULL, stderr=stderr) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            if process.wait(60.0) != 0:
                raise SystemExit(f"{words[0]} ended with {process.returncode}")
        finally:
            process.kill()


@contextmanager
def busy(cores: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes of normal priority that compute without end."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield spinning
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--work", type=Path, help="folder that keeps the runs (1 GB); by default a temporary one")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each case on each machine")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"frames a run, at most {FRAMES}")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="cathrt-bench-") as folder:
        measure.report(rows(options.work or Path(folder), options.rounds, options.frames), as_json=options.json)


if __name__ == "__main__":
    main()

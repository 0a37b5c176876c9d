"""A process of ours under attack: started in a place of its own, sampled, and looked at for what it should not say.

Not for: the attack (attack.py).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import ROOT

PATIENCE_S = 60.0
# What no refusal of ours says: a refusal is one line.
_TRACEBACK = re.compile(r"^.*Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(.*)$", re.MULTILINE)
_OTHERS = re.compile(
    r"^.*(?:Exception in thread|Fatal Python error|Exception ignored|Segmentation|never retrieved|never awaited).*$",
    re.MULTILINE,
)
_PLACE = re.compile(r'(?:File ")?(/[^"\s]+?)(?:", line |:)(\d+),? in (\S+)')  # as Python writes it, and as our log does
_MOST_LINE = 2000


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at one moment, its children too."""

    rss_mb: float
    descriptors: int
    threads: int
    links: Counter[str] = field(default_factory=Counter)  # what its descriptors are


@dataclass(slots=True)
class Victim:
    """A running process. places: folders in which nothing may appear that was not there."""

    process: subprocess.Popen[bytes]
    errors: Path
    places: Sequence[Path]
    _read: int = 0
    before: dict[Path, frozenset[str]] = field(default_factory=dict)

    def held(self) -> Held:
        """Raises psutil.NoSuchProcess where it has gone."""
        process = psutil.Process(self.process.pid)
        family = [process, *process.children(recursive=True)]
        return Held(
            sum(one.memory_info().rss for one in family) / (1 << 20),
            process.num_fds(),
            process.num_threads(),
            Counter(_links(process.pid)),
        )

    def new_traces(self) -> list[str]:
        """What it has said since the last call that is no refusal of ours."""
        with self.errors.open("rb") as said:
            said.seek(self._read)
            new = said.read()
        self._read += len(new)
        text = new.decode(errors="replace")
        found = [_in_short(match) for match in _TRACEBACK.finditer(text)]
        if not found:
            found = [match.group() for match in _OTHERS.finditer(text)]
        long = [line for line in text.splitlines() if len(line) > _MOST_LINE]
        return found + [f"a line of {len(line)} characters: {line[:200]}" for line in long]

    def strangers(self) -> list[str]:
        """Files and folders that have appeared where none may."""
        return [
            str(place / name)
            for place in self.places
            for name in sorted(_names(place) - self.before.get(place, frozenset()))
        ]

    def notice_places(self) -> None:
        """From now on nothing may appear there."""
        self.before = {place: _names(place) for place in self.places}


@contextmanager
def started(words: Sequence[str], folder: Path, places: Sequence[Path] = ()) -> Iterator[Victim]:
    """Run a module of ours with its own home, temporary folder and working directory; SIGTERM at the end."""
    elsewhere = [folder / name for name in ("home", "tmp", "cwd")]
    for place in elsewhere:
        place.mkdir(parents=True, exist_ok=True)
    errors = folder / "stderr"
    with errors.open("wb") as err, (folder / "stdout").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=out, stderr=err, cwd=elsewhere[2], env=_environment(*elsewhere[:2])
        )
    try:
        yield Victim(process, errors, (*elsewhere, *places))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(victim: Victim, port: int) -> None:
    """Until somebody listens there."""
    import socket

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if victim.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the victim does not start: {victim.errors.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return


def _links(pid: int) -> Iterator[str]:
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{descriptor}").partition("[")[0]


def _in_short(traceback: re.Match[str]) -> str:
    """The exception and where it came from, the innermost place last."""
    places = [f"{Path(file).name}:{line} {name}" for file, line, name in _PLACE.findall(traceback.group())]
    return f"{traceback[1].strip()[:200]} in " + ", ".join(places[-6:])


def _names(place: Path) -> frozenset[str]:
    return frozenset(os.listdir(place)) if place.is_dir() else frozenset()


def _environment(home: Path, temporary: Path) -> Mapping[str, str]:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), str(ROOT))))
    return {**os.environ, "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": path}

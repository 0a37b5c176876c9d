"""The generator of a stream, a process of its own: says at each intended moment that a picture has arrived.

`python -m benchmarks.frame_stream.generator FIFO LOG SCHEDULE`. It shares no interpreter lock with whoever takes the
pictures, runs at real-time priority where that is granted, and writes down when it sent each one: a generator that was
late makes no data. The pictures themselves lie in shared memory (pictures.py); the FIFO carries numbers and times.
"""

from __future__ import annotations

import gc
import json
import os
import stat
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame_stream.schedule import Pauses, Schedule
from benchmarks.frame_stream.stalls import Stalls
from benchmarks.measure import ROOT
from cathrt.runtime.children.lifeline import die_with_parent

MESSAGE = struct.Struct("<qqq")  # number, intended_ns, sent_ns; shorter than PIPE_BUF, so each arrives whole
_LEAD_NS = 200_000_000  # from the moment at which somebody listens to the first picture
# A picture counts as late from a tenth of the period on, at least 2 ms. One in a hundred may be; those that fell into
# a stall of the machine are not counted.
_LATE_OF_PERIOD, _LATE_NS, _MOST_LATE = 0.1, 2_000_000, 0.01


class LateGeneratorError(Exception):
    """The pictures did not arrive as intended: what was measured says nothing."""


class Generator:
    """The parent's end: started before anybody listens, it begins when somebody opens the FIFO."""

    def __init__(self, fifo: Path, log: Path, schedule: Schedule) -> None:
        self._log, self.schedule = log, schedule
        os.mkfifo(fifo)
        command = [sys.executable, "-m", "benchmarks.frame_stream.generator", str(fifo), str(log)]
        self.process = subprocess.Popen([*command, json.dumps(asdict(schedule))], cwd=ROOT)

    def sent(self) -> NDArray[np.int64]:
        """Of each picture, in order: when it was meant to arrive, and when it was sent. Waits for the end."""
        if self.process.wait():
            raise LateGeneratorError(f"the generator ended with exit code {self.process.returncode}")
        found: NDArray[np.int64] = np.load(self._log)
        return found

    def kill(self) -> None:
        """End it at once. Does nothing to one that has ended."""
        self.process.kill()
        self.process.wait()


def require_punctual(sent: NDArray[np.int64], rate_hz: float, stalls: Stalls) -> None:
    """Raise LateGeneratorError where more pictures were late than the machine's own stalls explain."""
    limit_ns = max(_LATE_NS, round(_LATE_OF_PERIOD * 1e9 / rate_hz))
    late = [(int(meant), int(came)) for meant, came in sent if came - meant > limit_ns]
    unexplained = [(meant, came) for meant, came in late if not stalls.meet(meant, came)]
    if len(unexplained) > _MOST_LATE * len(sent):
        worst_ms = max(came - meant for meant, came in unexplained) / 1e6
        raise LateGeneratorError(
            f"{len(unexplained)} of {len(sent)} pictures were sent more than {limit_ns / 1e6:.1f} ms late, the worst "
            f"{worst_ms:.1f} ms, while the machine did not stall: a failed run: try it on a quieter machine"
        )


def _generate(fifo: Path, log: Path, schedule: Schedule) -> None:
    offsets_ns = schedule.offsets_ns
    sent = np.zeros((len(offsets_ns), 2), np.int64)
    _prefer_this_process()
    gc.disable()
    out = os.open(fifo, os.O_WRONLY)  # waits for the listener
    assert stat.S_ISFIFO(os.fstat(out).st_mode)
    first_ns = time.monotonic_ns() + _LEAD_NS
    for number, offset_ns in enumerate(offsets_ns.tolist()):
        intended_ns = first_ns + offset_ns
        while (left_ns := intended_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)
        now_ns = time.monotonic_ns()
        os.write(out, MESSAGE.pack(number, intended_ns, now_ns))
        sent[number] = intended_ns, now_ns
    os.close(out)
    with log.open("wb") as stream:
        np.save(stream, sent)


def _prefer_this_process() -> None:
    """It sleeps nearly always; what it needs is to be woken on time."""
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        return
    with suppress(PermissionError):
        os.nice(-10)


def _schedule(text: str) -> Schedule:
    read = json.loads(text)
    return Schedule(read["rate_hz"], read["seconds"], Pauses(**read["pauses"]) if read["pauses"] else None)


if __name__ == "__main__":
    die_with_parent(os.getppid())  # also while it waits for its listener
    _generate(Path(sys.argv[1]), Path(sys.argv[2]), _schedule(sys.argv[3]))

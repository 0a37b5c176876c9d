"""A state folder with received runs in its store, and what its journals say of them: what tests of runs share."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.alert import Outcome, Record, Verdict
from cathrt.runtime.frame import Frame, Grayscale, LostFrame, Run, Timing
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.runs.routes import routes
from tests.passes import alert, start, summary, verdict, write
from tests.sources.dicom_bytes import pictures, text, xa_file
from tests.study.confirming import Sender
from tests.web.serving import Answer, Served, served

STUDY = "1.2.3.4"
FRAMES = 5
UIDS = ("1.2.3.4.1", "1.2.3.4.2")
LIVE = "A 12:00:01"
OUTCOMES = (Outcome.MET, Outcome.LATE, Outcome.DROPPED, Outcome.FAILED, Outcome.MET)


def confirmed_run(uid: str, frames: int = FRAMES, *, ended: bool = True) -> list[Record]:
    """What the study's journal has of a run."""
    begin_ns = time.monotonic_ns()
    verdicts: list[Verdict] = [
        replace(verdict(index, uid, outcome), acquired_ns=begin_ns + index)
        for index, outcome in zip(range(frames), OUTCOMES * frames, strict=False)
    ]
    records: list[Record] = [replace(start(uid), source=uid), *verdicts, alert(0, uid)]
    return [*records, replace(summary(verdicts, uid), source=uid)] if ended else records


def state_with_runs(folder: Path) -> StateFolder:
    """Two received runs that were confirmed, and a live one."""
    state = StateFolder(folder)
    state.store.mkdir(parents=True)
    with closing(Sender(state.store)) as sender:
        for number, uid in enumerate(UIDS, 1):
            sender.send(uid, xa_file(frames=FRAMES, _00080018=text("UI", uid)))
            sender.end_study(STUDY, number, revision=number)
    write(state.study_journal, [record for uid in UIDS for record in confirmed_run(uid)])
    write(state.live_journal, confirmed_run(LIVE))
    return state


def stored_pixels() -> NDArray[np.uint16]:
    """(FRAMES, rows, columns) of every such run."""
    return pictures(FRAMES)


@contextmanager
def runs_page(state: StateFolder, **more: Any) -> Iterator[Served]:
    """A page with the part about runs alone."""
    with served(state.path, parts=(routes,), store=state.store, **more) as page:
        yield page


def frames_of(answer: Answer) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The header of a batch, and (frames that are not lost, rows, columns)."""
    assert answer.status == 200, answer.body
    magic, length = struct.unpack_from("<4sI", answer.body)
    assert magic == b"CRTF"
    header = json.loads(answer.body[8 : 8 + length])
    pixels = np.frombuffer(answer.body, np.uint8, offset=8 + length)
    return header, pixels.reshape(-1, header["rows"], header["columns"])


@dataclass
class Played:
    """A run of arrays, which remembers how often it was opened and how far it was read. lost: indices."""

    pixels: NDArray[np.uint16]
    lost: frozenset[int] = frozenset()
    relationship: str | None = "LIN"
    opened: int = 0
    closed: int = 0
    read: list[int] = field(default_factory=list)

    def open(self, _key: str, _file: Path) -> _Source:
        self.opened += 1
        return _Source(self)


@dataclass
class _Source:
    played: Played

    @property
    def run(self) -> Run:
        count, rows, columns = self.played.pixels.shape
        grayscale = Grayscale(10, pixel_intensity_relationship=self.played.relationship)
        return Run("run", "1.2.3", count, rows, columns, grayscale, Timing(15.0, "CineRate"))

    def frames(self) -> Iterator[Frame | LostFrame]:
        for index, pixels in enumerate(self.played.pixels):
            self.played.read.append(index)
            if index in self.played.lost:
                yield LostFrame(index, 0, "it is broken", failed=True)
            else:
                yield Frame(pixels, index, 0)

    def close(self) -> None:
        self.played.closed += 1

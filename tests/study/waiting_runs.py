"""Runs that wait, made of nothing, and a store that is a list: what the tests of the study share."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cathrt.runtime.listener.object_store import Arrival, Received, State
from cathrt.runtime.sources.discover import Input
from cathrt.runtime.study.waiting import Stamp, WaitingRun, key_of_file, run_from_received

XA = "1.2.840.10008.5.1.4.1.1.12.1"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


def received(seq: int, *, sop_class: str = XA, state: State = State.STORED, content: str = "") -> Received:
    arrival = Arrival(f"1.2.3.{seq}", sop_class, "1.2.840.10008.1.2.1", "ANGIO", "127.0.0.1")
    digest = hashlib.sha256(f"{seq}{content}".encode()).hexdigest()
    return Received(seq, arrival, digest, 1000, 0.0, state)


def received_run(seq: int) -> WaitingRun:
    return run_from_received(received(seq), Path("objects") / str(seq))


def file_run(name: bytes, stamp: Stamp = Stamp(1, 1, 1)) -> WaitingRun:  # noqa: B008 - a value
    path = Path(os.fsdecode(name))
    return WaitingRun(key_of_file(path), Input("dicom", path.name, (path,)), stamp=stamp)


class ListedStore:
    """A store in memory."""

    def __init__(self, *objects: Received) -> None:
        self.objects = list(objects)

    def received(self, after: int = 0) -> list[Received]:
        return [one for one in self.objects if one.seq > after][:2]  # an answer has a most, as a real one

    def path_of(self, received: Received) -> Path:
        return Path("objects") / str(received.seq)

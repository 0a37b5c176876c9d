"""Received runs of one study that a reader of NumPy networks reads: what the tests of readings share.

As a program it is a study process that kills itself: python -m tests.study.studies_read STATE POINT AFTER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cathrt.runtime.alert import RunSummary, StudyFindings
from cathrt.runtime.failpoints import arm, kill
from cathrt.runtime.models.study.reader import ClipsReader
from tests import lines
from tests.models.study.numpy_networks import NumpyNetworks, clips_reader
from tests.sources.dicom_bytes import Value, native, part10, pictures, text, xa_elements
from tests.study.confirming import Sender, Study

STUDY = "1.2.826.0.1.4711"


def left(inputs: lines.Tensors, outputs: lines.Tensors) -> None:
    """Every frame shows a left coronary artery well."""
    lines._answer(outputs, 0.9)


def run_file(uid: str, number: int, frames: int = 3, **changes: Value) -> bytes:
    """A run of pictures of its own. number: of these, and its Series Time in minutes. changes: as xa_file() takes."""
    elements = xa_elements(frames)
    elements |= {
        0x00080018: text("UI", uid),
        0x00080031: text("TM", f"10{number:02d}00"),
        0x0020000D: text("UI", STUDY),
    }
    elements |= {int(name.removeprefix("_"), 16): value for name, value in changes.items()}
    return part10(elements, native(pictures(frames, seed=number)))


def send(study: Study, *numbers: int) -> None:
    """Runs 1.2.1, 1.2.2, ... taken in this order of their numbers, and arriving in that of the arguments."""
    for number in numbers:
        study.sender.send(f"1.2.{number}", run_file(f"1.2.{number}", number))


def networks_of(study: Study) -> NumpyNetworks:
    """Those of the study's first reader."""
    reader = study.readers[0]
    assert isinstance(reader, ClipsReader)
    reader.prepare()
    networks = reader._networks
    assert isinstance(networks, NumpyNetworks)
    return networks


def order(study: Study) -> list[str]:
    """Runs and readings as they became durable."""
    named = {False: "final", True: "provisional"}
    return [
        record.source if isinstance(record, RunSummary) else f"{named[record.provisional]} {record.revision}"
        for record in study.records()
        if isinstance(record, RunSummary | StudyFindings)
    ]


def counted(study: Study, record: StudyFindings) -> list[str]:
    """The runs that count in a reading, in their order, as their sender calls them."""
    names = {summary.run_id: summary.source for summary in study.summaries}
    return [names[run.run_id] for run in record.runs if run.place is not None]


def main(state: str, point: str, after: str) -> None:
    from cathrt.runtime.processes.state_folder import StateFolder

    folder = StateFolder(Path(state))
    arm(point, kill, int(after))
    nobody: Sender = None  # type: ignore[assignment]  # the test has the store
    networks = NumpyNetworks(log=folder.path / "encoded")
    process = Study(folder, folder.path.parent / "watched", nobody, left, readers=(clips_reader(networks),))
    process.confirm(99, readings=99)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What else the machine does while a stream runs: processes of their own that work until they are ended.

`python -m benchmarks.frame_stream.loads LOAD FOLDER SETTING` is such a process. Not for: what it does to the stream.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.frame_stream.pictures import Pictures, open_pictures
from benchmarks.frame_stream.setting import Setting
from benchmarks.measure import ROOT
from cathrt.runtime.alert import Draft
from cathrt.runtime.children.lifeline import die_with_parent
from cathrt.runtime.frame import Frame
from cathrt.runtime.model_kind import Side, StudyRun, Writer
from cathrt.runtime.processes.priority import take_priority

Load = Literal["none", "study", "report", "cpu", "disk", "store"]
LOADS: tuple[Load, ...] = ("none", "study", "report", "cpu", "disk", "store")
_SIDES: tuple[Side, ...] = ("left", "right")
_READY = "ready"
_WRITTEN = 4 << 20
_RUN_FRAMES = 60


@contextmanager
def under(load: Load, setting: Setting, scratch: Path) -> Iterator[None]:
    """The load at work for as long as the block lasts."""
    with TemporaryDirectory(prefix="load-", dir=scratch) as folder:
        command = [sys.executable, "-m", "benchmarks.frame_stream.loads", load, folder, setting.to_text()]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != _READY:
                raise SystemExit(f"the load {load} did not start: its message stands above")
            yield
            if process.poll() is not None:
                raise SystemExit(f"the load {load} ended by itself with {process.returncode}: nothing is reported")
        finally:
            process.terminate()
            process.communicate()


def _cpu(folder: Path, setting: Setting) -> None:  # noqa: ARG001 - one signature for all
    """One busy core."""
    _ready()
    while True:
        pass


def _disk(folder: Path, setting: Setting) -> None:  # noqa: ARG001
    """Somebody who writes and syncs beside the journal."""
    block = os.urandom(_WRITTEN)
    with (folder / "written").open("wb", buffering=0) as stream:
        _ready()
        while True:
            stream.seek(0)
            stream.write(block)
            os.fsync(stream.fileno())


def _study(folder: Path, setting: Setting) -> None:
    """The study process: received runs through the same engine as fast as it goes, in the idle class."""
    from benchmarks.frame_stream.served import served_model
    from cathrt.runtime.clock import MonotonicClock
    from cathrt.runtime.config import Config
    from cathrt.runtime.journal.writer import Journal
    from cathrt.runtime.line.pipeline import Line, watch
    from cathrt.runtime.models import record_parts
    from cathrt.runtime.sources.decoder.sandbox import open_source
    from cathrt.runtime.sources.discover import discover

    take_priority("idle")
    config = Config()
    path = _run_file(folder, setting)
    with served_model(setting, side_by_side=True) as served:
        line = Line((served,), record_parts(), config, MonotonicClock())
        _ready()
        for number in count():
            journal = folder / f"{number}.db"  # a run is judged once a journal
            (found,) = discover([path]).inputs
            with Journal(journal, config.journal) as written, closing(open_source(found, config.limits)) as source:
                watch(source, line, written)
            journal.unlink()


def _report(folder: Path, setting: Setting) -> None:  # noqa: ARG001
    """The study process while it writes drafts, one after the other, in the idle class."""
    from cathrt.runtime.config import EngineConfig
    from cathrt.runtime.models.report.writer import ReportWriter

    take_priority("idle")
    with setting.opened_report_bundle() as bundle:
        writer = ReportWriter(bundle, EngineConfig(), None)
        writer.prepare()
        _ready()
        for _ in drafts(writer, open_pictures(Path(setting.pictures))):
            pass


def drafts(writer: Writer, pictures: Pictures) -> Iterator[Draft | None]:
    """Of one study after the other, each of a picture of either artery that the writer has not seen."""
    shown, never = pictures.run("a received run", 15.0), threading.Event()
    for number in count():
        runs = [StudyRun(f"{number} {side}", "", side, (0,), (1.0,)) for side in _SIDES]
        for which, place in zip(writer.lacks(runs), count(2 * number), strict=False):
            writer.see(which, shown, Frame(pictures.taken(place), which.frame_index, 0))
        yield writer.write(str(number), runs, never)


def _store(folder: Path, setting: Setting) -> None:
    """Somebody who sends runs to the listener, one after the other, each a new object."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid
    from pynetdicom import AE

    data_set = dcmread(_run_file(folder, setting))
    (folder / "settings.toml").write_text("[listener]\nport = 0\nreserve_mib = 64\n", encoding="utf-8")
    listen = [sys.executable, "-m", "cathrt.runtime.commands.cli", "listen", str(folder / "store")]
    with ExitStack() as stack:
        listener = subprocess.Popen(
            [*listen, "--config", str(folder / "settings.toml")],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )  # fmt: skip
        stack.callback(listener.kill)
        assert listener.stderr is not None
        said = listener.stderr.readline()
        port = re.search(r":(\d+)$", said.strip())
        if port is None:
            raise SystemExit(f"cathrt listen said {said!r}, expected its port")
        sender = AE("FRAMESTREAM")
        sender.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
        association = sender.associate("127.0.0.1", int(port[1]), ae_title="CATHRT")
        _ready()
        while True:
            data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            status = association.send_c_store(data_set)
            if getattr(status, "Status", None) != 0x0000:
                raise SystemExit(f"the listener answered {status}, expected success")
            for received in (folder / "store" / "objects").rglob("*.dcm"):
                received.unlink(missing_ok=True)  # the disk is not to fill


def _run_file(folder: Path, setting: Setting) -> Path:
    """The stream's pictures as a run in a DICOM file."""
    from cathrt.runtime.phantom import PhantomSource, sample_scene
    from cathrt.runtime.phantom.dicom import write_xa

    pictures = open_pictures(Path(setting.pictures))
    last = len(pictures.pixels) - 1
    run = replace(PhantomSource(sample_scene(11, side="left")).run, frame_count=_RUN_FRAMES)
    return write_xa(run, lambda index: pictures.pixels[abs((index + last) % (2 * last) - last)], folder / "run.dcm")


def _ready() -> None:
    print(_READY, flush=True)


_LOADS: Mapping[str, Callable[[Path, Setting], None]] = {
    "cpu": _cpu,
    "disk": _disk,
    "study": _study,
    "report": _report,
    "store": _store,
}

if __name__ == "__main__":
    die_with_parent(os.getppid())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what it has started is ended, too
    _LOADS[sys.argv[1]](Path(sys.argv[2]), Setting.from_text(sys.argv[3]))

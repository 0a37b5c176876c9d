"""What a decoder leaves behind: no descriptor and no process, however it began and however its parent ended."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from itertools import count, islice
from pathlib import Path

import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.decoder.servers import ForkServer
from cathrt.runtime.sources.messages import Request
from tests.conftest import ROOT
from tests.sources.dicom_bytes import native, part10, pictures, xa_elements, xa_file
from tests.sources.liars import SAY_RUN, liar
from tests.sources.reading import LIMITS, only_input, read_sandboxed

# In place of the interpreter that runs the fork server.
FAILING_STARTS = {
    "interpreter missing": (None, "cannot be started"),
    "no program": ("", "cannot be started"),
    "dies at once": ("#!/bin/sh\necho out of luck >&2; exit 3\n", "ended with status 3: out of luck"),
    "closes its side": ("#!/bin/sh\nexec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; kill -9 $$\n", "ended with status -9"),
    "says nothing": ("#!/bin/sh\nexec sleep 60\n", "gave no answer within limits.first_frame_s"),
}
# In place of a decoder.
FAILING_DECODERS = {
    "dies at once": ("sys.exit('no luck')", "no luck"),
    "closes its side": ("os.close(replies); os.kill(os.getpid(), 9)", "SIGKILL"),
    "refuses": ("say(json.dumps({'refused': 'no walls'}))", "no walls"),
    "talks nonsense": ("say(json.dumps({'run': 1}))", "makes no sense"),
    "says nothing": ("import time; time.sleep(60)", "first_frame_s"),
}
# What one start leaves behind is seen at once; what one in many leaves, among the slow ones.
MANY_STARTS = (20, pytest.param(200, marks=pytest.mark.slow))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def alive(pid: int) -> bool:
    """Whether a process runs or could be made to; one that waits to be reaped is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(part10(xa_elements(40), native(pictures(40))))
    return path


@pytest.mark.parametrize("starts", MANY_STARTS)
@pytest.mark.parametrize("kind", FAILING_STARTS)
def test_failed_starts_leave_nothing_behind(
    kind: str, starts: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, message = FAILING_STARTS[kind]
    others = set(children())
    interpreter = tmp_path / "interpreter"
    if script is not None:
        interpreter.write_text(script)
        interpreter.chmod(0o755 if script else 0o644)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    limits = LimitsConfig(first_frame_s=0.01 if kind == "says nothing" else 20.0)
    server, request = ForkServer("dicom"), Request("dicom", "run", (str(run),), limits)
    before = 0
    for attempt in range(starts):
        with pytest.raises(SourceError, match=message):
            DecoderProcess(request, server)
        before = before or descriptors()
        assert descriptors() == before, f"start {attempt}"
        assert server.pid is None
    assert set(children()) <= others


@pytest.mark.parametrize("starts", MANY_STARTS)
@pytest.mark.parametrize("kind", FAILING_DECODERS)
def test_decoders_that_fail_at_once_leave_nothing_behind(kind: str, starts: int) -> None:
    behaviour, message = FAILING_DECODERS[kind]
    silent = kind == "says nothing"
    limits = LimitsConfig(first_frame_s=0.3 if silent else 20.0)
    liar(SAY_RUN).close()  # its server is started
    before, others = descriptors(), set(children())
    for attempt in range(starts // 20 if silent else starts):  # each of these waits out its limit
        with pytest.raises(SourceError, match=message):
            liar(behaviour, limits)
        assert descriptors() == before, f"start {attempt}"
    assert set(children()) == others


def children() -> list[str]:
    return [
        pid
        for task in os.listdir("/proc/self/task")
        for pid in Path(f"/proc/self/task/{task}/children").read_text().split()
    ]


def number_of_free_descriptor(place: int) -> int:
    """The number that the next but `place` descriptor would get: as a limit, it leaves room for `place` of them."""
    used = {int(number) for number in os.listdir("/proc/self/fd")}
    free = (number for number in count() if number not in used)
    return next(islice(free, place, None))


def test_a_start_that_runs_out_of_descriptors_leaves_none_behind(run: Path) -> None:
    read_sandboxed(only_input(run))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptors()
    refusals = []
    try:
        for spare in range(16):
            resource.setrlimit(resource.RLIMIT_NOFILE, (number_of_free_descriptor(spare), hard))
            try:
                read_sandboxed(only_input(run))
            except SourceError as exc:
                refusals.append(str(exc))
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert descriptors() == before, f"with {spare} to spare"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 5 < len(refusals) < 16
    assert all("cannot be started (Too many open files)" in refusal for refusal in refusals)


def test_a_ring_that_finds_no_memory_leaves_nothing_behind(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(descriptor: int, size: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    read_sandboxed(only_input(run))
    before = descriptors()
    others = set(children())
    monkeypatch.setattr(os, "ftruncate", no_memory)
    for _ in range(3):
        with pytest.raises(SourceError, match=r"Cannot allocate memory.*: free some memory"):
            open_source(only_input(run), LIMITS)
    assert descriptors() == before
    assert set(children()) <= others


def test_reading_leaves_no_descriptor_and_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file())
    read_sandboxed(only_input(path))
    before = descriptors()
    for _ in range(3):
        read_sandboxed(only_input(path))
    assert descriptors() == before


def test_close_ends_the_decoder_at_once(run: Path) -> None:
    source = open_source(only_input(run), LIMITS)
    assert Path(f"/proc/{source.decoder_pid}").exists()
    source.close()
    assert not Path(f"/proc/{source.decoder_pid}").exists()


FORKED = """
child = os.fork()
if child == 0:
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    BEFORE
    time.sleep(600)
    os._exit(0)
os.write(2, b"grandchild %d\\n" % child)
"""


@pytest.mark.parametrize("before", ["pass", "os.kill(os.getpid(), signal.SIGSTOP)", "os.close(replies)"])
@pytest.mark.parametrize("after", ["frame(0); frame(1); frame(2)", "sys.exit('done')", "os.kill(os.getpid(), 11)"])
def test_nothing_that_a_decoder_forked_survives_close(before: str, after: str, tmp_path: Path) -> None:
    """A real decoder cannot fork (test_walls.py); where the kernel has no filter for that, this is what is left."""
    note = tmp_path / "grandchild"
    forked = FORKED.replace("BEFORE", before).replace("os.write(2,", f"open({str(note)!r}, 'wb').write(")
    source = liar(SAY_RUN + forked + after, LimitsConfig(first_frame_s=2.0, frame_s=0.3))
    items = list(source.frames())
    source.close()
    assert len(items) == 3
    assert gone(int(note.read_text().split()[1]))


PARENT = """
import os, sys, threading, time
from pathlib import Path
from tests.sources.reading import LIMITS, only_input
from cathrt.runtime.sources.decoder.sandbox import open_source
source = open_source(only_input(Path(sys.argv[1])), LIMITS)
print(source.decoder_pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGSTOP], ids=["running", "stopped"])
def test_no_decoder_survives_its_parents_death(fate: int, run: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(run)], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, fate)
        parent.kill()
    assert gone(pid)


def test_a_decoder_outlives_the_thread_that_opened_it(run: Path) -> None:
    opened = []
    opener = threading.Thread(target=lambda: opened.append(open_source(only_input(run), LIMITS)))
    opener.start()
    opener.join()
    (source,) = opened
    items = list(source.frames())
    source.close()
    assert all(isinstance(item, Frame) for item in items)


def test_a_forked_copy_of_this_process_opens_sources_of_its_own(run: Path) -> None:
    read_sandboxed(only_input(run))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if len(read_sandboxed(only_input(run))[1]) == 40 else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0

"""The process that decoders are forked from: one decoder a file, whatever becomes of it or of the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.decoder.sandbox import SandboxedSource, open_source, opening_of
from cathrt.runtime.sources.decoder.servers import ForkServer, server_of
from cathrt.runtime.sources.messages import Request
from tests.conftest import ROOT
from tests.sources.dicom_bytes import native, part10, pictures, xa_elements
from tests.sources.kernel_walls import kernel_has
from tests.sources.reading import LIMITS, only_input, read_sandboxed
from tests.sources.stand_ins import SCRIPTED, server
from tests.sources.test_decoder_lifetime import children, descriptors, gone

FRAMES = 40


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(part10(xa_elements(FRAMES), native(pictures(FRAMES))))
    return path


def started(path: Path, from_server: ForkServer, limits: LimitsConfig = LIMITS) -> SandboxedSource:
    request = Request("dicom", path.name, (str(path),), limits)
    return SandboxedSource(lambda _: DecoderProcess(request, from_server), path.name, limits, lambda: 0)


def whole(source: SandboxedSource) -> bool:
    items = list(source.frames())
    source.close()
    return len(items) == FRAMES and all(isinstance(item, Frame) for item in items)


def test_each_file_has_a_decoder_of_its_own_that_is_this_process_s_child(run: Path) -> None:
    first, second = open_source(only_input(run), LIMITS), open_source(only_input(run), LIMITS)
    pids = {first.decoder_pid, second.decoder_pid, server_of("dicom").pid, os.getpid()}
    assert len(pids) == 4
    for source in (first, second):
        decoder = psutil.Process(source.decoder_pid)
        assert decoder.ppid() == os.getpid()
        assert os.getpgid(decoder.pid) == os.getsid(decoder.pid) == decoder.pid
    assert whole(first)
    assert whole(second)


def test_a_decoder_holds_its_own_descriptors_and_none_of_the_server_or_of_another_decoder(run: Path) -> None:
    first, second = open_source(only_input(run), LIMITS), open_source(only_input(run), LIMITS)
    try:
        held = [
            {os.readlink(fd) for fd in Path(f"/proc/{source.decoder_pid}/fd").iterdir()} for source in (first, second)
        ]
    finally:
        first.close()
        second.close()
    for links in held:
        assert sum(link.startswith("pipe:") for link in links) == 3, "replies, credits, standard error"
        assert links - {link for link in links if link.startswith("pipe:")} == {
            "/dev/null", "/memfd:cathrt-ring (deleted)", str(run),
        }  # fmt: skip
    shared = held[0] & held[1]
    assert not [link for link in shared if link.startswith("pipe:")]


CHANGES = """
import builtins, json, os
from cathrt.runtime.sources.decoder import child
found = [os.environ.get("LEFT"), getattr(builtins, "LEFT", None), child.READERS.get("LEFT")]
found.append(os.path.exists("/dev/fd/99"))
os.environ["LEFT"] = builtins.LEFT = child.READERS["LEFT"] = "behind"
os.dup2(2, 99)
os.chdir("/")
os.write(given.replies, json.dumps({"refused": f"{found} in {os.getcwd()}"}).encode() + b"\\n")
"""


def test_what_a_decoder_does_to_itself_is_not_seen_by_the_next(run: Path) -> None:
    scripted = server("dicom", "-c", SCRIPTED)
    said = []
    for _ in range(3):
        with pytest.raises(SourceError) as refused:
            decoder = DecoderProcess(Request("dicom", "run", (CHANGES,), LIMITS), scripted)
            try:
                SandboxedSource(lambda _, decoder=decoder: decoder, "run", LIMITS, lambda: 0)
            finally:
                decoder.close()
        said.append(str(refused.value))
    assert set(said) == {"run: [None, None, None, False] in /"}


def test_a_server_that_is_killed_costs_no_run(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = open_source(only_input(run), LIMITS)
    pid = server_of("dicom").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    after = open_source(only_input(run), LIMITS)
    assert server_of("dicom").pid not in (None, pid)
    assert whole(before), "its decoder outlives the server"
    assert whole(after)
    assert [record.message for record in caplog.records] == [
        "the fork server of dicom decoders ended with status -9: a new one is started"
    ]


def test_a_server_that_hangs_is_replaced(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = LimitsConfig(decoder_memory_mib=768, first_frame_s=3.0)
    read_sandboxed(only_input(run), limits)
    hung = server_of("dicom").pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    assert whole(open_source(only_input(run), limits))
    assert gone(hung)
    assert "gave no answer within limits.first_frame_s = 3: a new one is started" in caplog.text


CANNOT = f"""
import errno, sys
sys.path.insert(0, {str(ROOT)!r})
from cathrt.runtime.sources.decoder import fork_server
from tests.sources.forbidden_acts import lack
lack(["clone"], errno.EAGAIN)
fork_server.main(sys.argv[1:])
"""
FEW_DESCRIPTORS = """
import resource, sys
from cathrt.runtime.sources.decoder import fork_server
resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))
fork_server.main(sys.argv[1:])
"""
STARTS_A_THREAD = """
import sys, threading, time
from cathrt.runtime.sources.decoder import fork_server
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
fork_server.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CANNOT, "Resource temporarily unavailable"),
        (FEW_DESCRIPTORS, "Too many open files"),
        (STARTS_A_THREAD, "ended with status 1: a library has started a thread"),
        ("raise ImportError('no such codec')", "ended with status 1: ImportError: no such codec"),
    ],
)
def test_a_fork_that_fails_is_a_refusal_with_the_reason_and_leaves_nothing_behind(
    code: str, message: str, run: Path
) -> None:
    kernel_has("seccomp")
    failing = ForkServer("dicom", ("-c", code))
    others = set(children())
    with pytest.raises(SourceError, match=rf"^run.dcm: the decoder cannot be started \(.*{message}"):
        started(run, failing)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(SourceError, match=message):
            started(run, failing)
    assert descriptors() == before
    failing.close()
    assert set(children()) <= others


PARENT = """
import os, sys, time
from pathlib import Path
from cathrt.runtime.sources.decoder.sandbox import open_source, opening_of
from tests.sources.reading import LIMITS, only_input
from tests.sources.test_decoder_lifetime import children
source, ahead = open_source(only_input(Path(sys.argv[1])), LIMITS), opening_of(only_input(Path(sys.argv[1])), LIMITS)
ahead.start()
pids = [int(pid) for pid in children()]
while any(os.getsid(pid) != pid for pid in pids):  # until the newest has bound its life to ours
    time.sleep(0.01)
print(*pids, flush=True)
END
"""


@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGSTOP], ids=["running", "stopped"])
@pytest.mark.parametrize("end", ["time.sleep(600)", "os.kill(os.getpid(), 9)", "sys.exit(0)", "os._exit(0)"])
def test_server_and_decoders_end_with_their_parent(end: str, fate: signal.Signals, run: Path) -> None:
    program = [sys.executable, "-c", PARENT.replace("END", end), str(run)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        for pid in pids:
            if not gone(pid, within_s=0.0):
                os.kill(pid, fate)
        if end.startswith("time"):
            parent.kill()
        assert parent.wait(timeout=30.0) in (0, -9)
        assert parent.stderr.read() == b""
    assert len(pids) == 3
    assert all(map(gone, pids))


def test_a_decoder_that_was_started_ahead_reads_the_run(run: Path) -> None:
    opening = opening_of(only_input(run), LIMITS)
    opening.start()
    opening.start()
    source = opening.open()
    assert isinstance(source, SandboxedSource)
    assert whole(source)
    opening.give_up()


def test_a_decoder_that_was_started_ahead_and_killed_before_its_turn_is_started_once_more(run: Path) -> None:
    others = set(children())
    opening = opening_of(only_input(run), LIMITS)
    opening.start()
    (pid,) = set(children()) - others - {str(server_of("dicom").pid)}
    os.kill(int(pid), signal.SIGKILL)
    source = opening.open()
    assert isinstance(source, SandboxedSource)
    assert whole(source)


def test_a_start_ahead_that_is_given_up_leaves_nothing_behind(run: Path) -> None:
    read_sandboxed(only_input(run))
    before, others = descriptors(), set(children())
    for _ in range(20):
        opening = opening_of(only_input(run), LIMITS)
        opening.start()
        opening.give_up()
        opening.give_up()
    assert descriptors() == before
    assert set(children()) == others


def test_what_is_wrong_with_an_input_that_was_started_ahead_is_said_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(b"no DICOM")
    opening = opening_of(only_input(path), LIMITS)
    opening.start()
    with pytest.raises(SourceError, match=r"^run.dcm: "):
        opening.open()


@pytest.mark.slow
def test_a_thousand_files_leave_no_descriptor_no_process_and_no_memory_behind(run: Path) -> None:
    read_sandboxed(only_input(run))
    pid = server_of("dicom").pid
    before, others, memory = descriptors(), set(children()), psutil.Process(pid).memory_info().rss
    held = psutil.Process(pid).num_fds()
    for _ in range(1000):
        assert len(read_sandboxed(only_input(run))[1]) == FRAMES
    assert server_of("dicom").pid == pid
    assert (descriptors(), set(children())) == (before, others)
    assert psutil.Process(pid).num_fds() == held
    assert psutil.Process(pid).memory_info().rss - memory < 2 << 20

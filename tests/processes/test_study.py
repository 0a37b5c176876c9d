"""What is stored by DCMTK or Orthanc, or appears in a watched folder, stands in study.journal as a confirmed result."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Alert, RunSummary, StudyDraft
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.models import record_parts
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.sources.input_names import private_name
from tests.conftest import ROOT
from tests.listener.listening import Listening, listening, with_settings
from tests.listener.test_tls import Authority
from tests.sources.dicom_bytes import part10, text, xa_elements, xa_file
from tests.study.confirming import Sender, report_of, require_each_once
from tests.study.waiting_runs import DOSE_REPORT

# At the priority of the tests: in the idle class it would wait for every other process of a busy machine.
_STUDY = (
    "import sys; from cathrt.runtime.processes.child import process_main; "
    "from cathrt.runtime.processes.study import study; process_main('study', 'normal', study, sys.argv[1:])"
)
WAIT_S = 120.0

needs_dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="no storescu of DCMTK: apt-get install dcmtk")
needs_orthanc = pytest.mark.skipif(shutil.which("Orthanc") is None, reason="no Orthanc: apt-get install orthanc")


@dataclass
class Lab:
    """A state folder and the study process on it."""

    state: StateFolder
    process: subprocess.Popen[bytes]

    def __post_init__(self) -> None:
        self._reader, self._place = JournalReader(self.state.study_journal), Head()
        self._records: list[Any] = []

    def records(self) -> list[Any]:
        """All so far, but for verdicts."""
        while batch := self._reader.read(self._place):
            self._place = batch[-1].place
            bodies = (one.stored.body for one in batch if one.stored.type != "verdict")
            self._records += [record_from_body(body, record_parts()) for body in bodies]
        return self._records

    def runs(self) -> list[RunSummary]:
        return [record for record in self.records() if isinstance(record, RunSummary)]

    def drafts(self) -> list[StudyDraft]:
        return [record for record in self.records() if isinstance(record, StudyDraft)]

    def names(self) -> list[str]:
        return [run.source for run in self.runs()]

    def until(self, done: Callable[[], bool]) -> None:
        """Wait for it, for as long as the study comes on."""
        seen, deadline = 0, time.monotonic() + WAIT_S
        while not done():
            assert self.process.poll() is None, "the study process has ended"
            if len(self._records) > seen:
                seen, deadline = len(self._records), time.monotonic() + WAIT_S
            assert time.monotonic() < deadline, f"it does not come on: {self.names()}"
            time.sleep(0.05)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@contextmanager
def lab_in(folder: Path, config: str = "", bundles: Sequence[Path] = ()) -> Iterator[Lab]:
    """A study process on a new state folder; killed at the end of the block at the latest."""
    state = StateFolder(folder / "state")
    state.store.mkdir(parents=True, exist_ok=True)
    (folder / "lab.toml").write_text(config)
    command = [sys.executable, "-c", _STUDY, str(state.path), "--config", str(folder / "lab.toml")]
    command += [word for bundle in bundles for word in ("--bundle", str(bundle))]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield Lab(state, process)
        finally:
            process.kill()
            process.wait()
            state.dismiss_memory()


def store(running: Listening, *files: Path, tls: tuple[str, ...] = ()) -> None:
    address = ("-aec", "CATHRT", "localhost", str(running.listener.port))
    command = ["storescu", "-R", "-xs", *tls, *address, *map(str, files)]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)


def small_run(path: Path, uid: str, frames: int = 5) -> Path:
    path.write_bytes(xa_file(frames, _00080018=text("UI", uid)))
    return path


@pytest.fixture(scope="module")
def phantom_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a left coronary artery with contrast, in which there is something to find."""
    scene = sample_scene(90_000_000, kind="coronary", matrix=256)
    phantom = PhantomSource(replace(scene, frame_count=min(scene.frame_count, 60)))
    return write_xa(phantom.run, phantom.render, tmp_path_factory.mktemp("phantom") / "run.dcm", "jpeg-lossless")


def test_what_is_no_way_to_call_it_ends_with_2() -> None:
    command = [sys.executable, "-m", "cathrt.runtime.processes.study"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One study process for several tests, each with runs of its own; it ends well."""
    folder = tmp_path_factory.mktemp("lab")
    with lab_in(folder, watched(folder)) as lab:
        yield lab
        assert lab.end() == 0
        assert all(one.balanced for one in report_of(lab.state.study_journal).passes)


def watched(folder: Path) -> str:
    """The configuration of a watched folder in this one, which it makes."""
    (folder / "watched").mkdir()
    return f"[study]\nwatched_folders = [{json.dumps(str(folder / 'watched'))}]\nsettle_s = 0.1\n"


@needs_dcmtk
def test_a_run_stored_with_dcmtk_appears_as_confirmed_alerts(lab: Lab, tmp_path: Path, phantom_run: Path) -> None:
    dose = {**xa_elements(None), 0x00080016: text("UI", DOSE_REPORT), 0x00080018: text("UI", "1.2.88")}
    report = tmp_path / "dose.dcm"
    report.write_bytes(part10(dose, b"", meta={0x00020002: text("UI", DOSE_REPORT), 0x00020003: text("UI", "1.2.88")}))
    with listening(lab.state.store) as running:
        store(running, phantom_run, report, small_run(tmp_path / "second.dcm", "1.2.2"))
        store(running, tmp_path / "second.dcm")  # the same object again is not a second run
        store(running, small_run(tmp_path / "third.dcm", "1.2.3"))
    lab.until(lambda: "1.2.3" in lab.names())
    uid = running.told[0][0].sop_instance_uid
    assert lab.names() == [uid, "1.2.2", "1.2.3"]
    alerts = [record for record in lab.records() if isinstance(record, Alert)]
    assert alerts
    assert {alert.run_id for alert in alerts} == {lab.runs()[0].run_id}
    assert {alert.late for alert in alerts} == {None}  # no live alert


@needs_dcmtk
def test_a_run_that_came_over_mutual_tls_is_judged(lab: Lab, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    ours, theirs = authority.identity("listener"), authority.identity("dcmtk")
    settings = with_settings(
        tls_certificate=str(ours.certificate), tls_key=str(ours.key), tls_ca=str(authority.path), idle_s=60.0
    )
    tls = ("+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.path))
    with listening(lab.state.store, settings) as running:
        store(running, small_run(tmp_path / "run.dcm", "1.2.4"), tls=tls)
    lab.until(lambda: "1.2.4" in lab.names())


def test_a_file_that_is_renamed_into_a_watched_folder_is_judged(lab: Lab) -> None:
    folder = lab.state.path.parent / "watched"
    small_run(folder / "run.part", "1.2.5").rename(folder / "run.dcm")
    lab.until(lambda: private_name(folder, 1, folder / "run.dcm") in lab.names())


@contextmanager
def orthanc_beside(folder: Path, port: int) -> Iterator[str]:
    """An Orthanc that knows the listener at this port as "edge". Yields its address for REST."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = free.getsockname()[1]
    config = {
        "Name": "TEST", "DicomAet": "ORTHANC", "DicomServerEnabled": False, "HttpPort": http,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
        "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"),
        "DicomModalities": {"edge": ["CATHRT", "127.0.0.1", port]},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "orthanc.log").open("wb") as log:
        command = ["Orthanc", str(folder / "orthanc.json")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{http}"
    finally:
        process.terminate()
        process.wait(WAIT_S)


def post(url: str, body: bytes) -> Any:
    """POST, tried again until the server is up."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(url, body, timeout=WAIT_S) as answer:
                return json.load(answer)
        except ConnectionRefusedError:
            pass
        except urllib.error.URLError as exc:
            if not isinstance(exc.reason, ConnectionRefusedError):
                raise
        assert time.monotonic() < deadline, "Orthanc does not start"
        time.sleep(0.1)


@pytest.mark.slow
@needs_orthanc
def test_a_run_sent_by_orthanc_appears_as_confirmed_alerts(tmp_path: Path, phantom_run: Path) -> None:
    with (
        lab_in(tmp_path) as lab,
        listening(lab.state.store, with_settings(idle_s=60.0)) as running,
        orthanc_beside(tmp_path, running.listener.port) as orthanc,
    ):
        instance = post(f"{orthanc}/instances", phantom_run.read_bytes())["ID"]
        assert post(f"{orthanc}/modalities/edge/store", instance.encode())["FailedInstancesCount"] == 0
        lab.until(lambda: len(lab.runs()) == 1)
        assert lab.end() == 0
        assert any(isinstance(record, Alert) for record in lab.records())
        require_each_once(lab.state.study_journal, [running.told[0][0].sop_instance_uid])


@pytest.mark.slow
def test_a_study_that_ends_is_drafted_by_real_networks_after_a_kill_too(tmp_path: Path, phantom_run: Path) -> None:
    from cathrt.export.bundle.sign import public_key
    from tests.export.models.report import tiny_gemma
    from tests.models.report.tiny_bundle import KEY, TINY, tiny_report_bundle

    tiny_report_bundle(tmp_path, tiny_gemma.tiny_vlm(TINY, 6))
    config = f'[trust]\nkeys = ["{public_key(KEY)}"]\n'
    (tmp_path / "state" / "store").mkdir(parents=True)
    with closing(Sender(tmp_path / "state" / "store")) as sender:
        sender.send("1.2.1", phantom_run.read_bytes())
        for revision, killed in ((1, False), (2, True)):
            with lab_in(tmp_path, config, [tmp_path / "bundle"]) as lab:
                lab.until(lambda want=revision: len(lab.runs()) >= want)  # type: ignore[misc]
                sender.end_study("1.2", revision, revision=revision)
                if killed:
                    continue  # lab_in kills it
                lab.until(lambda: len(lab.drafts()) == 1)
                assert lab.end() == 0
            sender.send("1.2.2", small_run(tmp_path / "second.dcm", "1.2.2").read_bytes())
        with lab_in(tmp_path, config, [tmp_path / "bundle"]) as lab:
            lab.until(lambda: len(lab.drafts()) == 2)
            assert lab.end() == 0
    first, second = lab.drafts()
    assert (first.study, first.revision, second.revision) == (second.study, 1, 2)
    assert [len(record.run_ids) for record in (first, second)] == [1, 2]
    for record in (first, second):
        assert record.draft.withheld is not None  # random weights: the texts do not end
        assert "was not finished within" in record.draft.withheld
    assert report_of(lab.state.study_journal).sound


@pytest.mark.slow
def test_hundreds_of_runs_leave_memory_descriptors_and_threads_as_they_were(tmp_path: Path) -> None:
    with lab_in(tmp_path, watched(tmp_path)) as lab:
        held: list[tuple[float, int, int]] = []
        for batch in range(4):
            for number in range(100):
                small_run(tmp_path / "watched" / f"{batch}-{number}.dcm", f"1.2.{batch}.{number}")
            lab.until(lambda want=100 * (batch + 1): len(lab.runs()) == want)  # type: ignore[misc]
            held.append(_held(lab.process.pid))
        assert lab.end() == 0
    memory, descriptors, threads = zip(*held, strict=True)
    assert memory[-1] < 1.05 * memory[1]
    assert descriptors[-1] <= descriptors[1] + 2
    assert threads[-1] <= threads[1]


def _held(pid: int) -> tuple[float, int, int]:
    """Resident MiB, open descriptors, threads."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return pages * 4096 / 2**20, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

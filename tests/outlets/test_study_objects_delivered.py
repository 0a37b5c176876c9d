"""Whole studies out of a store and a journal, delivered as DICOM objects: to scripted receivers, and to Orthanc."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Record, RunSummary, StudyEnded
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.listener.object_store import Arrival, ObjectStore
from cathrt.runtime.listener.scp import opened_listener
from cathrt.runtime.objects.due import Evidence, NotDueError
from cathrt.runtime.outlets.studies import Studies
from cathrt.runtime.processes.state_folder import StateFolder
from tests.e2e.commands import cathrt
from tests.listener.listening import LIMITS, SETTINGS, wait_until
from tests.objects.dicom.generated_studies import CHARACTER_SETS, XA, generated_study
from tests.outlets.delivering import driven
from tests.outlets.object_receivers import DicomReceiver, WebReceiver, receiving_objects
from tests.outlets.test_object_outlet_contract import all_taken, settings_for
from tests.passes import start, write

JAPANESE = CHARACTER_SETS[4]
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def state_of(folder: Path, kind: str = "ended", seed: int = 3) -> StateFolder:
    """A state folder with one study that has ended: runs in the store, summaries and end in study.journal."""
    folder.mkdir()
    state, study = StateFolder(folder), generated_study(folder.parent / "made", seed, kind, JAPANESE)
    with closing(ObjectStore(state.store, LIMITS)) as store:
        for uid, path in study.store.paths.items():
            file = store.spool.open()
            file.write(path.read_bytes())
            store.spool.take(file)
            store.place(file, Arrival(uid, XA, EXPLICIT_LITTLE, "ANGIO", "127.0.0.1"))
    records: list[Record] = []
    for record in study.records:
        if isinstance(record, RunSummary):
            records.append(replace(start(record.source), source=record.source))
        records.append(record)
    write(state.study_journal, records)
    return state


def studies_of(state: StateFolder) -> Studies:
    return Studies(Evidence(state.study_journal, state.store), LimitsConfig())


@pytest.mark.parametrize("kind", ["dicom", "stow"])
def test_all_objects_of_a_study_arrive_and_a_second_delivery_stores_nothing(kind: str, tmp_path: Path) -> None:
    state = state_of(tmp_path / "state", "drafted")
    with receiving_objects(kind) as receiver:
        settings = settings_for(kind, receiver.address)
        for again in (False, True):
            with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies_of(state)) as driving:
                rows = sum(1 for _ in state_rows(state))
                driving.until(lambda: all_taken(driving, rows))  # noqa: B023
                assert driving.outbox.dead("out") == 0
            stored = dict(receiver.told.stored)
            assert {one.Modality for one in stored.values()} >= {"KO", "SR", "PR", "OT", "DOC"}
            assert {str(one.PatientName) for one in stored.values()} == {"Yamada^Tarou=山田^太郎=やまだ^たろう"}
            if not again:
                first = stored
                (tmp_path / "outbox.db").unlink()  # as a box that has lost its places
        assert stored.keys() == first.keys()


def state_rows(state: StateFolder) -> Iterator[Any]:
    from cathrt.runtime.journal.reader import JournalReader

    with closing(JournalReader(state.study_journal)) as reader:
        yield from reader.read(reader.start())


def test_a_study_whose_runs_are_gone_is_a_dead_letter_that_says_so(tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    with closing(ObjectStore(state.store, LIMITS)) as store:
        store.remove(store.received()[:1])
    with receiving_objects("dicom") as receiver:
        settings = settings_for("dicom", receiver.address)
        with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies_of(state)) as driving:
            driving.until(lambda: driving.outbox.dead("out") == 1)
            assert "not in the store any more" in driving.outbox.letters("out")[0].reason
        assert not receiver.told.stored


def test_what_the_journal_has_no_end_of_is_not_due(tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    end = StudyEnded("x", "another study", 1, (), 0, 0.0)
    record = {"type": "draft", "id": end.id, "study": end.study, "revision": 1, "run_ids": []}
    with pytest.raises(NotDueError, match="the journal has no end of it"):
        Evidence(state.study_journal, state.store).results(record)


def test_commitment_may_come_on_an_association_that_the_archive_opens_to_our_listener(tmp_path: Path) -> None:
    state, receiver = state_of(tmp_path / "state"), DicomReceiver()
    receiver.told.commit = "call"
    studies = studies_of(state)
    try:
        with (
            closing(ObjectStore(tmp_path / "other", LIMITS)) as store,
            opened_listener(SETTINGS, store, lambda _arrival, _placed: None, asked=studies.commitments) as listener,
        ):
            receiver.listener_port = listener.port
            settings = settings_for("dicom", receiver.address)
            with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies) as driving:
                driving.until(lambda: driving.delivery.state.delivered == 1)
                assert driving.delivery.state.failed == 0
    finally:
        receiver.down()
    assert receiver.told.asked == [list(receiver.told.stored)]


@pytest.mark.parametrize(
    ("commit", "says"), [("never", "not committed to within"), ("fail", "not committed to (0x0112)")]
)
def test_without_commitment_a_study_does_not_count_as_delivered(commit: str, says: str, tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    with receiving_objects("dicom") as receiver:
        receiver.told.commit = commit
        settings = settings_for("dicom", receiver.address, timeout_s=2.0)
        with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies_of(state)) as driving:
            driving.until(lambda: driving.delivery.state.failed == 1)
            assert says in driving.delivery.state.error
            assert driving.delivery.state.delivered == 0
            receiver.told.commit = "same"
            driving.until(lambda: driving.delivery.state.delivered == 1)


def test_a_server_that_says_200_and_stores_nothing_is_not_believed(tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    with receiving_objects("stow") as receiver:
        receiver.told.script.append("lie")
        settings = settings_for("stow", receiver.address)
        with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies_of(state)) as driving:
            driving.until(lambda: driving.delivery.state.failed == 1)
            assert "does not have it when asked" in driving.delivery.state.error
            driving.until(lambda: driving.delivery.state.delivered == 1)


def test_the_token_of_a_file_goes_with_every_request(tmp_path: Path) -> None:
    state, token = state_of(tmp_path / "state"), tmp_path / "token"
    token.write_text("0123456789abcdef0123\n")
    token.chmod(0o600)
    with receiving_objects("stow") as receiver:
        settings = settings_for("stow", receiver.address, secret_file=str(token))
        with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies_of(state)) as driving:
            driving.until(lambda: driving.delivery.state.delivered == 1)
        assert isinstance(receiver, WebReceiver)
        assert set(receiver.told.tokens) == {"Bearer 0123456789abcdef0123"}


def test_send_by_hand_takes_files_and_state_folders(tmp_path: Path) -> None:
    state = state_of(tmp_path / "state")
    run = next((tmp_path / "made").glob("*.dcm"))
    with receiving_objects("dicom") as receiver:
        to = receiver.address.removeprefix("dicom://")
        done = cathrt("send", str(run), "--to", to, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["taken"] is True
        done = cathrt("send", str(state.path), "--to", to, "--commit")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("stored, committed to") == len(receiver.told.stored) - 1
        receiver.told.script.append("refuse")
        done = cathrt("send", str(run), "--to", to)
        assert done.returncode == 9
        assert "NOT TAKEN" in done.stderr
        assert "0xC000" in done.stderr


# Orthanc.


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


@contextmanager
def orthanc(folder: Path, listener_port: int) -> Iterator[tuple[int, int]]:
    """A running Orthanc with DICOMweb. Its DICOM and HTTP ports."""
    folder.mkdir()
    dicom_port, http_port = free_port(), free_port()
    settings = {
        "Name": "TEST", "DicomAet": "ORTHANC", "DicomPort": dicom_port, "HttpPort": http_port,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DefaultEncoding": "Utf8",
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "OverwriteInstances": False,
        "DicomAlwaysAllowStore": True, "UnknownSopClassAccepted": True,
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        "DicomModalities": {
            "cathrt": {"AET": "CATHRT", "Host": "127.0.0.1", "Port": listener_port, "AllowStorageCommitment": True}
        },
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "settings.json")], stdout=log, stderr=log)
    with process:
        try:
            wait_until(lambda: bool(instances_of(http_port, or_none=True) is not None), within_s=60.0)
            yield dicom_port, http_port
        finally:
            process.terminate()


def instances_of(http_port: int, *, or_none: bool = False) -> list[Any] | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/instances?expand", timeout=30) as answer:
            found: list[Any] = json.loads(answer.read())
            return found
    except OSError:
        if or_none:
            return None
        raise


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Orthanc") is None, reason="no Orthanc here: apt-get install orthanc orthanc-dicomweb")
@pytest.mark.parametrize("kind", ["dicom", "stow"])
def test_orthanc_takes_commits_to_and_gives_back_every_object_once(kind: str, tmp_path: Path) -> None:
    state = state_of(tmp_path / "state", "drafted")
    studies = studies_of(state)
    with (
        closing(ObjectStore(tmp_path / "other", LIMITS)) as store,
        opened_listener(SETTINGS, store, lambda _arrival, _placed: None, asked=studies.commitments) as listener,
        orthanc(tmp_path / "orthanc", listener.port) as (dicom_port, http_port),
    ):
        address = (
            f"dicom://ORTHANC@127.0.0.1:{dicom_port}" if kind == "dicom" else f"http://127.0.0.1:{http_port}/dicom-web"
        )
        settings = settings_for(kind, address, timeout_s=20.0)
        found: list[set[str]] = []
        for _ in range(2):
            with driven(settings, tmp_path, {"study": state.study_journal}, studies=studies) as driving:
                driving.until(lambda: driving.delivery.state.delivered == 2)
                assert (driving.delivery.state.failed, driving.outbox.dead("out")) == (0, 0)
            (tmp_path / "outbox.db").unlink()
            found.append({one["MainDicomTags"]["SOPInstanceUID"] for one in instances_of(http_port) or []})
        assert found[0] == found[1], "a repeat is no second object"
        assert len(found[0]) >= 6

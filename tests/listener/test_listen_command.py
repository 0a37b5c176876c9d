"""`cathrt listen` as a service: stopped well, killed hard, and what senders had been told by then."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from pynetdicom import AE

from cathrt.runtime.commands.listen import listen_command
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.listener.object_store import ObjectStore, State
from cathrt.runtime.listener.statuses import NO_SUCH_INSTANCE, SUCCESS
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.listener.study_watch import UnknownStudyError
from tests.listener.commitment_user import COMMITMENT, CONTEXT, WELL_KNOWN, Modality, ask, request
from tests.listener.listening import EXPLICIT_LITTLE, LIMITS, XA, associated, dataset, wait_until
from tests.sources.dicom_bytes import text, xa_file

CLI = [sys.executable, "-m", "cathrt.runtime.commands.cli", "listen"]
PORT = re.compile(rb"listening as CATHRT on 127\.0\.0\.1:(\d+)")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4")))
    return path


@contextmanager
def service(folder: Path, *arguments: str, settings: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command on a free port, and the port."""
    path = folder / "settings.toml"
    path.write_text(f"[listener]\nport = 0\nreserve_mib = 1\ndrain_s = 5.0\n{settings}")
    command = [*CLI, str(folder / "store"), "--config", str(path), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    with process:
        try:
            assert process.stderr is not None
            said = b""
            while not (found := PORT.search(said)):
                piece = os.read(process.stderr.fileno(), 4096)
                assert piece, f"ended before it listened: {said.decode()}"
                said += piece
            yield process, int(found[1])
        finally:
            process.kill()


def test_a_service_that_is_stopped_ends_well(tmp_path: Path, file: Path) -> None:
    with service(tmp_path) as (process, port):
        with associated(port) as association:
            assert association.send_c_store(dataset(file)).Status == SUCCESS
        process.send_signal(signal.SIGTERM)
        shown, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"1.2.3.4 from MODALITY" in shown
    assert b"Traceback" not in said


def test_an_address_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with service(tmp_path) as (_, port):
        settings = tmp_path / "taken.toml"
        settings.write_text(f"[listener]\nport = {port}\nreserve_mib = 1\n")
        command = [*CLI, str(tmp_path / "other"), "--config", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: cannot listen there" in done.stderr
    assert "Traceback" not in done.stderr


def test_ends_and_commitments_are_shown_and_a_study_is_ended_by_command(tmp_path: Path, file: Path) -> None:
    modality = Modality()
    settings = "study_settle_s = 0.2\n"
    with service(tmp_path, "--json", settings=settings) as (process, port):
        with modality.associated(port, (XA, EXPLICIT_LITTLE)) as association:
            association.send_c_store(dataset(file))
            ask(association, request([(XA, "1.2.3.4"), (XA, "1.2.3.5")]))
            assert modality.report()[2:] == (["1.2.3.4"], {"1.2.3.5": NO_SUCH_INSTANCE})
            wait_until(lambda: StoreReader(tmp_path / "store").open_commitments() == [])
        study = str(dataset(file).StudyInstanceUID)
        wait_until(lambda: _ends(tmp_path / "store", study))
        wait_until(lambda: len(StoreReader(tmp_path / "store").study_ends()) == 1)
        process.send_signal(signal.SIGTERM)
        shown, _ = process.communicate(timeout=120)
    rows = {row["type"]: row for row in map(json.loads, shown.splitlines())}
    assert rows.keys() == {"received", "commitment", "study_end"}
    assert (rows["commitment"]["state"], rows["commitment"]["count"], rows["commitment"]["failed"]) == (
        "answered",
        2,
        1,
    )
    assert (rows["study_end"]["study_instance_uid"], rows["study_end"]["evidence"]) == (study, ["button"])
    assert all("research use" in row["notice"].lower() for row in rows.values())


def _ends(store: Path, study: str) -> bool:
    """The command in this process, beside that of the listener."""
    try:
        listen_command(store, end_study=study)
    except UnknownStudyError:  # the listener has not looked at the object yet
        return False
    return True


def test_a_study_that_is_not_there_cannot_be_ended(tmp_path: Path) -> None:
    with pytest.raises(CathrtError, match=r"no index\.db in it, expected the store of a listener"):
        listen_command(tmp_path, end_study="9.9.9")
    ObjectStore(tmp_path, LIMITS).close()
    with pytest.raises(UnknownStudyError, match="no object of it is in the store"):
        listen_command(tmp_path, end_study="9.9.9")


@pytest.mark.parametrize("kills", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_whatever_commitment_was_taken_is_reported_on_after_a_kill(tmp_path: Path, file: Path, kills: int) -> None:
    rng = random.Random(kills)
    modality = Modality()
    taken: set[str] = set()
    with modality.listening() as reports:
        settings = f'commitment_peers = ["MODALITY@127.0.0.1:{reports}"]\n'
        for kill in range(kills):
            with service(tmp_path, settings=settings) as (process, port):
                taken |= set(_ask_until(port, f"1.2.3.{kill}", process, rng.uniform(0.0, 0.5)))
        assert len(taken) >= kills, "too few requests to prove anything"
        reported: set[str] = set()
        with service(tmp_path, settings=settings):
            while not taken <= reported:
                reported.add(modality.report(within_s=30.0)[1])
            wait_until(lambda: StoreReader(tmp_path / "store").open_commitments() == [])


def _ask_until(port: int, root: str, process: subprocess.Popen[bytes], after_s: float) -> Iterator[str]:
    """Ask for commitment, and kill the service so long after it has taken the first request."""
    ae = AE("MODALITY")
    ae.dimse_timeout = ae.network_timeout = 10.0
    ae.add_requested_context(*CONTEXT)
    association = ae.associate("127.0.0.1", port, ae_title="CATHRT")
    connection = association.dul.socket.socket
    number, ends = 0, math.inf
    with closing(connection), suppress(RuntimeError):  # raised where the end is noticed just before a request is sent
        while association.is_established:
            number += 1
            if time.monotonic() > ends:
                process.kill()
            asked = request([(XA, "1.2.3.4")], transaction=f"{root}.{number}")
            status, _ = association.send_n_action(asked, 1, COMMITMENT, WELL_KNOWN)
            if getattr(status, "Status", None) == SUCCESS:
                yield f"{root}.{number}"
                ends = min(ends, time.monotonic() + after_s)


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_whatever_a_sender_was_told_is_there_after_a_kill(tmp_path: Path, file: Path, kills: int) -> None:
    rng = random.Random(kills)
    confirmed: set[str] = set()
    for kill in range(kills):
        with service(tmp_path) as (process, port):
            ends = time.monotonic() + rng.uniform(0.05, 0.4)
            confirmed |= set(_send_until(port, file, f"1.2.3.{kill}", process, ends))
    store = ObjectStore(tmp_path / "store", LIMITS)
    try:
        kept = {received.arrival.sop_instance_uid: received for received in store.received()}
        assert len(confirmed) >= kills, "too few objects to prove anything"
        assert confirmed <= kept.keys()
        assert len(kept) == len(store.received()), "a UID is there twice"
        for received in kept.values():
            assert received.state is State.STORED
            octets = store.path_of(received.state, received.content_sha256).read_bytes()
            assert len(octets) == received.size
            assert _content(octets) == received.content_sha256
    finally:
        store.close()


def _send_until(port: int, file: Path, root: str, process: subprocess.Popen[bytes], ends: float) -> Iterator[str]:
    """Send objects until the time comes to kill the service, in the middle of whatever it is at."""
    ae = AE("MODALITY")
    ae.dimse_timeout = ae.network_timeout = 2.0
    ae.add_requested_context(XA, EXPLICIT_LITTLE)
    association = ae.associate("127.0.0.1", port, ae_title="CATHRT")
    connection = association.dul.socket.socket
    number = 0
    with closing(connection), suppress(RuntimeError):  # raised where the end is noticed just before an object is sent
        while association.is_established:
            number += 1
            uid = f"{root}.{number}"
            if time.monotonic() > ends:
                process.kill()
            status = association.send_c_store(dataset(file, SOPInstanceUID=uid))
            if getattr(status, "Status", None) == SUCCESS:
                yield uid


def _content(octets: bytes) -> str:
    """The identity of an object, made anew from its file."""
    start = 144 + int.from_bytes(octets[140:144], "little")
    return hashlib.sha256(f"{EXPLICIT_LITTLE}|{hashlib.sha256(octets[start:]).hexdigest()}".encode()).hexdigest()

"""Orthanc as the modality: it sends a run, asks for storage commitment, and takes the report on its own port."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.listener.commitment_book import CommitmentState
from tests.listener.listening import XA, listening, wait_until, with_settings
from tests.sources.dicom_bytes import text, xa_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="no Orthanc here: apt-get install orthanc"),
]
STORED = "1.2.3.4.5.6"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


class Orthanc:
    """A running Orthanc, by its REST interface."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def asks(self, path: str, content: bytes | None = None) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self._base + path, data=content), timeout=30) as answer:
            return json.loads(answer.read())

    def is_there(self) -> bool:
        try:
            return bool(self.asks("/system"))
        except OSError:
            return False


@contextmanager
def orthanc(folder: Path, dicom_port: int, listener_port: int) -> Iterator[Orthanc]:
    folder.mkdir()
    http_port = free_port()
    settings = {
        "Name": "TEST", "DicomAet": "ORTHANC", "DicomPort": dicom_port, "HttpPort": http_port,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomAlwaysAllowStore": False,
        "DicomModalities": {
            "cathrt": {"AET": "CATHRT", "Host": "127.0.0.1", "Port": listener_port, "AllowStorageCommitment": True}
        },
    }  # fmt: skip
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
    with process:
        try:
            running = Orthanc(http_port)
            wait_until(running.is_there, within_s=60.0)
            yield running
        finally:
            process.terminate()


def test_orthanc_sends_a_run_and_is_told_what_is_safe(tmp_path: Path) -> None:
    dicom_port = free_port()
    settings = with_settings(commitment_peers=(f"ORTHANC@127.0.0.1:{dicom_port}",), idle_s=30.0, pdu_s=10.0)
    with (
        listening(tmp_path / "store", settings) as running,
        orthanc(tmp_path / "orthanc", dicom_port, running.listener.port) as peer,
    ):
        instance = peer.asks("/instances", xa_file(_00080018=text("UI", STORED)))["ID"]
        peer.asks("/modalities/cathrt/store", json.dumps(instance).encode())
        assert [received.arrival.sop_instance_uid for received in running.store.received()] == [STORED]
        asked = {"DicomInstances": [{"SOPClassUID": XA, "SOPInstanceUID": uid} for uid in (STORED, "1.2.3.9")]}
        request = peer.asks("/modalities/cathrt/storage-commitment", json.dumps(asked).encode())
        wait_until(lambda: bool(peer.asks(request["Path"])["Status"] != "Pending"), within_s=60.0)
        told = peer.asks(request["Path"])
        assert told["Status"] == "Failure", "one of the two is not there"
        assert [item["SOPInstanceUID"] for item in told["Success"]] == [STORED]
        assert [item["SOPInstanceUID"] for item in told["Failures"]] == ["1.2.3.9"]
        wait_until(lambda: len(running.commitments) == 1)
        assert running.commitments[0].state is CommitmentState.ANSWERED

"""What a sender is answered, and what is in the store by then."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.listener import object_store
from cathrt.runtime.listener.object_store import ObjectStore, Placed, State, StoreError
from cathrt.runtime.listener.sop_classes import STORABLE
from cathrt.runtime.listener.spool import SpoolLimits
from cathrt.runtime.listener.statuses import DUPLICATE_INSTANCE, OUT_OF_RESOURCES, PROCESSING_FAILURE, SUCCESS
from tests.listener.listening import (
    EXPLICIT_LITTLE,
    LIMITS,
    VERIFICATION,
    XA,
    Listening,
    associated,
    dataset,
    listening,
    with_settings,
)
from tests.sources.dicom_bytes import text, xa_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file(_00080018=text("UI", "1.2.3.4")))
    return path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "store") as running:
        yield running


def send(running: Listening, path: Path, **changes: object) -> int:
    with associated(running.listener.port) as association:
        return int(association.send_c_store(dataset(path, **changes)).Status)


def test_an_echo_is_answered(running: Listening) -> None:
    with associated(running.listener.port, [(VERIFICATION, EXPLICIT_LITTLE)]) as association:
        assert association.send_c_echo().Status == SUCCESS


def test_an_object_is_durable_and_readable_when_its_sender_is_told(running: Listening, file: Path) -> None:
    assert send(running, file) == SUCCESS
    (received,) = running.store.received()
    assert received.arrival.sop_instance_uid == "1.2.3.4"
    assert received.arrival.calling_ae == "MODALITY"
    assert received.state is State.STORED
    (kept,) = running.files("objects")
    assert kept.name == f"{received.content_sha256}.dcm"
    assert dcmread(kept).PixelData == dcmread(file).PixelData
    assert kept.stat().st_size == received.size
    assert running.files("incoming") == []
    assert [placed for _, placed in running.told] == [Placed.NEW]


def test_the_same_object_again_is_a_success_and_no_second_run(running: Listening, file: Path) -> None:
    assert [send(running, file) for _ in range(3)] == [SUCCESS] * 3
    assert len(running.store.received()) == len(running.files("objects")) == 1
    assert [placed for _, placed in running.told] == [Placed.NEW, Placed.AGAIN, Placed.AGAIN]


def test_the_same_uid_with_other_content_is_quarantined_and_the_first_stays(running: Listening, file: Path) -> None:
    assert send(running, file) == SUCCESS
    first = running.files("objects")
    assert send(running, file, PatientID="other") == DUPLICATE_INSTANCE
    assert send(running, file, PatientID="other") == DUPLICATE_INSTANCE
    assert send(running, file) == SUCCESS
    assert running.files("objects") == first
    assert [received.state for received in running.store.received()] == [State.STORED, State.QUARANTINED]
    assert len(running.files("quarantine")) == 1
    assert [received.arrival.sop_class_uid for received in running.store.kept("1.2.3.4")] == [XA, XA]


def test_what_came_in_is_known_after_a_restart(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store") as running:
        send(running, file)
    with listening(tmp_path / "store") as running:
        assert send(running, file) == SUCCESS
        assert len(running.store.received()) == 1
        assert running.store.received(after=1) == []


def test_the_version_of_the_library_does_not_make_another_object(
    running: Listening, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(running, file) == SUCCESS
    monkeypatch.setattr("pynetdicom.dsutils.PYNETDICOM_IMPLEMENTATION_VERSION", "PYNETDICOM_999")
    assert send(running, file) == SUCCESS
    assert len(running.files("objects")) == 1
    assert running.files("quarantine") == []


def test_without_room_the_sender_is_told_to_come_again_and_nothing_is_left(tmp_path: Path, file: Path) -> None:
    limits = SpoolLimits(max_object_bytes=64 << 20, reserve_bytes=1 << 60)
    with listening(tmp_path / "store", limits=limits) as running:
        assert send(running, file) == OUT_OF_RESOURCES
        assert running.files("incoming") == running.files("objects") == []
        assert running.store.received() == []


def test_an_object_beyond_the_limit_is_refused(tmp_path: Path, file: Path) -> None:
    with listening(tmp_path / "store", limits=SpoolLimits(max_object_bytes=1000, reserve_bytes=1)) as running:
        assert send(running, file) == OUT_OF_RESOURCES
        assert running.files("incoming") == []


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOSPC, OUT_OF_RESOURCES), (errno.EROFS, OUT_OF_RESOURCES), (errno.EIO, PROCESSING_FAILURE)],
)
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_an_object_that_cannot_be_made_durable_is_no_success(
    number: int, status: int, call: str, running: Listening, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(object_store.os, call, fail)
        assert send(running, file) == status
    assert running.files("incoming") == running.files("objects") == []
    assert running.store.received() == []
    assert running.told == []
    assert send(running, file) == SUCCESS, "the sender tries again"


def test_an_index_that_cannot_be_written_is_no_success(running: Listening, file: Path) -> None:
    running.store.index._database.execute("PRAGMA query_only=ON")
    assert send(running, file) == OUT_OF_RESOURCES
    running.store.index._database.execute("PRAGMA query_only=OFF")
    assert send(running, file) == SUCCESS


def test_only_named_senders_are_let_in(tmp_path: Path) -> None:
    with listening(tmp_path / "store", with_settings(calling_ae_titles=("ANGIO1",))) as running:
        with associated(running.listener.port, calling="ANGIO1"):
            pass
        for calling, called in (("OTHER", "CATHRT"), ("ANGIO1", "SOMEBODY")):
            ae = AE(calling)
            ae.add_requested_context(XA)
            assert ae.associate("127.0.0.1", running.listener.port, ae_title=called).is_rejected


def test_only_named_addresses_may_connect(tmp_path: Path) -> None:
    with listening(tmp_path / "store", with_settings(addresses=("10.1.2.0/24",))) as running:
        assert running.connect().recv(1) == b""
        assert running.listener.refused == 1


def test_what_may_not_be_stored_is_not_negotiated(running: Listening) -> None:
    ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
    ae = AE("MODALITY")
    for uid in (ct, mr, XA):
        ae.add_requested_context(uid, EXPLICIT_LITTLE)
    association = ae.associate("127.0.0.1", running.listener.port, ae_title="CATHRT")
    try:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [XA]
    finally:
        association.release()


def test_every_storable_class_is_taken_in_every_syntax_that_is_read(running: Listening) -> None:
    from cathrt.runtime.sources.dicom.decoders import DECODERS

    for syntax in DECODERS:
        with associated(running.listener.port, [(uid, syntax) for uid in STORABLE]) as association:
            assert len(association.accepted_contexts) == len(STORABLE)


def test_many_senders_at_once_lose_nothing(running: Listening, file: Path) -> None:
    statuses: list[int] = []

    def sender(number: int) -> None:
        with associated(running.listener.port) as association:
            for run in range(5):
                uid = f"1.2.3.{number}.{run}"
                statuses.append(int(association.send_c_store(dataset(file, SOPInstanceUID=uid)).Status))

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [SUCCESS] * 30
    assert (
        len(running.store.received())
        == len({received.arrival.sop_instance_uid for received in running.store.received()})
        == 30
    )


def test_a_store_has_one_writer(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "store", LIMITS)
    with pytest.raises(StoreError, match="another process receives into it"):
        ObjectStore(tmp_path / "store", LIMITS)
    store.close()
    ObjectStore(tmp_path / "store", LIMITS).close()


def test_what_an_earlier_process_had_not_confirmed_is_removed(tmp_path: Path) -> None:
    (tmp_path / "store" / "incoming").mkdir(parents=True)
    (tmp_path / "store" / "incoming" / "7.part").write_bytes(b"half an object")
    with listening(tmp_path / "store") as running:
        assert running.files("incoming") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ae_title": "NAÏVE"}, "AE title"),
        ({"addresses": ("everyone",)}, "listener.addresses: found 'everyone'"),
        ({"tls_certificate": "a.pem"}, "listener.tls_key: found nothing"),
        ({"tls_certificate": "a", "tls_key": "b", "tls_ca": "c"}, "cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message), listening(tmp_path / "store", with_settings(**changes)):
        pass


@pytest.mark.skipif(shutil.which("storescu") is None, reason="no storescu of DCMTK here: apt-get install dcmtk")
def test_dcmtk_sends_a_run_that_is_read_back_exactly(running: Listening, file: Path) -> None:
    command = ["storescu", "-aet", "MODALITY", "-aec", "CATHRT", "127.0.0.1", str(running.listener.port), str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    (kept,) = running.files("objects")
    assert dcmread(kept).PixelData == dcmread(file).PixelData

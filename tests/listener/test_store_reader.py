"""Reading a store beside its writer, and stores of earlier and later versions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.listener.object_store import ObjectStore, State, StoreError
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.listener.studies import Kind, StudyEvent
from tests.listener.listening import LIMITS, XA
from tests.listener.watching import Watched, of_study
from tests.sources.dicom_bytes import EXPLICIT_LITTLE


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "store")
    yield watched
    watched.store.close()


def test_a_store_that_is_not_there_has_nothing_yet(tmp_path: Path) -> None:
    reader = StoreReader(tmp_path / "store")
    assert (reader.received(), reader.study_ends(), reader.open_commitments()) == ([], [], [])
    assert not (tmp_path / "store").exists()
    with closing(ObjectStore(tmp_path / "store", LIMITS)):
        assert (reader.received(), reader.study_ends(), reader.open_commitments()) == ([], [], [])


def test_a_reader_sees_what_the_writer_sees_while_it_writes_and_after(watched: Watched) -> None:
    reader = StoreReader(watched.folder)
    for number in range(3):
        watched.receives(f"1.1.{number}", of_study("1.1"))
        assert reader.received() == watched.store.received()
    watched.receives("1.1.1", of_study("1.2"))
    assert [received.state for received in reader.received(after=2)] == [State.STORED, State.QUARANTINED]
    before = watched.store.received()
    assert all(reader.path_of(received).is_file() for received in before)
    watched.store.close()
    assert reader.received() == before
    watched.open()


def test_a_study_has_one_pseudonym_in_a_store_and_another_in_another(watched: Watched, tmp_path: Path) -> None:
    reader = StoreReader(watched.folder)
    name = reader.pseudonym_of("1.2.826.1")
    assert (len(name), "826" in name) == (32, False)
    assert reader.pseudonym_of("1.2.826.1") == name
    assert reader.pseudonym_of("1.2.826.2") != name
    watched.again()
    assert reader.pseudonym_of("1.2.826.1") == name
    with closing(ObjectStore(tmp_path / "other", LIMITS)):
        assert StoreReader(tmp_path / "other").pseudonym_of("1.2.826.1") != name
    with pytest.raises(StoreError, match="no secret to name studies by"):
        StoreReader(tmp_path / "nowhere").pseudonym_of("1.2.826.1")


def test_a_reader_that_stands_still_holds_nobody_up(watched: Watched) -> None:
    reader = StoreReader(watched.folder)
    for number in range(300):
        if number % 50 == 0:
            reader.received()
        watched.watch.note([StudyEvent(0, Kind.STEP_STARTED, f"1.{number}", step_uid=f"9.{number}")])
    log = watched.folder / "index.db-wal"
    assert log.stat().st_size < 8 << 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_store_in_a_folder_that_may_not_be_written_can_be_read(watched: Watched) -> None:
    watched.receives("1.1.1", of_study("1.1"))
    before = watched.store.received()
    watched.store.close()
    watched.folder.chmod(0o500)
    try:
        assert StoreReader(watched.folder).received() == before
    finally:
        watched.folder.chmod(0o700)
        watched.open()


@pytest.mark.parametrize(
    ("octets", "message"), [(b"not a database" * 100, "cannot be read"), (None, "has version 99, expected at most 2")]
)
def test_a_store_that_cannot_be_read_says_so(octets: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    if octets is None:
        with closing(sqlite3.connect(path)) as made:
            made.execute("PRAGMA user_version=99")
    else:
        path.write_bytes(octets)
    with pytest.raises(StoreError, match=message):
        StoreReader(tmp_path).received()
    with pytest.raises((StoreError, sqlite3.DatabaseError)):
        ObjectStore(tmp_path, LIMITS)


VERSION_1 = """
CREATE TABLE objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sop_instance_uid TEXT NOT NULL, sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL, calling_ae TEXT NOT NULL, address TEXT NOT NULL, content_sha256 TEXT NOT NULL,
    size INTEGER NOT NULL, received_at REAL NOT NULL, state TEXT NOT NULL, UNIQUE (sop_instance_uid, content_sha256)
) STRICT
"""


def of_version_1(folder: Path, *, noted: bool) -> None:
    """A store as the first version left it. noted: whether it had come to note its version."""
    digest = "ab" * 32
    (folder / "objects" / "ab").mkdir(parents=True)
    (folder / "objects" / "ab" / f"{digest}.dcm").write_bytes(of_study("1.1"))
    with closing(sqlite3.connect(folder / "index.db")) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute(VERSION_1)
        row = ("1.1.1", XA, EXPLICIT_LITTLE, "ANGIO1", "10.0.0.1", digest, len(of_study("1.1")), 1.0, "stored")
        made.execute(f"INSERT INTO objects VALUES (7, {', '.join('?' * 9)})", row)
        made.execute(f"PRAGMA user_version={int(noted)}")
        made.commit()


@pytest.mark.parametrize("noted", [True, False])
def test_a_store_of_the_first_version_keeps_its_objects_and_gets_its_ends(noted: bool, tmp_path: Path) -> None:
    of_version_1(tmp_path / "store", noted=noted)
    reader = StoreReader(tmp_path / "store")
    if noted:
        assert [received.seq for received in reader.received()] == [7]
    assert (reader.study_ends(), reader.open_commitments()) == ([], [])
    watched = Watched(tmp_path / "store")
    assert [received.seq for received in watched.store.received()] == [7]
    (end,) = watched.passes(3600.0)
    assert (end.study_instance_uid, end.objects) == ("1.1", (7,))
    watched.again()
    assert reader.study_ends() == [end]
    watched.store.close()

"""A box that runs under load is backed up, destroyed and restored: nothing that was there by then is missing."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cathrt.runtime.errors import CathrtError, JournalError, SinkError
from cathrt.runtime.failpoints import BACKUP_POINTS, arm, kill
from cathrt.runtime.journal.head import Head, noted_head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.object_store import ObjectStore
from cathrt.runtime.models import record_parts
from cathrt.runtime.outlets.outbox import Outbox, Place
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.retention.backup import Backup, Given
from cathrt.runtime.retention.backup_folder import BackupError, BackupFolder, Manifest
from cathrt.runtime.retention.restore import restore
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.intake_reader import intake_of
from cathrt.runtime.study.waiting import run_from_received
from tests.faults.calls import Nursery, nursery
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.listener.listening import LIMITS
from tests.listener.watching import Watched, of_study
from tests.passes import AT_ONCE, rows

STUDIES = 3


def filled(folder: Path) -> StateFolder:
    """The state of a box that was stopped: journals, one of them pruned, objects, places."""
    state = StateFolder(folder)
    state.store.mkdir(parents=True)
    for path in (state.live_journal, state.study_journal):
        with Journal(path, AT_ONCE) as journal:
            for name in "abc":
                for record in of_run(f"{path.name} {name}"):
                    journal.append(record)
            journal.sync()
            if path == state.live_journal:
                journal.prune(PASS_ROWS)
                until(lambda: first_row(state.live_journal) == PASS_ROWS + 1)
    watched = Watched(state.store)
    with closing(IntakeBook(state.intake)) as book, closing(watched.store):
        for number in range(STUDIES):
            watched.receives(f"1.{number}.1", of_study(f"1.{number}"))
        for received in watched.store.received()[:2]:
            book.end(run_from_received(received, Path("x")), "a pass")
        watched.watch.look()
    with closing(Outbox(state.outbox)) as outbox, closing(JournalReader(state.live_journal)) as reader:
        place = reader.place_at(PASS_ROWS + 7)
        assert place is not None
        outbox.begin("archive", "live", Place(place))
    (folder / "swap.json").write_text("{}\n")
    return state


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return filled(tmp_path / "state")


@pytest.fixture
def dest(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "dest")


def backup(state: StateFolder, dest: BackupFolder, keep: int = 0, given: Given | None = None) -> Manifest:
    return Backup(state.path, given or Given(), state.backup_lock, keep).make(dest)


def restored(dest: BackupFolder, folder: Path) -> StateFolder:
    state = StateFolder(folder)
    restore(dest, folder, state.restoring)
    return state


class Load:
    """Writes to both journals, receives, judges and delivers, as fast as it can, until it is stopped."""

    def __init__(self, state: StateFolder) -> None:
        self._state, self._stop = state, threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._do, args=(work,)) for work in (self._judge, self._receive)]
        self.rounds = 0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        until(lambda: self.rounds > 3)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._failed

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as exc:
            self._failed.append(exc)

    def _judge(self) -> None:
        """Journals, and an outlet that follows the live one at its heels."""
        with ExitStack() as stack:
            live, study = (
                stack.enter_context(Journal(path, AT_ONCE))
                for path in (self._state.live_journal, self._state.study_journal)
            )
            outbox = stack.enter_context(closing(Outbox(self._state.outbox)))
            while not self._stop.is_set():
                for journal in (live, study):
                    for record in of_run(f"{journal.path.name} {self.rounds}", 5):
                        journal.append(record)
                    journal.sync()
                head = noted_head(live.path)
                assert head is not None
                outbox.move("archive", "live", Place(head))
                self.rounds += 1

    def _receive(self) -> None:
        watched = Watched(self._state.store)
        with closing(IntakeBook(self._state.intake)) as book, closing(watched.store):
            number = 100
            while not self._stop.is_set():
                watched.receives(f"1.{number}.1", of_study(f"1.{number}"))
                book.end(run_from_received(watched.store.received(number - 100)[-1], Path("x")), "a pass")
                number += 1


def objects(folder: Path) -> dict[int, str]:
    with closing(sqlite3.connect(folder / "index.db")) as index:
        return dict(index.execute("SELECT seq, content_sha256 FROM objects"))


def test_a_box_under_load_comes_back_as_it_was(state: StateFolder, dest: BackupFolder, tmp_path: Path) -> None:
    with Load(state):
        before = {path.name: rows(path) for path in (state.live_journal, state.study_journal)}
        received = objects(state.store)
        manifest = backup(state, dest)
    shutil.rmtree(state.path)

    again = restored(dest, tmp_path / "again")

    for path in (again.live_journal, again.study_journal):
        report = verify_journal(path, record_parts())
        found = rows(path)
        assert report.head == {journal.name: journal.head for journal in manifest.journals}[path.name]
        assert set(before[path.name]) <= set(found)
        assert len({id_ for _, id_ in found}) == len(found)
    live = verify_journal(again.live_journal, record_parts())
    assert (live.pruned, live.anchor_noted) == (PASS_ROWS, True)
    stored = objects(again.store)
    assert received.items() <= stored.items()
    for digest in stored.values():
        assert (again.store / "objects" / digest[:2] / f"{digest}.dcm").is_file()
    # Nothing that points is ahead of what it points to: what follows is done again, and nothing is left out.
    with closing(Outbox(again.outbox)) as outbox, closing(JournalReader(again.live_journal)) as reader:
        place = outbox.place("archive", "live")
        assert place is not None
        assert reader.place_at(place.head.seq) == place.head
    assert intake_of(again.intake).judged <= max(stored)


def test_numbers_and_ids_go_on_in_a_box_that_was_restored(
    state: StateFolder, dest: BackupFolder, tmp_path: Path
) -> None:
    backup(state, dest)
    again = restored(dest, tmp_path / "again")

    with Journal(again.live_journal, AT_ONCE) as journal:
        for record in (*of_run("live.journal c"), *of_run("live.journal d")):  # the first is there already
            journal.append(record)
    watched = Watched(again.store)
    with closing(watched.store):
        watched.receives("1.9.1", of_study("1.9"))
        seqs = [received.seq for received in watched.store.received()]

    report = verify_journal(again.live_journal, record_parts())
    assert (report.rows, report.pruned, report.sound) == (3 * PASS_ROWS, PASS_ROWS, True)
    assert seqs == [1, 2, 3, 4]


def test_a_second_backup_copies_no_object_again_and_holds_what_is_new(state: StateFolder, dest: BackupFolder) -> None:
    first = backup(state, dest)
    copies = {path: path.stat().st_ino for path in dest.path.glob("objects/*/*")}
    with closing(ObjectStore(state.store, LIMITS)):
        pass
    watched = Watched(state.store)
    with closing(watched.store):
        watched.receives("1.9.1", of_study("1.9"))

    second = backup(state, dest)

    assert not [path for path in dest.path.rglob("*") if path.name.endswith(("-wal", "-shm", ".new"))]
    assert (first.number, second.number) == (1, 2)
    assert (len(first.objects), len(second.objects)) == (STUDIES, STUDIES + 1)
    assert {path: path.stat().st_ino for path in copies} == copies
    assert dest.verify(1) == first
    assert dest.verify(2) == second
    assert {file.name for file in second.files} == {
        str(path.relative_to(dest.of(2))) for path in dest.of(2).rglob("*") if path.is_file()
    } - {"manifest.json"}


def test_old_backups_go_and_objects_that_none_has_go_with_them(state: StateFolder, dest: BackupFolder) -> None:
    backup(state, dest)
    with closing(ObjectStore(state.store, LIMITS)) as store:
        store.remove(store.received()[:1])

    backup(state, dest, keep=1)

    assert dest.numbers() == [2]
    assert len([*dest.path.glob("objects/*/*")]) == STUDIES - 1
    dest.verify(2)


def test_an_object_on_another_disk_is_copied(
    state: StateFolder, dest: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_paths: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", elsewhere)

    backup(state, dest)

    assert {path.stat().st_nlink for path in dest.path.glob("objects/*/*")} == {1}
    dest.verify(1)


@pytest.mark.parametrize("what", ["live.journal", "study.journal-head", "study-intake.db", "store/index.db", "object"])
def test_a_changed_byte_is_noticed_and_such_a_backup_is_not_put_back(
    state: StateFolder, dest: BackupFolder, tmp_path: Path, what: str
) -> None:
    backup(state, dest)
    path = dest.of(1) / what if what != "object" else next(dest.path.glob("objects/*/*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BackupError, match=f"{path.name}: sha256"):
        dest.verify(1)
    with pytest.raises(BackupError, match="use another backup"):
        restored(dest, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_manifest_that_leads_outside_is_refused(state: StateFolder, dest: BackupFolder) -> None:
    backup(state, dest)
    path = dest.of(1) / "manifest.json"
    document = json.loads(path.read_text())
    document["files"][0]["name"] = "../../../etc/passwd"
    path.write_text(json.dumps(document))

    with pytest.raises(BackupError, match="outside the backup"):
        dest.verify(1)


def test_a_damaged_journal_is_not_backed_up_as_if_it_were_whole(state: StateFolder, dest: BackupFolder) -> None:
    connection = sqlite3.connect(state.study_journal)
    with closing(connection), connection:
        connection.execute("DROP TRIGGER record_is_never_changed")
        connection.execute("UPDATE record SET kind = 'run' WHERE seq = 3")
    with pytest.raises(JournalError):
        backup(state, dest)
    assert dest.numbers() == []


def test_restoring_into_a_folder_with_something_in_it_is_refused(state: StateFolder, dest: BackupFolder) -> None:
    backup(state, dest)
    with pytest.raises(BackupError, match="not an empty folder"):
        restored(dest, state.path)


def test_a_folder_of_something_else_is_no_place_for_backups(state: StateFolder, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(BackupError, match="neither empty nor a folder of backups"):
        backup(state, BackupFolder(tmp_path / "mine"))


def test_places_that_are_ahead_of_their_journal_are_refused(state: StateFolder, dest: BackupFolder) -> None:
    with closing(Outbox(state.outbox)) as outbox:
        outbox.move("archive", "live", Place(Head(10_000, bytes(32))))
    with pytest.raises(BackupError, match="an outlet has delivered row 10000 of the live journal, which ends at 66"):
        backup(state, dest)


def test_what_the_box_was_started_with_is_in_it(state: StateFolder, dest: BackupFolder, tmp_path: Path) -> None:
    config, bundle = tmp_path / "lab.toml", tmp_path / "bundle"
    config.write_text("[line]\nbudget_ms = 80.0\n")
    (bundle / "deep").mkdir(parents=True)
    (bundle / "deep" / "weights.bin").write_bytes(b"weights")
    backup(state, dest, given=Given(config, b'{"line": {}}', (bundle,)))

    again = restored(dest, tmp_path / "again")

    assert (again.path / "given" / "configuration.toml").read_text() == config.read_text()
    assert (again.path / "given" / "configuration.json").read_bytes() == b'{"line": {}}'
    assert (again.path / "given" / "bundles" / "1 bundle" / "deep" / "weights.bin").read_bytes() == b"weights"
    assert (again.path / "swap.json").exists()


def back_up_to(folder: str, point: str) -> int:
    """In a process of its own: back up, to its end or to that point."""
    if point:
        arm(point, kill)
    try:
        backup(StateFolder(Path(folder) / "state"), BackupFolder(Path(folder) / "dest"), keep=1)
    except CathrtError:
        return 1
    return 0


def restore_to(folder: str, point: str) -> int:
    """In a process of its own: restore, to that point."""
    arm(point, kill)
    restored(BackupFolder(Path(folder) / "dest"), Path(folder) / "again")
    return 0


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as processes:
        yield processes


@pytest.mark.parametrize("point", [point for point in BACKUP_POINTS if point.startswith("backup.")])
def test_killed_anywhere_the_backup_before_or_the_new_one_is_whole(
    processes: Nursery, state: StateFolder, dest: BackupFolder, tmp_path: Path, point: str
) -> None:
    first = backup(state, dest)
    run = processes.run

    assert run("tests.retention.test_backup:back_up_to", str(tmp_path), point) == -signal.SIGKILL

    newest = dest.newest()
    assert dest.verify(newest.number) == newest
    assert newest == first or point == "backup.counts"
    assert run("tests.retention.test_backup:back_up_to", str(tmp_path), "") == 0
    assert dest.verify(dest.newest().number).number > first.number
    assert len(dest.numbers()) == 1
    assert {path.suffix for path in dest.backups.iterdir()} == {""}


@pytest.mark.parametrize("point", [point for point in BACKUP_POINTS if point.startswith("restore.")])
def test_a_restore_that_was_cut_short_is_refused_by_name(
    processes: Nursery, state: StateFolder, dest: BackupFolder, tmp_path: Path, point: str
) -> None:
    backup(state, dest)

    assert processes.run("tests.retention.test_backup:restore_to", str(tmp_path), point) == -signal.SIGKILL

    with pytest.raises(SinkError, match="a restore into it was cut short"):
        StateFolder(tmp_path / "again").make()
    shutil.rmtree(tmp_path / "again")
    assert verify_journal(restored(dest, tmp_path / "again").live_journal, record_parts()).sound

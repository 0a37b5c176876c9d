"""A torn or tampered journal is noticed when it is opened and when it is verified, and the message says where."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.head import head_path
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.whole import require_whole
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.passes import GROUPED, alert, rows, tampered, verdict, whole_pass, write

RECORDS = whole_pass(20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed, sound journal of one whole pass."""
    path = tmp_path / "journal.db"
    write(path, RECORDS)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, closed and never changed: for tests that copy it."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    write(path, RECORDS)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal whose process was killed: every row is still in the write-ahead log."""
    path = tmp_path_factory.mktemp("killed") / "journal.db"
    script = """
import sys
from pathlib import Path
from cathrt.runtime.failpoints import kill
from cathrt.runtime.journal.writer import Journal
from tests.passes import AT_ONCE, whole_pass
journal = Journal(Path(sys.argv[1]), AT_ONCE)
for record in whole_pass(20):
    journal.append(record)
    journal.sync()
kill()
"""
    root = Path(__file__).resolve().parent.parent.parent
    assert subprocess.run([sys.executable, "-c", script, path], check=False, cwd=root).returncode == -9
    assert path.with_name("journal.db-wal").stat().st_size > 50_000
    return path


def copied(journal: Path, folder: Path, *, with_head: bool = True) -> Path:
    """The journal with its companions in another folder."""
    for file in journal.parent.iterdir():
        if with_head or file != head_path(journal):
            shutil.copyfile(file, folder / file.name)
    return folder / journal.name


def refused(path: Path, match: str) -> None:
    """Every way in refuses it; one that begins with the newest rows, at the latest when the others are checked."""
    with pytest.raises(JournalError, match=match):
        verify_journal(path, record_parts())
    with pytest.raises(JournalError, match=match):
        Journal(path, GROUPED)
    with pytest.raises(JournalError):
        opened_with_the_newest(path)
    with pytest.raises(JournalError, match=match):
        require_whole(path)


def opened_with_the_newest(path: Path) -> None:
    """As the live process opens one; then the rest, as its child does."""
    with Journal(path, GROUPED, newest=8):
        pass
    require_whole(path)


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE record SET body = replace(body, '0.9', '0.1') WHERE seq = 11", "row 11: .*not what was written"),
        ("UPDATE record SET kind = 'run' WHERE seq = 3", "row 3: .*not what was written"),
        ("UPDATE record SET id = 'other' WHERE seq = 5", "row 5: .*not what was written"),
        ("UPDATE record SET chain = zeroblob(32) WHERE seq = 7", "row 7: .*not what was written"),
        ("DELETE FROM record WHERE seq = 4", "row 4: it is missing, 5 follows 3"),
        ("DELETE FROM record WHERE seq = 1", "row 1: it is missing, 2 follows 0"),
        ("DELETE FROM record WHERE seq > 20", "row 21: the head says 23 rows, 20 are there"),
        ("DELETE FROM record", "row 1: the head says 23 rows, 0 are there"),
        (
            "INSERT INTO record (seq, id, kind, body, chain) SELECT 24, 'new', kind, body, chain FROM record LIMIT 1",
            "row 24: .*not what was written",
        ),
        ("UPDATE meta SET head_seq = 22", "row 24: the head says 22 rows, 23 are there"),
        ("UPDATE meta SET head_chain = zeroblob(32)", "hash differs"),
        ("UPDATE meta SET head_chain = zeroblob(7)", "hash differs"),
        ("DELETE FROM meta", "0 heads, expected one"),
        ("PRAGMA user_version = 1", "journal schema 1, expected 4 or 5"),
        ("PRAGMA user_version = 4", "not those of journal schema 4"),
        ("PRAGMA user_version = 6", "journal schema 6, expected 4 or 5"),
        ("PRAGMA application_id = 7", "no cathrt journal: an SQLite file of another program"),
        ("DROP INDEX record_of_pass", "not those of journal schema 5"),
        ("CREATE TABLE mine (x)", "not those of journal schema 5"),
        ("CREATE TRIGGER hides AFTER INSERT ON record BEGIN SELECT 1; END", "not those of journal schema 5"),
    ],
)
def test_a_tampered_journal_is_refused_by_row(path: Path, statement: str, match: str) -> None:
    tampered(path, statement)

    refused(path, match)


def test_swapped_rows_are_noticed_at_the_first_of_them(path: Path) -> None:
    tampered(
        path,
        "UPDATE record SET seq = -1 WHERE seq = 8",
        "UPDATE record SET seq = 8 WHERE seq = 9",
        "UPDATE record SET seq = 9 WHERE seq = -1",
    )

    refused(path, "row 8: .*not what was written")


def test_a_tail_cut_with_its_head_is_noticed_by_the_head_file(path: Path) -> None:
    tampered(
        path,
        "DELETE FROM record WHERE seq > 20",
        "UPDATE meta SET head_seq = 20, head_chain = (SELECT chain FROM record WHERE seq = 20)",
    )

    refused(path, "row 21: rows up to 23 had been committed and are gone")


def test_an_older_copy_put_back_is_noticed_by_the_head_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(path, RECORDS[:10])
    older = path.read_bytes()
    write(path, RECORDS)
    path.write_bytes(older)

    refused(path, "row 11: rows up to 23 had been committed and are gone")


def test_another_journal_put_in_its_place_is_noticed_by_the_head_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "journal.db"
    write(other, whole_pass(40, "another run"))
    shutil.copyfile(other, path)

    refused(path, "row 23: journal.db-head remembers another row")


def test_a_removed_journal_is_not_silently_started_anew(path: Path) -> None:
    path.unlink()

    with pytest.raises(JournalError, match=r"no such file, but journal\.db-head of an earlier one"):
        Journal(path, GROUPED)
    head_path(path).unlink()
    write(path, RECORDS)
    assert verify_journal(path, record_parts()).rows == len(RECORDS)


def test_a_journal_moved_without_its_head_file_opens_and_says_so(path: Path) -> None:
    head_path(path).unlink()

    report = verify_journal(path, record_parts())
    write(path, [alert(0)])

    assert (report.rows, report.head_noted) == (len(RECORDS), False)
    assert verify_journal(path, record_parts()).head_noted


def test_a_left_over_log_of_a_removed_journal_is_never_replayed_into_a_new_one(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path, with_head=False)
    path.unlink()

    with pytest.raises(JournalError, match=r"journal\.db-wal of an earlier one"):
        Journal(path, GROUPED)
    assert not path.exists()


@pytest.mark.parametrize("noted", [b"\0" * 86, b"23", b"x" * 86, b"%020d %s\n" % (23, b"g" * 64)])
def test_an_unreadable_head_file_is_refused(path: Path, noted: bytes) -> None:
    head_path(path).write_bytes(noted)

    refused(path, "expected a row number and a sha256")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no cathrt journal: the file is empty"),
        (b"\x89PNG\r\n\x1a\n" * 500, "no cathrt journal: its first bytes are .*PNG"),
        (b"DICM", "no cathrt journal: its first bytes are b'DICM'"),
        (b"SQLite format 3\0" + b"\xff" * 4080, "an SQLite file of another program"),
    ],
    ids=["empty", "picture", "short", "header only"],
)
def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)

    refused(path, match)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]  # no head file beside it either


def test_a_journal_whose_first_bytes_are_damaged_is_called_damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"\0" * 16 + content[16:])

    refused(path, "its first bytes are .*the file is damaged")


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    refused(tmp_path, "a folder or a device, expected a journal file")


def test_a_foreign_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE patients (name)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    refused(path, "no cathrt journal: an SQLite file of another program")
    assert path.read_bytes() == before


def test_a_missing_journal_cannot_be_verified_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no such file"):
        verify_journal(tmp_path / "journal.db", record_parts())
    assert list(tmp_path.iterdir()) == []


def test_a_journal_on_a_medium_that_cannot_be_written_is_verified_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cathrt.runtime.journal.file.os.access", lambda *_: False)  # root may write anywhere
    before = sorted(path.parent.iterdir())

    assert verify_journal(path, record_parts()).rows == len(RECORDS)
    assert sorted(path.parent.iterdir()) == before


def test_a_killed_journal_is_whole_and_goes_on(killed: Path, tmp_path: Path) -> None:
    path = copied(killed, tmp_path)

    assert verify_journal(path, record_parts()).sound
    write(path, [verdict(0, "run b")])
    assert len(rows(path)) == len(RECORDS) + 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0.0, 0.999))
def test_a_log_cut_anywhere_is_refused(killed: Path, tmp_path_factory: pytest.TempPathFactory, part: float) -> None:
    path = copied(killed, tmp_path_factory.mktemp("cut"))
    wal = path.with_name("journal.db-wal")
    content = wal.read_bytes()
    wal.write_bytes(content[: int(len(content) * part)])

    refused(path, "had been committed and are gone")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0.0, 0.999))
def test_a_log_cut_anywhere_without_the_head_file_leaves_a_sound_beginning(
    killed: Path, tmp_path_factory: pytest.TempPathFactory, part: float
) -> None:
    path = copied(killed, tmp_path_factory.mktemp("cut"), with_head=False)
    wal = path.with_name("journal.db-wal")
    content = wal.read_bytes()
    wal.write_bytes(content[: int(len(content) * part)])

    write(path, RECORDS)

    assert rows(path) == [(seq, record.id) for seq, record in enumerate(RECORDS, 1)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0.0, 0.999))
def test_a_journal_cut_anywhere_is_refused(sound: Path, tmp_path_factory: pytest.TempPathFactory, part: float) -> None:
    path = copied(sound, tmp_path_factory.mktemp("cut"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])

    refused(path, "journal.db")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0.0, 0.999), bit=st.integers(0, 7))
@example(part=0.078125, bit=7)  # in the schema's text: no longer UTF-8 when SQLite's message quotes it
def test_a_flipped_bit_is_refused_or_has_changed_no_record(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, part: float, bit: int
) -> None:
    path = copied(sound, tmp_path_factory.mktemp("flip"))
    content = bytearray(path.read_bytes())
    content[int(len(content) * part)] ^= 1 << bit
    path.write_bytes(content)

    try:
        report = verify_journal(path, record_parts())
    except JournalError:
        with pytest.raises(JournalError):
            Journal(path, GROUPED)
    else:  # an unused byte of a page, a change counter of the header
        assert (report.rows, report.head) == (len(RECORDS), verify_journal(sound, record_parts()).head)


def test_every_flipped_byte_of_every_body_is_refused(sound: Path, tmp_path: Path) -> None:
    path = copied(sound, tmp_path)
    content = path.read_bytes()
    bodies = [at for at in range(len(content)) if content.startswith(b'{"type":', at)]
    assert len(bodies) >= len(RECORDS)
    stored = sqlite3.connect(sound)
    lengths = {body[:60].encode(): len(body.encode()) for (body,) in stored.execute("SELECT body FROM record")}
    stored.close()

    for at in bodies:
        for offset in range(0, lengths[content[at : at + 60]], 37):
            path.write_bytes(content[: at + offset] + bytes([content[at + offset] ^ 1]) + content[at + offset + 1 :])
            with pytest.raises(JournalError):
                verify_journal(path, record_parts())


def test_a_damaged_index_is_refused_since_a_record_could_be_stored_twice_through_it(path: Path) -> None:
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'record' AND sql IS NULL"
    ).fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    at = content.index(RECORDS[7].id.encode(), (page - 1) * page_size)
    assert at < page * page_size
    content[at + 35] ^= 1
    path.write_bytes(content)

    refused(path, "index")


@pytest.mark.parametrize("action", ["UPDATE record SET kind = 'run'", "DELETE FROM record"])
def test_the_file_itself_refuses_changes_by_mistake(path: Path, action: str) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(action)
    connection.close()

"""One writer a file, whatever name leads to it; and a file that is not there any more is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cathrt.runtime.errors import JournalError
from cathrt.runtime.journal.file import open_for_reading
from cathrt.runtime.journal.head import head_path
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.conftest import ROOT
from tests.passes import AT_ONCE, GROUPED, Shown, rows, verdict, whole_pass, write

OPEN = (
    "import sys; from pathlib import Path; from cathrt.runtime.config import JournalConfig;"
    "from cathrt.runtime.journal.writer import Journal; Journal(Path(sys.argv[1]), JournalConfig()).close()"
)
# Where SQLite's unix locks are: a connection to a file in WAL mode has a read lock there while it is open.
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510
TAKE_LOCK = f"""
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, {SHARED_SIZE}, {SHARED_FIRST})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed journal of one whole pass in a folder of its own."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "journal.db"
    write(path, whole_pass())
    return path


def run(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False, cwd=ROOT)


def refused_everywhere(path: Path, match: str) -> None:
    """Neither this process nor another may write to it by that name."""
    with pytest.raises(JournalError, match=match):
        Journal(path, GROUPED)
    other = run(OPEN, path)
    assert other.returncode != 0
    assert match in other.stderr


def symbolic_link(path: Path) -> Path:
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    return link


def linked_folder(path: Path) -> Path:
    (path.parent.parent / "linked").symlink_to(path.parent)
    return path.parent.parent / "linked" / path.name


def link_of_a_link(path: Path) -> Path:
    link = path.parent.parent / "again.db"
    link.symlink_to(symbolic_link(path).name)
    return link


def moved(path: Path) -> Path:
    return path.rename(path.with_name("moved.db"))


def moved_away(path: Path) -> Path:
    (path.parent.parent / "elsewhere").mkdir()
    return path.rename(path.parent.parent / "elsewhere" / path.name)


@pytest.mark.parametrize("other_name", [symbolic_link, linked_folder, link_of_a_link, moved, moved_away])
def test_a_second_writer_is_refused_by_every_name_of_the_file(path: Path, other_name: Callable[[Path], Path]) -> None:
    journal = Journal(path, AT_ONCE)
    try:
        refused_everywhere(other_name(path), "locked by another writer")
    finally:
        journal.close()


def test_the_first_writer_may_have_come_through_the_link(path: Path) -> None:
    link = symbolic_link(path)

    with Journal(link, AT_ONCE) as journal:
        journal.append(verdict(0, "run b"))
        refused_everywhere(path, "locked by another writer")

    assert len(rows(path)) == len(whole_pass()) + 1
    assert not head_path(link).exists()
    assert verify_journal(link, record_parts()).head_noted
    assert verify_journal(link, record_parts()).head == verify_journal(path, record_parts()).head


def test_a_link_to_a_journal_that_does_not_exist_yet_leads_to_it(tmp_path: Path) -> None:
    link, path = tmp_path / "link.db", tmp_path / "journal.db"
    link.symlink_to(path)

    write(link, [verdict(0)])

    assert link.is_symlink()
    assert len(rows(path)) == 1


def test_a_file_with_two_names_is_refused_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    os.link(path, other)
    before = path.read_bytes()

    for name in (path, other):
        refused_everywhere(name, "remove the other names")
        with pytest.raises(JournalError, match=r"2 names \(hard links\), expected one"):
            open_for_reading(name)
    assert path.read_bytes() == before
    other.unlink()
    write(path, [verdict(0, "run b")])


def test_a_name_added_while_a_journal_is_open_stops_it_not(path: Path, tmp_path: Path) -> None:
    sink = Shown()
    with Journal(path, AT_ONCE, (sink,)) as journal:
        os.link(path, tmp_path / "backup.db")
        journal.append(verdict(0, "run b"))
    assert len(sink.records) == 1


def test_a_file_mounted_elsewhere_has_the_same_lock(path: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted.db"
    mounted.touch()
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    with Journal(path, AT_ONCE):
        command = ["unshare", "-rm", "sh", "-c", script, "sh", path, mounted, sys.executable, OPEN]
        if not shutil.which("unshare"):
            pytest.skip("no unshare: a mount needs a namespace of its own")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    assert done.returncode != 0
    assert "locked by another writer" in done.stderr


def replaced(path: Path) -> None:
    path.rename(path.with_name("old.db"))
    shutil.copyfile(path.with_name("old.db"), path)


@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        replaced,
        lambda path: path.with_name("journal.db-wal").unlink(),
        lambda path: path.with_name("journal.db-head").unlink(),
        lambda path: path.parent.rename(path.parent.with_name("moved")),
    ],
    ids=["removed", "replaced", "log removed", "head removed", "folder moved"],
)
def test_nothing_is_shown_that_is_in_a_file_which_is_not_there_any_more(
    path: Path, harm: Callable[[Path], object]
) -> None:
    sink = Shown()
    journal = Journal(path, AT_ONCE, (sink,))
    journal.append(verdict(0, "run b"))
    journal.sync()
    harm(path)
    journal.append(verdict(1, "run b"))

    with pytest.raises(JournalError, match="moved, removed or replaced while the journal was open"):
        journal.close()
    assert sink.records == [verdict(0, "run b")]


def test_readers_and_refused_writers_of_this_process_do_not_drop_the_writers_locks(path: Path) -> None:
    journal = Journal(path, AT_ONCE)
    journal.append(verdict(0, "run b"))
    journal.sync()

    verify_journal(path, record_parts())
    verify_journal(symbolic_link(path), record_parts())
    journal.stored("no such pass")
    with pytest.raises(JournalError, match="locked by another writer"):
        Journal(path, GROUPED)
    assert "BlockingIOError" in run(TAKE_LOCK, path).stderr

    os.close(os.open(path, os.O_RDONLY))  # what must not happen, and would be noticed here
    assert run(TAKE_LOCK, path).returncode == 0
    journal.close()


def test_a_reader_that_outlives_the_writer_keeps_its_locks_and_lets_the_next_writer_in(path: Path) -> None:
    journal = Journal(path, AT_ONCE)
    reader = open_for_reading(path)
    reader.execute("SELECT count(*) FROM record").fetchone()
    journal.close()

    assert "BlockingIOError" in run(TAKE_LOCK, path).stderr
    assert run(OPEN, path).returncode == 0
    write(path, [verdict(0, "run b")])
    reader.close()
    assert run(TAKE_LOCK, path).returncode == 0


def test_no_descriptor_is_left_open(path: Path) -> None:
    before = os.listdir("/proc/self/fd")

    write(path, [verdict(0, "run b")])
    verify_journal(path, record_parts())
    os.link(path, path.with_name("other.db"))
    with pytest.raises(JournalError):
        verify_journal(path, record_parts())
    path.with_name("other.db").unlink()
    path.write_bytes(b"no journal")
    with pytest.raises(JournalError):
        Journal(path, GROUPED)

    assert os.listdir("/proc/self/fd") == before

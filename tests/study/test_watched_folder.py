"""A watched folder gives out each complete file once, whatever happens to files, names and the folder itself."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cathrt.runtime.study.open_for_writing import is_open_for_writing
from cathrt.runtime.study.waiting import Stamp, WaitingRun
from cathrt.runtime.study.watched_folder import WatchedFolder
from tests.sources.dicom_bytes import xa_file

SETTLE_S = 2.0
RUN = xa_file()


@dataclass
class Watched:
    """A watched folder with a clock of its own, and what was judged of it."""

    path: Path
    now_s: float = 0.0
    judged: dict[bytes, Stamp] = field(default_factory=dict)
    written: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder = WatchedFolder(
            self.path,
            SETTLE_S,
            lambda key, stamp: self.judged.get(key) == stamp,
            now_s=lambda: self.now_s,
            is_written=lambda path: path in self.written,
        )

    def look(self, after_s: float = 0.0) -> list[WaitingRun]:
        self.now_s += after_s
        return self.folder.look()

    def names(self, after_s: float = 0.0) -> list[str]:
        return [run.name for run in self.look(after_s)]

    def judge(self, runs: list[WaitingRun]) -> None:
        self.judged |= {run.key: run.stamp for run in runs if run.stamp is not None}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "watched").mkdir()
    return Watched(tmp_path / "watched")


def put(watched: Watched, name: str | bytes, content: bytes = RUN) -> Path:
    path = Path(os.fsdecode(os.path.join(os.fsencode(watched.path), os.fsencode(name))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_counts_once_it_has_not_changed_for_the_settle_time(watched: Watched) -> None:
    put(watched, "run.dcm")
    assert watched.names() == []
    assert watched.names(SETTLE_S - 0.1) == []
    assert watched.names(0.1) == ["run.dcm"]
    assert watched.names(SETTLE_S) == []


def test_a_file_that_grows_waits_until_it_has_stopped_growing(watched: Watched) -> None:
    path = put(watched, "run.dcm", RUN[:200])
    watched.look()
    for end in (300, 400, len(RUN)):
        path.write_bytes(RUN[:end])
        assert watched.names(SETTLE_S) == []
    assert watched.names(SETTLE_S) == ["run.dcm"]


def test_a_file_of_the_same_size_that_was_written_again_waits_anew(watched: Watched) -> None:
    path = put(watched, "run.dcm")
    watched.look()
    os.utime(path, ns=(1, 1))
    assert watched.names(SETTLE_S) == []
    assert watched.names(SETTLE_S) == ["run.dcm"]


def test_a_file_that_is_open_for_writing_waits_however_long_it_does_not_change(watched: Watched) -> None:
    path = put(watched, "run.dcm")
    watched.written = {path}
    watched.look()
    assert watched.names(100 * SETTLE_S) == []
    watched.written = set()
    assert watched.names() == ["run.dcm"]


def test_the_system_says_whether_a_file_is_open_for_writing(tmp_path: Path) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(RUN)
    assert not is_open_for_writing(path)
    with path.open("rb"):
        assert not is_open_for_writing(path)
    with path.open("ab"):
        if not is_open_for_writing(path):
            pytest.skip(f"the file system of {tmp_path} has no leases: who writes cannot be told there")
    assert not is_open_for_writing(path)
    assert not is_open_for_writing(tmp_path / "gone")


def test_an_empty_file_is_not_complete(watched: Watched) -> None:
    path = put(watched, "run.dcm", b"")
    watched.look()
    assert watched.names(SETTLE_S) == []
    path.write_bytes(RUN)
    watched.look()
    assert watched.names(SETTLE_S) == ["run.dcm"]


@pytest.mark.parametrize("partial", ["run.dcm.part", ".run.dcm.Xy12", "run.tmp", "run.FILEPART", ".hidden/run.dcm"])
def test_what_is_named_as_partly_written_counts_once_it_is_renamed(watched: Watched, partial: str) -> None:
    path = put(watched, partial)
    watched.look()
    assert watched.names(SETTLE_S) == []
    path.rename(watched.path / "run.dcm")
    assert watched.names() == []
    assert watched.names(SETTLE_S) == ["run.dcm"]


def test_a_file_that_is_deleted_before_it_is_complete_is_nothing(watched: Watched) -> None:
    path = put(watched, "run.dcm")
    watched.look()
    path.unlink()
    assert watched.names(SETTLE_S) == []


def test_links_are_not_followed(watched: Watched, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.dcm").write_bytes(RUN)
    (watched.path / "folder").symlink_to(outside)
    (watched.path / "file.dcm").symlink_to(outside / "run.dcm")
    (watched.path / "nowhere.dcm").symlink_to(outside / "gone")
    (watched.path / "circle").symlink_to(watched.path)
    os.mkfifo(watched.path / "pipe.dcm")
    put(watched, "own.dcm")
    watched.look()
    assert watched.names(SETTLE_S) == ["own.dcm"]


def test_a_watched_folder_may_be_named_by_a_link(watched: Watched, tmp_path: Path) -> None:
    put(watched, "run.dcm")
    (tmp_path / "link").symlink_to(watched.path)
    linked = Watched(tmp_path / "link")
    linked.look()
    assert linked.names(SETTLE_S) == ["run.dcm"]


def test_a_name_that_is_no_utf_8_is_taken_and_shown_without_its_odd_bytes(watched: Watched) -> None:
    path = put(watched, b"r\xfcn\x1b[2J.dcm")
    watched.look()
    (run,) = watched.look(SETTLE_S)
    assert run.input.paths == (path,)
    assert run.name == "r\N{REPLACEMENT CHARACTER}n\N{REPLACEMENT CHARACTER}[2J.dcm"
    assert run.key == b"file " + os.fsencode(path)


def test_names_begin_below_the_watched_folder(watched: Watched) -> None:
    put(watched, "day 1/run.dcm")
    put(watched, "day 2/run.dcm")
    watched.look()
    assert sorted(watched.names(SETTLE_S)) == ["day 1/run.dcm", "day 2/run.dcm"]


def test_older_files_come_first(watched: Watched) -> None:
    for name, mtime in (("b.dcm", 2), ("c.dcm", 1), ("a.dcm", 3)):
        os.utime(put(watched, name), ns=(mtime, mtime))
    watched.look()
    assert watched.names(SETTLE_S) == ["c.dcm", "b.dcm", "a.dcm"]


def test_of_thousands_of_files_each_comes_once(watched: Watched) -> None:
    for number in range(3000):
        put(watched, f"{number % 30}/{number}.dcm", b"x")
    watched.look()
    complete = watched.names(SETTLE_S)
    assert len(complete) == len(set(complete)) == 3000
    assert watched.names(SETTLE_S) == []


def test_what_was_judged_is_not_given_out_by_a_later_process_until_it_changes(watched: Watched) -> None:
    path = put(watched, "run.dcm")
    watched.look()
    watched.judge(watched.look(SETTLE_S))
    later = Watched(watched.path, judged=watched.judged)
    later.look()
    assert later.names(SETTLE_S) == []
    path.write_bytes(RUN + b"\0\0")
    later.look()
    assert later.names(SETTLE_S) == ["run.dcm"]


def test_a_folder_that_vanishes_and_comes_back_loses_no_file_and_gives_none_out_twice(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(watched, "judged.dcm")
    put(watched, "waiting.dcm")
    watched.look()
    complete = watched.look(SETTLE_S)
    watched.judge([run for run in complete if run.name == "judged.dcm"])
    watched.path.rename(tmp_path / "away")
    assert watched.names(SETTLE_S) == []
    assert watched.names(SETTLE_S) == []
    assert [record.getMessage() for record in caplog.records] == [
        "watched: cannot be listed (No such file or directory): it is looked at again"
    ]
    (tmp_path / "away").rename(watched.path)
    watched.look()
    assert watched.names(SETTLE_S) == ["waiting.dcm"]
    assert caplog.records[-1].getMessage() == "watched: can be listed again"


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "later")
    assert watched.names() == []
    put(watched, "run.dcm")
    watched.look()
    assert watched.names(SETTLE_S) == ["run.dcm"]


def test_what_is_no_whole_run_is_named_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    put(watched, "notes.txt", b"no run")
    put(watched, "frame1.png", b"\x89PNG")
    put(watched, "DICOMDIR")
    caplog.set_level(logging.WARNING)
    watched.look()
    for _ in range(3):
        assert watched.names(SETTLE_S) == []
    said = sorted(record.getMessage() for record in caplog.records)
    assert len(said) == 2
    assert "frame1.png" in said[0]
    assert "notes.txt" in said[1]


def test_a_file_without_suffix_is_known_by_its_first_bytes(watched: Watched) -> None:
    put(watched, "IM0001")
    watched.look()
    assert watched.names(SETTLE_S) == ["IM0001"]


def test_a_file_that_was_not_there_when_it_was_due_is_given_out_when_it_is_back(watched: Watched) -> None:
    path = put(watched, "run.dcm")
    watched.look()
    (run,) = watched.look(SETTLE_S)
    assert run.is_as_found()
    path.rename(watched.path / ".away")
    assert not run.is_as_found()
    (watched.path / ".away").rename(path)  # back before anybody has looked
    watched.folder.look_again(path)
    watched.look()
    assert watched.names(SETTLE_S) == ["run.dcm"]

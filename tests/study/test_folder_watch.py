"""Watched folders are looked at in threads of their own, which a hanging folder does not take from the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from cathrt.runtime.study.folder_watch import watching
from cathrt.runtime.study.waiting import WaitingRun
from cathrt.runtime.study.watched_folder import WatchedFolder
from tests.study.waiting_runs import file_run


class _Folder:
    """A folder that gives out one file a look."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def look(self) -> list[WaitingRun]:
        return [file_run(self._name)]


class _Hanging:
    """A folder on a drive that does not answer, until the end of the test."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def look(self) -> list[WaitingRun]:
        self.answers.wait(60.0)
        return []


@pytest.fixture
def hanging() -> Iterator[_Hanging]:
    folder = _Hanging()
    yield folder
    folder.answers.set()


def test_complete_files_come_although_another_folder_hangs(hanging: _Hanging) -> None:
    files: SimpleQueue[WaitingRun] = SimpleQueue()
    folders = [hanging, _Folder(b"/a.dcm"), _Folder(b"/b.dcm")]
    with watching(folders, files, 0.001) as threads:  # type: ignore[arg-type]
        names: set[str] = set()
        while len(names) < 2:
            names.add(files.get(timeout=60.0).name)
        hanging.answers.set()
        assert all(thread.is_alive() for thread in threads)
    assert not any(thread.is_alive() for thread in threads)


def test_a_real_folder_is_looked_at_until_its_files_are_complete(tmp_path: Path) -> None:
    files: SimpleQueue[WaitingRun] = SimpleQueue()
    with watching([WatchedFolder(tmp_path, 0.02, lambda key, stamp: False)], files, 0.01):
        (tmp_path / "run.dcm").write_bytes(b"any")
        assert files.get(timeout=60.0).name == "run.dcm"

"""The state folder: made once, held by one supervisor, refused by name where there is no room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.processes import state_folder
from cathrt.runtime.processes.state_folder import StateFolder


@pytest.fixture
def shared_memory(tmp_path: Path) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path, shared_memory: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.make(shared_memory)
    return made


def test_its_counts_are_in_shared_memory_for_this_user_alone(state: StateFolder, shared_memory: Path) -> None:
    (folder,) = shared_memory.iterdir()
    assert state.memory.resolve() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert state.counts("A").parent == state.memory


def test_made_again_it_keeps_what_is_there(state: StateFolder, shared_memory: Path) -> None:
    state.counts("A").write_bytes(b"counts")
    StateFolder(state.path).make(shared_memory)
    assert state.counts("A").read_bytes() == b"counts"


def test_after_a_restart_of_the_machine_it_has_memory_anew(state: StateFolder, shared_memory: Path) -> None:
    shutil.rmtree(state.memory.resolve())
    state.make(shared_memory)
    assert state.memory.is_dir()


def test_dismissed_memory_is_gone_and_the_journals_stay(state: StateFolder, shared_memory: Path) -> None:
    state.live_journal.touch()
    state.dismiss_memory()
    assert not [*shared_memory.iterdir()]
    assert not os.path.lexists(state.memory)
    assert state.live_journal.exists()


def test_sources_of_any_name_have_counts_of_their_own(state: StateFolder) -> None:
    names = ["A", "a", "../../etc", "日本", "A/B"]
    paths = {state.counts(name) for name in names}
    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {state.memory}


def test_a_second_supervisor_is_refused_by_name_until_the_first_has_gone(state: StateFolder) -> None:
    with state.supervised():
        with pytest.raises(CathrtError, match="another `cathrt run` has this state folder"):
            with StateFolder(state.path).supervised():
                pass
    with StateFolder(state.path).supervised():
        pass


def test_a_disk_with_too_little_room_is_refused_by_name(state: StateFolder) -> None:
    state.require_room(1)
    with pytest.raises(SinkError, match=r"MiB free on its disk, expected at least 1000000000 MiB \(supervisor.reserve"):
        state.require_room(10**9)


def test_shared_memory_with_too_little_room_is_refused_by_name(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_folder, "SHARED_MEMORY_MIB", 10**9)
    with pytest.raises(SinkError, match="shared memory for counts and heartbeats: give the container more"):
        state.require_room(1)


def test_no_shared_memory_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="expected shared memory for counts and heartbeats: mount a tmpfs"):
        StateFolder(tmp_path / "state").make(tmp_path / "missing")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SinkError, match="cannot be used as part of a state folder"):
        StateFolder(tmp_path / "state").make(tmp_path)


def test_something_else_in_the_place_of_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "memory").write_text("a file")
    with pytest.raises(SinkError, match="expected a folder of this user"):
        StateFolder(tmp_path / "state").make(tmp_path)


def test_a_report_is_replaced_as_a_whole(state: StateFolder) -> None:
    assert state.read_report("live") is None
    state.write_report("live", {"pid": 1})
    state.write_report("live", {"pid": 2})
    assert state.read_report("live") == {"pid": 2}
    assert [path.name for path in state.memory.iterdir()] == ["live.json"]

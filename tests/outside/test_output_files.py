"""An output file is whole or not there, and what the system says against it is a SinkError that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.errors import SinkError
from cathrt.runtime.outside.output_files import whole_file


def test_a_file_gets_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_what_ends_the_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("name", ["file/below", "x" * 300, "missing/page"])
def test_a_place_that_cannot_be_written_is_said_with_the_option_that_chose_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    message = f"{name}: cannot be written .*: choose another --config, or make room"
    with pytest.raises(SinkError, match=message), whole_file(tmp_path / name, "--config") as part:
        part.write_text("new")

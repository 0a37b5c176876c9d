"""What a command shows becomes a page: pictures are read again afterwards, whatever an input turned out to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.runtime.alert import Rate
from cathrt.runtime.commands.pages import PageSink
from cathrt.runtime.errors import SinkError, SourceError
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.replay import replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening, SeveralRunsError
from tests.lines import ArraySource, line
from tests.passes import AT_ONCE

SCORES = [0.1] * 3 + [0.9] * 4 + [0.1] * 5


def run_of(name: str) -> Opening:
    return Opening(name, lambda: ArraySource(SCORES, name=name))


def page_of(folder: Path, *openings: Opening, rate: Rate = "max") -> str:
    page, judging = PageSink(folder / "page", "--summary-page", record_parts()), line(rate=rate)
    with Journal(folder / "journal.db", AT_ONCE, [page]) as journal:
        replay(page.noting(openings), judging, journal)
    page.write("runs", judging, page.judged_runs(), seed=3)
    return page.path.read_text(encoding="utf-8")


def test_each_run_has_its_pictures_its_threshold_and_its_seed(tmp_path: Path) -> None:
    page = page_of(tmp_path, run_of("one"), run_of("two"))
    assert page.count('alt="the run"') == 2
    assert page.count("threshold 0.50") == 2
    assert "seed 3" in page
    assert "brightness at full speed on fake" in page
    assert "(no deadline here)" in page


def test_at_real_time_the_page_says_from_when_on_a_frame_is_late(tmp_path: Path) -> None:
    page = page_of(tmp_path, Opening("short", lambda: ArraySource([0.1, 0.2])), rate="realtime")
    assert "judged within 100 ms" in page
    assert "brightness at real time on fake" in page


def test_an_input_that_is_several_runs_has_the_pictures_of_each(tmp_path: Path) -> None:
    def several() -> ArraySource:
        raise SeveralRunsError("a folder of two", [run_of("one"), run_of("two")])

    page = page_of(tmp_path, Opening("folder", several))
    assert page.count('alt="the run"') == 2


def test_a_run_that_cannot_be_read_again_is_on_the_page_without_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = []

    def once() -> ArraySource:
        if opened:
            raise SourceError("gone.dcm: no such file")
        opened.append(True)
        return ArraySource(SCORES, name="gone")

    page = page_of(tmp_path, Opening("gone", once), run_of("there"))
    assert page.count('alt="the run"') == 1
    assert page.count("<section>") == 2
    assert "gone: no pictures on the page, it cannot be read again: gone.dcm: no such file" in caplog.text


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SinkError, match="--summary-page"):
        PageSink(tmp_path / "file" / "page", "--summary-page", record_parts())

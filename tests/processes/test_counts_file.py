"""Counts that outlive the process: whole at every moment, exact after a kill at any line, read from elsewhere."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cathrt.runtime.counts import FRAME_ENDS, VERDICT_COUNTS, unjudged, waiting
from cathrt.runtime.errors import JournalError
from cathrt.runtime.processes.counts_file import CountsFile, CountsRead, read_counts
from tests.faults.calls import Nursery, nursery
from tests.processes.counting_process import SOURCE, durable

COUNT_ON = "tests.processes.counting_process:count_on"


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


def begun(path: Path) -> CountsFile:
    counts = CountsFile(path, SOURCE)
    counts.settle({})
    return counts


def found(path: Path) -> CountsRead:
    read = read_counts(path)
    assert read is not None
    return read


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_what_is_counted_is_read_elsewhere(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    counts.add("received", 5)
    counts.add("held", 2)
    counts.add("frames", 2)
    counts.add("met")
    counts.note("picture_ns", 1234567890123)
    read = found(tmp_path / "counts")
    assert (read.source, read.waiting, read.unjudged) == (SOURCE, 1, 1)
    assert read.values["picture_ns"] == counts.value("picture_ns") == 1234567890123
    assert (waiting(counts.value), unjudged(counts.value)) == (1, 1)
    assert read.figures() | {"received": 5, "held": 2, "frames": 2, "met": 1} == read.figures()
    assert read.in_words() == "received 5, held 2, frames 2, met 1, in hand 2"


def test_counts_go_on_where_an_earlier_process_left_them(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    counts.add("received", 3)
    counts.add("held", 3)
    counts.close()
    again = CountsFile(tmp_path / "counts", SOURCE)
    assert again.settle({}) == 0
    again.add("received")
    assert again.value("received") == 4


def test_frames_in_hand_are_lost_once_and_durable_verdicts_are_not(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    counts.add("received", 10)
    counts.add("held", 1)
    counts.add("frames", 8)  # one more picture was on its way
    counts.add("met", 2)
    counts.add("refused", 1)
    counts.close()
    again = CountsFile(tmp_path / "counts", SOURCE)
    assert again.settle({"met": 3, "dropped": 1}) == 4  # the kill came after a commit and before its counting
    assert again.settle({"met": 3, "dropped": 1}) == 0
    read = found(tmp_path / "counts")
    assert {name: read.values[name] for name in ("frames", "met", "dropped", "refused", "lost")} == {
        "frames": 9, "met": 3, "dropped": 1, "refused": 1, "lost": 4,
    }  # fmt: skip
    assert (read.waiting, read.unjudged) == (0, 0)


def test_more_verdicts_than_pictures_are_refused_and_change_nothing(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    counts.add("received", 2)
    counts.close()
    again = CountsFile(tmp_path / "counts", SOURCE)
    with pytest.raises(JournalError, match="2 frames of A were counted, and 1 more have ended"):
        again.settle({"met": 3})
    assert found(tmp_path / "counts").figures() | {"received": 2, "met": 0} == found(tmp_path / "counts").figures()


def test_nothing_is_counted_before_the_books_are_settled(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="settle"):
        CountsFile(tmp_path / "counts", SOURCE).add("received")


def test_the_first_row_that_counts_is_kept(tmp_path: Path) -> None:
    CountsFile(tmp_path / "counts", SOURCE, since_seq=41).close()
    assert CountsFile(tmp_path / "counts", SOURCE, since_seq=99).since_seq == 41


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    with pytest.raises(JournalError, match="another writer"):
        CountsFile(tmp_path / "counts", SOURCE)
    counts.close()


def test_the_counts_of_another_source_are_refused(tmp_path: Path) -> None:
    begun(tmp_path / "counts").close()
    with pytest.raises(JournalError, match="expected those of B"):
        CountsFile(tmp_path / "counts", "B")


@pytest.mark.parametrize("content", [b"x" * 4096, b"counts99" + bytes(4088), b"counts01"])
def test_a_file_that_holds_no_counts_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "counts").write_bytes(content)
    with pytest.raises(JournalError, match="remove the file"):
        read_counts(tmp_path / "counts")


@pytest.mark.parametrize("content", [None, b"", bytes(4096)])
def test_where_no_process_has_begun_there_are_no_counts(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "counts").write_bytes(content)
    assert read_counts(tmp_path / "counts") is None


def test_threads_do_not_lose_each_others_counts(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")

    def add() -> None:
        for _ in range(500):
            counts.add("received")
            counts.add("held")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counts.value("received"), counts.value("held")) == (2000, 2000)


def test_a_reader_never_sees_half_a_change(tmp_path: Path, processes: Nursery) -> None:
    pid = processes.start("tests.processes.counting_process:count_pairs", str(tmp_path / "counts"), 5_000)
    seen: set[int] = set()
    received = 0
    while received < 5_000:
        if (read := read_counts(tmp_path / "counts")) is not None:
            seen.add(read.waiting)
            assert read.values["received"] >= received
            received = read.values["received"]
    assert processes.wait(pid) == 0
    assert seen <= {0, 1}
    assert found(tmp_path / "counts").values["held"] == 5_000


@given(kills=st.lists(st.integers(1, 900), min_size=1, max_size=4))
@settings(max_examples=15)
def test_after_a_kill_at_any_line_every_picture_is_accounted_for(processes: Nursery, kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for kill_at_line in kills:
            ended = processes.run(COUNT_ON, folder, 40, kill_at_line)
            assert ended in (-signal.SIGKILL, 0)
            if (read := read_counts(place / "counts")) is not None:  # whole, if behind the journal
                assert min(read.waiting, read.unjudged + 1) >= 0
        assert processes.run(COUNT_ON, folder, 40, 0) == 0
        read = found(place / "counts")
        assert size(place / "received.done") <= read.values["received"] <= size(place / "received.begun")
        assert size(place / "held.done") <= read.values["held"]
        assert {name: read.values[name] for name in VERDICT_COUNTS} == durable(place)
        assert read.values["frames"] == sum(read.values[end] for end in FRAME_ENDS)
        assert read.values["received"] == read.values["held"] + read.values["frames"]
        assert size(place / "lost") <= read.values["lost"] <= 4 * len(kills)


def test_it_is_as_small_as_its_page_and_stays_so(tmp_path: Path) -> None:
    counts = begun(tmp_path / "counts")
    for _ in range(1000):
        counts.add("received")
    assert os.stat(tmp_path / "counts").st_size == 4096

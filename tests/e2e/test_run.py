"""`cathrt run`: live runs judged, its processes killed at random, and drained; nothing lost, nothing shown twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cathrt.runtime.counts import FRAME_ENDS
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from tests.e2e.running_box import Box, FeedReader, kill_at_random


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def make(*sources: str) -> Box:
        made.append(Box(tmp_path / "box", sources or ("A",)))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.end()


def journalled(path: Path) -> Counter[str]:
    """Ids of a journal's records."""
    from cathrt.runtime.journal.head import Head
    from cathrt.runtime.journal.reader import JournalReader

    reader, place, ids = JournalReader(path), Head(), Counter[str]()
    while batch := reader.read(place):
        ids.update(followed.stored.id for followed in batch)
        place = batch[-1].place
    reader.close()
    return ids


def accounted(box: Box) -> None:
    """Every picture has its end, by what it printed last."""
    counts = [line for line in box.lines if line["type"] == "counts"]
    assert [line["source"] for line in counts] == list(box.sources)
    for line in counts:
        assert line["received"] == line["held"] + line["frames"]
        assert line["frames"] == sum(line[end] for end in FRAME_ENDS)


def test_two_phantoms_are_watched_side_by_side_and_drained(box: Callable[..., Box]) -> None:
    lab = box("A", "B")
    lab.wait_for(lambda: min(lab.met("A"), lab.met("B")) > 10)
    assert lab.stop() == 0, lab.said
    accounted(lab)
    report = verify_journal(lab.state.live_journal, record_parts())
    assert report.sound
    names = {books.source[0] for books in report.passes if books.source}
    assert names == {"A", "B"}
    shown = [line for line in lab.lines if line["type"] in ("alert", "run")]
    assert all(line["result"] == "live" for line in shown)
    assert {line["type"] for line in shown} >= {"run"}


def survives(lab: Box, kills: int, seed: int) -> None:
    lab.wait_for(lambda: lab.met() > 5)
    feed = FeedReader(lab)
    feed.start()
    kill_at_random(lab, kills, seed)
    before = lab.met()
    lab.wait_for(lambda: lab.met() > before)
    assert lab.stop() == 0, lab.said
    feed.over.set()
    feed.join(30.0)

    report = verify_journal(lab.state.live_journal, record_parts())
    assert report.sound, [books.anomalies for books in report.passes]
    accounted(lab)
    ids = journalled(lab.state.live_journal)
    assert max(ids.values()) == 1
    both = ids + journalled(lab.state.study_journal)  # which has the starts of its process
    assert max(both.values()) == 1
    shown = Counter(line["id"] for line in lab.lines if "id" in line)
    assert max(shown.values()) == 1, "shown twice"
    assert shown.keys() <= both.keys(), "shown, and not in the journal"
    numbers = [seq for seq, _ in feed.events]
    assert numbers == list(range(1, len(numbers) + 1)), "the feed left one out, or had one twice"
    assert {record["id"] for _, record in feed.events} <= ids.keys()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_where_processes_are_killed(box: Callable[..., Box]) -> None:
    survives(box(), kills=4, seed=11)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_three_hundred_kills(box: Callable[..., Box]) -> None:
    survives(box(), kills=300, seed=12)

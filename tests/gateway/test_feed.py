"""The feed as a reader sees it: every record once and in order, from wherever it left off."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import NOTICE, LiveUntil
from cathrt.runtime.errors import SinkError
from cathrt.runtime.gateway.feed import FeedLimits, FeedStatus
from cathrt.runtime.journal.head import head_path
from cathrt.runtime.journal.lateness import boot
from cathrt.runtime.journal.records import body_from_record
from cathrt.runtime.journal.writer import Journal
from tests.gateway.reading import NAMES, RECORDS, bodies, serving
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, alert, tampered, whole_pass, write

MANY = whole_pass(400)  # more than one batch


def test_every_record_comes_as_stored_under_its_number_and_type(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path) as served, served.reader() as reader:
        events = reader.take(len(RECORDS))

        assert (reader.status, reader.content_type) == (200, "text/event-stream; charset=utf-8")
    assert [event.data for event in events] == bodies(RECORDS)
    assert [event.type for event in events] == [record.type for record in RECORDS]
    assert [event.seq for event in events] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("way", ["header", "parameter", "number alone"])
def test_a_reader_goes_on_behind_the_id_that_it_gives_back(tmp_path: Path, way: str) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path) as served:
        with served.reader() as reader:
            last = reader.take(9)[-1]
        given = str(last.seq) if way == "number alone" else last.id
        path, header = ("/feeds/live", given) if way == "header" else (f"/feeds/live?after={given}", None)
        with served.reader(path, header) as reader:
            assert [event.data for event in reader.take(len(RECORDS) - 9)] == bodies(RECORDS)[9:]


def test_the_id_of_a_reader_that_comes_back_counts_before_the_address_that_it_began_with(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path) as served, served.reader("/feeds/live?after=3", "12") as reader:
        assert reader.take(1)[0].seq == 13


def test_records_come_while_they_are_written_also_where_the_journal_is_not_there_yet(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.reader() as reader:
        with Journal(served.journal(), AT_ONCE) as journal:
            for record in RECORDS:
                journal.append(record)
                journal.sync()
                assert reader.take(1)[0].data == body_from_record(record)
        assert [path.name for path in tmp_path.glob("study*")] == [], "a reader makes no journal"


def test_what_is_older_than_the_feeds_memory_comes_from_the_file_without_gap_or_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cathrt.runtime.gateway.tail.KEPT_ROWS", 50)
    half = len(MANY) // 2
    write(tmp_path / "live.journal", MANY[:half])
    with serving(tmp_path) as served, served.reader() as reader:
        with Journal(served.journal(), AT_ONCE) as journal:
            for record in MANY[half:]:
                journal.append(record)
        with served.reader() as second:
            for each in (reader, second):
                assert [event.data for event in each.take(len(MANY))] == bodies(MANY)


def test_a_reader_that_asks_for_the_end_has_a_place_before_the_first_event(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS[:10])
    with serving(tmp_path) as served:
        with served.reader("/feeds/live?after=end") as reader:
            reader.wait_for_heartbeat()
        write(served.journal(), RECORDS)
        with served.reader("/feeds/live?after=end", reader.last_id) as again:
            assert [event.data for event in again.take(len(RECORDS) - 10)] == bodies(RECORDS)[10:]


def test_only_the_wanted_types_come_and_the_place_moves_on_behind_the_others(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    wanted = [record for record in RECORDS if record.type in ("alert", "run")]
    behind = [record for record in RECORDS if record.type == "alert"]
    with serving(tmp_path) as served:
        with served.reader("/feeds/live?types=alert,run") as reader:
            assert [event.data for event in reader.take(len(wanted))] == bodies(wanted)
        with served.reader("/feeds/live?types=alert") as reader:
            reader.take(len(behind))
            reader.wait_for_heartbeat()
        assert reader.last_id is not None
        assert reader.last_id.startswith(f"{len(RECORDS)}-")


def test_an_alert_that_is_late_by_now_says_so_and_one_that_is_live_is_as_stored(tmp_path: Path) -> None:
    now = time.monotonic_ns()
    past, live = (
        replace(alert(frame), late=False, live_until=LiveUntil(boot(), until))
        for frame, until in ((9, now - 1), (19, now + int(3600e9)))
    )
    write(tmp_path / "live.journal", [past, live])
    with serving(tmp_path) as served, served.reader() as reader:
        events = reader.take(2)
    assert [event.data for event in events] == bodies([replace(past, late=True), live])


def test_each_journal_has_its_feed_and_no_other_does(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES, 1):
        write(tmp_path / f"{name}.journal", RECORDS[:number])
    with serving(tmp_path) as served:
        for number, name in enumerate(NAMES, 1):
            with served.reader(f"/feeds/{name}") as reader:
                assert [event.data for event in reader.take(number)] == bodies(RECORDS[:number])
        with served.reader("/feeds/lives") as reader:
            assert reader.status == 404
            assert "expected one of live, study, gateway" in reader.error()
        assert served.feed.status().rows == {"live": 1, "study": 2, "gateway": 3}


@pytest.mark.parametrize("place", ["99", "23-0123456789abcdef"])
def test_a_place_that_the_journal_does_not_have_is_a_conflict_that_says_what_to_do(tmp_path: Path, place: str) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path) as served, served.reader(last_id=place) as reader:
        assert reader.status == 409
        assert "Start again without a place" in reader.error()


def test_a_place_in_a_journal_that_is_not_there_is_a_conflict(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.reader(last_id="7") as reader:
        assert reader.status == 409


def test_another_journal_in_the_place_ends_the_stream_and_is_never_taken_for_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    other = whole_pass(40, "run b")  # longer: its rows have the old numbers too
    with serving(tmp_path) as served, served.reader() as reader:
        reader.take(len(RECORDS))
        _move_away(served.journal())
        write(served.journal(), other)

        assert list(reader.events()) == []
        assert any("live.journal" in comment for comment in reader.comments)
        with served.reader(last_id=reader.last_id) as again:
            assert again.status == 409
        with served.reader() as anew:
            assert [event.data for event in anew.take(len(other))] == bodies(other)


def test_a_journal_that_is_moved_away_and_put_back_is_followed_on(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS[:10])
    with serving(tmp_path) as served, served.reader() as reader:
        reader.take(10)
        away = _move_away(served.journal())
        assert list(reader.events()) == []
        _move_back(away, served.journal())
        write(served.journal(), RECORDS)
        with served.reader(last_id=reader.last_id) as again:
            assert [event.data for event in again.take(len(RECORDS) - 10)] == bodies(RECORDS)[10:]


def test_a_row_that_was_changed_is_not_shown_and_the_reader_is_told_why(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", MANY)
    tampered(
        tmp_path / "live.journal", "UPDATE record SET body = replace(body, 'frame_index', 'frame') WHERE seq = 300"
    )
    with serving(tmp_path) as served:
        with served.reader() as reader:
            seen = list(reader.events())
        assert len(seen) <= 299  # rows are checked batch by batch
        assert [event.data for event in seen] == bodies(MANY[: len(seen)])
        with served.reader(last_id=reader.last_id) as again:
            assert again.status == 503
            assert "is not what was written" in again.error()
        with served.reader(last_id="300") as behind:
            assert behind.take(1)[0].seq == 301


def test_a_reader_too_many_is_refused_and_another_may_come_when_one_has_gone(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS)
    with serving(tmp_path, max_readers=2) as served:
        with served.reader() as first, served.reader() as second:
            assert (first.status, second.status) == (200, 200)
            with served.reader() as third:
                assert third.status == 503
                assert "feed.max_readers" in third.error()
        deadline = time.monotonic() + 30
        while served.feed.status().readers and time.monotonic() < deadline:
            time.sleep(0.01)
        with served.reader() as third:
            assert third.status == 200


def test_when_the_feed_is_closed_readers_get_the_last_events_first(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", RECORDS[:5])
    with serving(tmp_path, FeedLimits(poll_ms=100_000.0)) as served:  # it does not look again until it is closed
        with served.reader() as reader:
            reader.take(5)
            write(served.journal(), RECORDS)
            served.feed.close()
            assert [event.data for event in reader.events()] == bodies(RECORDS)[5:]
            assert not served.feed.is_running


def test_health_is_what_its_source_says_and_the_page_names_the_feeds_and_the_notice(tmp_path: Path) -> None:
    document = {"healthy": True, "received": 3}
    with serving(tmp_path, health=lambda _status: document) as served:
        status, _, body = served.get("/health")
        assert (status, json.loads(body)) == (200, document)
        document["healthy"] = False
        status, _, body = served.get("/health")
        assert (status, json.loads(body)) == (503, document)
        status, headers, page = served.get("/")
        assert status == 200
        assert headers["content-type"] == "text/html; charset=utf-8"
        for expected in (*(f"/feeds/{name}" for name in NAMES), "/health", NOTICE):
            assert expected in page.decode()


def test_a_health_that_cannot_be_had_is_said_to_be_so(tmp_path: Path) -> None:
    def unreadable(_status: FeedStatus) -> dict[str, object]:
        raise SinkError("health: cannot be read: check the disk")

    with serving(tmp_path, health=unreadable) as served:
        status, _, body = served.get("/health")
        assert (status, json.loads(body)) == (503, {"error": "health: cannot be read: check the disk"})


def _move_away(journal: Path) -> Path:
    away = journal.with_name("away")
    away.mkdir()
    for path in (journal, head_path(journal), journal.with_name(f"{journal.name}-wal")):
        if path.exists():
            shutil.move(path, away / path.name)
    return away


def _move_back(away: Path, journal: Path) -> None:
    for path in sorted(away.iterdir(), reverse=True):
        shutil.move(path, journal.with_name(path.name))


def test_a_reader_whose_rows_were_pruned_is_told_so_and_one_without_a_place_begins_with_the_oldest(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as served:
        write(served.journal(), [record for name in "abc" for record in of_run(f"run {name}")])
        with served.reader() as before:
            early, *_, last_pruned = before.take(2 * PASS_ROWS)
        with Journal(served.journal(), AT_ONCE) as journal:
            journal.prune(2 * PASS_ROWS)
            until(lambda: first_row(served.journal()) == 2 * PASS_ROWS + 1)

    with serving(tmp_path) as served:  # the one before has the newest rows in memory
        with served.reader(last_id=early.id) as late:
            assert late.status == 409
            assert "rows 2 to 44 were pruned before this reader" in late.error()
        for last_id in (last_pruned.id, None):
            with served.reader(last_id=last_id) as reader:
                assert [event.seq for event in reader.take(3)] == [45, 46, 47]

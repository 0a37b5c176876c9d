"""The page's stream of events: all journals in one, resumed from any place, and what was missed is said."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import Record
from cathrt.runtime.gateway.events import claimed_place
from cathrt.runtime.journal.head import Head, head_path
from cathrt.runtime.journal.records import body_from_record
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.web.connection import ConnectionLimits
from cathrt.runtime.web.live import event_stream, health_watch
from cathrt.runtime.web.live.places import claimed_places, id_of
from cathrt.runtime.web.page import PageLimits
from tests.journal.pruned import PASS_ROWS, first_row, of_run, until
from tests.passes import AT_ONCE, reading, whole_pass, write
from tests.web.live.watching import Event, EventReader, live_page
from tests.web.serving import HEALTHY, HOST, Client, Served

LIVE = whole_pass(20)
STUDY: list[Record] = [*whole_pass(5, "run b"), reading()]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Over journals that nobody writes."""
    with live_page(with_journals(tmp_path_factory.mktemp("still"))) as found:
        yield found


@pytest.fixture(scope="module")
def viewer(page: Served) -> Client:
    return page.client("viewer")


def with_journals(state: Path) -> Path:
    write(state / "live.journal", LIVE)
    write(state / "study.journal", STUDY)
    return state


def ids(events: list[Event]) -> list[str]:
    return [event.data["record"]["id"] for event in events]


def test_records_of_all_journals_come_in_one_stream_each_once_and_in_order(viewer: Client) -> None:
    with EventReader(viewer, "?after=live:0,study:0,gateway:0") as reader:
        events = reader.take(len(LIVE) + len(STUDY))
    for name, records in (("live", LIVE), ("study", STUDY)):
        own = [event for event in events if event.data["journal"] == name]
        assert ids(own) == [record.id for record in records]
        assert [event.data["seq"] for event in own] == list(range(1, len(records) + 1))


def test_without_a_place_only_what_is_new_comes(tmp_path: Path) -> None:
    with (
        live_page(with_journals(tmp_path)) as page,
        EventReader(page.client("viewer"), "?types=alert,run,study,pass") as reader,
    ):
        reader.wait_until_begun()
        new = of_run("run c", 2)
        write(tmp_path / "live.journal", new)
        found = reader.take(2)
    assert ids(found) == [new[0].id, new[-1].id], "the start of the pass and its summary"


@pytest.mark.parametrize("taken", [1, 9, 23, 30])
def test_a_browser_that_comes_back_gets_the_rest_of_every_journal(viewer: Client, taken: int) -> None:
    with EventReader(viewer, "?after=live:0,study:0,gateway:0") as reader:
        before = reader.take(taken)
        last_id = reader.last_id
    with EventReader(viewer, "?after=end", last_id) as reader:
        after = reader.take(len(LIVE) + len(STUDY) - taken)
    assert sorted(ids(before) + ids(after)) == sorted(record.id for record in (*LIVE, *STUDY))


def test_a_gateway_that_was_killed_goes_on_where_the_browser_was(tmp_path: Path) -> None:
    write(tmp_path / "live.journal", LIVE)
    with live_page(tmp_path) as page, EventReader(page.client("viewer"), "?after=live:0") as reader:
        before = reader.take(7)
        last_id = reader.last_id
    with live_page(tmp_path) as page, EventReader(page.client("viewer"), last_id=last_id) as reader:
        after = reader.take(len(LIVE) - 7)
    assert ids(before) + ids(after) == [record.id for record in LIVE]


def test_rows_that_were_pruned_are_said_to_be_missed_and_the_stream_goes_on(tmp_path: Path) -> None:
    for name in ("run a", "run b", "run c"):
        write(tmp_path / "live.journal", of_run(name))
    with live_page(tmp_path) as page:
        client = page.client("viewer")
        with EventReader(client, "?after=live:3,study:0,gateway:0") as reader:
            place = reader.take(1)[0].id
        with Journal(tmp_path / "live.journal", AT_ONCE) as journal:
            journal.prune(2 * PASS_ROWS)
            until(lambda: first_row(tmp_path / "live.journal") > 2 * PASS_ROWS)
        with EventReader(client, last_id=place) as reader:
            (missed,) = reader.take(1, "reset")
            assert missed.data["journal"] == "live"
            assert "pruned" in missed.data["text"]
            assert missed.data["text_ja"]
            new = of_run("run d", 1)
            write(tmp_path / "live.journal", new)
            assert ids(reader.take(len(new))) == [record.id for record in new]


def test_another_journal_in_the_place_is_noticed(tmp_path: Path) -> None:
    with live_page(with_journals(tmp_path)) as page:
        client = page.client("viewer")
        with EventReader(client, "?after=live:0,study:0,gateway:0") as reader:
            place = reader.take(12)[-1].id
        for path in (tmp_path / "live.journal", head_path(tmp_path / "live.journal")):
            path.unlink()
        write(tmp_path / "live.journal", whole_pass(30, "run z"))
        with EventReader(client, last_id=place) as reader:
            assert [event.data["journal"] for event in reader.take(1, "reset")] == ["live"]


def test_a_journal_that_the_place_does_not_name_is_said_to_be_missed(viewer: Client) -> None:
    with EventReader(viewer, "?after=live:3") as reader:
        assert {event.data["journal"] for event in reader.take(2, "reset")} == {"study", "gateway"}


def test_health_comes_at_once_when_it_changes_and_when_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_watch, "LOOK_S", 0.05)
    monkeypatch.setattr(event_stream, "_HEALTH_S", 0.3)
    state: dict[str, Any] = dict(HEALTHY)
    with live_page(tmp_path, health=lambda: dict(state)) as page, EventReader(page.client("viewer")) as reader:
        assert reader.take(2, "health")[-1].data["healthy"] is True
        state |= {"healthy": False, "reasons": ["live: its last heartbeat is 11 s old"]}
        while (found := reader.take(1, "health")[0].data)["healthy"]:
            pass
        assert found["reasons"] == ["live: its last heartbeat is 11 s old"]


def test_health_that_cannot_be_read_is_bad_health(tmp_path: Path) -> None:
    def broken() -> dict[str, Any]:
        raise OSError("memory is gone")

    with live_page(tmp_path, health=broken) as page:
        client = page.client("viewer")
        with EventReader(client) as reader:
            told = reader.take(1, "health")[0].data
        assert told["healthy"] is False
        assert "memory is gone" in told["reasons"][0]
        assert client.get("/api/health").json["healthy"] is False
        assert client.get("/api/live").status == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?types=alert,nonsense", "found the type 'nonsense'"),
        ("?after=live", "expected one of live, study, gateway"),
        ("?after=elsewhere:3", "expected one of live, study, gateway"),
        ("?after=live:x", "found the place 'x'"),
        ("?after=live:1,live:2", "expected one of live, study, gateway once"),
    ],
)
def test_a_place_or_type_that_is_none_is_refused_by_name(viewer: Client, query: str, said: str) -> None:
    with EventReader(viewer, query) as reader:
        assert reader.status == 400
        assert said in reader.error()


def test_nobody_gets_events_without_a_session(page: Served) -> None:
    with EventReader(page.client()) as reader:
        assert reader.status == 401


def test_only_so_many_streams_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cathrt.runtime.web.live.routes.MOST_STREAMS", 2)
    with live_page(tmp_path) as page:
        client = page.client("viewer")
        with EventReader(client) as first, EventReader(client) as second, EventReader(client) as third:
            assert (first.status, second.status, third.status) == (200, 200, 503)
        deadline = time.monotonic() + 20.0
        while True:
            with EventReader(client) as again:
                if again.status == 200:
                    break
            assert time.monotonic() < deadline, "streams that have ended still count"


def test_a_reader_that_stands_still_is_cut_off_and_the_others_have_everything(tmp_path: Path) -> None:
    many = whole_pass(1500)
    write(tmp_path / "live.journal", many)
    limits = PageLimits(ConnectionLimits(take_s=0.5))
    with live_page(tmp_path, limits=limits) as page:
        client = page.client("viewer")
        frozen = socket.socket()
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        frozen.settimeout(60.0)
        frozen.connect((HOST, client.port))
        path = "/api/events?after=live:0"
        frozen.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nCookie: {client.cookie}\r\n\r\n".encode())
        with EventReader(client, "?after=live:0,study:0,gateway:0") as reader:
            assert len(reader.take(len(many))) == len(many)
        time.sleep(1.0)
        with frozen:
            taken = 0
            with suppress(ConnectionError):
                while data := frozen.recv(1 << 16):
                    taken += len(data)
        assert taken < sum(len(body_from_record(record)) for record in many)


def test_a_head_request_is_answered_and_leaves_no_stream_open(viewer: Client) -> None:
    assert viewer.ask("HEAD", "/api/events").status == 200


def test_the_stream_ends_when_the_page_is_closed(tmp_path: Path) -> None:
    with live_page(tmp_path) as page:
        reader = EventReader(page.client("viewer"))
    with reader:
        assert list(reader.events()) is not None, "it has an end"


def test_an_id_names_every_place_and_is_read_back() -> None:
    places = {"live": Head(3, bytes(range(32))), "study": Head()}
    text = id_of(places)
    assert claimed_places(text, ("live", "study")) == {
        name: claimed_place(part.partition(":")[2]) for name, part in zip(places, text.split(","), strict=True)
    }
    assert claimed_places("end", ("live",)) == claimed_places("", ("live",)) == {}

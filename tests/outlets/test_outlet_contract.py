"""What every outlet must do, whatever it speaks. A new kind joins by adding one line to RECEIVERS."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from cathrt.runtime.alert import Record
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.head import Head
from tests.outlets.delivering import ALERTS, START_S, driven, journal_of, live_alert, mixed, outlet
from tests.outlets.receivers import RECEIVERS, Receiver, receiving
from tests.passes import alert, start, verdict, write


@pytest.fixture(params=RECEIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(kind: str) -> Iterator[Receiver]:
    with receiving(kind) as made:
        yield made


@pytest.fixture
def settings(kind: str, receiver: Receiver) -> OutletConfig:
    return outlet(kind, receiver.address)


def test_every_record_arrives_once_and_in_order(settings: OutletConfig, receiver: Receiver, tmp_path: Path) -> None:
    ids = journal_of(tmp_path, mixed())
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == len(ids))
        assert receiver.told.ids == ids
        assert driving.delivery.state.delivered == len(ids)
        driving.until(lambda: driving.delivery.state.rows_behind == 0)
        place = driving.outbox.place("out", "live")
        assert place is not None
        assert place.head.seq == len(ids)


def test_records_that_are_not_wanted_are_passed_over(kind: str, receiver: Receiver, tmp_path: Path) -> None:
    journal_of(tmp_path, [start(), verdict(0), verdict(1), alert(0), verdict(2)])
    with driven(outlet(kind, receiver.address, types=("alert",)), tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 1)
        for _ in range(50):
            driving.step()
        place = driving.outbox.place("out", "live")
        assert place is not None
        assert place.head.seq == 5
    assert receiver.told.ids == [alert(0).id]


def test_what_is_there_after_a_restart_goes_on_where_it_was(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    ids = journal_of(tmp_path, ALERTS[:2])
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 2)
    write(tmp_path / "live.journal", ALERTS)
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 5)
    assert receiver.told.ids == [*ids, *(record.id for record in ALERTS[2:])]


def test_a_receiver_that_is_away_gets_all_of_it_in_order_when_it_is_back(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    journal_of(tmp_path, mixed()[:3])
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 3)
        receiver.down()
        write(tmp_path / "live.journal", mixed())
        ids = [record.id for record in mixed()]
        driving.until(lambda: driving.seconds() > 600.0)
        state = driving.delivery.state
        assert state.reachable is False
        assert state.error
        assert state.rows_behind >= len(ids) - 4
        assert state.oldest_s > 500.0
        receiver.up()
        driving.until(lambda: len(dict.fromkeys(receiver.told.ids)) == len(ids))
        driving.until(lambda: driving.delivery.state.oldest_s == 0.0)
        assert driving.delivery.state.reachable is True
    assert list(dict.fromkeys(receiver.told.ids)) == ids


@pytest.mark.parametrize("kind", ["webhook", "mqtt"])  # syslog acknowledges nothing
def test_one_that_ends_the_connection_now_and_then_gets_all_of_it(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    ids = journal_of(tmp_path, ALERTS)
    receiver.told.script.extend(["take", "reset", "reset", "lost", "take", "reset"])
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(set(receiver.told.ids)) == len(ids))
    assert list(dict.fromkeys(receiver.told.ids)) == ids
    assert len(receiver.told.ids) == len(ids) + 1  # the one whose acknowledgement was lost


def test_the_waits_grow_up_to_a_limit(kind: str, tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS[:1])
    with receiving(kind) as receiver:
        gone = outlet(kind, receiver.address, first_wait_s=1.0, most_wait_s=16.0)
    tried_at: list[float] = []
    with driven(gone, tmp_path) as driving:
        failed = 0
        while len(tried_at) < 8:
            driving.step()
            if driving.delivery.state.failed > failed:
                failed = driving.delivery.state.failed
                tried_at.append(driving.seconds())
        waits = [round(after - before) for before, after in pairwise(tried_at)]
    assert waits == [1, 2, 4, 8, 16, 16, 16]


def test_an_alert_that_is_late_when_it_is_sent_says_so(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    alerts: list[Record] = [live_alert(index, live_until_s=START_S + 60.0) for index in range(2)]
    journal_of(tmp_path, alerts[:1])
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 1)
        receiver.down()
        write(tmp_path / "live.journal", alerts)
        driving.until(lambda: driving.seconds() > 61.0)
        receiver.up()
        driving.until(lambda: receiver.told.ids[-1] == alert(1).id)
    first, last = receiver.told.taken[0].payload, receiver.told.taken[-1].payload
    live, late = (
        (b"cs3=false", b"cs3=true") if receiver.scheme.startswith("syslog") else (b'"late":false', b'"late":true')
    )
    assert live in first
    assert late in last


def test_a_new_outlet_may_begin_with_what_comes_from_now_on(kind: str, receiver: Receiver, tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS[:3])
    with driven(outlet(kind, receiver.address, begin="now"), tmp_path) as driving:
        driving.step()
        write(tmp_path / "live.journal", ALERTS)
        driving.until(lambda: len(receiver.told.taken) == 2)
    assert receiver.told.ids == [record.id for record in ALERTS[3:]]


def test_another_journal_in_its_place_is_said_and_not_sent_until_a_person_decides(
    settings: OutletConfig, receiver: Receiver, tmp_path: Path
) -> None:
    journal_of(tmp_path, ALERTS[:3])
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 3)
        for path in tmp_path.glob("live.journal*"):
            path.unlink()
        ids = journal_of(tmp_path, [alert(index, "run b") for index in range(4)])
        driving.until(lambda: driving.delivery.state.faults != ())
        assert "another journal is in its place" in driving.delivery.state.faults[0]
        assert len(receiver.told.taken) == 3
        assert driving.outbox.ask("out", "live", "first")
        driving.until(lambda: len(receiver.told.taken) == 7)
        driving.until(lambda: driving.delivery.state.faults == ())
    assert receiver.told.ids[3:] == ids


def test_an_outlet_that_has_not_begun_is_at_no_place(settings: OutletConfig, tmp_path: Path) -> None:
    with driven(settings, tmp_path) as driving:
        assert driving.outbox.place("out", "live") is None
        driving.step()
        place = driving.outbox.place("out", "live")
        assert place is not None
        assert place.head == Head()

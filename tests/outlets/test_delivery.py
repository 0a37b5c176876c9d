"""One outlet over hours: poison, dead letters, limits, outages, several journals, what it says of itself."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Outcome, Record
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.outlets import delivery, outbox
from cathrt.runtime.outlets.backoff import Backoff
from cathrt.runtime.outlets.limiter import Limiter
from cathrt.runtime.outlets.outbox import DeadLetter, LetterState, Outbox, OutboxError, Place
from tests.outlets.delivering import ALERTS, Driven, driven, journal_of, mixed, outlet
from tests.outlets.receivers import Receiver, receiving
from tests.passes import AT_ONCE, GROUPED, alert, refusal, start, stored, summary, verdict, whole_pass

HOUR_S = 3600.0


def alerts_of(*runs: str, each: int = 2) -> list[Record]:
    return [alert(index, run) for run in runs for index in range(each)]


@pytest.mark.parametrize("poison", range(5))
def test_a_record_that_is_refused_is_a_dead_letter_after_some_tries_and_blocks_no_other(
    tmp_path: Path, poison: int
) -> None:
    ids = journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda id_: "refuse" if id_ == ids[poison] else "take"
        driving.until(lambda: len(receiver.told.taken) == 4)
        driving.until(lambda: driving.delivery.state.dead == 1)
        (letter,) = driving.outbox.letters("out")
    assert receiver.told.ids == [id_ for id_ in ids if id_ != ids[poison]]
    assert receiver.told.attempts.count(ids[poison]) == 3
    assert (letter.id, letter.seq, letter.reason, letter.attempts) == (ids[poison], poison + 1, "answered 422 No", 3)
    assert letter.body == stored(ALERTS[poison]).body


@pytest.mark.parametrize(("kind", "word"), [("webhook", "error"), ("webhook", "reset"), ("mqtt", "refuse")])
def test_a_record_that_alone_makes_the_receiver_fail_is_a_dead_letter_too(tmp_path: Path, kind: str, word: str) -> None:
    ids = journal_of(tmp_path, ALERTS)
    with receiving(kind) as receiver, driven(outlet(kind, receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda id_: word if id_ == ids[1] else "take"
        driving.until(lambda: len(receiver.told.taken) == 4)
        (letter,) = driving.outbox.letters("out")
    assert receiver.told.ids == [id_ for id_ in ids if id_ != ids[1]]
    assert letter.id == ids[1]
    assert "8 times, while another record was taken" in letter.reason


def test_the_record_that_shows_it_is_of_another_run_where_there_is_one(tmp_path: Path) -> None:
    ids = journal_of(tmp_path, alerts_of("a", "b"))
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda id_: "error" if id_ == ids[0] else "take"
        driving.until(lambda: len(receiver.told.taken) == 3)
    assert receiver.told.ids == [ids[2], ids[1], ids[3]]  # of each run in order


def test_a_receiver_that_fails_with_every_record_loses_none_however_long(tmp_path: Path) -> None:
    ids = journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda _id: "error"
        driving.until(lambda: driving.seconds() > 2 * HOUR_S, 30.0)
        assert driving.delivery.state.dead == 0
        receiver.told.answer = lambda _id: "take"
        driving.until(lambda: len(set(receiver.told.ids)) == 5)
    assert sorted(set(receiver.told.ids)) == sorted(ids)
    assert driving.delivery.state.dead == 0


@pytest.mark.parametrize("word", ["secret", "busy", "moved", "hang"])
def test_what_says_nothing_of_the_record_is_tried_again_for_ever(tmp_path: Path, word: str) -> None:
    ids = journal_of(tmp_path, ALERTS[:2])
    with receiving("webhook") as receiver:
        with driven(outlet("webhook", receiver.address, timeout_s=0.02, most_wait_s=5.0), tmp_path) as driving:
            receiver.told.script.extend([word] * 20)
            driving.until(lambda: len(receiver.told.taken) == 2)
            assert (driving.delivery.state.dead, driving.delivery.state.failed) == (0, 20)
    assert receiver.told.ids == ids


def dead_letter(driving: Driven, receiver: Receiver, id_: str) -> DeadLetter:
    receiver.told.answer = lambda one: "refuse" if one == id_ else "take"
    driving.until(lambda: driving.delivery.state.dead == 1)
    (letter,) = driving.outbox.letters("out")
    return letter


def test_a_dead_letter_that_a_person_sends_again_is_gone_once_it_is_taken(tmp_path: Path) -> None:
    ids = journal_of(tmp_path, ALERTS[:3])
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        letter = dead_letter(driving, receiver, ids[0])
        assert driving.outbox.mark([letter.number], LetterState.RETRY) == 1
        driving.until(lambda: driving.outbox.letters("out")[0].state is LetterState.DEAD)  # refused as before
        assert driving.outbox.letters("out")[0].attempts == 4
        receiver.told.answer = lambda _id: "take"
        driving.outbox.mark([letter.number], LetterState.RETRY)
        driving.until(lambda: not driving.outbox.letters("out"))
        driving.until(lambda: driving.delivery.state.dead == 0)
    assert receiver.told.ids == [ids[1], ids[2], ids[0]]


def test_a_dead_letter_to_a_receiver_that_is_away_waits_and_is_not_dead_again(tmp_path: Path) -> None:
    ids = journal_of(tmp_path, ALERTS[:2])
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        letter = dead_letter(driving, receiver, ids[0])
        receiver.down()
        driving.outbox.mark([letter.number], LetterState.RETRY)
        driving.until(lambda: driving.seconds() > 300.0)
        assert driving.outbox.letters("out")[0].state is LetterState.RETRY
        receiver.up()
        receiver.told.answer = lambda _id: "take"
        driving.until(lambda: not driving.outbox.letters("out"))
    assert receiver.told.ids[-1] == ids[0]


def test_with_too_many_dead_letters_it_waits_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MOST_DEAD", 2)
    ids = journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda _id: "refuse"
        driving.until(lambda: driving.seconds() > HOUR_S, 10.0)
        assert driving.delivery.state.dead == 2
        assert "dead letters: retry or discard them" in driving.delivery.state.error
        receiver.told.answer = lambda _id: "take"
        driving.until(lambda: len(receiver.told.taken) == 3)
    assert receiver.told.ids == ids[2:]


def test_eight_hours_without_the_receiver_and_then_everything_in_order(tmp_path: Path) -> None:
    """Two runs an hour are judged meanwhile. The clock is the test's."""
    with receiving("webhook") as receiver:
        settings = outlet("webhook", receiver.address, types=(), most_wait_s=60.0)
        with Journal(tmp_path / "live.journal", GROUPED) as journal, driven(settings, tmp_path) as driving:
            driving.step()
            receiver.down()
            for half_hour in range(16):
                for record in whole_pass(20, f"run {half_hour}"):
                    journal.append(record)
                journal.sync()
                half_hours = half_hour + 1
                driving.until(lambda: driving.seconds() >= half_hours * HOUR_S / 2, 30.0)  # noqa: B023 (called here)
            away = driving.delivery.state
            assert 300 <= away.failed <= 520  # about once a minute
            assert away.oldest_s > 7.9 * HOUR_S
            assert away.rows_behind == 16 * len(whole_pass(20)) - 10  # all but the verdicts before the first alert
            held = driving.delivery._journals[0].rows  # what it keeps in memory
            assert len(held) <= 256
            receiver.up()
            written = [record for n in range(16) for record in whole_pass(20, f"run {n}")]
            expected = [record.id for record in written if record.type != "verdict"]
            driving.until(lambda: len(receiver.told.taken) == len(expected))
            driving.until(lambda: driving.delivery.state.oldest_s == 0.0)
    assert receiver.told.ids == expected
    assert driving.seconds() < 8 * HOUR_S + 70.0  # it notices within its longest wait


def test_how_long_it_has_been_behind_outlives_a_restart(tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS[:1])
    with receiving("webhook") as receiver:
        settings = outlet("webhook", receiver.address)
    with driven(settings, tmp_path) as driving:
        driving.until(lambda: driving.seconds() > HOUR_S, 10.0)
    with driven(settings, tmp_path) as driving:
        driving.clock.advance(2 * HOUR_S)
        driving.step()
        assert driving.delivery.state.oldest_s >= 2 * HOUR_S


def test_the_more_urgent_journal_is_not_kept_waiting_by_a_long_one(tmp_path: Path) -> None:
    study = journal_of(tmp_path, [refusal(f"input {n}") for n in range(60)], "study")
    journals = {name: tmp_path / f"{name}.journal" for name in ("live", "study")}
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path, journals) as driving:
        driving.step()
        taken = len(receiver.told.taken)
        live = journal_of(tmp_path, ALERTS[:1])
        driving.until(lambda: live[0] in receiver.told.ids)
        assert len(receiver.told.taken) <= taken + 20
        driving.until(lambda: len(receiver.told.taken) == 61)
    assert [id_ for id_ in receiver.told.ids if id_ in set(study)] == study


def test_alerts_of_one_run_beyond_the_rate_are_counted_and_said_and_all_else_is_sent(tmp_path: Path) -> None:
    verdicts = [verdict(0)]
    records: list[Record] = [*(alert(n) for n in range(30)), alert(0, "run b"), summary(verdicts), refusal()]
    ids = journal_of(tmp_path, records)
    with receiving("webhook") as receiver:
        with driven(outlet("webhook", receiver.address, rate_per_minute=10), tmp_path) as driving:
            driving.until(lambda: ids[-1] in receiver.told.ids)
            driving.until(lambda: driving.delivery.state.limited == 20)
        with driven(outlet("webhook", receiver.address, rate_per_minute=10), tmp_path) as driving:
            driving.step()
            assert driving.delivery.state.limited == 20  # also after a restart
    assert receiver.told.ids == [*ids[:10], *ids[30:]]
    assert [one.envelope["limited"] for one in receiver.told.taken[-4:]] == [0, 20, 20, 20]


def test_the_bucket_of_a_run_fills_up_within_a_minute() -> None:
    now = 0.0
    limiter = Limiter(6, lambda: now)
    given = stored(alert(0))
    assert [limiter.takes(given) for _ in range(8)] == [True] * 6 + [False] * 2
    now = 20.0
    assert [limiter.takes(given) for _ in range(3)] == [True, True, False]
    now = 1000.0
    assert [limiter.takes(given) for _ in range(7)] == [True] * 6 + [False]
    assert limiter.takes(stored(summary([verdict(0)])))


def test_the_runs_that_a_limiter_remembers_are_bounded() -> None:
    limiter = Limiter(1, lambda: 0.0)
    for number in range(1000):
        assert limiter.takes(stored(alert(0, f"run {number}")))
    assert len(limiter._buckets) == 256


def test_two_outlets_do_not_come_back_in_step() -> None:
    chance = random.Random(1)
    waits = [Backoff(1.0, 60.0, chance.random).after(9) for _ in range(100)]
    assert all(30.0 <= wait <= 60.0 for wait in waits)
    assert len(set(waits)) == 100
    assert Backoff(1.0, 60.0, lambda: 0.0).after(10_000) == 30.0


def test_where_the_outbox_takes_nothing_what_was_sent_comes_again_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_BUSY_S", 0.05)
    ids = journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver:
        settings = outlet("webhook", receiver.address)
        with closing(Outbox(tmp_path / "outbox.db")) as begun:
            begun.begin("out", "live", Place(Head()))
        with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OutboxError, match="database is locked"), driven(settings, tmp_path) as driving:
                driving.step()
            other.execute("ROLLBACK")
        assert receiver.told.ids == ids[:1]
        with driven(settings, tmp_path) as driving:
            driving.until(lambda: len(receiver.told.taken) == 6)
    assert receiver.told.ids == [ids[0], *ids]


def test_a_mandatory_place_moves_only_behind_what_was_taken(tmp_path: Path) -> None:
    journal_of(tmp_path, mixed())
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda id_: "error" if len(set(receiver.told.ids)) >= 7 else "take"
        driving.until(lambda: driving.seconds() > 60.0)
        place = driving.outbox.place("out", "live")
        assert place is not None
        assert place.head.seq == 7 == len(receiver.told.ids)


def test_an_outbox_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(OutboxError, match="has version 99"):
        Outbox(tmp_path / "outbox.db")


def test_a_failed_frame_that_is_wanted_says_that_it_failed(tmp_path: Path) -> None:
    journal_of(tmp_path, [replace(verdict(0, outcome=Outcome.FAILED), reason="name.dcm: broken")])
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == 1)
    record = json.loads(receiver.told.taken[0].payload)["record"]
    assert (record["outcome"], "name.dcm" in record["reason"]) == ("FAILED", False)


def test_an_outlet_writes_only_what_it_must(tmp_path: Path) -> None:
    """Verdicts that nobody wants move the place, and the disk hears of it seldom."""
    with receiving("webhook") as receiver:
        with Journal(tmp_path / "live.journal", AT_ONCE) as journal:
            with driven(outlet("webhook", receiver.address, types=("alert",)), tmp_path) as driving:
                driving.step()
                before = driving.outbox._database.total_changes
                for number in range(60):
                    journal.append(verdict(number))
                    journal.sync()
                    driving.step()
                assert driving.outbox._database.total_changes - before <= 2 * driving.seconds() + 2


def test_a_record_of_another_journal_shows_it_too_and_keeps_its_order(tmp_path: Path) -> None:
    (poison,) = journal_of(tmp_path, ALERTS[:1])
    study = journal_of(tmp_path, [refusal(f"input {n}") for n in range(3)], "study")
    journals = {name: tmp_path / f"{name}.journal" for name in ("live", "study")}
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path, journals) as driving:
        receiver.told.answer = lambda id_: "error" if id_ == poison else "take"
        driving.until(lambda: len(receiver.told.taken) == 3)
        driving.until(lambda: driving.delivery.state.dead == 1)
    assert receiver.told.ids == study


def test_before_the_first_record_a_webhook_is_neither_reached_nor_not(tmp_path: Path) -> None:
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        driving.until(lambda: driving.seconds() > 10.0)
        assert driving.delivery.state.reachable is None
        journal_of(tmp_path, ALERTS[:1])
        driving.until(lambda: driving.delivery.state.reachable is True)


def test_rows_that_were_deleted_before_it_took_them_are_counted_and_the_rest_is_sent(tmp_path: Path) -> None:
    records = [start("run a"), *whole_pass(20, "run a"), start("run b"), *whole_pass(20, "run b")]
    first = len(whole_pass(20)) + 1
    ids = journal_of(tmp_path, records)
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        receiver.told.answer = lambda _id: "busy" if len(receiver.told.taken) == 3 else "take"
        driving.until(lambda: driving.delivery.state.reachable is False)
    assert len(receiver.told.taken) == 3
    with Journal(tmp_path / "live.journal", AT_ONCE) as journal:
        journal.prune(first)
        waiting = threading.Event()
        for _ in range(1000):
            if journal.pruned == first:
                break
            waiting.wait(0.01)
    with receiving("webhook") as receiver, driven(outlet("webhook", receiver.address), tmp_path) as driving:
        driving.until(lambda: len(receiver.told.taken) == len(ids) - first)
        driving.until(lambda: driving.delivery.state.pruned == first - 3)
        assert driving.delivery.state.faults == ()
    assert receiver.told.ids == ids[first:]

"""Outlets in threads, as the gateway runs them: one that stands still delays nobody, and none ends the gateway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.outlets import outlets as outlets_module
from cathrt.runtime.outlets.outbox import Outbox
from cathrt.runtime.outlets.outlets import Outlets, opened_outlets
from tests.outlets.delivering import ALERTS, journal_of, outlet
from tests.outlets.receivers import PATIENCE_S, RECEIVERS, receiving
from tests.passes import AT_ONCE, alert


class Running:
    """Outlets, and what they reported last."""

    def __init__(self) -> None:
        self.outlets: Outlets | None = None
        self.report: dict[str, dict[str, Any]] = {}

    def reported(self, document: dict[str, Any]) -> None:
        self.report = {one["name"]: one for one in document["outlets"]}

    def attend_until(self, condition: Callable[[], bool]) -> None:
        """Do what the gateway's loop does."""
        assert self.outlets is not None
        deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, self.report
            self.outlets.attend()
            pause.wait(0.01)


@contextmanager
def running(folder: Path, *outlets: OutletConfig) -> Iterator[Running]:
    made = Running()
    with opened_outlets(outlets, {"live": folder / "live.journal"}, folder / "outbox.db", made.reported) as opened:
        made.outlets = opened
        yield made


def test_three_kinds_beside_each_other_have_every_alert_and_the_report_says_so(tmp_path: Path) -> None:
    ids = journal_of(tmp_path, ALERTS)
    with receiving("webhook") as webhook, receiving("mqtt") as mqtt, receiving("syslog") as syslog:
        receivers = {"webhook": webhook, "mqtt": mqtt, "syslog": syslog}
        given = [outlet(kind, receiver.address, name=kind) for kind, receiver in receivers.items()]
        with running(tmp_path, *given) as gateway:
            for receiver in receivers.values():
                receiver.told.wait_for(lambda receiver=receiver: len(receiver.told.taken) == 5)  # type: ignore[misc]
                assert receiver.told.ids == ids
            gateway.attend_until(lambda: {one.get("delivered") for one in gateway.report.values()} == {5})
    assert gateway.report.keys() == RECEIVERS.keys()
    assert {(one["reachable"], one["rows_behind"], one["dead"]) for one in gateway.report.values()} == {(True, 0, 0)}


@pytest.mark.parametrize("frozen", ["hang", "drip"])
def test_a_receiver_that_stands_still_delays_no_other(tmp_path: Path, frozen: str) -> None:
    with (
        receiving("webhook") as stuck,
        receiving("webhook") as quick,
        Journal(tmp_path / "live.journal", AT_ONCE) as journal,
    ):
        stuck.told.answer = lambda _id: frozen
        given = [
            outlet("webhook", stuck.address, name="stuck", timeout_s=60.0, drain_s=0.1),
            outlet("webhook", quick.address, name="quick"),
        ]
        with running(tmp_path, *given):
            for index in range(50):
                journal.append(alert(index))
            journal.sync()
            stuck.told.wait_for(lambda: len(stuck.told.attempts) == 1)
            quick.told.wait_for(lambda: len(quick.told.taken) == 50)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 5.0  # it also ends in time
    assert quick.told.ids == [alert(index).id for index in range(50)]


def test_an_attempt_that_never_ends_by_itself_is_broken_off(tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS[:2])
    with receiving("webhook") as receiver:
        receiver.told.script.append("drip")  # each byte of the answer comes in time
        with running(tmp_path, outlet("webhook", receiver.address, timeout_s=0.2, first_wait_s=0.01)) as gateway:
            gateway.attend_until(lambda: receiver.told.ids[-2:] == [one.id for one in ALERTS[:2]])
    assert list(dict.fromkeys(receiver.told.ids)) == [ALERTS[0].id, ALERTS[1].id]


def test_what_is_written_just_before_the_end_is_still_delivered(tmp_path: Path) -> None:
    with receiving("webhook") as receiver, Journal(tmp_path / "live.journal", AT_ONCE) as journal:
        with running(tmp_path, outlet("webhook", receiver.address, drain_s=20.0)):
            for index in range(100):
                journal.append(alert(index))
            journal.sync()
        assert receiver.told.ids == [alert(index).id for index in range(100)]


def test_at_the_end_there_is_one_last_try_and_the_rest_goes_at_the_next_start(tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver:
        receiver.told.script.extend(["busy", "take", "take", "busy"])
        given = outlet("webhook", receiver.address, first_wait_s=60.0)
        with running(tmp_path, given) as gateway:
            receiver.told.wait_for(lambda: len(receiver.told.attempts) == 1)
            gateway.attend_until(lambda: gateway.report.get("out", {}).get("failed") == 1)
        assert len(receiver.told.attempts) == 4  # "take", "take", and "busy" again ended it
        with running(tmp_path, given):
            receiver.told.wait_for(lambda: len(receiver.told.taken) == 5)
    assert receiver.told.ids == [one.id for one in ALERTS]


def test_a_secret_that_is_gone_is_said_and_read_again(tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS)
    secret = tmp_path / "secret"
    with receiving("webhook") as receiver:
        given = outlet("webhook", receiver.address, secret_file=str(secret), first_wait_s=0.01, most_wait_s=0.05)
        with running(tmp_path, given) as gateway:
            gateway.attend_until(lambda: "secret_file" in gateway.report.get("out", {}).get("error", ""))
            secret.touch(0o600)
            secret.write_text(f"whsec_{'A' * 44}\n")
            gateway.attend_until(lambda: len(receiver.told.taken) == 5)
            gateway.attend_until(lambda: gateway.report["out"]["error"] == "")


def test_an_outbox_that_cannot_be_opened_is_a_fault_of_the_outlet_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlets_module, "AGAIN_S", 0.01)
    journal_of(tmp_path, ALERTS)
    (tmp_path / "outbox.db").write_bytes(b"no database at all" * 100)
    with receiving("webhook") as receiver, running(tmp_path, outlet("webhook", receiver.address)) as gateway:
        gateway.attend_until(lambda: "outbox.db" in " ".join(gateway.report.get("out", {}).get("faults", ())))
        (tmp_path / "outbox.db").unlink()
        gateway.attend_until(lambda: len(receiver.told.taken) == 5)
        gateway.attend_until(lambda: gateway.report["out"]["faults"] == ())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_a_fault_of_ours_is_said_and_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [ZeroDivisionError("a fault of ours")]
    place = Outbox.place

    def failing(self: Outbox, outlet: str, journal: str) -> object:
        if faults:
            raise faults.pop()
        return place(self, outlet, journal)

    monkeypatch.setattr(outlets_module, "AGAIN_S", 0.3)
    monkeypatch.setattr(outlets_module, "REPORT_S", 0.0)
    monkeypatch.setattr(Outbox, "place", failing)
    journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver, running(tmp_path, outlet("webhook", receiver.address)) as gateway:
        gateway.attend_until(lambda: "by a fault of ours" in " ".join(gateway.report.get("out", {}).get("faults", ())))
        gateway.attend_until(lambda: len(receiver.told.taken) == 5)


def test_without_outlets_there_is_no_outbox_and_no_report(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        assert gateway.outlets is not None
        gateway.outlets.attend()
    assert gateway.report == {}
    assert list(tmp_path.iterdir()) == []


def test_one_that_has_ended_because_it_was_asked_to_has_no_fault(tmp_path: Path) -> None:
    journal_of(tmp_path, ALERTS)
    with receiving("webhook") as receiver, running(tmp_path, outlet("webhook", receiver.address)) as gateway:
        receiver.told.wait_for(lambda: len(receiver.told.taken) == 5)
    assert gateway.report["out"]["faults"] == ()

"""`cathrt outbox`: what a person sees of outlets and dead letters, and what becomes of a decision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.journal.head import Head
from cathrt.runtime.outlets.outbox import DeadLetter, LetterState, Outbox, Place
from cathrt.runtime.outlets.state import OUTLETS, OutletState
from cathrt.runtime.processes.state_folder import StateFolder
from tests.docs.records_page import unlike_page
from tests.e2e.commands import cathrt
from tests.passes import alert, stored

RECORD = stored(alert(1), seq=7)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder with an outbox of two dead letters."""
    folder = StateFolder(tmp_path / "state")
    folder.make()
    with closing(Outbox(folder.outbox)) as outbox:
        for outlet in ("ward", "lab"):
            letter = DeadLetter(
                0,
                outlet,
                "live",
                RECORD.seq,
                RECORD.id,
                RECORD.type,
                RECORD.body,
                "answered 422 No",
                3,
                1_700_000_000.0,
            )
            outbox.bury(letter, Place(Head(RECORD.seq, bytes(32))))
    yield folder.path
    folder.dismiss_memory()


def letters(state: Path) -> list[tuple[int, LetterState]]:
    with closing(Outbox(StateFolder(state).outbox)) as outbox:
        return [(letter.number, letter.state) for letter in outbox.letters()]


def lines(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_list_tells_how_far_each_outlet_is_and_ends_with_9_while_a_dead_letter_waits(state: Path) -> None:
    told = OutletState("ward", "webhook", True, False, 1.0, "answered 503 Busy", (), 12, 340.0, 1)
    StateFolder(state).write_report(OUTLETS, {"outlets": [asdict(told)]})
    done = cathrt("outbox", "list", state)
    assert done.returncode == 9
    assert "outlet lab: live to row 7; 1 dead letters\n" in done.stdout
    assert "outlet ward: live to row 7; 1 dead letters; 12 rows behind for 340 s; answered 503 Busy\n" in done.stdout
    assert (
        "1 dead      ward: alert of live row 7, 3 attempts until 2023-11-14T22:13:20+00:00: answered 422 No"
        in done.stdout
    )
    as_json = lines(cathrt("outbox", "list", state, "--json"))
    assert [line["type"] for line in as_json] == ["outlet", "outlet", "dead_letter", "dead_letter"]
    assert [fault for line in as_json for fault in unlike_page(line)] == []
    cathrt("outbox", "discard", state, "--all")
    assert cathrt("outbox", "list", state).returncode == 0


def test_show_prints_the_record_as_the_journal_has_it(state: Path) -> None:
    for options in ((), ("--json",)):
        done = cathrt("outbox", "show", state, "1", *options)
        assert done.returncode == 0
        assert done.stdout.splitlines()[1].encode() == RECORD.body
    assert [fault for line in lines(done) for fault in unlike_page(line)] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("retry", "1"), [LetterState.RETRY, LetterState.DEAD]),
        (("retry", "--all"), [LetterState.RETRY, LetterState.RETRY]),
        (("retry", "--all", "--outlet", "lab"), [LetterState.DEAD, LetterState.RETRY]),
        (("discard", "1", "2"), [LetterState.DISCARDED, LetterState.DISCARDED]),
    ],
)
def test_a_decision_is_stored(state: Path, words: tuple[str, ...], expected: list[LetterState]) -> None:
    verb, *which = words
    done = cathrt("outbox", verb, state, *which)
    assert done.returncode == 0
    assert [state for _, state in letters(state)] == expected
    again = cathrt("outbox", verb, state, *which)
    assert again.stdout.startswith("0 dead letters") or verb == "discard"


def test_what_was_discarded_is_sent_again_only_by_its_number(state: Path) -> None:
    cathrt("outbox", "discard", state, "1")
    cathrt("outbox", "retry", state, "--all")
    assert [each for _, each in letters(state)] == [LetterState.DISCARDED, LetterState.RETRY]
    cathrt("outbox", "retry", state, "1")
    assert [each for _, each in letters(state)] == [LetterState.RETRY, LetterState.RETRY]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "9"), 8, "no dead letter 9"),
        (("retry", "1", "9"), 8, "no dead letter 9"),
        (("retry",), 2, "expected numbers of dead letters, or --all"),
        (("retry", "1", "--all"), 2, "expected numbers of dead letters, or --all"),
        (("discard", "1", "--outlet", "ward"), 2, "expected numbers of dead letters, or --all"),
        (("restart", "ward", "study"), 8, "has not begun in study, expected one of: lab live, ward live"),
    ],
)
def test_what_is_not_there_is_said_and_changes_nothing(
    state: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    verb, *which = words
    done = cathrt("outbox", verb, state, *which)
    assert done.returncode == code
    assert says in " ".join(done.stderr.split())
    assert [each for _, each in letters(state)] == [LetterState.DEAD, LetterState.DEAD]


def test_restart_asks_the_gateway_to_begin_anew(state: Path) -> None:
    done = cathrt("outbox", "restart", state, "ward", "live", "--at", "now")
    assert done.stdout == "outlet ward: begins anew in live with the next record\n"
    with closing(Outbox(StateFolder(state).outbox)) as outbox:
        assert (outbox.asked("ward", "live"), outbox.asked("lab", "live")) == ("now", "")


def test_without_an_outbox_it_says_where_it_looked(tmp_path: Path) -> None:
    done = cathrt("outbox", "list", tmp_path)
    assert (done.returncode, "outbox.db: no such file" in done.stderr) == (8, True)
    assert list(tmp_path.iterdir()) == []

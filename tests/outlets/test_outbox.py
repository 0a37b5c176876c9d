"""The outbox as a file: what is kept over kills and versions, and how far a journal counts as delivered."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.head import Head
from cathrt.runtime.outlets.delivered import delivered_through
from cathrt.runtime.outlets.outbox import DeadLetter, LetterState, Outbox, OutboxError, Place

MUST = OutletConfig("must", "webhook", "http://127.0.0.1", mandatory=True)
ALSO = OutletConfig("also", "webhook", "http://127.0.0.1", mandatory=True)
MAY = OutletConfig("may", "webhook", "http://127.0.0.1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with closing(Outbox(path)) as opened:
        yield opened


def at(seq: int, limited: int = 0) -> Place:
    return Place(Head(seq, bytes([seq]) * 32), limited)


def letter(outlet: str, seq: int, journal: str = "live") -> DeadLetter:
    return DeadLetter(0, outlet, journal, seq, f"id {seq}", "alert", b"{}", "answered 400", 3, 1000.0)


def test_only_this_user_may_read_it(outbox: Outbox, path: Path) -> None:
    outbox.move("must", "live", at(1))
    for each in path.parent.glob("outbox.db*"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600


def test_places_and_dead_letters_are_there_at_the_next_start(outbox: Outbox, path: Path) -> None:
    outbox.begin("must", "live", at(0))
    outbox.bury(letter("must", 4), at(4, limited=2))
    outbox.close()
    with closing(Outbox(path)) as again:
        assert again.place("must", "live") == at(4, limited=2)
        assert again.place("must", "study") is None
        assert [(one.number, one.seq, one.state) for one in again.letters()] == [(1, 4, LetterState.DEAD)]


def test_a_record_that_is_refused_again_after_a_new_beginning_is_one_dead_letter(outbox: Outbox) -> None:
    for _ in range(2):
        outbox.bury(letter("must", 4), at(4))
    assert len(outbox.letters("must")) == outbox.dead("must") == 1


def test_letters_are_listed_by_outlet_and_state_and_counted_until_they_are_discarded(outbox: Outbox) -> None:
    for seq in range(1, 4):
        outbox.bury(letter("must", seq), at(seq))
    outbox.bury(letter("may", 1), at(1))
    assert outbox.mark([1, 3, 99], LetterState.DISCARDED) == 2
    assert outbox.mark([1], LetterState.DISCARDED) == 0
    assert [one.number for one in outbox.letters("must", LetterState.DEAD)] == [2]
    assert [one.outlet for one in outbox.letters()] == ["must", "must", "must", "may"]
    assert (outbox.dead("must"), outbox.dead("may"), outbox.dead("none")) == (1, 1, 0)


def test_a_person_asks_only_for_what_has_begun_and_a_move_does_not_forget_it(outbox: Outbox) -> None:
    assert not outbox.ask("must", "live", "first")
    outbox.begin("must", "live", at(0))
    assert outbox.ask("must", "live", "first")
    outbox.move("must", "live", at(9))
    assert outbox.asked("must", "live") == "first"
    outbox.begin("must", "live", at(0))
    assert outbox.asked("must", "live") == ""


def test_a_file_that_is_no_outbox_is_an_error_that_says_what_to_do(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(OutboxError, match="remove it: every outlet then begins anew"):
        Outbox(path)


def test_without_a_mandatory_outlet_everything_counts_as_delivered(path: Path) -> None:
    assert delivered_through(path, [], "live", 70) == 70
    assert delivered_through(path, [MAY], "live", 70) == 70


def test_what_a_mandatory_outlet_has_not_begun_is_not_delivered(path: Path) -> None:
    assert delivered_through(path, [MUST], "live", 70) == 0
    with closing(Outbox(path)) as outbox:
        outbox.move("must", "study", at(70))
    assert delivered_through(path, [MUST], "live", 70) == 0


def test_delivered_is_what_every_mandatory_outlet_has(outbox: Outbox, path: Path) -> None:
    outbox.move("must", "live", at(60))
    outbox.move("also", "live", at(50))
    outbox.move("may", "live", at(10))
    assert delivered_through(path, [MUST, MAY], "live", 70) == 60
    assert delivered_through(path, [MUST, ALSO], "live", 70) == 50
    assert delivered_through(path, [MUST], "live", 55) == 55


def test_a_dead_letter_is_not_delivered_until_a_person_discards_it(outbox: Outbox, path: Path) -> None:
    outbox.bury(letter("must", 20), at(20))
    outbox.bury(letter("must", 30), at(60))
    outbox.bury(letter("must", 5, "study"), at(60))
    assert delivered_through(path, [MUST], "live", 70) == 19
    outbox.mark([1], LetterState.RETRY)
    assert delivered_through(path, [MUST], "live", 70) == 19
    outbox.mark([1], LetterState.DISCARDED)
    assert delivered_through(path, [MUST], "live", 70) == 29
    outbox.delivered(outbox.letters("must")[1])
    assert delivered_through(path, [MUST], "live", 70) == 60


def test_an_outbox_that_cannot_be_read_lets_nothing_be_deleted(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(OutboxError, match="nothing may be deleted until it can"):
        delivered_through(path, [MUST], "live", 70)

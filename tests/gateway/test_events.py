"""Rows as server-sent events, and places as their ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.gateway import events
from cathrt.runtime.gateway.events import RECORD_TYPES, claimed_place, event_id, pieces, wanted_types
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.journal.reader import Followed
from tests.gateway.reading import RECORDS
from tests.passes import draft, reading, refusal, start, stored

PLACES = st.builds(Head, st.integers(0, 10**18 - 1), st.binary(min_size=32, max_size=32))
ALL = frozenset(RECORD_TYPES)


def followed() -> list[Followed]:
    rows, place = [], Head()
    for seq, record in enumerate(RECORDS, 1):
        row = stored(record, seq)
        place = place.next(row.type.encode(), row.id.encode(), row.body)
        rows.append(Followed(row, place))
    return rows


@given(PLACES, PLACES)
def test_an_id_stands_for_its_place_and_for_no_other(place: Head, other: Head) -> None:
    claimed = claimed_place(event_id(place))
    assert claimed.is_at(place)
    assert claimed.is_at(other) == (other.seq == place.seq and other.chain[:8] == place.chain[:8])


@given(PLACES)
def test_a_number_alone_stands_for_the_row_of_that_number(place: Head) -> None:
    assert claimed_place(str(place.seq)).is_at(place)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "-1", "+1", "1.0", "0x1", "１", "1-", "1-0123456789abcde", "1-0123456789abcdef0", "9" * 19,
     "1-0123456789ABCDEF", "1-0123456789abcdeg", "1\n", "null", "1,2", "end"],
)  # fmt: skip
def test_what_the_feed_never_sent_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the id of an event"):
        claimed_place(text)


def test_the_types_are_those_of_all_records() -> None:
    others = [start(), refusal(), draft(), reading(), process_start("live")]
    of_people = {"decision", "signoff", "review"}
    assert {record.type for record in [*others, *RECORDS]} | {"engine", "ended"} | of_people == set(RECORD_TYPES)
    assert wanted_types("alert,run") == {"alert", "run"}


@pytest.mark.parametrize("text", ["", "alerts", "alert,", "alert, run", "ALERT"])
def test_a_type_that_does_not_exist_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected some of .*alert"):
        wanted_types(text)


@pytest.mark.parametrize("piece_bytes", [1, 2000, 1 << 20])
def test_pieces_put_together_are_all_events_and_each_ends_at_its_place(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(events, "PIECE_BYTES", piece_bytes)
    rows = followed()
    made = list(pieces(rows, ALL, lambda: 0))
    expected = b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id(row.place).encode(), row.stored.type.encode(), row.stored.body)
        for row in rows
    )
    assert b"".join(piece.text for piece in made) == expected
    assert made[-1].place == rows[-1].place
    for piece in made:
        assert not piece.text or event_id(piece.place).encode() in piece.text.rpartition(b"id: ")[2]


def test_rows_that_nobody_wants_give_no_text_but_a_place() -> None:
    rows = followed()
    (piece,) = pieces(rows, frozenset({"refusal"}), lambda: 0)
    assert (piece.text, piece.place) == (b"", rows[-1].place)

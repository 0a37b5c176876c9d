"""What receivers answer, and what it means for the message and for those behind it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.objects.hl7.acknowledgement import (
    NoAcknowledgementError,
    acknowledgement_from,
)


def answer(code: str, error: str = "", where: str = "") -> bytes:
    lines = ["MSH|^~\\&|EHR|||||||ACK^R01^ACK|1|P|2.5.1", f"MSA|{code}|ID 1|said"]
    if error:
        lines.append(f"ERR||{where}|{error}^text|E||||for people")
    return ("\r".join(lines) + "\r").encode()


@pytest.mark.parametrize(
    ("code", "error", "where", "accepts", "of_the_message", "of_all"),
    [
        ("AA", "", "", True, False, False),
        ("CA", "", "", True, False, False),
        ("AE", "", "", False, True, False),
        ("AE", "101", "PID^1^5", False, True, False),  # required field missing
        ("AE", "204", "PID^1^3", False, True, False),  # unknown patient
        ("AE", "207", "", False, False, False),  # internal error
        ("AE", "203", "MSH^1^12", False, False, True),  # version
        ("AR", "", "", False, False, False),
        ("AR", "200", "MSH^1^9", False, False, True),  # type of message
        ("CE", "", "", False, True, False),
        ("CR", "", "", False, False, False),
        ("AE", "205", "MSH^1^10", True, False, False),  # our own control id, taken at an earlier attempt
        ("AE", "205", "PID^1^3", False, True, False),
        ("??", "", "", False, False, False),
    ],
)
def test_what_an_answer_means(
    code: str, error: str, where: str, accepts: bool, of_the_message: bool, of_all: bool
) -> None:
    found = acknowledgement_from(answer(code, error, where))
    assert found.control_id == "ID 1"
    assert found.accepts is accepts
    assert (not accepts and found.is_of_the_message) is of_the_message
    assert found.is_of_all is of_all


def test_what_it_says_is_kept_for_people() -> None:
    assert acknowledgement_from(answer("AE", "101")).said == "said text for people"


def test_separators_are_those_that_the_answer_declares() -> None:
    assert acknowledgement_from(b"MSH#*~\\&#EHR\nMSA#AE#7\nERR###101*x\n").error == "101"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400", b"MSH|^~\\&|", b"MSH|^~\\&|\rMSA|AA\r", b"\xff\xfe" * 9])
def test_what_is_no_acknowledgement_is_told(said: bytes) -> None:
    with pytest.raises(NoAcknowledgementError, match="expected an acknowledgement"):
        acknowledgement_from(said)


@given(st.binary(max_size=200), st.booleans())
def test_no_answer_breaks_the_reader(said: bytes, begins_well: bool) -> None:
    with suppress(NoAcknowledgementError):
        acknowledgement_from((b"MSH|^~\\&|\rMSA" if begins_well else b"") + said)

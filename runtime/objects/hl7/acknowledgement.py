"""What a receiver answers to an HL7 v2 message: accepted, an error of the message, or not now.

Not for: when a message is sent again (outlets/delivery.py).
"""

from __future__ import annotations

from dataclasses import dataclass

_ACCEPTED = ("AA", "CA")
_LONGEST = 200  # characters of what the receiver says
# Of ERR-3, HL7 table 0357. All messages of ours are of one type and version: what is said of these, is said of all.
_OF_ALL = ("200", "201", "202", "203")
_OF_THE_MOMENT = ("206", "207")  # record locked, internal error
_TWICE = "205"  # duplicate key
_CONTROL_ID = ("MSH^1^10", "MSH^^10")


class NoAcknowledgementError(ValueError):
    """What came is none, or not one that can be read."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """code: MSA-1. control_id: MSA-2. error: ERR-3, "" where there is none. where: ERR-2. said: for a person."""

    code: str
    control_id: str
    error: str
    where: str
    said: str

    @property
    def accepts(self) -> bool:
        """Whether the message was taken, now or before: a receiver may call the control id of a repeat a duplicate."""
        return self.code in _ACCEPTED or (self.error == _TWICE and self.where.startswith(_CONTROL_ID))

    @property
    def is_of_the_message(self) -> bool:
        """Whether it is the message that the receiver does not want, so that others may be taken."""
        return self.code in ("AE", "CE") and self.error not in (*_OF_ALL, *_OF_THE_MOMENT)

    @property
    def is_of_all(self) -> bool:
        """Whether it speaks of the receiver's set-up, and every message would be answered so."""
        return self.error in _OF_ALL


def acknowledgement_from(answer: bytes) -> Acknowledgement:
    """Raises NoAcknowledgementError."""
    text = answer.decode("utf-8", "replace")
    if len(text) < 8 or not text.startswith("MSH"):
        raise NoAcknowledgementError("an answer that is no HL7 message, expected an acknowledgement")
    separator, component = text[3], text[4]
    segments = [line.split(separator) for line in text.replace("\n", "\r").split("\r") if line]
    acknowledged = next((fields for fields in segments if fields[0] == "MSA"), None)
    if acknowledged is None or len(acknowledged) < 3:
        raise NoAcknowledgementError("an answer without MSA-1 and MSA-2, expected an acknowledgement")
    error = next((fields for fields in segments if fields[0] == "ERR"), [])
    code = _field(error, 3).split(component)
    said = (_field(acknowledged, 3), code[1] if len(code) > 1 else "", _field(error, 7), _field(error, 8))
    return Acknowledgement(
        code=acknowledged[1].strip(),
        control_id=acknowledged[2].strip(),
        error=code[0].strip(),
        where=_field(error, 2),
        said=" ".join(part for part in said if part)[:_LONGEST],
    )


def _field(fields: list[str], number: int) -> str:
    return fields[number] if number < len(fields) else ""

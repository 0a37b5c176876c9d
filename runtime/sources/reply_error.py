"""What its parent makes of a decoder's reply that no honest decoder sends."""

from __future__ import annotations


class ReplyError(Exception):
    """The decoder process said something that no honest decoder says; it is stopped."""


def require(condition: bool, complaint: str) -> None:
    """Raise ReplyError with the complaint unless the condition holds."""
    if not condition:
        raise ReplyError(complaint)

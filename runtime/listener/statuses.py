"""Statuses of DIMSE answers and reasons of failure (PS3.7 annex C, PS3.4 annexes B, F and J)."""

from __future__ import annotations

SUCCESS = 0x0000
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_ARGUMENT = 0x0115
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700
SOP_CLASS_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_STORED_WITH_WARNING = (0x0001, 0x0107, 0x0116)  # and 0xBxxx: stored, though something was changed or left out


def is_stored(status: int) -> bool:
    """Whether a service that answers so has the object: a repeat of what it had already is no fault."""
    return status in (SUCCESS, DUPLICATE_INSTANCE) or is_warning(status)


def is_warning(status: int) -> bool:
    """Whether it has stored the object and has something to say about it."""
    return status in _STORED_WITH_WARNING or status >> 12 == 0xB

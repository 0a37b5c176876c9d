"""The few patterns that text from a file must fit before it goes any further. Not for: what the text means."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9.]{1,64}")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
_FLAG = re.compile(r"[a-z0-9_]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uid(text: str) -> bool:
    """A DICOM unique identifier by its characters and length (PS3.5 9.1)."""
    return _UID.fullmatch(text) is not None


def is_code_string(text: str) -> bool:
    """A value of VR CS (PS3.5 6.2), not empty."""
    return _CODE_STRING.fullmatch(text) is not None


def is_flag(text: str) -> bool:
    """A name in Run.flags."""
    return _FLAG.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """A lower-case uuid as identity.py writes it."""
    return _UUID.fullmatch(text) is not None


def printable(text: str, limit: int) -> str:
    """Text as it may stand in an error, a reason or a log: one line, no control characters, at most `limit` long."""
    return "".join(c if c.isprintable() else " " for c in text)[:limit].strip()

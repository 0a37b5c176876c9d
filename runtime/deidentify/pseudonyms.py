"""What stands for a UID, a patient and a date: the same for the same, over all files that are made with one key.

Nothing of it can be undone without the key and a guess. Not for: which elements are replaced (profile.py).
"""

from __future__ import annotations

import hmac
import re
from datetime import date, timedelta

_WELL_KNOWN = "1.2.840.10008."  # of DICOM itself: classes, transfer syntaxes, coding schemes
_MOST_DAYS = 3650
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")


class Pseudonyms:
    """key: a secret of at least 16 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def uid(self, uid: str) -> str:
        """A UID of the form 2.25.<number>; one that DICOM itself has given out stays."""
        if uid.startswith(_WELL_KNOWN) or not uid:
            return uid
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big') | 1 << 125}"

    def patient(self, patient_id: str, issuer: str) -> str:
        """A name for a patient."""
        return f"ANON-{self._digest('patient', f'{issuer}|{patient_id}').hex()[:12].upper()}"

    def days(self, patient_id: str, issuer: str) -> int:
        """By how many days this patient's dates are moved back: one to ten years, the same in all files."""
        return 365 + int.from_bytes(self._digest("days", f"{issuer}|{patient_id}")[:4], "big") % (_MOST_DAYS - 365)

    def _digest(self, what: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{what}|{text}".encode("utf-8", "replace"), "sha256")


def shifted(text: str, days: int) -> str:
    """A DA or DT value moved back by so many days; "" where it is none. Times of day stay."""
    found = _DATE.match(text.strip())
    if found is None:
        return ""
    try:
        year, month, day = map(int, found.groups())
        moved = date(year, month, day) - timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved:%Y%m%d}{text.strip()[8:]}"

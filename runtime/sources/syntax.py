"""The few patterns that text from a file must fit before it goes any further. Not for: what the text means."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9.]{1,64}")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
# Of Photometric Interpretation and Modality (PS3.3 C.7.6.3.1.2, C.7.3.1.1.1), as far as such objects come our way.
_TERMS = frozenset({
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422",
    "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB", "XA", "XRF", "RF", "CR", "DX", "IO", "MG",
    "PX", "CT", "MR", "US", "IVUS", "OCT", "IVOCT", "NM", "PT", "OP", "OPT", "ES", "XC", "GM", "SM", "SC", "OT",
    "DOC", "SR", "KO", "PR", "ECG", "EPS", "HD", "AU", "SEG", "REG", "BI", "RG", "RTIMAGE", "RTDOSE", "RTSTRUCT",
    "RTPLAN", "RTRECORD",
})  # fmt: skip
_FLAG = re.compile(r"[a-z0-9_]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uid(text: str) -> bool:
    """A DICOM unique identifier by its characters and length (PS3.5 9.1)."""
    return _UID.fullmatch(text) is not None


def is_code_string(text: str) -> bool:
    """A value of VR CS (PS3.5 6.2), not empty."""
    return _CODE_STRING.fullmatch(text) is not None


def quoted_code(text: str | None) -> str:
    """A code string as a message may quote it: a term that DICOM defines for images, else no more than that it is none.

    What else stands in such an element may be anything, a patient's name too.
    """
    return text if text in _TERMS else "unknown" if text is None else "(another term)"


def is_flag(text: str) -> bool:
    """A name in Run.flags."""
    return _FLAG.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """A lower-case uuid as identity.py writes it."""
    return _UUID.fullmatch(text) is not None


def printable(text: str, limit: int) -> str:
    """Text as it may stand in an error, a reason or a log: one line, no control characters, at most `limit` long."""
    return "".join(c if c.isprintable() else " " for c in text)[:limit].strip()

"""Deterministic identifiers: the same input always has the same id, so nothing is stored twice.

uuid5 over a fixed namespace and the parts that make the thing what it is. Not for: secrets or random ids.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

_CATHRT = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cathrt:identity:1")


def run_id(content_sha256: str) -> str:
    """Identity of a run by what it contains, not by its name: a file sent twice is one run."""
    return _named(f"run|{content_sha256}")


def live_run_id(source: str, boot: str, first_ns: int) -> str:
    """Identity of a run of a live source: no two runs of one source begin at the same moment since the boot."""
    return _named(f"live run|{source}|{boot}|{first_ns}")


def pass_id(rests_on: Mapping[str, str | int | float]) -> str:
    """Identity of one judging of a run: named values, in any order (pass_identity.py says which)."""
    return _named(f"pass|{json.dumps(rests_on, sort_keys=True, allow_nan=False)}")


def record_id(pass_: str, kind: str, key: str) -> str:
    """Identity of one record of a pass, e.g. ("verdict", "17") or ("alert", "key_frame|17")."""
    return _named(f"{kind}|{pass_}|{key}")


def _named(text: str) -> str:
    # A file name that is no UTF-8 holds lone surrogates, which uuid5 cannot encode; their escapes it can.
    return str(uuid.uuid5(_CATHRT, text.encode("utf-8", "backslashreplace").decode()))

"""A record as an outlet sends it: late alerts marked as late, names of files taken out, in an envelope that says where
it stands. Not for: how it is sent (webhook.py, mqtt.py, syslog.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.journal.lateness import as_shown, boot
from cathrt.runtime.journal.records import body_with

WITHHELD = "not sent: a name of a file may be that of a patient (outlets.names)"
WORDS_WITHHELD = "not sent: a person's own words may name a patient (outlets.names)"


@dataclass(frozen=True, slots=True)
class Message:
    """id: of the record, the same at each attempt. payload: the envelope, one line of JSON. record: what is in it.

    seq: of its row in the journal. limited: rows of that journal that the rate limit has kept back so far.
    """

    id: str
    type: str
    journal: str
    seq: int
    limited: int
    payload: bytes
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lane:
    """What a message says beside its record. names: whether names of files are sent."""

    journal: str
    limited: int
    names: bool


def message_from(stored: StoredRecord, lane: Lane, now_ns: int) -> Message:
    """The record as it is to be sent at the clock reading `now_ns`."""
    shown = as_shown(stored, now_ns)
    body, record = shown.body, json.loads(shown.body)
    if not lane.names and (changed := _without_names(record, lane.journal)):
        body, record = body_with(body, **changed), record | changed
    payload = b'{"journal":"%b","seq":%d,"limited":%d,"live_for_s":%b,"record":%b}' % (
        lane.journal.encode(),
        stored.seq,
        lane.limited,
        json.dumps(_live_for_s(record, now_ns)).encode(),
        body,
    )
    return Message(stored.id, stored.type, lane.journal, stored.seq, lane.limited, payload, record)


def _without_names(record: dict[str, Any], journal: str) -> dict[str, Any]:
    """What is put in place of texts that may hold the name of a file. Live sources are named in the configuration."""
    kind, changed = record["type"], {}
    if journal != "live" and kind in ("pass", "run"):
        changed["source"] = f"run {record['run_id'][:8]}"
    if kind == "refusal":
        changed["message"] = WITHHELD
        if journal != "live":
            changed["source"] = f"input {record['id'][:8]}"
    if kind == "verdict" and record["outcome"] == "FAILED":
        changed["reason"] = WITHHELD
    if kind in ("decision", "signoff", "review") and record["text"]:
        changed["text"] = WORDS_WITHHELD
    return changed


def _live_for_s(record: dict[str, Any], now_ns: int) -> float | None:
    """How long an alert is still live, since a receiver cannot read our clock; None for all that is not live."""
    if record["type"] != "alert" or record["late"] is not False:
        return None
    until = record["live_until"]
    assert until["boot"] == boot()  # else as_shown() has marked it as late
    return float(round(max(0.0, (until["monotonic_ns"] - now_ns) / 1e9), 3))

"""The first record of a process: one moment by the monotonic clock and by the wall clock, so that rows get a date."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version

from cathrt.runtime.alert import ProcessStart
from cathrt.runtime.identity import record_id
from cathrt.runtime.journal.lateness import boot


def process_start(process: str) -> ProcessStart:
    """The record of a process that begins now."""
    now_ns, utc = time.monotonic_ns(), datetime.now(UTC)
    return ProcessStart(
        id=record_id(boot(), "start", f"{process}|{now_ns}"),
        process=process,
        version=version("cathrt"),
        boot=boot(),
        monotonic_ns=now_ns,
        utc=utc.isoformat(timespec="microseconds"),
    )

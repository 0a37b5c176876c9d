"""Each run of a journal as one span, once it is over: when it was, how its frames ended, how long its stages took.

Ids come from the pass, so the same run is always the same span, however often it is made. A span says nothing of what
was found. Not for: frames (drawing.py), sending spans (metrics/otlp_spans.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import NOTICE, StoredRecord
from cathrt.runtime.journal.errors import PrunedError
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.lookups import records_of_type, times_of_pass
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.trace.dates import Moment

NAME = "run"
RECEIVED = "received"  # stands for the sources of all runs that the study judges
_TIME_OF_DAY = re.compile(r" \d\d:\d\d:\d\d$")  # ends the name of a live run
_Told = str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSpan:
    """One run. trace_id, span_id: of 16 and of 8 bytes. begin_ns, end_ns: since 1970."""

    trace_id: int
    span_id: int
    begin_ns: int
    end_ns: int
    told: Mapping[str, _Told]


class RunSpans:
    """Follows one journal. result: "live" or "confirmed". Raises JournalError where it cannot be read."""

    def __init__(self, journal: Path, result: str) -> None:
        """Nothing is opened before the first read; the journal need not exist yet."""
        self._path, self._result = journal, result
        self._reader = JournalReader(journal)
        self._starts: list[tuple[int, Moment]] | None = None  # of processes, by row

    def now(self) -> Head:
        """The place behind the newest row."""
        return self._reader.end()

    def after(self, place: Head) -> tuple[list[RunSpan], Head]:
        """The runs that ended in the next rows after that place, and the place behind those rows: the same if there are
        none. Rows that were pruned meanwhile are left out; of builds before 0.2.0 it is not known when a run was."""
        try:
            followed = self._reader.read(place)
        except PrunedError:
            return [], self._reader.start()
        if followed and self._starts is None:
            self._starts = [(row.seq, Moment.of(row)) for row in records_of_type(self._path, "start")]
        spans = []
        for each in followed:
            if each.stored.type == "start":
                self._began(each.stored)
            elif each.stored.type == "run" and (span := self._span(each.stored)) is not None:
                spans.append(span)
        return spans, followed[-1].place if followed else place

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _began(self, start: StoredRecord) -> None:
        assert self._starts is not None
        if not self._starts or self._starts[-1][0] < start.seq:
            self._starts.append((start.seq, Moment.of(start)))

    def _span(self, summary: StoredRecord) -> RunSpan | None:
        record = json.loads(summary.body)
        times = times_of_pass(self._path, record["pass_id"])
        if times is None:
            return None
        first_seq, begin_ns, end_ns = times
        moment = self._moment(first_seq)
        digest = hashlib.sha256(record["pass_id"].encode()).digest()
        return RunSpan(
            trace_id=int.from_bytes(digest[:16]),
            span_id=int.from_bytes(digest[16:24]),
            begin_ns=moment.utc_ns + begin_ns - moment.monotonic_ns,
            end_ns=moment.utc_ns + end_ns - moment.monotonic_ns,
            told=_told(record, self._result),
        )

    def _moment(self, seq: int) -> Moment:
        """When the process that wrote that row began. Where its first row was pruned, the next one's counts."""
        starts = self._starts or [(0, Moment.now())]
        return starts[max(0, bisect_left(starts, seq, key=lambda start: start[0]) - 1)][1]


def _told(record: Mapping[str, Any], result: str) -> Mapping[str, _Told]:
    told: dict[str, _Told] = {
        "cathrt.result": result,
        "cathrt.source": _TIME_OF_DAY.sub("", record["source"]) if result == "live" else RECEIVED,
        "cathrt.run_id": record["run_id"],
        "cathrt.pass_id": record["pass_id"],
        "cathrt.frames": record["frames"],
        "cathrt.flags": tuple(record["flags"]),
        "cathrt.notice": NOTICE,
    }
    told |= {f"cathrt.verdicts.{outcome.lower()}": count for outcome, count in record["verdicts"].items()}
    for stage, percentiles in record["latency_ms"].items():
        told |= {f"cathrt.latency_ms.{stage}.{name}": value for name, value in percentiles.items()}
    for judged in record["results"]:
        told |= {f"cathrt.{judged['kind']}.{key}": judged[key] for key in ("engine", "bundle", "manifest_sha256")}
    return told

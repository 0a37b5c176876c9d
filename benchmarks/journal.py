"""CPU time that appending a verdict to the journal costs the line's thread (`python -m benchmarks.journal`).

append() encodes, checks and queues; beside it its parts and what they are measured against: the encoder of the standard
library and a bare insert into SQLite. Not for: the disk, whose time no line waits for (benchmarks/line.py has it).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import measure
from cathrt.runtime.alert import Outcome, StageTimes, Verdict
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.identity import pass_id, record_id, run_id
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.models.keyframe.records import KeyframeFinding
from cathrt.runtime.sinks.jsonl import JsonlSink

VERDICTS = 100  # in one sample: one alone is too short for the clock


PARTS = record_parts()


def sample(number: int) -> Verdict:
    """A judged frame with numbers as long as real ones are."""
    run = run_id("benchmark")
    judging = pass_id({"run": run})
    scores = tuple((number % 97 + place) / 607.3 for place in range(6))
    return Verdict(
        id=record_id(judging, "verdict", str(number)),
        pass_id=judging,
        run_id=run,
        frame_index=number,
        outcome=Outcome.MET,
        reason=None,
        findings=(KeyframeFinding("left", 0.5 + scores[0], scores, engine="openvino", score=scores[1]),),
        latency_ms=StageTimes(0.731253, 1.203418, 9.817265, 0.051237, 12.303173 + number / 7e5),
        retry=False,
    )


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    warm_up = 5
    batches = [
        [sample(first + place) for place in range(VERDICTS)]
        for first in range(0, (warm_up + rounds) * VERDICTS, VERDICTS)
    ]
    bodies = [[body_from_record(record) for record in batch] for batch in batches]
    documents = [[json.loads(body) for body in batch] for batch in bodies]
    _check(batches, bodies)
    heartbeat = measure.Heartbeat()
    with TemporaryDirectory(prefix="cathrt-bench-") as scratch:
        folder = Path(scratch)
        with (
            (folder / "shown.jsonl").open("wb") as stream,
            closing(_bare(folder / "bare.db")) as bare,
            Journal(folder / "journal.db", JournalConfig(), [JsonlSink(stream)]) as journal,
        ):

            def append(number: int) -> None:
                for record in batches[number]:
                    journal.append(record)

            def encode_and_check(number: int) -> None:
                for record in batches[number]:
                    body_from_record(record)

            def check(number: int) -> None:
                for body in bodies[number]:
                    record_from_body(body, PARTS)

            def dumps(number: int) -> None:
                for document in documents[number]:
                    json.dumps(document)

            def asdict_dumps(number: int) -> None:
                for record in batches[number]:
                    json.dumps(asdict(record))

            def insert(number: int) -> None:
                bare.execute("BEGIN")
                for record, body in zip(batches[number], bodies[number], strict=True):
                    bare.execute("INSERT INTO record VALUES (NULL, ?, ?)", (record.id, body.decode()))
                bare.execute("COMMIT")

            variants = {
                "append()": append,
                "encoding and check": encode_and_check,
                "check alone": check,
                "json.dumps of a dict": dumps,
                "json.dumps of asdict()": asdict_dumps,
                "bare SQLite insert": insert,
            }
            wait = {"": lambda _: journal.sync()}  # so that the queue never fills; not reported
            samples = measure.interleave(
                {**variants, **wait}, rounds=rounds, warm_up=warm_up, clock=time.thread_time_ns
            )
    heartbeat.finish()
    for name in variants:
        each_us = samples[name].median_ms * 1e3 / VERDICTS
        yield measure.row(
            "journal", f"{VERDICTS} verdicts, CPU", name, samples[name], heartbeat, us_per_verdict=round(each_us, 2)
        )
    append_ms = samples["append()"].median_ms
    figures = {
        "append_vs_check": append_ms / samples["check alone"].median_ms,
        "append_vs_dumps": append_ms / samples["json.dumps of a dict"].median_ms,
        "append_vs_asdict_dumps": append_ms / samples["json.dumps of asdict()"].median_ms,
        "append_vs_sqlite_insert": append_ms / samples["bare SQLite insert"].median_ms,
    }
    last = measure.headline("journal", figures, heartbeat, ("pydantic", "pydantic_core"))
    yield last | {"config": measure.config(JournalConfig())}


def _check(batches: list[list[Verdict]], bodies: list[list[bytes]]) -> None:
    """Every body reads back as its record before anything is timed."""
    for batch, encoded in zip(batches, bodies, strict=True):
        assert [record_from_body(body, PARTS) for body in encoded] == batch


def _bare(path: Path) -> sqlite3.Connection:
    """A table of the same text in the same mode, without the journal's chain, checks and index on the pass."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL)")
    return connection


if __name__ == "__main__":
    measure.command(__doc__, rows, quick=20, full=300)

"""Verifying a journal: the books of each pass, and what does not add up in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Outcome, Record
from cathrt.runtime.errors import JournalError
from cathrt.runtime.identity import run_id
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.report import JournalReport, verify_journal
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.models import record_parts
from tests.passes import GROUPED, alert, pass_of, refusal, start, summary, verdict, whole_pass, write


def reported(tmp_path: Path, records: Sequence[Record]) -> JournalReport:
    write(tmp_path / "journal.db", list(records))
    return verify_journal(tmp_path / "journal.db", record_parts())


def test_whole_passes_balance(tmp_path: Path) -> None:
    report = reported(tmp_path, [*whole_pass(20, "run a"), refusal(), *whole_pass(10, "run b")])

    assert report.sound
    assert report.rows == 23 + 1 + 12
    assert report.refusals == 1
    assert report.incomplete == ()
    first, second = report.passes
    assert (first.pass_id, first.run_id, first.frames, first.alerts) == (pass_of("run a"), run_id("run a"), 20, 2)
    assert first.verdicts == {Outcome.MET: 15, Outcome.DUPLICATE: 3, Outcome.DROPPED: 2}
    assert (second.frames, second.alerts, second.balanced) == (10, 1, True)


def test_the_head_is_the_chain_of_all_rows_and_can_be_anchored(tmp_path: Path) -> None:
    report = reported(tmp_path, whole_pass())

    connection = sqlite3.connect(tmp_path / "journal.db")
    head = Head()
    for kind, id_, body in connection.execute("SELECT kind, id, body FROM record ORDER BY seq"):
        head = head.next(kind.encode(), id_.encode(), body.encode())
    connection.close()
    assert (report.rows, report.head) == (head.seq, head.chain.hex())


def test_an_empty_journal_is_sound(tmp_path: Path) -> None:
    report = reported(tmp_path, [])

    assert report.sound
    assert (report.rows, report.head, report.passes) == (0, "0" * 64, ())


def test_a_pass_without_summary_is_incomplete_and_says_no_worse(tmp_path: Path) -> None:
    report = reported(tmp_path, whole_pass()[:-1])

    assert not report.sound
    (books,) = report.incomplete
    assert (books.frames, books.complete, books.balanced, books.anomalies) == (None, False, False, ())
    assert (books.source, books.rate, books.attempt) == (None, None, None)


def test_an_incomplete_pass_is_known_by_its_source_its_rate_and_its_attempt(tmp_path: Path) -> None:
    (books,) = reported(tmp_path, [start(attempt=2), *whole_pass()[:-1]]).incomplete

    assert (books.source, books.rate, books.attempt, books.anomalies) == ("run a.dcm", "max", 2, ())


@pytest.mark.parametrize(
    ("records", "anomaly"),
    [
        ([verdict(0), verdict(1), verdict(4)], "no verdict for 2 frames: 2, 3"),
        ([verdict(9)], "no verdict for 9 frames: 0, 1, 2, 3, 4 …"),
        ([verdict(0), replace(verdict(0), id="again")], "frame 0 has more than one verdict"),
        ([verdict(0), alert(3)], f"alert {alert(3).id} rests on no verdict of frame 3 before it"),
        ([alert(0), verdict(0)], f"alert {alert(0).id} rests on no verdict of frame 0 before it"),
        ([verdict(0), summary([verdict(0)]), verdict(1)], f"verdict {verdict(1).id} comes after the run's summary"),
        ([verdict(0), replace(verdict(1), run_id="other")], f"verdict {verdict(1).id} is of run other"),
        ([verdict(0), summary([verdict(0, outcome=Outcome.FAILED)])], "the summary declares"),
        ([verdict(0), summary([verdict(0), verdict(1)])], "the summary declares"),
    ],
)
def test_what_does_not_add_up_is_named(tmp_path: Path, records: list[Record], anomaly: str) -> None:
    report = reported(tmp_path, records)

    assert not report.sound
    (books,) = report.passes
    assert any(named.startswith(anomaly) for named in books.anomalies), books.anomalies


def test_the_report_is_json_as_it_stands(tmp_path: Path) -> None:
    document = json.loads(json.dumps(asdict(reported(tmp_path, whole_pass()))))

    assert document["passes"][0]["verdicts"] == {"MET": 15, "DUPLICATE": 3, "DROPPED": 2}


def test_verifying_runs_beside_the_writer_and_takes_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    records = whole_pass()
    with Journal(path, GROUPED) as journal:
        for number, record in enumerate(records, 1):
            journal.append(record)
            journal.sync()
            assert verify_journal(path, record_parts()).rows == number


def test_a_sound_row_that_is_no_record_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(path, [verdict(0)])
    head = Head()
    (tmp_path / "journal.db-head").unlink()
    connection = sqlite3.connect(path, isolation_level=None)
    body = connection.execute("SELECT body FROM record").fetchone()[0].encode()
    head = head.next(b"verdict", verdict(0).id.encode(), body)
    head = head.next(b"verdict", b"x", b'{"type":"verdict"}')
    connection.execute(
        "INSERT INTO record (seq, id, kind, body, chain) VALUES (2, 'x', 'verdict', '{\"type\":\"verdict\"}', ?)",
        (head.chain,),
    )
    connection.execute("UPDATE meta SET head_seq = 2, head_chain = ?", (head.chain,))
    connection.close()

    with pytest.raises(JournalError, match=r"row 2: found .*, expected the notice"):
        verify_journal(path, record_parts())

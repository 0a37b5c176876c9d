"""A bundle that was signed though its network is worth nothing says so in every record, line and page."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE, UNPROVEN_NOTICE, Refusal
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict
from cathrt.runtime.config import JournalConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import Line, watch
from cathrt.runtime.line.replay import replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.ports import Opening, Source
from cathrt.runtime.sinks.console import ConsoleSink
from cathrt.runtime.sinks.jsonl import JsonlSink
from tests.lines import BUNDLE, ArraySource, ListJournal, line

SCORES = [0.1, 0.2, 0.9, 0.95, 0.9, 0.9, 0.9, 0.2, 0.1]


def line_of(worth: WorthVerdict | None) -> Line:
    return line(bundle=replace(BUNDLE, manifest=replace(BUNDLE.manifest, worth=worth)))


@pytest.mark.parametrize(
    ("worth", "notice"),
    [(None, NOTICE), (BETTER, NOTICE), (NO_BETTER, NO_BETTER_NOTICE), (TOO_FEW, UNPROVEN_NOTICE)],
)
def test_every_record_of_a_pass_carries_the_notice_of_its_bundle(worth: WorthVerdict | None, notice: str) -> None:
    journal = ListJournal()
    summary = watch(ArraySource(SCORES), line_of(worth), journal)
    assert len(journal.verdicts) == len(SCORES)
    assert journal.alerts
    assert {record.notice for record in journal.records.values()} == {notice}
    assert summary.notice == notice
    assert NOTICE in notice


def test_what_is_stored_and_read_again_keeps_the_notice_and_another_text_is_refused() -> None:
    journal = ListJournal()
    watch(ArraySource(SCORES), line_of(NO_BETTER), journal)
    alert = journal.alerts[0]
    body = body_from_record(alert)
    assert json.loads(body)["notice"] == NO_BETTER_NOTICE
    assert record_from_body(body, record_parts()) == alert
    with pytest.raises(ValueError, match="notice"):
        body_from_record(replace(alert, notice="fit for clinical use"))
    with pytest.raises(ValueError, match="expected the notice"):
        record_from_body(body.replace(b"THIS NETWORK DID NO BETTER", b"THIS NETWORK DID MUCH BETTER"), record_parts())


def test_the_terminal_says_it_under_every_record_and_the_json_lines_in_every_line(tmp_path: Path) -> None:
    terminal, lines = io.StringIO(), io.BytesIO()

    def broken() -> Source:
        raise SourceError("no run")

    sinks = (ConsoleSink(terminal, record_parts()), JsonlSink(lines))
    with Journal(tmp_path / "journal.db", JournalConfig(), sinks) as journal:
        openings = [Opening("a", lambda: ArraySource(SCORES)), Opening("b", broken)]
        replayed = replay(openings, line_of(NO_BETTER), journal)
    assert [refusal.notice for refusal in replayed.refusals] == [NO_BETTER_NOTICE]
    documents = [json.loads(text) for text in lines.getvalue().splitlines()]
    assert {"verdict", "alert", "run", "refusal", "pass"} == {document["type"] for document in documents}
    assert {document["notice"] for document in documents} == {NO_BETTER_NOTICE}
    shown = [document for document in documents if document["type"] in ("alert", "run", "refusal")]
    assert terminal.getvalue().count(NO_BETTER_NOTICE) == len(shown)


def test_of_several_bundles_the_gravest_notice_counts() -> None:
    good, bad = line_of(BETTER), line_of(NO_BETTER)
    assert replace(good, models=(*good.models, *bad.models)).notice == NO_BETTER_NOTICE


def test_a_plain_refusal_has_the_plain_notice() -> None:
    refusal = Refusal(id="1", source="a", error="SourceError", message="no run")
    assert json.loads(body_from_record(refusal))["notice"] == NOTICE

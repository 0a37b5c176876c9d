"""What `cathrt run` prints of its journals: each record once it is durable, marked as live or confirmed."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.shown_journals import ShownJournals
from cathrt.runtime.errors import JournalError, SinkError
from cathrt.runtime.journal.head import head_path
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.processes.state_folder import StateFolder
from tests.passes import AT_ONCE, alert, pass_of, start, summary, verdict


def judge(path: Path, run: str) -> None:
    """A pass of two frames with an alert goes into the journal."""
    with Journal(path, AT_ONCE) as journal:
        verdicts = [verdict(index, run) for index in range(2)]
        for record in (start(run), *verdicts, alert(0, run), summary(verdicts, run)):
            journal.append(record)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path)


def test_as_json_each_record_says_whether_it_is_live_or_confirmed(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with ShownJournals(state, json_=True):
        judge(state.live_journal, "a")
        judge(state.study_journal, "b")
    lines = capsys.readouterr().out.splitlines()
    documents = [json.loads(line) for line in lines]
    found = [(document.pop("result"), document["type"]) for document in documents]
    types = ["pass", "verdict", "verdict", "alert", "run"]
    for result in ("live", "confirmed"):
        assert [type_ for of, type_ in found if of == result] == types
    assert {(next(iter(document)), list(document)[-1]) for document in documents} == {("type", "notice")}
    with Journal(state.live_journal, AT_ONCE) as journal:
        stored = [json.loads(each.body) for each in journal.stored(pass_of("a"))]
    assert [document for document, (result, _) in zip(documents, found, strict=True) if result == "live"] == stored


def test_a_person_gets_the_notice_once_and_marked_alerts_and_summaries(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with ShownJournals(state, json_=False) as shown:
        judge(state.live_journal, "a")
        judge(state.study_journal, "b")
        shown.finish()
        shown.show_line("source A: nothing counted, in hand 0")
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines.count(NOTICE)) == (NOTICE, 1)
    for mark, run in (("live       ", "a.dcm"), ("confirmed  ", "b.dcm")):
        (alerted,) = [line for line in lines if line.startswith(f"{mark}ALERT")]
        assert run in alerted
        assert f"{mark}RUN {run}" in lines
    assert lines[-1] == "source A: nothing counted, in hand 0"


def test_what_was_durable_before_is_not_shown(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    judge(state.live_journal, "before")
    with ShownJournals(state, json_=False):
        judge(state.live_journal, "after")
    out = capsys.readouterr().out
    assert ("RUN after.dcm" in out, "RUN before.dcm" in out) == (True, False)


def test_other_lines_go_where_they_belong(state: StateFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for json_ in (True, False):
        with ShownJournals(state, json_=json_) as shown:
            shown.show_document({"type": "process"})
            shown.show_line("a line")
    assert capsys.readouterr().out.splitlines() == ['{"type": "process"}', NOTICE, "a line"]


def test_where_the_reader_has_gone_it_says_so_once_and_shows_no_more(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    broken = io.TextIOWrapper(open(writing, "wb", buffering=0), write_through=True)  # noqa: SIM115 - closed below
    monkeypatch.setattr(sys, "stdout", broken)
    with ShownJournals(state, json_=True) as shown:
        judge(state.live_journal, "a")
        judge(state.study_journal, "b")
        shown.finish()
        shown.show_document({"type": "process"})
    monkeypatch.undo()
    broken.detach().close()
    assert isinstance(shown.failure, SinkError)
    assert capsys.readouterr().err.count("[the processes go on; every record is in the journals]") == 1


def test_a_journal_that_cannot_be_followed_is_said_and_the_other_is_shown(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(state.live_journal, "a")
    shown = ShownJournals(state, json_=False)
    state.live_journal.unlink()
    with shown:
        judge(state.study_journal, "b")
    captured = capsys.readouterr()
    assert isinstance(shown.failure, JournalError)
    assert "expected the journal that this reader has read up to row 5" in captured.err
    assert "confirmed  RUN b.dcm" in captured.out


def test_a_damaged_head_is_refused_at_the_start(state: StateFolder) -> None:
    judge(state.live_journal, "a")
    head_path(state.live_journal).write_text("nonsense of some length, which is no head")
    with pytest.raises(JournalError, match="expected a row number"):
        ShownJournals(state, json_=False)

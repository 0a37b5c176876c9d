"""What mandatory outlets of objects have yet to take holds runs, in the journal and in the store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.journal.head import Head
from cathrt.runtime.outlets.outbox import Outbox, Place
from cathrt.runtime.processes.undelivered import first_row_needed, undelivered
from tests.decisions.deciding import deciding, state_with_study
from tests.outlets.test_object_outlet_contract import ended
from tests.passes import whole_pass, write


def outlet(*, mandatory: bool = True) -> OutletConfig:
    return OutletConfig(name="pacs", kind="dicom", address="dicom://P@h:104", mandatory=mandatory)


def journal_of(folder: Path) -> tuple[Path, int]:
    """Two runs, then the end of the study of the second. The number of its row."""
    first, second = whole_pass(3, "study 0"), whole_pass(3, "study 1")
    write(folder / "study.journal", [*first, *second, ended(1)])
    return folder / "study.journal", len(first)


def test_a_study_that_is_not_delivered_holds_the_rows_of_its_runs_and_no_earlier_ones(tmp_path: Path) -> None:
    journal, first_run_rows = journal_of(tmp_path)
    waiting = undelivered(journal, tmp_path / "outbox.db", [outlet()], tmp_path / "gateway.journal")
    assert [row.id for row in waiting] == [ended(1).id]
    assert first_row_needed(journal, waiting) == first_run_rows + 1


def test_what_is_delivered_or_for_no_mandatory_outlet_holds_nothing(tmp_path: Path) -> None:
    journal, _ = journal_of(tmp_path)
    assert undelivered(journal, tmp_path / "outbox.db", [outlet(mandatory=False)], tmp_path / "gateway.journal") == []
    assert undelivered(tmp_path / "none", tmp_path / "outbox.db", [outlet()], tmp_path / "gateway.journal") == []
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        outbox.move("pacs", "study", Place(Head(99, b"x" * 32)))
    assert undelivered(journal, tmp_path / "outbox.db", [outlet()], tmp_path / "gateway.journal") == []
    assert first_row_needed(journal, []) is None


def test_a_review_that_is_not_delivered_holds_the_runs_of_its_study_too(tmp_path: Path) -> None:
    with deciding(state_with_study(tmp_path / "state")) as on:
        on.decide(on.key_frame(), "rejected")
        review = on.finish()
    study, decisions, outbox_path = on.state.study_journal, on.state.gateway_journal, tmp_path / "outbox.db"
    with closing(Outbox(outbox_path)) as outbox:
        outbox.move("pacs", "study", Place(Head(10_000, b"x" * 32)))
        waiting = undelivered(study, outbox_path, [outlet()], decisions)
        assert [row.id for row in waiting] == [review.id]
        assert first_row_needed(study, waiting) == 1
        outbox.move("pacs", "gateway", Place(Head(10_000, b"x" * 32)))
    assert undelivered(study, outbox_path, [outlet()], decisions) == []

"""kill -9 at every fail point of a decision: what was answered is there, a repeat stores nothing twice, all adds up."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cathrt.runtime.alert import Thing
from cathrt.runtime.decisions.book import decisions_in
from cathrt.runtime.failpoints import DECISION_POINTS, JOURNAL_POINTS, arm, kill
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.state_folder import StateFolder
from tests.decisions.deciding import SATO, STUDY, Deciding, deciding, state_with_study
from tests.faults.calls import Nursery, nursery

DECIDE = "tests.decisions.test_decision_kills:decide_and_note"
# A journal that closes has no decision in hand, and this one has no sinks.
POINTS = (*DECISION_POINTS, *(one for one in JOURNAL_POINTS if one not in ("journal.close", "journal.between_sinks")))
ASKED = 4


def things(on: Deciding) -> list[Thing]:
    return [on.key_frame(0), on.key_frame(1), on.side(0), Thing("results")]


def decide_and_note(folder: str, point: str, after: int) -> None:
    """Send four decisions and a review, each with its own id, and note which were answered."""
    root = Path(folder)
    with deciding(StateFolder(root / "state")) as on, (root / "answered").open("a") as answered:
        asked = [on.asked(thing, id=f"decision {n}", follows=None) for n, thing in enumerate(things(on))]
        if point:
            arm(point, kill, after)
        for one in asked:
            record = on.desk.decide(one, SATO).record
            answered.write(f"{json.dumps(record.id)}\n")
            answered.flush()
        answered.write(f"{json.dumps(on.desk.finish(on.review(id='the review'), SATO).record.id)}\n")
        answered.flush()


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as processes:
        yield processes


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_no_answered_decision_is_lost_and_a_repeat_completes_it(
    processes: Nursery, tmp_path: Path, point: str
) -> None:
    state = state_with_study(tmp_path / "state")
    assert processes.run(DECIDE, str(tmp_path), point, 2) == -signal.SIGKILL
    answered = [json.loads(line) for line in (tmp_path / "answered").read_text().splitlines()]
    stored = decisions_in(state.gateway_journal)
    assert set(answered) <= stored.by_id.keys()
    assert len(stored.by_id) <= len(answered) + 1  # the one in hand

    assert processes.run(DECIDE, str(tmp_path), "", 0) == 0
    decided = decisions_in(state.gateway_journal).of(STUDY)
    assert [one.thing.kind for one in decided.decisions] == ["key_frame", "key_frame", "side", "results"]
    assert set(answered) <= {one.id for one in decided.decisions}
    assert len(decided.reviews) == 1
    report = verify_journal(state.gateway_journal, record_parts())
    assert (report.sound, report.decisions, report.reviews) == (True, ASKED, 1)

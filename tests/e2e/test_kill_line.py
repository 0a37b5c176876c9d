"""kill -9 at every fail point of the line, then a restart: nothing shown is missing, nothing is doubled."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from tests.conftest import ROOT
from tests.e2e.kill_cases import AGAIN, CASES, CASES_AGAIN, FAILS_ON, ITEMS, POINTS


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("kill")
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.kill_cases", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {result["case"]: result | {"folder": folder} for result in map(json.loads, done.stdout.splitlines())}


def complete_lines(path: Path) -> list[dict]:
    """The objects a reader of the stream has seen: a torn last line is none."""
    return [json.loads(text) for text in path.read_bytes().split(b"\n")[:-1]]


def bodies(journal: Path) -> dict[str, dict]:
    with sqlite3.connect(journal) as connection:
        rows = connection.execute("SELECT id, body FROM record ORDER BY seq").fetchall()
    connection.close()
    assert len({id_ for id_, _ in rows}) == len(rows)
    return {id_: json.loads(body) for id_, body in rows}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_line_loses_nothing_shown_and_doubles_nothing(killed: dict[str, dict], case: str) -> None:
    result = killed[case]
    folder: Path = result["folder"] / case
    assert result["second"] == 0, "the restarted line did not finish"
    stored = bodies(folder / "journal.db")
    first, second = complete_lines(folder / "first.jsonl"), complete_lines(folder / "second.jsonl")
    for shown in (*first, *second):
        assert stored[shown["id"]] == shown, "shown, but not what the journal holds"
    assert len({shown["id"] for shown in second}) == len(second), "one start showed a record twice"
    assert {shown["id"] for shown in second} == set(stored), "the restarted line left something unshown"
    report = verify_journal(folder / "journal.db", record_parts())
    (books,) = report.passes
    assert books.complete
    assert books.balanced, books.anomalies
    assert books.frames == len(ITEMS)


def test_every_fail_point_killed_the_line_at_least_once(killed: dict[str, dict]) -> None:
    # with a single sink there is nothing between sinks; tests/faults/test_kill.py kills there
    reachable = set(POINTS) - {"journal.between_sinks"}
    for prefix, cases in (("", CASES), (AGAIN, CASES_AGAIN)):
        assert {case.rpartition("+")[0] for case in cases if killed[case]["killed"]} == {prefix + p for p in reachable}


def untimed(stored: dict[str, dict]) -> dict[str, dict]:
    """Everything that is stored but the times."""
    times = ("latency_ms", "acquired_ns")
    return {id_: {key: value for key, value in body.items() if key not in times} for id_, body in stored.items()}


def test_the_uninterrupted_and_the_restarted_line_store_the_same_but_for_the_times(killed: dict[str, dict]) -> None:
    for cases in (CASES, CASES_AGAIN):
        kept = {case: untimed(bodies(killed[case]["folder"] / case / "journal.db")) for case in cases}
        whole = next(kept[case] for case in cases if not killed[case]["killed"])
        different = [case for case, stored in kept.items() if list(stored.items()) != list(whole.items())]
        assert not different


@pytest.mark.parametrize("case", CASES_AGAIN)
def test_a_line_killed_while_it_judges_again_keeps_the_first_attempt_and_finishes_the_second(
    killed: dict[str, dict], case: str
) -> None:
    result = killed[case]
    folder: Path = result["folder"] / case
    assert result["second"] == 0, "the restarted line did not finish"
    stored = bodies(folder / "journal.db")
    zeroth, second = complete_lines(folder / "zeroth.jsonl"), complete_lines(folder / "second.jsonl")
    assert list(stored.values())[: len(zeroth)] == zeroth, "the first attempt is not what it was"
    assert list(stored.values())[len(zeroth) :] == second, "the second attempt was not shown whole"
    report = verify_journal(folder / "journal.db", record_parts())
    assert report.sound
    assert [books.attempt for books in report.passes] == [1, 2]
    failed = [body["frame_index"] for body in zeroth if body.get("retry")]
    assert failed == [FAILS_ON]
    assert not [body for body in second if body.get("retry")]


def test_the_data_hold_every_outcome_of_full_speed_and_repeats_across_lost_frames(killed: dict[str, dict]) -> None:
    stored = bodies(killed[CASES[0]]["folder"] / CASES[0] / "journal.db")
    outcomes = [body["outcome"] for body in stored.values() if body["type"] == "verdict"]
    assert set(outcomes) == {"MET", "DUPLICATE", "DROPPED", "FAILED"}
    text = " ".join(outcomes)
    for stretch in ("MET DUPLICATE DROPPED DUPLICATE", "FAILED DUPLICATE", "DUPLICATE DUPLICATE DUPLICATE MET"):
        assert stretch in text
    assert {body["type"] for body in stored.values()} == {"pass", "verdict", "alert", "run"}

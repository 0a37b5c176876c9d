"""Findings come from confirmed runs alone, and are known by their hash."""

from __future__ import annotations

from dataclasses import replace

from cathrt.runtime.models.report.facts import Facts
from cathrt.runtime.models.report.findings import findings_from_runs, findings_sha256
from tests.models.report.scripted_model import LEFT, NEITHER, RIGHT


def test_key_frames_of_all_runs_come_best_first_and_know_their_run() -> None:
    findings = findings_from_runs([NEITHER, replace(LEFT, scores=(0.9, 0.95)), RIGHT])
    assert [(one.run, one.run_id, one.frame_index, one.side) for one in findings.key_frames] == [
        (2, "run-left", 7, "left"),
        (3, "run-right", 4, "right"),
        (2, "run-left", 2, "left"),
    ]
    assert (findings.runs, findings.known) == (3, Facts(("left", "right")))


def test_sides_are_those_that_a_run_shows_left_first() -> None:
    for runs, sides in (([RIGHT, LEFT], ("left", "right")), ([RIGHT], ("right",)), ([NEITHER], ()), ([], ())):
        assert findings_from_runs(runs).known.sides == sides


def test_the_hash_is_of_everything_that_is_confirmed() -> None:
    hashes = {
        findings_sha256(findings_from_runs(runs))
        for runs in (
            [LEFT],
            [LEFT, RIGHT],
            [RIGHT, LEFT],
            [replace(LEFT, scores=(0.91, 0.6))],
            [replace(LEFT, key_frames=(8, 2))],
            [replace(LEFT, side="right")],
            [replace(LEFT, pass_id="another")],
        )
    }
    assert len(hashes) == 7
    assert findings_sha256(findings_from_runs([LEFT])) == findings_sha256(findings_from_runs([LEFT]))

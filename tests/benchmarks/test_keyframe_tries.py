"""The table of ways to rank frames, on made-up runs whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.keyframe_tries import RunScores, main, smoothed, tried

READABILITY = np.concatenate([np.linspace(0.0, 0.8, 20), np.linspace(0.8, 0.1, 20)]).astype(np.float32)


def test_a_way_that_follows_the_truth_loses_nothing_and_one_against_it_loses_all() -> None:
    truth = READABILITY.astype(np.float64)
    rows = {
        (row.way, row.smoothing_s): row
        for row in tried([RunScores(15.0, READABILITY, {"for": truth, "against": -truth})])
    }
    right, wrong = rows["for", 0.0], rows["against", 0.0]
    assert (right.hit3, right.regret, right.runs) == (1.0, 0.0, 1)
    assert right.order > 0.99
    assert (wrong.hit3, wrong.regret) == (0.0, 1.0)
    assert wrong.order < -0.9


def test_smoothing_takes_away_a_single_spike() -> None:
    scores = READABILITY.astype(np.float64)
    scores[2] = 1.0
    rows = {row.smoothing_s: row for row in tried([RunScores(15.0, READABILITY, {"spiked": scores})])}
    assert rows[0.0].hit3 == 0.0
    assert rows[0.3].hit3 == 1.0
    assert smoothed(scores, 15.0, 0.0) == pytest.approx(scores)


def test_a_folder_without_a_training_is_named(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--work", str(tmp_path)]) == 4
    assert "give the --work folder of a training" in capsys.readouterr().err

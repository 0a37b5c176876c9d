"""The table of ways to rank frames, on made-up runs whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.keyframe_tries import RunScores, _contrast_sum, _scores, main, smoothed, tried
from cathrt.export.models.keyframe.demo import dataset
from cathrt.export.models.keyframe.demo.network import ROWS
from cathrt.export.models.keyframe.demo.plan import Plan
from cathrt.export.models.keyframe.demo.training import Training

READABILITY = np.concatenate([np.linspace(0.0, 0.8, 20), np.linspace(0.8, 0.1, 20)]).astype(np.float32)


def test_a_way_that_follows_the_truth_loses_nothing_and_one_against_it_loses_all() -> None:
    truth = READABILITY.astype(np.float64)
    rows = {
        (row.way, row.smoothing_s): row
        for row in tried([RunScores(15.0, READABILITY, np.zeros(40), {"for": truth, "against": -truth})])
    }
    right, wrong = rows["for", 0.0], rows["against", 0.0]
    assert (right.hit3, right.regret, right.runs) == (1.0, 0.0, 1)
    assert right.order > 0.99
    assert (wrong.hit3, wrong.regret) == (0.0, 1.0)
    assert wrong.order < -0.9


def test_smoothing_takes_away_a_single_spike() -> None:
    scores = READABILITY.astype(np.float64)
    scores[2] = 1.0
    rows = {row.smoothing_s: row for row in tried([RunScores(15.0, READABILITY, np.zeros(40), {"spiked": scores})])}
    assert rows[0.0].hit3 == 0.0
    assert rows[0.3].hit3 == 1.0
    assert smoothed(scores, 15.0, 0.0) == pytest.approx(scores)


def test_stillness_chooses_among_frames_that_score_alike() -> None:
    plateau = np.where(READABILITY > 0.5, 0.6, 0.0)
    motion = 1.0 - READABILITY.astype(np.float64)
    rows = {
        (row.smoothing_s, row.stillness): row
        for row in tried([RunScores(15.0, READABILITY, motion, {"plateau": plateau})])
    }
    assert rows[0.0, 0.0].regret > 0.2
    assert rows[0.0, 0.3].regret == 0.0


def planes(count: int, side: int = 32) -> NDArray[np.uint8]:
    """(N, 3, H, W): frames of noise over a lighter background, darkest in the middle of the run."""
    draw = np.random.default_rng(5)
    images = draw.integers(100, 200, (count, 3, side, side), dtype=np.uint8)
    images[:, 1] = 210
    depth = 60 - 6 * np.abs(np.arange(count) - count // 2)
    images[:, 0] -= np.clip(depth, 0, 60).astype(np.uint8)[:, None, None]
    return images


def test_the_contrast_sum_counts_what_is_darker_than_the_background_and_nothing_that_is_lighter() -> None:
    images = np.full((3, 3, 4, 4), 100, np.uint8)
    images[1, 0, 0, :2], images[2, 0, 0, :2] = 49, 151
    assert _contrast_sum(images) == pytest.approx([0.0, 2 * 51 / 255.0, 0.0])


def test_without_history_the_network_is_shown_every_frame_as_a_first_one() -> None:
    """This network returns the means of its planes."""

    def network(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        ways = ("readability", "p_better", "vessel_cells")
        return {way: images[:, plane].mean(axis=(1, 2)) for way, plane in zip(ways, (1, 0, 2), strict=True)}

    images = planes(12)
    scores = _scores(images, [network])
    assert scores["readability"] == pytest.approx(np.full(12, 210.0))
    assert scores["readability_without_history"] == pytest.approx(scores["p_better"]), "the background is the frame"
    assert int(scores["contrast_sum"].argmax()) == int(scores["readability_and_contrast"].argmax()) == 6


def test_every_way_is_tried_on_the_runs_of_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Training(Plan(), ROWS).save(tmp_path / "checkpoint.safetensors")
    run = dataset.PhantomFrames(
        images=planes(20),
        targets=np.zeros((20, 6), np.float32),
        scene=np.zeros(20, np.int64),
        frame=np.arange(20),
        coronary=np.ones(20, np.bool_),
        readability=READABILITY[10:30],
        vessels=np.zeros((20, 1, 1), np.uint8),
    )
    monkeypatch.setattr(dataset, "load_scenes", lambda *_, **__: [run])
    assert main(["--work", str(tmp_path), "--runs", "1", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["way"] for row in rows} == {
        "vesselness", "contrast_sum", "readability", "readability_without_history", "p_better", "visible",
        "vessel_cells", "readability_and_vesselness", "readability_and_cells", "readability_and_p_better",
        "readability_and_contrast",
    }  # fmt: skip
    (darkest,) = (
        row for row in rows if (row["way"], row["smoothing_s"], row["stillness"]) == ("contrast_sum", 0.0, 0.0)
    )
    assert (darkest["hit3"], darkest["runs"]) == (1.0, 1)


def test_a_folder_without_a_training_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--work", str(tmp_path)]) == 4
    assert "give the --work folder of a training" in capsys.readouterr().err

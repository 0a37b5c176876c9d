"""The demonstration's card says what was measured, and plainly where nothing is better than not looking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cathrt.export.models.study.demo.model_card import main, model_card
from cathrt.runtime.alert import NOTICE

TRAINING: dict[str, Any] = {
    "made_by": "somewhere", "parameters": 500_000, "patients": {"training": 540, "thresholds": 40}, "clips": 2800,
    "clip": {"frames": 4, "height": 112, "width": 112},
    "stages": [{"stage": "whole", "steps": 450, "batch": 4}, {"stage": "head", "steps": 400, "batch": 16}],
}  # fmt: skip
HEADLINE = {
    "bench": "study_accuracy", "studies": 120, "engine": "openvino", "margin": 0.02, "beats_one_view": False,
    "no_better": ["mid_rca_cto"],
    "headline": {"auroc_dominance": 0.91, "auroc_mean": 0.7, "gain_over_best_view": -0.01,
                 "stenosis_mae_percent": 20.5, "stenosis_mae_constant": 19.0},
    "intervals_95": {"auroc_dominance": [0.8, 0.97], "auroc_mean": [0.6, 0.8], "gain_over_best_view": [-0.05, 0.03]},
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"case": "mid_rca_cto", "auroc": 0.55, "positive": 7, "interval_95": [0.4, 0.7]},
    {"case": "mid_rca_stenosis", "mae": 21.0, "constant_mae": 19.5},
    HEADLINE,
]


def test_it_has_the_figures_and_says_what_is_no_better() -> None:
    card = model_card(TRAINING, ROWS)
    assert NOTICE in card
    assert "| left dominance | 0.910 | 0.800 to 0.970 |" in card
    assert "are NOT ahead of the best single view" in card
    assert "No better than an answer without looking: `mid_rca_cto`." in card
    assert "| `mid_rca_stenosis` | | 21.0 % | | 19.5 % |" in card
    assert "540 generated patients, 2,800 runs" in card
    better = {**HEADLINE, "beats_one_view": True, "no_better": []}
    assert "are ahead of the best single view" in model_card(TRAINING, [*ROWS[:2], better])


def test_its_command_reads_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training, accuracy = tmp_path / "training.json", tmp_path / "accuracy.jsonl"
    training.write_text(json.dumps(TRAINING))
    accuracy.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    assert main(["--training", str(training), "--accuracy", str(accuracy)]) == 0
    assert capsys.readouterr().out == model_card(TRAINING, ROWS)
    assert main(["--training", str(training), "--accuracy", str(tmp_path / "none")]) != 0
    assert "cannot be read" in capsys.readouterr().err

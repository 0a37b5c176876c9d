"""What a study reader is worth: read from the benchmark of these very weights, and told with what it rests on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.export.models.study.worth import NOTHING, worth_from
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW
from cathrt.runtime.errors import ConfigError

WEIGHTS = "ab" * 32
LINE: dict[str, Any] = {
    "bench": "study_accuracy",
    "weights_sha256": WEIGHTS,
    "manifest_sha256": "cd" * 32,
    "studies": 120,
    "margin": 0.02,
    "headline": {
        "auroc_significant_stenosis": 0.71,
        "auroc_dominance": 0.9,
        "auroc_mean": 0.75,
        "auroc_best_view": 0.7,
        "gain_over_best_view": 0.05,
    },
    "intervals_95": {
        "auroc_significant_stenosis": [0.62, 0.8],
        "auroc_dominance": [0.8, 0.97],
        "gain_over_best_view": [0.01, 0.09],
    },
    "no_better": ["mid_rca_calcif_binary"],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "accuracy.jsonl"
    path.write_text(f'{{"bench": "study_accuracy"}}\n{json.dumps({**LINE, **changes})}\n')
    return path


def test_all_that_is_asked_has_to_be_better(tmp_path: Path) -> None:
    found = worth_from(written(tmp_path), WEIGHTS)
    assert (found.verdict, found.measured_on) == (BETTER, "cd" * 32)
    assert found.no_better == ("mid_rca_calcif_binary",)
    assert "auroc_dominance: 0.900 (95 %: 0.800 to 0.970)" in found.lines
    assert found.lines[-1] == "no better than without looking: mid_rca_calcif_binary"
    intervals = {**LINE["intervals_95"], "auroc_dominance": [0.49, 0.97]}
    assert worth_from(written(tmp_path, intervals_95=intervals), WEIGHTS).verdict == NO_BETTER


def test_few_studies_show_nothing(tmp_path: Path) -> None:
    assert worth_from(written(tmp_path, studies=29), WEIGHTS).verdict == TOO_FEW
    assert worth_from(None, WEIGHTS) == NOTHING


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights_sha256": "ef" * 32}, "figures of weights efef"),
        ({"bench": "study"}, "is of 'study', expected study_accuracy"),
        ({"headline": {}}, "no figures in its last line"),
        ({"intervals_95": {}}, "no figures in its last line"),
        ({"studies": None}, "no figures in its last line"),
    ],
)
def test_a_line_of_something_else_is_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        worth_from(written(tmp_path, **changes), WEIGHTS)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no figures in its last line"):
        worth_from(tmp_path / "none.jsonl", WEIGHTS)


def test_what_it_rests_on_is_told_with_the_verdict() -> None:
    assert replace(NOTHING).lines == ("answers about studies: no study of known truth",)

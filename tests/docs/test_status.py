"""docs/status.md shows the committed rows and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.status import FIGURES, PAGE, figures_table, filled

PAGE_OF_NOTHING = "".join(
    f"<!-- {name} -->\n<!-- end of {name} -->\n" for name in ("figures", "machines", "lower bounds")
)


def test_every_figure_of_the_page_is_that_of_its_committed_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run python -m benchmarks.status"


def test_a_figure_is_rounded_and_has_its_interval(tmp_path: Path) -> None:
    row = {"headline": {figure.key: 0.12345 for figure in FIGURES}, "intervals_95": {"real_laterality_f1": [0.1, 0.2]}}
    (tmp_path / "accuracy.jsonl").write_text(json.dumps({"case": "stills"}) + "\n" + json.dumps(row) + "\n")
    table = list(figures_table(tmp_path))
    assert "| side of real stills of known side, F1 | 0.12 (0.10 to 0.20) | `accuracy` |" in table
    assert all("`accuracy`" in line for line in table[2:])


def test_a_row_without_a_figure_of_ours_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "line.jsonl").write_text(json.dumps({"headline": {"overhead_p50_ms": 1.0}}) + "\n")
    with pytest.raises(KeyError, match="overhead_p99_ms"):
        list(figures_table(tmp_path))


def test_a_page_without_a_marker_is_an_error() -> None:
    with pytest.raises(ValueError, match="figures"):
        filled(PAGE_OF_NOTHING.replace("<!-- figures -->\n", ""))

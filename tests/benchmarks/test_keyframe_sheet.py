"""The contact sheet: which runs it shows, and that it is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import keyframe_sheet
from benchmarks.judged_runs import judge
from benchmarks.keyframe_sheet import runs_to_show, write_sheet
from benchmarks.phantom_runs import PhantomCase, PhantomRun
from cathrt.runtime.errors import SinkError
from cathrt.runtime.phantom import PhantomSource
from tests.lines import ArraySource, line

MATRIX = 64
CASES = [PhantomCase(seed, "natural") for seed in (3, 4, 5, 6)]


def run_with(case: PhantomCase, ours: tuple[int, ...], frangi: int) -> PhantomRun:
    """A run of which frame 2 is the best (0.8), frame 1 is worth a half of it and every other one nothing."""
    source = PhantomSource(case.scene(MATRIX))
    readable = {1: 0.4, 2: 0.8}
    truth = tuple(replace(label, readability=readable.get(i, 0.0)) for i, label in enumerate(source.labels))
    kept = {"ours": ours, "frangi": (frangi,)}
    return PhantomRun(case, judge(ArraySource([0.1]), line()), truth, "AP straight", (), (), kept)


def test_losses_come_by_regret_and_wins_by_the_gain_over_frangi(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        run_with(CASES[0], (2,), 2),
        run_with(CASES[1], (1,), 0),
        run_with(CASES[2], (), 2),
        run_with(CASES[3], (2,), 1),
    ]
    other = replace(runs[0], case=PhantomCase(9, "other", "empty"))

    def shown() -> tuple[list[int], list[int]]:
        losses, wins = runs_to_show([*runs, other])
        return [phantom.case.seed for phantom, _ in losses], [phantom.case.seed for phantom, _ in wins]

    assert shown() == ([5, 4], [6]), "4 gains on Frangi too, but is shown once; 3 neither loses nor gains"
    monkeypatch.setattr(keyframe_sheet, "LOSSES", 1)
    assert shown() == ([5], [4, 6])


def test_the_sheet_shows_three_tiles_a_run_and_what_is_missing_stays_dark(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_sheet(path, [run_with(CASES[0], (), 2), run_with(CASES[1], (2,), 0)], MATRIX, "0" * 64)
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet)
    tile, top = keyframe_sheet._TILE, keyframe_sheet._LINE * 2 + keyframe_sheet._GAP
    means = [pixels[top : top + tile, column * tile : (column + 1) * tile].mean() for column in range(3)]
    assert means[0] == 16.0, "ours kept no frame"
    assert min(means[1:]) > 20.0
    with pytest.raises(SinkError, match="not written"):
        write_sheet(tmp_path / "none" / "sheet.png", [run_with(CASES[0], (2,), 0)], MATRIX, "0" * 64)


def test_a_sheet_without_wins_or_losses_is_still_written(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", [run_with(CASES[0], (2,), 2)], MATRIX, "0" * 64)
    assert (tmp_path / "sheet.png").stat().st_size > 0

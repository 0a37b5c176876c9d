"""The contact sheet of wins and losses: our key frame, Frangi's and the truth's best, run by run, as one PNG.

Only phantom runs: they are drawn again, since no pixel was kept. Not for: the figures (keyframe_measures.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.keyframe_measures import ChosenRun, regret
from benchmarks.phantom_measures import chosen_runs
from benchmarks.phantom_runs import PhantomRun
from benchmarks.realism import as_displayed
from cathrt.runtime.errors import SinkError
from cathrt.runtime.phantom import PhantomSource

LOSSES, WINS = 8, 8  # runs of largest regret, and of largest gain over Frangi's choice
_TILE, _LINE, _GAP = 224, 15, 8
_SHEET_COLUMNS = 2  # runs beside each other

Shown = tuple[PhantomRun, ChosenRun]


def runs_to_show(runs: Sequence[PhantomRun]) -> tuple[list[Shown], list[Shown]]:
    """The losses, largest regret first, and the wins, largest gain over Frangi first; a run is in one of them at most.

    Runs without regret are no losses, runs without gain are no wins.
    """
    readable = chosen_runs([phantom for phantom in runs if phantom.case.kind == "coronary"])
    by_regret = sorted(readable, key=lambda shown: -regret(shown[1], "ours"))
    losses = [shown for shown in by_regret if regret(shown[1], "ours") > 0.0][:LOSSES]
    lost = {shown[0].case for shown in losses}
    by_gain = sorted(readable, key=lambda shown: -_gain(shown[1]))
    return losses, [shown for shown in by_gain if _gain(shown[1]) > 0.0 and shown[0].case not in lost][:WINS]


def write_sheet(path: Path, runs: Sequence[PhantomRun], matrix: int, model_sha256: str) -> None:
    """Write the PNG. matrix: what the runs were drawn with. Raises SinkError where it cannot be written."""
    font, losses_and_wins = ImageFont.load_default(11), runs_to_show(runs)
    blocks = [
        ("largest regret", losses_and_wins[0]),
        ("largest gain over the Frangi maximum", losses_and_wins[1]),
    ]
    width, height = 3 * _TILE + _GAP, _TILE + 2 * _LINE + _GAP
    rows = sum(-(-len(shown) // _SHEET_COLUMNS) for _, shown in blocks)
    size = (_SHEET_COLUMNS * width, rows * height + (len(blocks) + 1) * (_LINE + _GAP))
    sheet = Image.new("L", size, color=16)
    draw, top = ImageDraw.Draw(sheet), 0
    notice = f"Synthetic phantom runs, R is readability. Model {model_sha256[:12]}. For research use only."
    for title, shown in blocks:
        draw.text((4, top + 2), f"{title}: {len(shown)} runs", fill=255, font=font)
        top += _LINE + _GAP
        for number, (phantom, run) in enumerate(shown):
            left = number % _SHEET_COLUMNS * width
            _draw_run(sheet, (left, top + number // _SHEET_COLUMNS * height), phantom, run, matrix)
        top += -(-len(shown) // _SHEET_COLUMNS) * height
    draw.text((4, top + 2), notice, fill=255, font=font)
    try:
        sheet.save(path, format="PNG", optimize=True)
    except OSError as exc:
        raise SinkError(f"{path}: sheet not written ({exc.strerror}): give a file in a folder that exists") from exc


def _draw_run(sheet: Image.Image, at: tuple[int, int], phantom: PhantomRun, run: ChosenRun, matrix: int) -> None:
    """One run: its caption, three tiles and a line under each."""
    (left, top), draw, font = at, ImageDraw.Draw(sheet), ImageFont.load_default(11)
    readability = run.truth.readability
    hard = ", ".join(phantom.hardships) or "no hardship"
    draw.text((left + 4, top), f"seed {phantom.case.seed}, {phantom.side}, {phantom.view}, {hard}", fill=200, font=font)
    source = PhantomSource(phantom.case.scene(matrix))
    best = int(np.argmax(readability))
    for column, (name, frames) in enumerate(
        (("ours", run.choices["ours"]), ("Frangi", run.choices["frangi"]), ("best", (best,)))
    ):
        corner = (left + column * _TILE, top + _LINE)
        if frames:
            sheet.paste(_tile(source, frames[0]), corner)
            said = f"{name}: frame {frames[0]}, R {readability[frames[0]]:.2f}"
        else:
            said = f"{name}: none"
        draw.text((corner[0] + 4, corner[1] + _TILE), said, fill=200, font=font)


def _tile(source: PhantomSource, index: int) -> Image.Image:
    pixels: Any = as_displayed(source.render(index), source.run)
    return Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.BOX)


def _gain(run: ChosenRun) -> float:
    return regret(run, "frangi") - regret(run, "ours")

"""The card says what was recorded and measured, and nothing that was not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cathrt.export.models.report.demo.evaluate import as_evidence, compared
from cathrt.export.models.report.demo.model_card import model_card
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.models.report.facts import Facts, Lesion

TRAINING = {
    "made_by": "cathrt.export.models.report.demo.train_report",
    "parameters": 3_700_000,
    "vocabulary": 1115,
    "picture": {"side": 192, "tokens": 36},
    "least_grade": 50,
    "scenes": {"training": 1590, "test": 400},
    "stages": {name: {"steps": 1234, "batch": 12} for name in ("vision", "text", "base", "adapter")},
}


def evidence(faithful: float) -> dict[str, Any]:
    truth = [Facts(("left",), (Lesion("lad", "6", 75),)), Facts(("right",))]
    scored = as_evidence(compared(truth, truth, truth))
    found = dict.fromkeys(("picture_alone", "side_given", "study"), scored)
    prose = {"facts": 100, "faithful": faithful, "sentences": 600, "sentences_struck": 7}
    return {name: {**found, "prose": prose, "pictures": 400, "studies": 180} for name in ("base", "adapter")}


def test_the_card_holds_the_notice_the_figures_and_the_making() -> None:
    card = model_card(TRAINING, evidence(0.93))
    for text in (NOTICE, "3,700,000 parameters", "1,590 phantom scenes", "1,234 steps of 12", "93.0%", "7 of 600"):
        assert text in card
    assert "| side | 1.00 (1.00 / 1.00) |" in card


def test_what_no_picture_has_is_said_to_be_not_there() -> None:
    card = model_card(TRAINING, evidence(0.93))
    assert "| chronic total occlusion | none there |" in card


def test_it_is_said_where_narrowings_are_not_read() -> None:
    measured = evidence(0.93)
    assert "does not read narrowings" in model_card(TRAINING, measured)
    better = copy.deepcopy(measured)
    better["adapter"]["side_given"]["commonest_of_side"]["artery"]["f1"] = 0.4
    assert "reads narrowings a little" in model_card(TRAINING, better)


@pytest.mark.parametrize("faithful", [0.5, 1.0])
def test_the_figures_are_those_given(faithful: float) -> None:
    assert f"{faithful:.1%} state in both languages" in model_card(TRAINING, evidence(faithful))

"""Which set of weights a wish means: a name, a part of one, or "ema" and "model" where each is clear."""

from __future__ import annotations

import pytest

from cathrt.export.checkpoint.set_choice import chosen, is_average, shortest_wish


@pytest.mark.parametrize(
    ("name", "average"),
    [
        ("state_dict_ema", True),
        ("model_ema.module", True),
        ("ema.shadow", True),
        ("callbacks.EMACallback.weights", True),
        ("ModelEma", True),
        ("modelEMA", True),
        ("state_dict.model", False),
        ("schema", False),
        ("cinema.net", False),
        ("top", False),
    ],
)
def test_an_average_is_known_by_a_word_of_its_name(name: str, average: bool) -> None:
    assert is_average(name) is average


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["state_dict", "state_dict_ema"], "ema", ["state_dict_ema"]),
        (["state_dict", "state_dict_ema"], "model", ["state_dict"]),
        (["state_dict.model", "state_dict.model_ema.model"], "model", ["state_dict.model"]),
        (["model", "net", "ema"], "model", ["model"]),
        (["top", "ema"], "top", ["top"]),
        (["top", "ema"], "model", ["top"]),
        (["a.student", "a.teacher"], "teacher", ["a.teacher"]),
        (["a.student", "a.teacher.backbone"], "teacher.backbone.", ["a.teacher.backbone"]),
        (["a.student", "a.teacher"], "a", ["a.student", "a.teacher"]),
        (["a.student", "a.teacher"], "model", []),
        (["a.student", "a.teacher"], "ema", []),
        (["a.student", "a.teacher"], "teach", []),
        (["a", "a.b"], "a", ["a"]),
    ],
)
def test_a_wish_fits_the_sets_it_names(names: list[str], wanted: str, expected: list[str]) -> None:
    assert chosen(names, wanted) == expected


@pytest.mark.parametrize(
    "names", [["state_dict", "state_dict_ema"], ["a.student", "a.teacher"], ["m", "n", "ema", "e"]]
)
def test_what_is_offered_chooses_the_set_that_it_is_offered_for(names: list[str]) -> None:
    for name in names:
        assert chosen(names, shortest_wish(names, name)) == [name]

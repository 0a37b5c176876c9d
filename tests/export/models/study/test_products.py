"""The products' numbers and questions, and a file that gives others."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.products import PRODUCTS
from cathrt.export.models.study.settings_file import with_settings
from cathrt.export.models.study.source import source_of
from cathrt.runtime.errors import ConfigError

GENERIC = PRODUCTS["generic"]


def settings(tmp_path: Path, text: str) -> Path:
    (tmp_path / "settings.toml").write_text(text)
    return tmp_path / "settings.toml"


@pytest.mark.parametrize(
    ("name", "runs", "stride", "mean", "columns"),
    [
        ("generic", 10, 1, 122.09, 90),
        ("stenosis", 10, 1, 122.09, 90),
        ("cto", 8, 1, 122.09, 5),
        ("syntax", 10, 2, 105.27, 14),
        ("mace", 3, 1, 107.36, 9),
        ("cathef", 4, 2, 96.57, 2),
        ("deeprv", 6, 2, 133.99, 1),
        ("deepifr", 4, 1, 122.09, 0),
    ],
)
def test_each_product_has_its_numbers_and_says_where_they_are_from(
    name: str, runs: int, stride: int, mean: float, columns: int
) -> None:
    product = PRODUCTS[name]
    assert (product.runs, product.stride) == (runs, stride)
    assert product.mean == pytest.approx(mean, abs=0.005)
    assert sum(one.columns for one in product.questions) == columns
    assert product.sources.keys() == {"runs", "stride", "mean, std", "questions"}
    assert all(product.sources.values())


def test_the_generic_product_asks_five_questions_of_each_segment() -> None:
    by_form = [one.form for one in GENERIC.questions]
    assert (by_form.count("amount"), by_form.count("probability")) == (18, 72)
    found = {one.name: one.threshold for one in GENERIC.questions}
    assert found["prox_rca_stenosis_binary"] == 0.1079
    assert found["prox_lcx_thrombus"] == 0.0003
    assert found["lvp_cto"] == 0.5
    assert found["mid_lad_stenosis"] is None
    assert len({one.segment for one in GENERIC.questions}) == 18


def test_a_file_gives_other_numbers(tmp_path: Path) -> None:
    path = settings(tmp_path, "runs = 6\nmean = 110.5\nstd = 37.8\nthresholds = { prox_rca_cto = 0.02 }\n")
    found = with_settings(GENERIC, path)
    assert (found.runs, found.mean, found.std, found.stride) == (6, 110.5, 37.8, 1)
    thresholds = {one.name: one.threshold for one in found.questions}
    assert (thresholds["prox_rca_cto"], thresholds["mid_rca_cto"]) == (0.02, 0.0225)
    assert (
        found.sources["runs"] == found.sources["mean, std"] == found.sources["questions"] == "--settings settings.toml"
    )
    assert found.sources["stride"] == GENERIC.sources["stride"]


def test_questions_of_a_file_take_the_place_of_the_products(tmp_path: Path) -> None:
    text = '[[questions]]\nname = "ifr"\ntitle = "iFR"\nasks = "ifr"\nform = "amount"\nlow = 0.0\nhigh = 1.0\n'
    (found,) = with_settings(PRODUCTS["deepifr"], settings(tmp_path, text)).questions
    assert (found.name, found.form, found.high, found.columns) == ("ifr", "amount", 1.0, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("runs = 0", "runs: found 0"),
        ("run = 3", "run: "),
        ("thresholds = { nothing = 0.5 }", "thresholds of nothing, which are no questions of generic"),
        ("runs = [", "is no TOML"),
    ],
)
def test_a_file_that_says_nothing_of_the_product_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_settings(GENERIC, settings(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        with_settings(GENERIC, tmp_path / "none.toml")


def test_a_product_without_published_questions_wants_them_in_a_file() -> None:
    with pytest.raises(
        ConfigError, match=r"--product deepifr: its questions are not published: give \[\[questions\]\]"
    ):
        source_of(Asked("deepifr", "float32", encoder="mvit_v2_mini"))


def test_random_weights_mean_the_product_they_are_asked_for() -> None:
    source = source_of(Asked("mace", "float32", encoder="mvit_v2_mini", empty="attended"))
    assert (source.name, source.section.runs, source.section.columns) == ("random-mace", 3, 9)
    assert (source.section.empty, source.section.clip.height, source.weights.head.gated) == ("attended", 112, None)

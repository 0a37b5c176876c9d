"""The clinicians' form: blind, complete, fetching nothing; and its answers, counted by the key."""

from __future__ import annotations

import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cathrt.export.models.report.evaluate.answers import clinician_scores, read_answers, read_key
from cathrt.export.models.report.evaluate.clinician_form import Form, form_items, form_of
from cathrt.export.models.report.evaluate.texts import Pair, ReportTexts
from cathrt.runtime.errors import ConfigError


def report(study: str, who: str, languages: str = "en ja", pictures: tuple[Path, ...] = ()) -> ReportTexts:
    texts = {language: f"{who} of {study} in {language}" for language in languages.split()}
    return ReportTexts(study, texts, None, pictures)


def pairs(count: int = 6) -> list[Pair]:
    return [Pair(report(f"s{n}", "one"), report(f"s{n}", "other")) for n in range(count)]


def a_form(seed: int = 0, count: int = 6) -> Form:
    return form_of(tuple(form_items(pairs(count))), random.Random(seed))


class Seen(HTMLParser):
    """Tags that fetch, and the text of every quotation."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.quoted: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.fetched += [value or "" for name, value in named.items() if name in ("src", "href", "action", "srcset")]
        if tag == "blockquote":
            self._inside = True
            self.quoted.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "blockquote"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.quoted[-1] += data


def test_every_text_stands_once_in_an_order_that_the_key_alone_explains() -> None:
    form = a_form()
    quoted = Seen(form.page).quoted
    assert len(quoted) == 24
    told = {"draft": "one", "reference": "other"}
    items = form.key["items"].values()
    assert quoted == [f"{told[item['origin']]} of {item['study']} in {item['language']}" for item in items]


def test_the_page_does_not_say_whose_a_text_is_nor_of_which_study() -> None:
    page = re.sub(r"<blockquote.*?</blockquote>", "", a_form().page, flags=re.DOTALL)
    assert "draft" not in page.lower()
    assert "reference" not in page.lower()
    assert not re.search(r"\bs\d\b", page)
    assert json.loads(re.search(r"const form = (\"[0-9a-f]{16}\")", page)[1]) == a_form().key["form"]


def test_drafts_do_not_stand_before_references_and_each_form_has_its_own_order() -> None:
    orders = [[item["origin"] for item in a_form(seed).key["items"].values()] for seed in range(40)]
    assert len({tuple(order) for order in orders}) == 40
    first = [order[0] for order in orders]
    assert 5 < first.count("draft") < 35


def test_the_page_fetches_nothing_and_forbids_it(tmp_path: Path) -> None:
    path = tmp_path / "key frame.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    pair = Pair(report("s", "one"), report("s", "other", pictures=(path,)))
    page = form_of(tuple(form_items([pair])), random.Random(0)).page
    fetched = Seen(page).fetched
    assert len(fetched) == 4
    assert all(one.startswith("data:image/png;base64,") for one in fetched)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", page)
    assert "key frame" not in page


def test_texts_are_shown_as_they_are_and_never_as_markup() -> None:
    wicked = '<script>alert(1)</script> </blockquote> \u202e & "x"\nsecond line'
    pair = Pair(ReportTexts("s", {"en": wicked}, None, ()), ReportTexts("s", {"en": "plain"}, None, ()))
    page = form_of(tuple(form_items([pair])), random.Random(0)).page
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<br>second line" in page
    assert "\u202e" not in page


def test_a_study_written_in_two_languages_by_one_side_only_is_shown_in_one() -> None:
    pair = Pair(report("s", "one"), report("s", "other", "ja"))
    assert [(item.origin, item.language) for item in form_items([pair])] == [("draft", "ja"), ("reference", "ja")]
    with pytest.raises(ConfigError, match="nothing to score blindly"):
        form_of(tuple(form_items([Pair(report("s", "one", "en"), report("s", "other", "ja"))])), random.Random(0))


def test_both_languages_and_ten_points_are_there_for_every_text() -> None:
    page = a_form(count=1).page
    assert page.count('type="radio"') == 4 * 10
    assert all(f'value="{points}"' in page for points in range(1, 11))
    assert "採点を保存" in page
    assert "Save the scores" in page


def test_a_picture_that_is_neither_png_nor_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    path.write_text("<svg onload='alert(1)'/>")
    with pytest.raises(ConfigError, match="neither PNG nor JPEG"):
        list(form_items([Pair(report("s", "one"), report("s", "other", pictures=(path,)))]))


# Answers


def answers_file(path: Path, form: str, scores: dict[str, int], reader: str = "r1") -> Path:
    path.write_text(json.dumps({"form": form, "reader": reader, "scores": scores, "remarks": {}}))
    return path


def key_file(path: Path, form: Form) -> Path:
    path.write_text(json.dumps(form.key))
    return path


def test_answers_are_counted_by_whose_text_they_are_about(tmp_path: Path) -> None:
    form = a_form()
    key = read_key(key_file(tmp_path / "key.json", form))
    points = {"draft": 4, "reference": 9}
    scores = {number: points[item["origin"]] for number, item in form.key["items"].items()}
    some = {number: value - 1 for number, value in scores.items() if form.key["items"][number]["study"] == "s0"}
    found = clinician_scores(
        [
            read_answers(answers_file(tmp_path / "a.json", key.form, scores), key),
            read_answers(answers_file(tmp_path / "b.json", key.form, some, "r2"), key),
        ],
        key,
    )
    assert (found.readers, found.scores) == (2, 28)
    assert found.draft == pytest.approx((12 * 4 + 2 * 3) / 14)
    assert found.reference == pytest.approx((12 * 9 + 2 * 8) / 14)
    assert (found.difference, found.difference_95) == (-5.0, (-5.0, -5.0))
    assert found.draft_95 is not None
    assert found.draft_95[0] <= found.draft <= found.draft_95[1]


def test_a_draft_whose_reference_was_not_scored_makes_no_difference(tmp_path: Path) -> None:
    form = a_form()
    key = read_key(key_file(tmp_path / "key.json", form))
    drafts = {number: 5 for number, item in form.key["items"].items() if item["origin"] == "draft"}
    found = clinician_scores([read_answers(answers_file(tmp_path / "a.json", key.form, drafts), key)], key)
    assert (found.draft, found.reference, found.difference, found.difference_95) == (5.0, None, None, None)


@pytest.mark.parametrize(
    ("form", "scores", "said"),
    [
        ("0" * 16, {"1": 5}, "give its own key"),
        (None, {"25": 5}, "does not have"),
        (None, {"1": 11}, "scores.1: found 11"),
        (None, {"1": 0}, "scores.1: found 0"),
        (None, {"1": 5.5}, "scores.1"),
    ],
    ids=["another form", "unknown number", "eleven", "zero", "half"],
)
def test_answers_that_do_not_fit_are_refused(
    tmp_path: Path, form: str | None, scores: dict[str, int], said: str
) -> None:
    made = a_form()
    key = read_key(key_file(tmp_path / "key.json", made))
    with pytest.raises(ConfigError, match=said):
        read_answers(answers_file(tmp_path / "a.json", form or key.form, scores), key)

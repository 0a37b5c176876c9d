"""The font that pages and pictures carry shows every character of our own texts, and stays small."""

from __future__ import annotations

import re

import numpy as np
from fontTools.ttLib import TTFont

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.sinks.contact_sheet import contact_sheet
from tests.sinks.make_font_subset import FONT, fixed_characters


def test_every_character_of_the_fixed_texts_is_in_the_font() -> None:
    has = set(map(chr, TTFont(FONT).getBestCmap()))
    wanted = fixed_characters()
    assert set("研究用・臨床使用不可左右冠動脈°") <= wanted
    assert not wanted - has, "run python -m tests.sinks.make_font_subset NotoSansCJK-Regular.ttc"


def test_the_font_is_small_and_its_licence_lies_beside_it() -> None:
    assert FONT.stat().st_size < 60_000
    licence = (FONT.parent / "OFL.txt").read_text(encoding="utf-8")
    assert FONT.name in licence
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence


def test_the_page_names_the_font_in_its_styles_and_limits_it_to_japanese() -> None:
    from cathrt.runtime.sinks.page_frame import page_around

    page = page_around("t", "n", "b")
    (ranges,) = re.findall(r"unicode-range:([^}]+)}", page)
    spans = [tuple(int(end, 16) for end in part.removeprefix("U+").split("-")) for part in ranges.split(",")]
    inside = {c for c in fixed_characters() if any(first <= ord(c) <= last for first, last in spans)}
    assert {c for c in fixed_characters() if ord(c) > 0x2FFF} == inside
    assert '"cathrt Japanese",sans-serif' in page


def test_the_sheet_draws_japanese_and_not_the_box_of_a_missing_character() -> None:
    def ink(notice: str) -> np.ndarray:
        return np.asarray(contact_sheet([], notice=notice))[:30]

    assert not (ink("研") == ink("\ue000")).all()
    assert not (ink("研") == ink("究")).all()
    assert (ink(NOTICE) > 200).any()

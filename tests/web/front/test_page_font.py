"""The page's fonts show every character of its words, and of what the box says in fixed texts."""

from __future__ import annotations

from fontTools.ttLib import TTFont

from tests.web.front.js_texts import STATIC, words
from tests.web.front.make_page_font import BOLD, FONTS, KANJI, PAGE, everyday_kanji, page_characters


def test_every_character_of_the_page_is_in_both_weights() -> None:
    wanted = page_characters()
    assert set("読影下書暫定") <= wanted
    assert {character for text in words("ja").values() for character in text if not character.isascii()} <= wanted
    for font in (PAGE, BOLD):
        missing = wanted - set(map(chr, TTFont(font).getBestCmap()))
        assert not missing, "run python -m tests.web.front.make_page_font FOLDER"


def test_names_and_drafts_have_the_everyday_kanji() -> None:
    kanji = everyday_kanji()
    assert len(kanji) == 2965
    assert kanji <= set(map(chr, TTFont(KANJI).getBestCmap())) | set(map(chr, TTFont(PAGE).getBestCmap()))


def test_the_fonts_are_small_named_anew_and_licensed() -> None:
    assert PAGE.stat().st_size < 110_000
    assert BOLD.stat().st_size < 110_000
    assert KANJI.stat().st_size < 450_000
    licence = (FONTS / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    for font in (PAGE, BOLD, KANJI):
        assert font.name in licence
        assert "Noto" not in str(TTFont(font)["name"].getDebugName(1))


def test_the_styles_fetch_the_kanji_only_where_one_is_shown() -> None:
    styles = (STATIC / "css" / "base.css").read_text(encoding="utf-8")
    face = styles[styles.index('font-family: "cathrt kanji"') :].partition("}")[0]
    assert "unicode-range: U+4E00-9FFF" in face
    assert all(0x4E00 <= code <= 0x9FFF for code in TTFont(KANJI).getBestCmap())

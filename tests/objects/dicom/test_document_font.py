"""The font of pictures and documents: it shows our texts, all of JIS X 0208 and what names have beyond, and is free."""

from __future__ import annotations

from fontTools.ttLib import TTFont

from cathrt.runtime.objects.dicom.document_font import MISSING, shown_with_font
from tests.objects.dicom.make_document_font import FONT, wanted_characters


def test_every_character_of_our_texts_and_of_japanese_names_is_in_the_font() -> None:
    has = set(map(chr, TTFont(FONT).getBestCmap()))
    wanted = wanted_characters()
    assert set("研究用・臨床使用不可下書き齋邊髙﨑①") <= wanted
    # Noto draws none of these few, which no name has.
    assert len(wanted - has) <= 8, f"{wanted - has}: run python -m tests.objects.dicom.make_document_font"
    assert not {one for one in wanted - has if one.isalpha()}


def test_a_character_that_the_font_lacks_is_marked_and_not_left_out() -> None:
    assert shown_with_font("a\U0001f600b") == f"a{MISSING}b"
    assert shown_with_font("左前下行枝\n") == "左前下行枝\n"


def test_the_fonts_licence_lies_beside_it() -> None:
    licence = (FONT.parent / "OFL.txt").read_text(encoding="utf-8")
    assert FONT.name in licence
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence

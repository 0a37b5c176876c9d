"""The font of pictures and documents: Latin-1, JIS X 0208 and CP932 of Noto Sans CJK JP (font/OFL.txt)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FONT = Path(__file__).parent / "font" / "cathrt-document.ttf"
MISSING = "\N{GETA MARK}"  # what Japanese printers set for a character that they lack


def shown_with_font(text: str) -> str:
    """The text with a mark for each character that the font lacks: nothing is left out unseen."""
    has = _characters()
    return "".join(one if ord(one) in has or one == "\n" else MISSING for one in text)


@cache
def _characters() -> frozenset[int]:
    from reportlab.pdfbase.ttfonts import TTFontFace

    return frozenset(TTFontFace(str(FONT)).charToGlyph)

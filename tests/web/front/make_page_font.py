"""Makes the fonts of the page, runtime/web/static/fonts/*.woff2: Noto Sans CJK JP, cut down and renamed.

`python -m tests.web.front.make_page_font FOLDER` with NotoSansCJK-Regular.ttc and -Bold.ttc in it (Debian:
fonts-noto-cjk; needs fonttools and brotli). Run it where test_page_font.py says that a character is missing.
cathrt-page and -bold hold what the page itself says, and what our records and models say in fixed texts; cathrt-kanji
the everyday kanji, for names and drafts, and is fetched by a browser only when one of them is on the screen.
Not for: the pages of recorded runs, which carry a smaller font (tests/sinks/make_font_subset.py).
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from tests.conftest import ROOT
from tests.sinks.make_font_subset import RANGES, fixed_characters, texts_of

# Texts that the static pages do not show, and this one does.
ALSO = ("/models/report/", "/models/study/", "/runtime/web/", "/runtime/decisions/")
STATIC = ROOT / "runtime" / "web" / "static"
FONTS = STATIC / "fonts"
PAGE, BOLD, KANJI = FONTS / "cathrt-page.woff2", FONTS / "cathrt-page-bold.woff2", FONTS / "cathrt-kanji.woff2"
FAMILY = "cathrt page"  # the OFL asks for a name of its own where the original's is reserved
_ONLY_READ = set("‣⩽⩾")  # looked for in drafts, said by nobody; the source has none of them
_JIS_LEVEL_1 = range(0x30, 0x50)  # first bytes, without the high bit, of JIS X 0208


@cache
def page_characters() -> set[str]:
    """Every printable character that is not ASCII in the page's files, and in the fixed texts of the box."""
    own: set[str] = set()
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".json", ".html", ".css") and "vendor" not in path.parts:
            own |= set(path.read_text(encoding="utf-8"))
    beyond = {character for character in own if not character.isascii() and character.isprintable()}
    return (beyond | fixed_characters() | texts_of(*ALSO)) - _ONLY_READ


def everyday_kanji() -> set[str]:
    """The 2965 kanji of JIS X 0208, level 1."""
    pairs = (bytes((first | 0x80, second)) for first in _JIS_LEVEL_1 for second in range(0xA1, 0xFF))
    return set("".join(pair.decode("euc_jp", errors="ignore") for pair in pairs))


def make(source: Path, target: Path, characters: set[int], name: str) -> None:
    """Write the subset of the Japanese face of a .ttc as WOFF2."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTCollection

    face = next(face for face in TTCollection(source).fonts if "JP" in str(face["name"].getDebugName(4)))
    options = Options(hinting=False, desubroutinize=True, layout_features=["kern", "palt"], notdef_outline=True)
    options.drop_tables = [*options.drop_tables, "BASE", "VORG", "vhea", "vmtx"]
    options.name_IDs = [0, 1, 2, 13, 14]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(face)
    for record in face["name"].names:
        if record.nameID == 1:
            record.string = name
    face["CFF "].cff.fontNames = [name.replace(" ", "-")]
    face["head"].modified = face["head"].created  # the same source gives the same bytes
    face.recalcTimestamp = False
    face.flavor = "woff2"
    face.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.web.front.make_page_font", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="holds NotoSansCJK-Regular.ttc and NotoSansCJK-Bold.ttc")
    folder: Path = parser.parse_args().folder
    shown = {code for first, last in RANGES for code in range(first, last + 1)} | set(map(ord, page_characters()))
    FONTS.mkdir(parents=True, exist_ok=True)
    make(folder / "NotoSansCJK-Regular.ttc", PAGE, shown, FAMILY)
    make(folder / "NotoSansCJK-Bold.ttc", BOLD, shown, f"{FAMILY} bold")
    make(folder / "NotoSansCJK-Regular.ttc", KANJI, set(map(ord, everyday_kanji())) - shown, "cathrt kanji")
    for font in (PAGE, BOLD, KANJI):
        print(f"{font}: {font.stat().st_size} bytes")


if __name__ == "__main__":
    main()

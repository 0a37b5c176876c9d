"""Makes runtime/objects/dicom/font/cathrt-document.ttf: Noto Sans CJK JP, cut down to Latin-1, JIS X 0208, and CP932.

`python -m tests.objects.dicom.make_document_font NotoSansCJK-Regular.ttc` (Debian: fonts-noto-cjk; needs fonttools).
Drafts and names hold any Japanese, so it is wider than the font of the pages; and its outlines are TrueType, the only
ones that reportlab embeds. Run it where test_document_font.py says that a character is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.conftest import ROOT
from tests.sinks.make_font_subset import RANGES, fixed_characters, texts_of

FONT = ROOT / "runtime" / "objects" / "dicom" / "font" / "cathrt-document.ttf"
FAMILY = "cathrt Document"  # the OFL asks for a name of its own where the original's is reserved
_LARGEST_ERROR = 1.0  # of an outline, in thousandths of the em


def wanted_characters() -> set[str]:
    """Our own texts, those of drafts, Latin-1, half-width kana, JIS X 0208, and what names have beyond it: CP932."""
    jis = {bytes((row + 0xA0, cell + 0xA0)).decode("euc_jp", "ignore") for row in range(1, 85) for cell in range(1, 95)}
    beyond = {
        bytes((lead, trail)).decode("cp932", "ignore")
        for lead in (0x87, 0xFA, 0xFB, 0xFC)
        for trail in range(0x40, 0xFD)
    }
    latin = {chr(code) for first, last in (*RANGES, (0xFF61, 0xFF9F)) for code in range(first, last + 1)}
    ours = fixed_characters() | texts_of("/models/report/", "/objects/")
    return {one for one in jis | beyond | latin | ours if len(one) == 1 and one.isprintable()}


def make(source: Path, target: Path) -> None:
    """Write the subset of the Japanese face of a .ttc, or of a font file, with quadratic outlines."""
    from fontTools.pens.cu2quPen import Cu2QuPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTCollection, TTFont, newTable

    faces = TTCollection(source).fonts if source.suffix == ".ttc" else [TTFont(source)]
    face = next(face for face in faces if "JP" in str(face["name"].getDebugName(4)))
    options = Options(
        drop_tables=["BASE", "GPOS", "GSUB", "VORG", "vhea", "vmtx"],
        hinting=False,
        layout_features=[],
        notdef_outline=True,
        name_IDs=[0, 1, 2, 4, 6, 13, 14],
    )
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(sorted(wanted_characters())))
    subsetter.subset(face)
    order, glyphs = face.getGlyphOrder(), face.getGlyphSet()
    made = {}
    for name in order:
        pen = TTGlyphPen(None)
        glyphs[name].draw(Cu2QuPen(pen, _LARGEST_ERROR, reverse_direction=True))
        made[name] = pen.glyph()
    face["loca"], face["glyf"] = newTable("loca"), newTable("glyf")
    face["glyf"].glyphOrder, face["glyf"].glyphs = order, made
    del face["CFF "]
    for name, glyph in made.items():
        glyph.recalcBounds(face["glyf"])
        face["hmtx"][name] = (face["hmtx"][name][0], getattr(glyph, "xMin", 0))
    maxp = face["maxp"]
    maxp.tableVersion = 0x00010000
    maxp.maxZones, maxp.maxComponentDepth = 1, 0
    for field in (
        "TwilightPoints",
        "Storage",
        "FunctionDefs",
        "InstructionDefs",
        "StackElements",
        "SizeOfInstructions",
    ):
        setattr(maxp, f"max{field}", 0)
    maxp.maxComponentElements = 0
    face["post"].formatType, face["post"].extraNames, face["post"].mapping = 3.0, [], {}
    for record in face["name"].names:
        if record.nameID in (1, 4):
            record.string = FAMILY
        if record.nameID == 6:
            record.string = FAMILY.replace(" ", "-")
    face.sfntVersion = "\x00\x01\x00\x00"
    face["head"].modified = face["head"].created  # the same source gives the same bytes
    face["head"].glyphDataFormat = 0
    face.recalcTimestamp = False
    target.parent.mkdir(parents=True, exist_ok=True)
    face.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.objects.dicom.make_document_font", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("source", type=Path)
    make(parser.parse_args().source, FONT)
    print(f"{FONT}: {FONT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

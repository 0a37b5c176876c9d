"""Makes runtime/sinks/page/cathrt-japanese.otf: Noto Sans CJK JP, cut down to what our fixed texts need.

`python -m tests.sinks.make_font_subset NotoSansCJK-Regular.ttc` (Debian: fonts-noto-cjk; needs fonttools). Run it where
test_font.py says that a character is missing. Not for: texts of other bundles, which the system of the reader shows.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conftest import ROOT

FONT = ROOT / "runtime" / "sinks" / "page" / "cathrt-japanese.otf"
FAMILY = "cathrt Japanese"  # the OFL asks for a name of its own where the original's is reserved
# Latin-1 for names in captions; kana and marks whole, so that a new sentence seldom needs a new font.
RANGES = ((0x20, 0x7E), (0xA0, 0xFF), (0x3001, 0x3011), (0x3041, 0x3096), (0x30A1, 0x30FC))


# Drafts with the words that are looked for in them, and readings of studies: terminals and readers of records show
# them, no page of ours yet.
# Objects have a font of their own (tests/objects/dicom/make_document_font.py), and so has the gateway's page
# (tests/web/front/make_page_font.py).
ON_NO_PAGE = ("/models/report/", "/models/study/", "/runtime/objects/", "/runtime/web/", "/runtime/decisions/")


def fixed_characters() -> set[str]:
    """Every printable character that is not ASCII in the texts of runtime and export, and of the shipped bundle.

    But for texts that no page or picture shows (ON_NO_PAGE).
    """
    manifest = ROOT / "runtime" / "bundle" / "shipped" / "demonstration" / "manifest.json"
    return texts_of(but_not=ON_NO_PAGE) | _beyond_ascii(_strings(json.loads(manifest.read_text(encoding="utf-8"))))


def texts_of(*folders: str, but_not: tuple[str, ...] = ()) -> set[str]:
    """The same of the texts in files of these folders of runtime and export; of all files where none is named."""
    found: set[str] = set()
    for package in ("runtime", "export"):
        for path in (ROOT / package).rglob("*.py"):
            where = path.as_posix()
            if not any(one in where for one in but_not) and (not folders or any(one in where for one in folders)):
                found |= _beyond_ascii(_literals(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _beyond_ascii(texts: Iterable[str]) -> set[str]:
    found = {character for text in texts for character in text if not character.isascii() and character.isprintable()}
    return found - {"\N{REPLACEMENT CHARACTER}"}  # it stands for characters of file names that nobody can show


def _literals(tree: ast.AST) -> Iterator[str]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _strings(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _strings(value)


def make(source: Path, target: Path) -> None:
    """Write the subset of the Japanese face of a .ttc, or of a font file."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTCollection, TTFont

    faces = TTCollection(source).fonts if source.suffix == ".ttc" else [TTFont(source)]
    face = next(face for face in faces if "JP" in str(face["name"].getDebugName(4)))
    options = Options(
        drop_tables=["BASE", "GPOS", "GSUB", "VORG", "vhea", "vmtx"],
        hinting=False,
        desubroutinize=True,
        layout_features=[],
        notdef_outline=True,
        name_IDs=[0, 1, 2, 13, 14],
    )
    subsetter = Subsetter(options)
    wanted = {code for first, last in RANGES for code in range(first, last + 1)}
    subsetter.populate(unicodes=wanted | set(map(ord, fixed_characters())))
    subsetter.subset(face)
    for record in face["name"].names:
        if record.nameID == 1:
            record.string = FAMILY
    top = face["CFF "].cff
    top.fontNames = [FAMILY.replace(" ", "-")]
    face["head"].modified = face["head"].created  # the same source gives the same bytes
    face.recalcTimestamp = False
    face.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sinks.make_font_subset", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("source", type=Path)
    make(parser.parse_args().source, FONT)
    print(f"{FONT}: {FONT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

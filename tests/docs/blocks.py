"""The fenced code blocks of the pages: where each stands, its language, and the set-up code given before it.

Not for: running or checking them (test_code_blocks.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
_GIVEN = re.compile(r"<!-- given:\s*(.*?)\s*-->\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """language: what stands behind the opening fence. given: set-up code of the comment before it, else empty."""

    page: Path
    line: int
    language: str
    text: str
    given: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    """The fenced blocks of a page in order. Raises ValueError where a fence is not closed."""
    lines = text.splitlines(keepends=True)
    begun: int | None = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if begun is None:
            begun = number
            continue
        before = _GIVEN.search("".join(lines[:begun]))
        inside = "".join(lines[begun + 1 : number])
        yield Block(page, begun + 1, lines[begun].strip()[3:].strip(), inside, before[1] if before else "")
        begun = None
    if begun is not None:
        raise ValueError(f"{page}:{begun + 1}: this fence is not closed")


def all_blocks(*languages: str) -> list[Block]:
    """Of all pages; of the given languages only, where any are given."""
    found = [block for page in PAGES for block in blocks_of(page, page.read_text(encoding="utf-8"))]
    return [block for block in found if not languages or block.language in languages]

"""Text from outside as it may be shown: no control character of a file name or a manifest reaches a terminal or a page.

Not for: what a text means, or the length of it.
"""

from __future__ import annotations

import json
import unicodedata
from html import escape
from typing import Any


def shown(text: str) -> str:
    r"""One line that a terminal shows as it stands: control characters are written out, "\x1b" for an escape.

    Written out are line and paragraph separators, C0 and C1, format characters (bidirectional overrides, zero-width
    characters), lone surrogates, and what Unicode has not assigned. Blanks of other scripts stay.
    """
    return text if text.isprintable() else "".join(map(_shown_character, text))


def shown_lines(text: str) -> str:
    """As shown(), but for text that has lines of its own: these stay."""
    return "\n".join(map(shown, text.split("\n")))


def html_text(text: str) -> str:
    """As shown(), for a page: markup is escaped too."""
    return escape(shown(text))


def json_line(document: Any) -> str:
    r"""JSON on one line, without its line end. As shown(), with JSON's own escapes: "\u202e" for an override."""
    return json_escaped(json.dumps(document, ensure_ascii=False, allow_nan=False))


def json_escaped(line: str) -> str:
    """The same JSON value, with JSON's escapes for what shown() would write out. line: JSON without line ends."""
    if line.isprintable():
        return line
    return "".join(character if _is_plain(character) else json.dumps(character)[1:-1] for character in line)


def _shown_character(character: str) -> str:
    return character if _is_plain(character) else character.encode("unicode_escape").decode()


def _is_plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"

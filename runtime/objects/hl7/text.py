"""Text in HL7 v2: escapes, and the character sets that MSH-18 declares.

Not for: which text stands where (result_message.py).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outside.plain_text import shown

CharsetName = Literal["UNICODE UTF-8", "ISO IR87"]

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
_LINE = "\\.br\\"
# JIS X 0201 Roman has these two where ASCII has \ and ~; a receiver would take them for separators.
_NOT_IN_ASCII = str.maketrans({"¥": "￥", "‾": "￣"})
_HALF_WIDTH_KANA = range(0xFF61, 0xFFA0)


class CharsetError(CathrtError):
    """A text cannot be written in the character set that is configured."""


@dataclass(frozen=True, slots=True)
class Charset:
    """declared: MSH-18. scheme: MSH-20. codec: of Python."""

    declared: str
    scheme: str
    codec: str

    def encoded(self, message: str) -> bytes:
        """A whole message. Between its separators each text begins and ends in ASCII. Raises CharsetError."""
        if self.scheme:
            message = _in_full_width(message.translate(_NOT_IN_ASCII))
        try:
            return message.encode(self.codec)
        except UnicodeEncodeError as exc:
            found = message[exc.start]
            raise CharsetError(
                f"the character U+{ord(found):04X} is not in {self.declared.strip('~')}: set outlets.charset to "
                '"UNICODE UTF-8"'
            ) from exc


CHARSETS: dict[CharsetName, Charset] = {
    "UNICODE UTF-8": Charset("UNICODE UTF-8", "", "utf-8"),
    "ISO IR87": Charset("~ISO IR87", "ISO 2022-1994", "iso2022_jp"),  # ASCII, and JIS X 0208 behind escape sequences
}


def escaped(text: str) -> str:
    """One line of a field or component, separators and control characters written out."""
    return shown(text).translate(_ESCAPES)


def escaped_lines(text: str) -> str:
    r"""As escaped(), for formatted text (FT), which has lines: they become \.br\."""
    return _LINE.join(escaped(line) for line in text.splitlines())


def _in_full_width(text: str) -> str:
    """Half-width katakana are not in JIS X 0208; their full-width forms say the same. With its voiced mark, each is one
    character."""
    if not any(ord(character) in _HALF_WIDTH_KANA for character in text):
        return text
    parts: list[str] = []
    kana = ""
    for character in f"{text}\0":
        if ord(character) in _HALF_WIDTH_KANA:
            kana += character
            continue
        if kana:
            parts.append(unicodedata.normalize("NFKC", kana))
            kana = ""
        parts.append(character)
    return "".join(parts)[:-1]

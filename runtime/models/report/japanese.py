"""Japanese reports: their sentences, and what each of them states. Not for: the words (japanese_words.py), or how words
become statements (lexicon.py, parts.py, reading.py).
"""

from __future__ import annotations

import re

from cathrt.runtime.models.report.japanese_words import RULES
from cathrt.runtime.models.report.lexicon import cut, normalised, tokens
from cathrt.runtime.models.report.reading import read
from cathrt.runtime.models.report.statements import Sentence

_STOP = re.compile(r"[。！？!?]+[」』）)]*|[.．]+(?!\d)|(?<![:：])\n|\n(?=\s*[-*•・‣●■○◆])")
_BULLET = re.compile(r"\s*(?:[-*•・‣●■○◆]\s*|[(（]?\d{1,2}[.)．）]\s*(?!\d*\s*[%％]))?")


def statements(text: str) -> tuple[Sentence, ...]:
    """Every sentence of a text in its order, with what it states."""
    return tuple(
        Sentence(text[start:end], start, end, read(tokens(normalised(text[start:end]), RULES)))
        for start, end in cut(text, _STOP, _BULLET)
    )

"""English reports: their sentences, and what each of them states. Not for: the words (english_words.py), or how words
become statements (lexicon.py, parts.py, reading.py).
"""

from __future__ import annotations

import re

from cathrt.runtime.models.report.english_words import RULES
from cathrt.runtime.models.report.lexicon import cut, normalised, tokens
from cathrt.runtime.models.report.reading import read
from cathrt.runtime.models.report.statements import Sentence

# A full stop ends a sentence unless it belongs to a number or to an abbreviation; a line's end does unless after ":"
# and before a line that is no item of a list.
_STOP = re.compile(
    r"""
    (?<![.!?。！？．])
    (?: (?<!\bseg)(?<!\bsegs)(?<!\bapprox)(?<!\bca)(?<!\bvs)(?<!\bprox)(?<!\bdist) \. (?!\d) | [!?。！？．] )+
    ["')\]]* (?= \s | $ | [^\W\d_] )
    | (?<!:)(?<!:[ ]) \n | \n (?= \s* (?: [-*•・‣] | \(?\d{1,2}[.)] ) \s )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BULLET = re.compile(r"\s*(?:(?:[-*•・‣]|\(?\d{1,2}[.)])\s+)?")


def statements(text: str) -> tuple[Sentence, ...]:
    """Every sentence of a text in its order, with what it states."""
    return tuple(
        Sentence(text[start:end], start, end, read(tokens(_spelled(text[start:end]), RULES)))
        for start, end in cut(text, _STOP, _BULLET)
    )


def _spelled(text: str) -> str:
    """Normalised, and "isn't" as "is not"."""
    return re.sub(r"\b(is|are|was|were|does|do|did|has|have)n't\b", r"\1 not", normalised(text))

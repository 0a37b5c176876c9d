"""Text to tokens and back, with the bundle's tokenizer.json. Text that is data never becomes a control token.

llguidance reads the tokenizer, which keeps Hugging Face's libraries out of the runtime; it makes a control token of any
text that is called like one, also where it is asked not to. Not for: grammars (grammar.py).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models.report.section import ReportTokens

if TYPE_CHECKING:
    from llguidance import LLTokenizer


class Tokenizer:
    """document: the text of tokenizer.json. vocabulary: how many logits the decoder gives.

    Raises ManifestError where the document is no tokenizer, or has more tokens than the decoder.
    """

    def __init__(self, document: str, vocabulary: int, tokens: ReportTokens) -> None:
        from llguidance import LLTokenizer

        if not document.lstrip().startswith("{"):  # it would be taken for a path
            raise ManifestError("the tokenizer is no JSON object: export the bundle again")
        try:
            self.vendor: LLTokenizer = LLTokenizer(document, n_vocab=vocabulary, eos_token=list(tokens.end))
        except ValueError as exc:
            raise ManifestError(f"the tokenizer cannot be read ({str(exc)[:200]}): export the bundle again") from exc
        self.vocabulary = vocabulary
        marks = {tokens.begin, *tokens.end, tokens.begin_image, tokens.end_image, tokens.image}
        self.control = frozenset(tokens.control) | marks
        if beyond := sorted(token for token in self.control if token >= vocabulary):
            raise ManifestError(f"token {beyond[0]} is none of the decoder's {vocabulary}: export the bundle again")

    def encode(self, text: str) -> list[int]:
        """The tokens of a text that is data. None of them is a control token. Raises EngineError where that fails."""
        for pieces in ((text,), self._broken(text), text):
            found = [token for piece in pieces for token in self.encode_markup(piece)]
            if self.control.isdisjoint(found):
                return found
        raise EngineError(f"the text {text[:40]!r} cannot be written without control tokens: leave it out")

    def encode_markup(self, text: str) -> list[int]:
        """The tokens of a text in which control tokens may be written out. Raises EngineError where it is no UTF-8."""
        try:
            found: list[int] = self.vendor.tokenize_str(text)
        except UnicodeEncodeError as exc:
            raise EngineError(
                f"the text {text[:40]!r} has characters that are none (half a pair): leave it out"
            ) from exc
        return found

    def content(self, token: int) -> bytes:
        """What a token writes, perhaps a part of a character; nothing for a control token, or one without a name."""
        silent = token in self.control or self.vendor.is_special_token(token)
        return b"" if silent else self.vendor.decode_bytes([token])

    def _broken(self, text: str) -> Iterator[str]:
        """The text in pieces, cut behind the first character of whatever is called like a control token."""
        start = 0
        for match in self._called_like_control.finditer(text):
            yield text[start : match.start() + 1]
            start = match.start() + 1
        yield text[start:]

    @cached_property
    def _called_like_control(self) -> re.Pattern[str]:
        names = sorted({self.vendor.decode_str([token]) for token in self.control} - {""})
        return re.compile(f"(?={'|'.join(map(re.escape, names))})")


class TextStream:
    """Makes text of tokens as they come. A character whose bytes are spread over tokens comes out with its last one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token: int) -> str:
        return self._decoder.decode(self._tokenizer.content(token))

    def finish(self) -> str:
        """What is left: a replacement character where the last character is not whole, else nothing."""
        return self._decoder.decode(b"", final=True)


def decoded(tokenizer: Tokenizer, tokens: Iterable[int]) -> str:
    """The text of tokens that are all there."""
    stream = TextStream(tokenizer)
    return "".join(map(stream.add, tokens)) + stream.finish()

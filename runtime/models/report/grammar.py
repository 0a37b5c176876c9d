"""Which tokens may come next, so that the answer is JSON of a given schema. By llguidance.

Not for: what the schema says (schema.py), and answers that are cut off, which no grammar can end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.tokens import Tokenizer


class Grammar:
    """One answer under a schema: what is allowed, then what was taken, in turn.

    There is no white space between the parts of the JSON, and keys come in the order of the schema's properties.
    Raises EngineError for a schema that llguidance does not know.
    """

    def __init__(self, tokenizer: Tokenizer, schema: Mapping[str, Any]) -> None:
        from llguidance import LLMatcher

        text = json.dumps(schema, ensure_ascii=False)
        grammar = LLMatcher.grammar_from_json_schema(text, overrides={"whitespace_flexible": False})
        self._matcher = LLMatcher(tokenizer.vendor, grammar, log_level=0)
        if reason := self._matcher.get_error():
            raise EngineError(f"the answer cannot be bound to this schema: {reason[:300]}")
        self._vocabulary = tokenizer.vocabulary
        self._bits = np.zeros((1, (tokenizer.vocabulary + 31) // 32), np.int32)

    @property
    def done(self) -> bool:
        """Whether the answer is whole and nothing can be added."""
        return self._matcher.is_stopped() and not self._matcher.get_error()

    def forced(self) -> list[int]:
        """Tokens that come next whatever the network says, as the tokenizer writes them; [] where it has a choice."""
        found: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return found

    def allowed(self) -> NDArray[np.bool_]:
        """Of each token, whether it may come next. Raises EngineError where llguidance gives up."""
        from llguidance.numpy import fill_next_token_bitmask

        fill_next_token_bitmask(self._matcher, self._bits)
        self._check()
        bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little")
        return bits[: self._vocabulary].astype(np.bool_)

    def take(self, tokens: Sequence[int]) -> None:
        """Go on behind these tokens. Raises EngineError where one was not allowed."""
        self._matcher.consume_tokens(list(tokens))
        self._check()

    def _check(self) -> None:
        if reason := self._matcher.get_error():
            raise EngineError(f"the grammar of the answer failed: {reason[:300]}: ask for less in one schema")

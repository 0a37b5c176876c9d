"""Answers bound by a schema: whatever the network wants, they are JSON of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.grammar import Grammar
from cathrt.runtime.models.report.tokens import decoded
from tests.models.report.tiny_model import TINY, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sides": {"const": ["left", "right"]},
        "percent": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"type": "null"}]},
        "kind": {"enum": ["狭窄", "none"]},
        "places": {"type": "array", "items": {"enum": ["5", "6"]}, "maxItems": 3},
    },
    "required": ["sides", "percent", "kind", "places"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(20))
def test_any_choice_of_allowed_tokens_ends_as_json_of_the_schema(seed: int) -> None:
    draw = np.random.default_rng(seed)
    grammar = Grammar(TOKENIZER, SCHEMA)
    tokens = []
    while not grammar.done:
        allowed = grammar.allowed()
        assert allowed.shape == (TINY.vocabulary,)
        tokens.append(int(draw.choice(np.flatnonzero(allowed))))
        grammar.take(tokens[-1:])
        assert len(tokens) < 200
    text = decoded(TOKENIZER, tokens)
    found = json.loads(text)
    assert list(found) == ["sides", "percent", "kind", "places"]
    assert found["sides"] == ["left", "right"]
    assert found["percent"] is None or (isinstance(found["percent"], int) and 0 <= found["percent"] <= 100)
    assert found["kind"] in ("狭窄", "none")
    assert len(found["places"]) <= 3
    assert text == json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def test_no_control_token_is_allowed_inside() -> None:
    grammar = Grammar(TOKENIZER, {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    grammar.take(TOKENIZER.encode('{"a":"x'))
    assert not grammar.allowed()[list(TOKENIZER.control)].any()


def test_a_token_that_was_not_allowed_is_an_engine_error() -> None:
    grammar = Grammar(TOKENIZER, SCHEMA)
    with pytest.raises(EngineError, match="grammar"):
        grammar.take(TOKENIZER.encode("x"))


@pytest.mark.parametrize(
    "schema", [{"type": "objekt"}, {"$ref": "#/nowhere"}, {"type": "integer", "minimum": 5, "maximum": 1}]
)
def test_a_schema_that_cannot_be_bound_is_an_engine_error(schema: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="schema"):
        Grammar(TOKENIZER, schema)


@pytest.mark.parametrize("seed", range(5))
def test_forced_tokens_are_allowed_ones_and_leave_the_network_its_choices(seed: int) -> None:
    draw = np.random.default_rng(seed)
    grammar = Grammar(TOKENIZER, SCHEMA)
    tokens: list[int] = []
    choices = 0
    while not grammar.done:
        taken = grammar.forced()
        if not taken:
            choices += 1
            taken = [int(draw.choice(np.flatnonzero(grammar.allowed())))]
        for token in taken:
            assert grammar.allowed()[token]
            grammar.take([token])
        tokens += taken
    found = json.loads(decoded(TOKENIZER, tokens))
    assert found["kind"] in ("狭窄", "none")
    assert 2 <= choices <= len(tokens) - 40


def test_a_schema_that_fixes_everything_leaves_nothing_to_the_network() -> None:
    grammar = Grammar(TOKENIZER, {"const": {"a": [1, "狭窄"]}})
    tokens = grammar.forced()
    grammar.take(tokens)
    assert decoded(TOKENIZER, tokens) == '{"a":[1,"狭窄"]}'
    assert grammar.done

"""Facts as JSON: one exact form, refused in any other, and bound by a schema that holds to what is confirmed."""

from __future__ import annotations

import json

import llguidance
import pytest
from hypothesis import given, settings

from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.places import ARTERY_OF, SEGMENTS, arteries_of, segments_of
from cathrt.runtime.models.report.schema import (
    PERCENTS,
    FactsError,
    facts_faults,
    facts_from_json,
    facts_schema,
    json_from_facts,
)
from tests.models.report.drawn_facts import facts, findings_of

TOKENIZER = llguidance.LLTokenizer("byte")
LEFT = Facts(("left",))
BOTH = Facts(("left", "right"))


def allowed(findings: Findings, text: str) -> bool:
    """Whether the grammar of these findings lets a model write this text and stop."""
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(facts_schema(findings)))
    matcher = llguidance.LLMatcher(TOKENIZER, grammar)
    written = TOKENIZER.tokenize_bytes(text.encode())
    return matcher.try_consume_tokens(written) == len(written) and bool(matcher.is_accepting())


def test_the_form_is_exact() -> None:
    text = (
        '{"sides":["left"],"lesions":[{"artery":"lad","segment":"6","percent":75,"occluded":false,"chronic":false}],'
        '"dominance":null,"grafts":null}'
    )
    assert json_from_facts(Facts(("left",), (Lesion("lad", "6", 75),))) == text
    assert facts_from_json(text) == Facts(("left",), (Lesion("lad", "6", 75),))


@settings(max_examples=60, deadline=None)
@given(facts())
def test_facts_survive_their_json_form(drawn: Facts) -> None:
    assert facts_from_json(json_from_facts(drawn)) == drawn
    assert facts_faults(drawn) == ()


@settings(max_examples=30, deadline=None)
@given(facts())
def test_the_schema_allows_every_fact_that_can_be_graded_in_its_steps(drawn: Facts) -> None:
    steps = all(lesion.percent is None or lesion.percent in PERCENTS for lesion in drawn.lesions)
    assert allowed(findings_of(drawn), json_from_facts(drawn)) == steps


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("", "expected JSON"),
        ("[]", "expected exactly the keys"),
        ('{"sides":["left"],"lesions":[],"dominance":null', "expected JSON"),
        ('{"sides":["left"],"lesions":[],"dominance":null,"grafts":null,"advice":"PCI"}', "expected exactly the keys"),
        ('{"sides":["left"],"sides":["right"],"lesions":[],"dominance":null,"grafts":null}', "twice"),
        ('{"sides":"left","lesions":[],"dominance":null,"grafts":null}', "a list of at most 2"),
        ('{"sides":["centre"],"lesions":[],"dominance":null,"grafts":null}', "expected one of"),
        ('{"sides":["left"],"lesions":[],"dominance":"up","grafts":null}', "expected one of"),
        ('{"sides":["left"],"lesions":[],"dominance":null,"grafts":true}', "expected 0 to 9"),
        ('{"sides":["left"],"lesions":[],"dominance":null,"grafts":10}', "expected 0 to 9"),
        ('{"sides":["left"],"lesions":[{}],"dominance":null,"grafts":null}', "a lesion: found"),
        ("[" * 100_000, "ran on"),
        ("[" * 3_999, "facts"),
    ],
)
def test_other_forms_are_refused_with_what_was_found(found: str, message: str) -> None:
    with pytest.raises(FactsError, match=message):
        facts_from_json(found)


@pytest.mark.parametrize(
    ("key", "value"),
    [("artery", '"aorta"'), ("segment", "6"), ("segment", '"17"'), ("percent", "75.0"), ("percent", "101"),
     ("percent", "-1"), ("percent", "NaN"), ("percent", '"75"'), ("occluded", "0"), ("chronic", "null")],
)  # fmt: skip
def test_a_lesion_with_a_wrong_value_is_refused(key: str, value: str) -> None:
    text = json_from_facts(Facts(("left",), (Lesion("lad", "6", 75),)))
    start = text.index(f'"{key}":') + len(key) + 3
    end = min(text.index(stop, start) for stop in ",}" if stop in text[start:])
    with pytest.raises(FactsError):
        facts_from_json(text[:start] + value + text[end:])


@pytest.mark.parametrize(
    "wrong",
    [
        Facts(("right",)),
        Facts(("left",), (Lesion("rca", "1", 75),)),
        Facts(("left",), (Lesion("lad", "11", 75),)),
        Facts(("left",), (Lesion("lad", "6", 80),)),
        Facts(("left",), (Lesion("lad", "6", 75, occluded=True),)),
        Facts(("left",), (Lesion("lad", "6", 100),)),
        Facts(("left",), (Lesion("lad", "6", 75, chronic=True),)),
        Facts(("left",), (Lesion("lad", "6", 75),) * 9),
        Facts(("left",), (), None, 10),
    ],
)
def test_the_grammar_lets_nothing_else_through(wrong: Facts) -> None:
    assert not allowed(findings_of(LEFT), json_from_facts(wrong))


def test_the_grammar_lets_no_white_space_through() -> None:
    text = json_from_facts(LEFT)
    assert allowed(findings_of(LEFT), text)
    assert not allowed(findings_of(LEFT), text.replace(":", ": "))


def test_what_is_confirmed_is_the_only_answer() -> None:
    known = Facts(("left", "right"), (Lesion("rca", "2", 63),), "right", 2)
    findings = Findings(3, (), known)
    assert allowed(findings, json_from_facts(known))
    for other in (
        Facts(known.sides, (), "right", 2),
        Facts(known.sides, known.lesions, None, 2),
        Facts(known.sides, known.lesions, "right", None),
        Facts(known.sides, (Lesion("rca", "3", 63),), "right", 2),
    ):
        assert not allowed(findings, json_from_facts(other))


def test_a_known_dominance_narrows_the_segments() -> None:
    for dominance, segment, artery in (("right", "15", "lcx"), ("left", "4", "rca"), ("left", "16b", "rca")):
        lesion = Lesion(artery, segment, 75)  # type: ignore[arg-type]
        for known in (dominance, None):
            findings = Findings(1, (), Facts(("left", "right"), (), known))  # type: ignore[arg-type]
            text = json_from_facts(Facts(("left", "right"), (lesion,), known))  # type: ignore[arg-type]
            assert allowed(findings, text) == (known is None)


def test_without_a_side_there_is_no_lesion() -> None:
    findings = Findings(1, (), Facts(()))
    assert allowed(findings, json_from_facts(Facts(())))
    assert not allowed(findings, json_from_facts(Facts((), (Lesion("lad", "6", 75),))))


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (Facts(("right", "left")), "left first"),
        (Facts(("left",), (Lesion("rca", "2", 75),)), "right coronary artery was not shown"),
        (Facts(("left",), (Lesion("lad", "11", 75),)), "belongs to lcx"),
        (Facts(("left",), (Lesion("lcx", "15", 75),), "right"), "has no segment 15"),
        (Facts(("left",), (Lesion("lad", "6", 75), Lesion("lad", "6", 90))), "named 2 times"),
        (Facts(("left",), (Lesion("left_main", "5", 75), Lesion("left_main", None, 75))), "named 2 times"),
        (Facts(("left",), (Lesion("lad", "6", 99, occluded=True),)), "occluded is 100 percent"),
        (Facts(("left",), (Lesion("lad", "6", 100),)), "occluded is 100 percent"),
        (Facts(("left",), (Lesion("lad", "6", 75, chronic=True),)), "chronic without"),
        (Facts(("left",), (Lesion("lad", "6", 0),)), "no narrowing"),
        (Facts(("left",), tuple(Lesion("lad", s, 75) for s in SEGMENTS["lad"]) + (Lesion("lcx", "11", 75),) * 2), "9"),
    ],
)
def test_facts_that_cannot_be_true_are_listed(wrong: Facts, fault: str) -> None:
    assert any(fault in found for found in facts_faults(wrong))


def test_every_segment_belongs_to_one_artery_and_side() -> None:
    assert len(ARTERY_OF) == sum(len(held) for held in SEGMENTS.values()) == 25
    assert arteries_of(("left",)) == ("left_main", "lad", "lcx")
    assert arteries_of(("right",)) == ("rca",)
    assert "15" in segments_of("lcx", "left")
    assert "15" not in segments_of("lcx", "right")
    assert segments_of("rca", "left") == ("1", "2", "3")

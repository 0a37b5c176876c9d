"""The one translation of pydantic's findings: key, found, expected, in few printable characters, whatever came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, MinLen, Predicate
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Discriminator, TypeAdapter, ValidationError

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.check import manifest_from_json
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION
from cathrt.runtime.config import config_from_document
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.journal.records import RecordParts, record_from_body
from cathrt.runtime.models import MODELS, policies, record_parts
from cathrt.runtime.outside.validation import faults_of, shown


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"]
    radius_mm: Annotated[float, Ge(0.0)]


@dataclass(frozen=True)
class Box:
    kind: Literal["box"]
    sides_mm: Annotated[tuple[float, ...], MinLen(2)]
    name: Annotated[str, Predicate(str.isprintable)] = ""


SHAPES: TypeAdapter[Any] = TypeAdapter(
    dict[str, Annotated[Circle | Box, Discriminator("kind")]], config={"extra": "forbid", "strict": True}
)


def faults(document: str | bytes) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        SHAPES.validate_json(document)
    return faults_of(caught.value)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"a": {"kind": "circle", "radius_mm": -1}},
            "a.circle.radius_mm: found -1, expected greater than or equal to 0",
        ),
        ({"a": {"kind": "circle"}}, "a.circle.radius_mm: missing: add it"),
        ({"a": {"kind": "circle", "radius_mm": 1, "x": 0}}, "a.circle.x: unknown key: remove it"),
        ({"a": {"kind": "box", "sides_mm": [1]}}, "a.box.sides_mm: found [1], expected Tuple should have at least 2"),
        ({"a": {"kind": "box", "sides_mm": [1, None, 2]}}, "a.box.sides_mm.1: found None, expected a valid number"),
        ({"a": {"kind": "box", "sides_mm": [1, 2], "name": "\n"}}, r"a.box.name: found '\n', expected text for which"),
        ({"a": {"kind": "cone"}}, "a.kind: found 'cone', expected one of 'circle', 'box'"),
        ({"a": {}}, "a.kind: missing: add it"),
        ({"a": 3}, "a: found 3, expected "),
        ([1], "found [1], expected an object"),
    ],
)
def test_a_fault_names_the_key_what_was_found_and_what_was_expected(document: Any, told: str) -> None:
    (fault,) = faults(json.dumps(document))

    assert fault.startswith(told)


def test_every_fault_is_told() -> None:
    assert faults('{"a": {"kind": "circle"}, "b": {"kind": "cone"}}') == [
        "a.circle.radius_mm: missing: add it",
        "b.kind: found 'cone', expected one of 'circle', 'box'",
    ]


def test_what_is_no_json_is_said_to_be_none() -> None:
    assert faults(b"{") == ["not valid JSON (EOF while parsing an object at line 1 column 1)"]


HOSTILE = "\x1b[2J\r\n\u202e" * 1000


@pytest.mark.parametrize(
    "document",
    [
        {HOSTILE: {"kind": "circle"}},
        {"a": {"kind": HOSTILE}},
        {"a": {"kind": "circle", "radius_mm": HOSTILE}},
        {"a": {"kind": "circle", "radius_mm": 1, HOSTILE: 1}},
        {"a": {"kind": "box", "sides_mm": [1, 2], "name": HOSTILE}},
        {"a": [HOSTILE]},
        HOSTILE,
    ],
)
def test_a_message_stays_short_and_printable(document: Any) -> None:
    (fault,) = faults(json.dumps(document))

    assert fault.isprintable()
    assert len(fault) < 300


@given(value=st.recursive(st.none() | st.text() | st.binary(), lambda inner: st.lists(inner)))
def test_a_value_is_shown_short_and_printable(value: Any) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) <= 80


def config(key: str, value: str) -> None:
    document = {"line": {key: 1, "budget_ms": value}, key: {}, "policy": {key: {}, "keyframe": {key: value}}}
    config_from_document(document, policies(), origin="c.toml")


def manifest(key: str, value: str) -> None:
    document = {"schema_version": SCHEMA_VERSION, "name": 3, "model": {"kind": value}, key: 1, "networks": {key: value}}
    manifest_from_json(json.dumps(document).encode(), MODELS)


def record(key: str, value: str) -> None:
    body({"type": "refusal", key: value, "id": value}, RecordParts())


def verdict(key: str, value: str) -> None:
    findings = [{"kind": value}, {"kind": "keyframe", key: value, "engine": [value]}, value]
    body({"type": "verdict", key: value, "findings": findings}, record_parts())


def alert(key: str, value: str) -> None:
    body({"type": "alert", key: value, "news": {"kind": value, key: value}}, record_parts())


def run(key: str, value: str) -> None:
    results = [{"kind": value}, {"kind": "keyframe", key: value, "marked_frames": [value]}]
    body({"type": "run", "verdicts": {key: value}, "results": results}, record_parts())


def body(document: dict[str, Any], parts: RecordParts) -> None:
    text = json.dumps({**document, "notice": NOTICE}, ensure_ascii=False, separators=(",", ":"))
    record_from_body(text.encode(), parts)


@pytest.mark.parametrize("read", [config, manifest, record, verdict, alert, run])
def test_every_reader_tells_in_printable_words(read: Callable[[str, str], None]) -> None:
    with pytest.raises((ConfigError, ManifestError, ValueError)) as refused:
        read(HOSTILE, HOSTILE)

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 2000

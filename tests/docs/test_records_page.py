"""docs/journal.md names every field of every record, and its examples are records."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest

from cathrt.runtime.alert import Record
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.models import record_parts
from tests.docs.blocks import ROOT, blocks_of

PAGE = ROOT / "docs" / "journal.md"
PARTS = record_parts()
SCHEMAS = [*get_args(Record), *PARTS.findings, *PARTS.news, *PARTS.results]
IN_WORDS = {"positioner_primary_angle_deg": "C-arm angles", "positioner_secondary_angle_deg": "C-arm angles"}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_every_field_of_a_record_is_named(schema: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for field in fields(schema):
        assert IN_WORDS.get(field.name, f"`{field.name}`") in text, field.name


def test_the_examples_are_records() -> None:
    (example,) = [block for block in blocks_of(PAGE, PAGE.read_text(encoding="utf-8")) if block.language == "json"]
    assert [record_from_body(line.encode(), PARTS).type for line in example.text.splitlines()] == ["verdict", "alert"]

"""docs/records.md has every field of every JSON line, with its type, and no other; its examples are records.

Lines that take an export to print are held against the page where an export runs (tests/e2e/test_cli_export.py), a
comparison in tests/commands/test_compare.py.
"""

from __future__ import annotations

import ast
import json
import types
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from cathrt.runtime.alert import LiveUntil, Record, StudyEnded
from cathrt.runtime.bundle.fingerprint import BuildOptions, EngineFingerprint, ShapeProfile
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.journal.process_start import process_start
from cathrt.runtime.journal.records import body_from_record, record_from_body
from cathrt.runtime.models import record_parts
from cathrt.runtime.web.access.users_file import NO_PASSWORD, user_from, write_users
from tests.docs.blocks import ROOT, blocks_of
from tests.docs.records_page import NEVER, PAGE, fields_of_page, unlike_page
from tests.e2e.commands import cathrt
from tests.passes import (
    alert,
    decision,
    draft,
    engine_change,
    reading,
    refusal,
    review,
    signature,
    start,
    summary,
    verdict,
)

PARTS = record_parts()
NOT_HERE = {
    "comparison",
    "feedback",
    "object",
    "sent",
    "deidentified",
    "stage",
    "export",
    "qualification",
    "received",
    "process",
    "counts",
    "health",
    "swap",
    "study_end",
    "commitment",
    "outlet",
    "dead_letter",
    "backup",
}
LIVE = replace(alert(9), late=False, live_until=LiveUntil("boot", 1))
RECORDS: dict[str, Record] = {
    "pass": start(),
    "verdict": verdict(0),
    "alert": LIVE,
    "run": summary([verdict(0)]),
    "refusal": refusal(),
    "draft": draft(),
    "ended": StudyEnded("end 1", "study a", 1, ("run a",), 0, 12.5),
    "study": reading(),
    "decision": decision(),
    "signoff": signature(),
    "review": review(),
    "start": process_start("live"),
    "engine": engine_change(),
}


def line(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(body_from_record(record))
    return document


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_has_the_fields_of_its_table_and_no_other(kind: str) -> None:
    assert unlike_page(line(RECORDS[kind])) == []


def test_the_records_are_all_that_there_are() -> None:
    assert {get_type_hints(schema, include_extras=True)["type"] for schema in get_args(Record)} == {
        get_type_hints(type(record), include_extras=True)["type"] for record in RECORDS.values()
    }


def nullable(schema: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every field of a dataclass and of those in it, and whether it may be None."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        hint, name = hints[field.name], f"{path}{field.name}"
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        yield name, type(None) in options
        for option in options:
            if is_dataclass(option):
                yield from nullable(option, f"{name}.")


SCHEMAS: list[tuple[str, str, Any]] = [
    *((kind, "", type(record)) for kind, record in RECORDS.items()),
    *(("verdict", "findings[].", schema) for schema in PARTS.findings),
    *(("alert", "news.", schema) for schema in PARTS.news),
    *(("run", "results[].", schema) for schema in PARTS.results),
    *(("draft", "draft.", schema) for schema in PARTS.drafts),
    *(("study", "reading.", schema) for schema in PARTS.readings),
    ("bundle", "plans[].", EngineFingerprint),
]


@pytest.mark.parametrize(("kind", "path", "schema"), SCHEMAS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_the_page_says_when_a_field_is_null_if_and_only_if_it_may_be(kind: str, path: str, schema: Any) -> None:
    table = fields_of_page()[kind]
    wrong = [name for name, may in nullable(schema, path) if (table[name].null != NEVER) != may]
    assert not wrong


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What every quick command prints."""
    folder = tmp_path_factory.mktemp("lines")
    write_users(folder / "users", {"operator": user_from("operator", "operator", NO_PASSWORD)})
    commands: list[list[str | Path]] = [
        ["phantom", "--seed", "7", "--matrix", "64", "--frames", "3", "--out", folder / "study"],
        ["replay", folder / "study", "--journal", folder / "day.journal"],
        ["verify", folder / "day.journal"],
        ["verify", demonstration_bundle()],
        ["doctor", "--folder", folder],
        ["key", "list"],
        ["user", "list", folder / "users"],
    ]
    lines = []
    for command in commands:
        done = cathrt(*command, "--json")
        assert done.stdout, done.stderr
        lines += done.records
    return lines


def test_what_the_commands_print_is_on_the_page(printed: list[dict[str, Any]]) -> None:
    assert not [(one["type"], fault) for one in printed for fault in unlike_page(one)]


def test_every_table_of_the_page_is_of_a_line_that_is_printed(printed: list[dict[str, Any]]) -> None:
    assert {one["type"] for one in printed} | RECORDS.keys() | NOT_HERE == fields_of_page().keys()


def lines_of_the_code() -> Iterator[set[str]]:
    """The keys that are written out in each dictionary that has a "type", as the commands make them."""
    for folder in ("runtime/commands", "export/commands", "export/compare"):
        for path in sorted((ROOT / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Dict):
                    pairs = zip(node.keys, node.values, strict=True)
                    texts = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
                    if isinstance(kind := texts.get("type"), ast.Constant):
                        yield {f"type {kind.value}", *texts}


def test_every_line_that_the_code_makes_has_a_table_with_the_keys_written_there() -> None:
    found = list(lines_of_the_code())
    kinds = {key.removeprefix("type ") for keys in found for key in keys if key.startswith("type ")}
    assert kinds | RECORDS.keys() == fields_of_page().keys()
    for keys in found:
        (kind,) = (key.removeprefix("type ") for key in keys if key.startswith("type "))
        assert {key for key in keys if not key.startswith("type ")} <= fields_of_page()[kind].keys(), kind


def test_every_line_ends_with_its_notice(printed: list[dict[str, Any]]) -> None:
    assert {(next(iter(one)), list(one)[-1]) for one in printed} == {("type", "notice")}


def test_a_plan_of_a_bundle_is_on_the_page() -> None:
    made = EngineFingerprint(
        "tensorrt", "10", (89,), None, None, BuildOptions(), (ShapeProfile("x", (1,), (1,), (1,)),), "0"
    )
    (bundle,) = cathrt("verify", demonstration_bundle(), "--json").records
    plan = json.loads(json.dumps({"file": "plan", **asdict(made)}))
    assert unlike_page({**bundle, "plans": [plan]}) == []


def test_what_differs_is_named() -> None:
    good = line(summary([verdict(0)]))
    more = {**good, "mood": 1, "results": [{**good["results"][0], "mood": 1}]}
    less = {name: value for name, value in good.items() if name != "flags"}
    assert set(unlike_page(more)) == {"mood: not on the page", "results[].mood: not on the page"}
    assert unlike_page(less) == ["flags: on the page and not in the line"]
    assert unlike_page({**good, "frames": "3"}) == ["frames: found '3', the page says whole number"]
    assert unlike_page({**good, "frames": True}) == ["frames: found True, the page says whole number"]
    assert unlike_page({**good, "flags": [1]}) == ["flags: found [1], the page says list of texts"]
    assert unlike_page({**good, "source": None}) == ["source: found None, which the page says it never is"]
    assert unlike_page({"type": "mood"}) == ["mood: no such heading on the page"]
    assert unlike_page({**good, "results": [], "latency_ms": {}}) == []


def test_the_examples_are_records() -> None:
    (example,) = [block for block in blocks_of(PAGE, PAGE.read_text(encoding="utf-8")) if block.language == "json"]
    assert [record_from_body(text.encode(), PARTS).type for text in example.text.splitlines()] == ["verdict", "alert"]

"""docs/records.md as tables, and how a printed JSON line is held against them.

Not for: running commands (tests that do call unlike_page on what was printed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.docs.blocks import ROOT
from tests.house import kinds

PAGE = ROOT / "docs" / "records.md"
NEVER = "never"
_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_OF_KIND = re.compile(r"(\w+): ")  # how the meaning of a field begins that one kind of model has
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "number": (int, float),
    "true or false": (bool,),
    "object": (dict,),
}


@dataclass(frozen=True)
class Field:
    """A row of a table."""

    type: str
    unit: str
    meaning: str
    null: str


@cache
def fields_of_page() -> Mapping[str, Mapping[str, Field]]:
    """By the type of the line, its fields by path: "findings[].score", "latency_ms.*.p50"."""
    found: dict[str, dict[str, Field]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        rows = {row[0]: Field(*(cell.strip() for cell in row[1:])) for row in _ROW.findall(section)}
        if rows:
            found[section.partition("\n")[0]] = rows
    return found


def unlike_page(line: Mapping[str, Any]) -> list[str]:
    """What a printed line and the page do not agree on, in words; nothing where they do."""
    documented = fields_of_page().get(line["type"])
    if documented is None:
        return [f"{line['type']}: no such heading on the page"]
    found: dict[str, list[Any]] = {}
    for path, value in _values(line, "", documented):
        found.setdefault(path, []).append(value)
    faults = [f"{path}: not on the page" for path in found if path not in documented]
    empty = {path for path, values in found.items() if not any(values)}  # null, or without entries
    faults += [
        f"{path}: on the page and not in the line"
        for path in documented
        if path not in found
        and not any(path.startswith((f"{one}.", f"{one}[]")) for one in empty)
        and not _of_absent_kind(path, documented[path], found)
    ]
    for path, values in found.items():
        if path in documented:
            faults += [
                f"{path}: found {value!r}, {fault}" for value in values if (fault := _misfit(value, documented[path]))
            ]
    return faults


def _of_absent_kind(path: str, field: Field, found: Mapping[str, list[Any]]) -> bool:
    """Whether the field is that of a kind of model that has no part in this line."""
    named = _OF_KIND.match(field.meaning)
    kind = named[1] if named else ""
    return kind in kinds() and kind not in found.get(f"{path.rpartition('.')[0]}.kind", [kind])


def _values(value: Any, path: str, documented: Mapping[str, Field]) -> Iterator[tuple[str, Any]]:
    """Every value with its path; keys of an object that the page gives as a star are one path."""
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            named, star = (f"{path}.{one}" if path else one for one in (key, "*"))
            yield from _values(inner, star if star in documented and named not in documented else named, documented)
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for entry in value:
            for key, inner in entry.items():
                yield from _values(inner, f"{path}[].{key}", documented)


def _misfit(value: Any, field: Field) -> str:
    """What is wrong with a value, or nothing."""
    if value is None:
        return "which the page says it never is" if field.null == NEVER else ""
    return "" if any(_is(value, one) for one in field.type.split(" / ")) else f"the page says {field.type}"


def _is(value: Any, kind: str) -> bool:
    if kind.startswith("list of "):
        inner = kind.removeprefix("list of ").removesuffix("s")
        return isinstance(value, list) and all(_is(entry, inner) for entry in value)
    return isinstance(value, _TYPES[kind]) and (kind == "true or false" or not isinstance(value, bool))

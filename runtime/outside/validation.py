"""Translates pydantic's findings into words: what is wrong in a document from outside.

For configuration, manifest, records and every other document that is checked against dataclasses. Not for: the rules
themselves, which stand in the dataclasses' annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_LONGEST = 80  # characters of a value or key that a message repeats
_EXPECTED = "Input should be "


def faults_of(error: ValidationError) -> list[str]:
    """One text for each fault: its key, what was found, what was expected or what to do. Printable whatever the input.

    Keys are joined by dots; a fault of the document as a whole begins without a key.
    """
    return [_fault(detail) for detail in error.errors(include_url=False)]


def shown(value: object) -> str:
    """A value from outside as a message may repeat it: its repr, printable and cut short."""
    return _short(repr(value))


def _fault(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    keys = [_key(part) for part in detail["loc"]]
    match detail["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            what = "unknown key: remove it"
        case "missing" | "missing_argument":
            what = "missing: add it"
        case "union_tag_not_found":
            keys.append(_tag_name(context))
            what = "missing: add it"
        case "union_tag_invalid":
            keys.append(_tag_name(context))
            what = f"found {shown(context['tag'])}, expected one of {context['expected_tags']}"
        case "predicate_failed":
            what = f"found {shown(detail['input'])}, expected text for which {detail['msg'].split(chr(39))[1]} holds"
        case "json_invalid":
            what = f"not valid JSON ({context['error']})"
        case _:
            what = f"found {shown(detail['input'])}, expected {_expected(detail['msg'])}"
    return ": ".join([".".join(keys), what] if keys else [what])


def _expected(message: str) -> str:
    return _short(message.removeprefix(_EXPECTED))


def _tag_name(context: dict[str, Any]) -> str:
    return str(context["discriminator"]).strip("'")


def _key(part: int | str) -> str:
    text = str(part)
    return _short(text if text.isprintable() else repr(text)[1:-1])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."

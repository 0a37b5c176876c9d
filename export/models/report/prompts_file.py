"""The prompts of a bundle: cathrt's own, or those of a TOML file, whose blanks are checked before anything is built.

Not for: filling the blanks (cathrt.runtime.models.report.prompt).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.faults import prompt_faults
from cathrt.runtime.models.report.prompt import DEFAULT_PROMPTS
from cathrt.runtime.models.report.section import ReportPrompts
from cathrt.runtime.outside.input_file import toml_from_file
from cathrt.runtime.outside.validation import faults_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter


_WHOLE = "prompts"


@dataclass(frozen=True, slots=True)
class _Whole:
    """The document. Unknown keys and values of another type are faults in all of it."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012
    prompts: ReportPrompts


def prompts_from(path: Path | None, *, pictures: bool) -> ReportPrompts:
    """Keys system and facts, and a table prose with a text for each language. None: cathrt's own.

    Raises ConfigError for unknown keys, missing texts, and blanks that are missing or unknown.
    """
    from pydantic import ValidationError

    if path is None:
        return DEFAULT_PROMPTS
    document = {_WHOLE: toml_from_file(path)}
    try:
        prompts = _adapter().validate_json(json.dumps(document, default=str)).prompts
    except ValidationError as exc:
        told = "; ".join(fault.removeprefix(f"{_WHOLE}.") for fault in faults_of(exc))
        raise ConfigError(f"{path}: {told}: see docs/export.md") from exc
    if faults := prompt_faults(prompts, pictures=pictures):
        raise ConfigError(f"{path}: {'; '.join(fault.removeprefix('model.prompts.') for fault in faults)}")
    return prompts


def texts_of(prompts: ReportPrompts) -> tuple[str, ...]:
    return prompts.system, prompts.facts, *prompts.prose.values()


@cache
def _adapter() -> TypeAdapter[_Whole]:
    from pydantic import TypeAdapter

    return TypeAdapter(_Whole)

"""Reports as files of JSON lines: one study a line, its texts by language, its facts where they are stated.

    {"study": "a", "en": "The left ...", "ja": "左冠...", "facts": {...}, "pictures": ["a/1.png"]}

Drafts and references have the same form. What `cathrt report --json` prints is taken too: its line of type "draft" is
read, the others are passed over. Not for: what a text says (runtime/models/report).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.section import LANGUAGES, Language
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.validation import faults_of, shown

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_MAX_BYTES = 256 << 20
_Prose = Annotated[str, MinLen(1), MaxLen(20_000)]


@dataclass(frozen=True, slots=True)
class ReportTexts:
    """One study's report. texts: by language; empty for a draft that was withheld. pictures: files of key frames.

    facts: as the file states them, JSON; None where it does not.
    """

    study: str
    texts: Mapping[Language, str]
    facts: Any
    pictures: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The draft and the reference of one study."""

    draft: ReportTexts
    reference: ReportTexts

    @property
    def study(self) -> str:
        return self.reference.study

    @property
    def languages(self) -> tuple[Language, ...]:
        """In which both are written."""
        return tuple(one for one in LANGUAGES if one in self.draft.texts and one in self.reference.texts)

    @property
    def pictures(self) -> tuple[Path, ...]:
        return self.reference.pictures or self.draft.pictures


@dataclass(frozen=True, slots=True)
class _Line:
    __pydantic_config__ = _STRICT
    study: Annotated[str, MinLen(1), MaxLen(200)]
    en: _Prose | None = None
    ja: _Prose | None = None
    facts: Any = None
    pictures: tuple[str, ...] = ()


def read_texts(path: Path) -> dict[str, ReportTexts]:
    """Every line of the file, by study. Pictures are named from the file's folder. Raises ConfigError."""
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(_Line)
    found: dict[str, ReportTexts] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            report = _drafted(record) if record else _written(adapter.validate_json(line), path.parent)
        except ValidationError as exc:
            raise ConfigError(f"{path}: line {number}: {'; '.join(faults_of(exc))}: see docs/status.md") from exc
        except (KeyError, TypeError) as exc:
            raise ConfigError(f"{path}: line {number}: no draft as `cathrt report --json` prints it ({exc})") from exc
        if report is None:
            continue
        if not report.texts and record is None:
            raise ConfigError(f'{path}: line {number}: no text, expected "en", "ja" or both')
        if report.study in found:
            raise ConfigError(
                f"{path}: line {number}: study {shown(report.study)} stands there twice: keep one of them"
            )
        found[report.study] = report
    if not found:
        raise ConfigError(f"{path}: no report, expected a JSON object a line: see docs/status.md")
    return found


def _record(line: str) -> dict[str, Any] | None:
    """A record of ours, which says its type; None for any other line."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) and "type" in read else None


def _drafted(record: dict[str, Any]) -> ReportTexts | None:
    """None for a record of another type. Raises KeyError and TypeError for what is no draft of ours."""
    if record["type"] != "draft":
        return None
    draft = record["draft"]
    found = {"en": draft["text"], "ja": draft["text_ja"]}
    texts: dict[Language, str] = {language: found[language] for language in LANGUAGES if found[language]}
    facts = draft["facts"] if texts else None
    return ReportTexts(str(record["study"]), texts, facts, ())


def _written(line: _Line, folder: Path) -> ReportTexts:
    found = {"en": line.en, "ja": line.ja}
    texts: dict[Language, str] = {language: text for language in LANGUAGES if (text := found[language]) is not None}
    return ReportTexts(line.study, texts, line.facts, tuple(folder / one for one in line.pictures))


def paired(drafts: Mapping[str, ReportTexts], references: Mapping[str, ReportTexts]) -> tuple[list[Pair], list[str]]:
    """The studies that have both, in the references' order, and those that have one of them alone.

    Raises ConfigError where no study has both, and for a reference without a text.
    """
    if untold := [study for study, reference in references.items() if not reference.texts]:
        raise ConfigError(f"the reference of study {shown(untold[0])} is a withheld draft: give a report")
    pairs = [Pair(drafts[study], reference) for study, reference in references.items() if study in drafts]
    if not pairs:
        raise ConfigError(
            f"no study has a draft and a reference: the drafts begin with {shown(next(iter(drafts)))}, the references "
            f"with {shown(next(iter(references)))}: give both the same names"
        )
    return pairs, sorted(drafts.keys() ^ references.keys())


def _lines(path: Path) -> list[str]:
    try:
        return read_input_file(path, _MAX_BYTES).decode("utf-8").split("\n")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): give a file of JSON lines") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 ({exc.reason} at byte {exc.start}): save it as UTF-8") from exc

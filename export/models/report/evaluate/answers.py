"""The scores that clinicians gave on a form, counted by its key: means of drafts and references, and their difference.

Not for: the form itself (clinician_form.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from annotated_types import Ge, Le, MaxLen
from numpy.typing import NDArray

from cathrt.export.models.report.evaluate.clinician_form import LEAST, MOST, ORIGINS
from cathrt.export.qualify.intervals import Interval, bootstrap
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.validation import faults_of

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_SCALE = 1000  # the bootstrap takes whole numbers: thousandths of a point
_Document = TypeVar("_Document")


@dataclass(frozen=True, slots=True)
class Answers:
    """What one reader saved. scores, remarks: by number on the form."""

    __pydantic_config__ = _STRICT
    form: str
    reader: Annotated[str, MaxLen(40)]
    scores: dict[str, Annotated[int, Ge(LEAST), Le(MOST)]]
    remarks: dict[str, Annotated[str, MaxLen(2000)]]


@dataclass(frozen=True, slots=True)
class KeyItem:
    """Whose text a number is."""

    __pydantic_config__ = _STRICT
    study: str
    origin: Literal["draft", "reference"]
    language: Literal["en", "ja"]


@dataclass(frozen=True, slots=True)
class FormKey:
    """As clinician_form.form_of() makes it."""

    __pydantic_config__ = _STRICT
    form: str
    items: dict[str, KeyItem]


@dataclass(frozen=True, slots=True)
class ClinicianScores:
    """Points, with 95 % intervals over studies. difference: draft less reference, of texts that one reader scored both.

    None where nothing was scored.
    """

    readers: int
    scores: int
    draft: float | None
    draft_95: Interval | None
    reference: float | None
    reference_95: Interval | None
    difference: float | None
    difference_95: Interval | None


def read_key(path: Path) -> FormKey:
    """Raises ConfigError."""
    return _read(path, FormKey)


def read_answers(path: Path, key: FormKey) -> Answers:
    """Raises ConfigError, also where they are of another form, or of numbers that it does not have."""
    answers = _read(path, Answers)
    if answers.form != key.form:
        raise ConfigError(f"{path}: scores of form {answers.form!r}, the key is that of {key.form!r}: give its own key")
    if unknown := sorted(answers.scores.keys() - key.items.keys()):
        raise ConfigError(f"{path}: scores number {unknown[0]!r}, which the form does not have")
    return answers


def clinician_scores(answers: Sequence[Answers], key: FormKey) -> ClinicianScores:
    """Means over all scores. Whole studies are redrawn for the intervals, so readers of one study stay together."""
    by_study: dict[str, list[tuple[str, str, str, int]]] = {}
    for number_of_reader, one in enumerate(answers):
        for number, score in one.scores.items():
            item = key.items[number]
            by_study.setdefault(item.study, []).append((str(number_of_reader), item.language, item.origin, score))
    studies = [_of_study(scores) for scores in by_study.values()]
    draft, reference, difference = (_mean([study[part] for study in studies]) for part in (*ORIGINS, "difference"))
    scores = sum(len(one.scores) for one in answers)
    return ClinicianScores(len(answers), scores, *draft, *reference, *difference)


def _of_study(scores: Sequence[tuple[str, str, str, int]]) -> dict[str, list[int]]:
    """Points by origin, and the differences where one reader scored both texts of a language."""
    found: dict[str, list[int]] = {origin: [score for _, _, of, score in scores if of == origin] for origin in ORIGINS}
    of_reader = {(reader, language, origin): score for reader, language, origin, score in scores}
    found["difference"] = [
        score - of_reader[reader, language, "reference"]
        for (reader, language, origin), score in of_reader.items()
        if origin == "draft" and (reader, language, "reference") in of_reader
    ]
    return found


def _mean(by_study: Sequence[Sequence[int]]) -> tuple[float | None, Interval | None]:
    sums = np.array([(_SCALE * sum(points), len(points)) for points in by_study if points], np.int64)
    if not len(sums):
        return None, None

    def mean(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(drawn[..., 0] / drawn[..., 1] / _SCALE, np.float64)

    return float(mean(sums.sum(axis=0))), bootstrap(sums, mean)


def _read(path: Path, made: type[_Document]) -> _Document:
    from pydantic import TypeAdapter, ValidationError

    adapter: Any = TypeAdapter(made)
    try:
        found: _Document = adapter.validate_json(read_input_file(path))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): give a JSON file") from exc
    except ValidationError as exc:
        raise ConfigError(f"{path}: {'; '.join(faults_of(exc))}: give a file as the form made it") from exc
    return found

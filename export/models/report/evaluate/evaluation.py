"""Drafts against references: facts that both state, and VLScore where an encoder is there.

Not for: files (texts.py), what is printed (command.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.report.evaluate.fact_scores import KINDS, FactKind, Score, fact_counts, score_of
from cathrt.export.models.report.evaluate.stated import Stated, stated_in
from cathrt.export.models.report.evaluate.texts import Pair, ReportTexts
from cathrt.export.models.report.evaluate.vlscore import Embedding, vlscore
from cathrt.export.qualify.intervals import Interval, bootstrap
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.facts import Facts
from cathrt.runtime.models.report.schema import FactsError, facts_from_json
from cathrt.runtime.models.report.section import LANGUAGES, Language

_SCALE = 10**6  # the bootstrap takes whole numbers


class Embedder(Protocol):
    """Pictures and texts in one space (encoder.Encoder). zero_area: from which on VLScore is 0."""

    zero_area: float

    def picture(self, path: Path) -> Embedding: ...
    def text(self, text: str) -> Embedding: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """scores: by kind of fact. withheld: drafts that have no text, and so state nothing.

    unread: sentences of the texts that say something which no fact can hold. languages: whose texts facts of references
    were read from: the English one, where there is one. vlscores: by language, mean and 95 % interval over studies.
    left_out: studies without a VLScore, and why.
    """

    studies: int
    withheld: int
    languages: tuple[Language, ...]
    scores: Mapping[FactKind, Score]
    unread: int
    vlscores: Mapping[Language, tuple[float, Interval]]
    left_out: tuple[tuple[str, str], ...]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def evaluated(pairs: Sequence[Pair], encoder: Embedder | None) -> Evaluation:
    """Of all pairs; at least one. Raises ConfigError and EngineError as the encoder does."""
    drafts, references = ([_stated(report) for report in of] for of in zip(*_reports(pairs), strict=True))
    counts = np.stack([fact_counts(one.facts, other.facts) for one, other in zip(drafts, references, strict=True)])
    vlscores, left_out = _vlscores(pairs, encoder) if encoder is not None else ({}, ())
    return Evaluation(
        studies=len(pairs),
        withheld=sum(not pair.draft.texts for pair in pairs),
        languages=tuple(one for one in LANGUAGES if any(_read_in(pair.reference) == one for pair in pairs)),
        scores={kind: score_of(counts, [kind]) for kind in KINDS},
        unread=sum(one.unread for one in (*drafts, *references)),
        vlscores=vlscores,
        left_out=left_out,
    )


def _reports(pairs: Sequence[Pair]) -> list[tuple[ReportTexts, ReportTexts]]:
    return [(pair.draft, pair.reference) for pair in pairs]


def _stated(report: ReportTexts) -> Stated:
    """Of the file's own facts where it has some, else of its text. A draft that was withheld states nothing."""
    if not report.texts:
        return Stated(Facts(()), 0)
    if report.facts is not None:
        try:
            return Stated(facts_from_json(json.dumps(report.facts)), 0)
        except FactsError as exc:
            raise ConfigError(f'study {report.study}: {exc}; leave "facts" out, or correct it') from exc
    language = _read_in(report)
    return stated_in(report.texts[language], language)


def _read_in(report: ReportTexts) -> Language:
    return next(language for language in LANGUAGES if language in report.texts)


def _vlscores(
    pairs: Sequence[Pair], encoder: Embedder
) -> tuple[dict[Language, tuple[float, Interval]], tuple[tuple[str, str], ...]]:
    """One score a study and language."""
    found: dict[Language, list[float]] = {}
    left_out = []
    for pair in pairs:
        if not pair.pictures or not pair.languages:
            why = "no picture is named" if not pair.pictures else "no language is that of both texts"
            left_out.append((pair.study, f"{why}: it has no VLScore"))
            continue
        pictures = [encoder.picture(path) for path in pair.pictures]
        for language in pair.languages:
            reference, draft = (encoder.text(report.texts[language]) for report in (pair.reference, pair.draft))
            found.setdefault(language, []).append(vlscore(pictures, reference, draft, encoder.zero_area))
    return {language: _mean(scores) for language, scores in found.items()}, tuple(left_out)


def _mean(scores: Sequence[float]) -> tuple[float, Interval]:
    sums = np.array([(round(_SCALE * score), 1) for score in scores], np.int64)

    def mean(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(drawn[..., 0] / drawn[..., 1] / _SCALE, np.float64)

    return float(np.mean(scores)), bootstrap(sums, mean)

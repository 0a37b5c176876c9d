"""What drafts of known truth are worth: facts, contradictions, how far both languages agree, and simple answers beside.

docs/status.md defines every figure. Not for: where drafts come from (report_studies.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from benchmarks.figures import Figures
from benchmarks.report_studies import DraftedStudy
from cathrt.export.models.report.evaluate.fact_scores import (
    KINDS,
    LESION_KINDS,
    Counts,
    FactKind,
    f1_ahead,
    fact_counts,
    score_of,
)
from cathrt.export.models.report.evaluate.stated import stated_in
from cathrt.runtime.models.report.check import Reason, check_prose
from cathrt.runtime.models.report.facts import Facts, Lesion, Side
from cathrt.runtime.models.report.places import SIDE_OF
from cathrt.runtime.models.report.section import LANGUAGES, Language

MARGIN = 0.05  # of the lesions' F1: so much the model must be ahead of every simple answer, at the interval's lower end
SIMPLE = ("commonest", "template", "dealt")
REASONS: Mapping[Reason, str] = {"contradiction": "contradictions", "unsupported": "unsupported"}  # what is counted
_NONE = Facts(())


@dataclass(frozen=True, slots=True)
class Commonest:
    """The answer that was commonest in other studies of the same sides."""

    by_sides: Mapping[tuple[Side, ...], Facts]

    def answer(self, sides: tuple[Side, ...]) -> Facts:
        return self.by_sides.get(sides, Facts(sides))


def commonest_of(learnt: Sequence[Facts]) -> Commonest:
    """Of each kind of study, as many of its commonest narrowings as score best there (F1 of the lesions), one at least:
    the best that can be said without looking."""
    by_sides: dict[tuple[Side, ...], list[Facts]] = {}
    for facts in learnt:
        by_sides.setdefault(facts.sides, []).append(facts)
    return Commonest({sides: _best_guess(sides, of) for sides, of in by_sides.items()})


def _best_guess(sides: tuple[Side, ...], of: Sequence[Facts]) -> Facts:
    seen = Counter(replace(lesion, segment=None) for facts in of for lesion in facts.lesions)
    dominance = Counter(facts.dominance for facts in of).most_common(1)[0][0]
    ranked: list[Lesion] = [lesion for lesion, _ in seen.most_common()]
    guesses = [Facts(sides, tuple(ranked[:count]), dominance) for count in range(1, min(len(ranked), 8) + 1)]
    return max(guesses, key=lambda guess: _f1(_counts([guess] * len(of), of)), default=Facts(sides, (), dominance))


def _counts(found: Sequence[Facts], truth: Sequence[Facts]) -> Counts:
    return np.stack([fact_counts(one, other) for one, other in zip(found, truth, strict=True)])


def _f1(counts: Counts) -> float:
    return score_of(counts, LESION_KINDS).f1 or 0.0


def answers_by(studies: Sequence[DraftedStudy], commonest: Commonest) -> dict[str, list[Facts]]:
    """What everybody says of each study. model: of the draft; nothing where it is withheld. dealt: the model's answers,
    each given to another study of the same sides."""
    model = [study.draft.facts if study.draft.withheld is None else None for study in studies]
    stated = [facts or _NONE for facts in model]
    return {
        "model": stated,
        "commonest": [commonest.answer(study.findings.known.sides) for study in studies],
        "template": [study.findings.known for study in studies],
        "dealt": _dealt(stated, [study.case.sides for study in studies]),
    }


def _dealt(facts: Sequence[Facts], sides: Sequence[tuple[Side, ...]]) -> list[Facts]:
    """Turned by one among the studies of the same sides, in an order that is drawn: nobody keeps an answer of one's
    own, unless one is alone."""
    dealt = list(facts)
    for kind in sorted(set(sides)):
        places = [place for place, own in enumerate(sides) if own == kind]
        Random(0).shuffle(places)
        for place, giver in zip(places, [*places[1:], *places[:1]], strict=True):
            dealt[place] = facts[giver]
    return dealt


def wrong_as_written(study: DraftedStudy) -> Counter[Reason] | None:
    """Sentences of both languages that the check strikes from what the model wrote, by reason.

    None where it did not come to write both languages.
    """
    if study.draft.facts is None or study.written.keys() != set(LANGUAGES):
        return None
    return Counter(one.reason for one in check_prose(study.written, study.draft.facts, study.findings).struck)


def wrong_as_shown(study: DraftedStudy) -> Counter[Reason] | None:
    """The same of what a reader is shown, read anew. None where the draft is withheld."""
    shown = shown_text(study)
    if shown is None or study.draft.facts is None:
        return None
    return Counter(one.reason for one in check_prose(shown, study.draft.facts, study.findings).struck)


def shown_text(study: DraftedStudy) -> dict[Language, str] | None:
    """None where it is withheld."""
    draft = study.draft
    return None if draft.text is None or draft.text_ja is None else {"en": draft.text, "ja": draft.text_ja}


def languages_agree(text: Mapping[Language, str]) -> bool:
    """Whether both say the same facts."""
    return stated_in(text["en"], "en").facts == stated_in(text["ja"], "ja").facts


def sides_called_clear(facts: Facts, truth: Facts) -> list[bool]:
    """Of each side that was stated and has a narrowing: whether none is named there."""
    narrowed = {SIDE_OF[lesion.artery] for lesion in truth.lesions}
    named = {SIDE_OF[lesion.artery] for lesion in facts.lesions}
    return [side not in named for side in facts.sides if side in narrowed]


def figures_of(studies: Sequence[DraftedStudy], commonest: Commonest) -> Figures:
    """All figures of the drafts of these studies."""
    found, answers = Figures(), answers_by(studies, commonest)
    truth = [study.truth for study in studies]
    counts = {who: _counts(facts, truth) for who, facts in answers.items()}
    for who, of in counts.items():
        found.rows.append({"case": "facts", "impl": who, "studies": len(studies), **_row(of)})
    of_scenes = _counts(answers["model"], [study.of_scenes for study in studies])
    found.rows.append({"case": "facts of the scene", "impl": "model", "studies": len(studies), **_row(of_scenes)})
    _facts(found, counts)
    _texts(found, studies)
    for who in ("model", "template"):
        wrong = [sides_called_clear(own, true) for own, true in zip(answers[who], truth, strict=True)]
        found.rate(f"{who}_sides_called_clear", [one for of_study in wrong for one in of_study])
    return found


def _row(counts: Counts) -> dict[str, Any]:
    return {
        kind: {
            name: value if value is None or isinstance(value, int) else round(value, 4)
            for name in ("right", "stated", "true", "precision", "recall", "f1")
            for value in [getattr(score_of(counts, [kind]), name)]
        }
        for kind in KINDS
    }


def _facts(found: Figures, counts: Mapping[str, Counts]) -> None:
    kinds: tuple[FactKind, ...] = ("side", *LESION_KINDS)
    for kind in kinds:
        score = score_of(counts["model"], [kind])
        for name in ("precision", "recall"):
            value, interval = getattr(score, name), getattr(score, f"{name}_95")
            if value is not None:
                found.headline[f"{kind}_{name}"], found.intervals[f"{kind}_{name}"] = value, interval
    for who, of in counts.items():
        score = score_of(of, LESION_KINDS)
        if score.f1 is not None and score.f1_95 is not None:
            found.headline[f"lesion_f1_{who}"], found.intervals[f"lesion_f1_{who}"] = score.f1, score.f1_95
    for who in SIMPLE:
        key = f"lesion_f1_ahead_of_{who}"
        found.headline[key], found.intervals[key] = f1_ahead(counts["model"], counts[who], LESION_KINDS)


def _texts(found: Figures, studies: Sequence[DraftedStudy]) -> None:
    before = [counts for study in studies if (counts := wrong_as_written(study)) is not None]
    after = [counts for study in studies if (counts := wrong_as_shown(study)) is not None]
    for reason, key in REASONS.items():
        found.mean(f"{key}_before", [counts[reason] for counts in before])
        found.mean(f"{key}_after", [counts[reason] for counts in after])
    written = [study.written for study in studies if study.written.keys() == set(LANGUAGES)]
    found.rate("languages_agree_before", [languages_agree(text) for text in written])
    texts = [text for study in studies if (text := shown_text(study)) is not None]
    found.rate("languages_agree", [languages_agree(text) for text in texts])
    shown = [study.draft for study in studies if study.draft.withheld is None]
    found.mean("struck", [len(draft.struck) for draft in shown])
    found.mean("omitted", [len(draft.omitted) for draft in shown])
    found.rate("withheld", [study.draft.withheld is not None for study in studies])
    reasons = Counter(study.draft.withheld for study in studies if study.draft.withheld is not None)
    found.rows += [{"case": "withheld", "impl": "model", "reason": why, "n": n} for why, n in reasons.most_common()]


def beats_simple_answers(found: Figures) -> bool:
    """Whether the model is ahead of every simple answer by MARGIN, at the lower end of the interval."""
    return all(found.intervals[f"lesion_f1_ahead_of_{who}"][0] >= MARGIN for who in SIMPLE)

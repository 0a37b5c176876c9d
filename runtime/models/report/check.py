"""Compares the prose of a draft with its facts and with the confirmed findings, sentence by sentence.

What is not true, not supported, an order, advice or certainty is struck. A draft that is then incomplete, or says
different things in its two languages, is withheld; nothing is put in its place. Not for: watermarks (alert.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cathrt.runtime.models.report import english, japanese
from cathrt.runtime.models.report.agreement import verdict
from cathrt.runtime.models.report.facts import Facts, Findings
from cathrt.runtime.models.report.lexicon import normalised
from cathrt.runtime.models.report.refusals import Refusal, refusal
from cathrt.runtime.models.report.schema import facts_faults
from cathrt.runtime.models.report.section import LANGUAGES, Language
from cathrt.runtime.models.report.stated import essential_items, items_of, stated_items, stated_lesions
from cathrt.runtime.models.report.statements import Clear, Sentence, Statement

Reason = Literal["contradiction", "unsupported", "repeated"] | Refusal
_STATEMENTS = {"en": english.statements, "ja": japanese.statements}


@dataclass(frozen=True, slots=True)
class Struck:
    """A sentence that was taken out of a draft. detail: what was wrong, for a reader of the record."""

    language: Language
    sentence: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft after its check.

    kept: what is left of each language's prose. omissions: items of the facts that it does not state, by language, as
    stated.py names them. same_facts: both languages state the same items. withheld: why the draft may not be shown;
    None where it may, and only then is `kept` of any use.
    """

    kept: dict[Language, str]
    struck: tuple[Struck, ...]
    omissions: dict[Language, tuple[str, ...]]
    same_facts: bool
    withheld: str | None

    def struck_for(self, reason: Reason) -> int:
        """How many sentences, in all languages."""
        return sum(one.reason == reason for one in self.struck)


def check_prose(prose: Mapping[Language, str], facts: Facts, findings: Findings) -> Checked:
    """prose: by language; a language that is missing has said nothing. facts: what the prose was written from."""
    struck: list[Struck] = []
    kept: dict[Language, str] = {}
    said: dict[Language, frozenset[str]] = {}
    for language in LANGUAGES:
        text = prose.get(language, "")
        sentences = _STATEMENTS[language](text)
        good, bad = _judged(language, sentences, facts)
        struck += bad
        kept[language] = _without(text, sentences, good)
        said[language] = stated_items((one for sentence in good for one in sentence.statements), facts)
    omissions = {language: _missing(said[language], facts) for language in LANGUAGES}
    same_facts = len(set(said.values())) == 1
    withheld = _withheld(kept, omissions, facts, findings, same_facts=same_facts)
    return Checked(kept=kept, struck=tuple(struck), omissions=omissions, same_facts=same_facts, withheld=withheld)


def _judged(language: Language, sentences: Sequence[Sentence], facts: Facts) -> tuple[list[Sentence], list[Struck]]:
    """Those that may stand, and those that may not.

    "No other" is judged last: it speaks of what the sentences that stand have left out.
    """
    found = {sentence: _struck(language, sentence, facts) for sentence in sentences if not _of_others(sentence)}
    good = [sentence for sentence in sentences if sentence in found and found[sentence] is None]
    stated = [one for sentence in good for one in sentence.statements]
    for sentence in sentences:
        if sentence not in found:
            found[sentence] = _struck(language, sentence, facts, stated)
    said: set[str] = set()
    for sentence in sentences:
        if found[sentence] is None and (words := normalised(sentence.text)) in said:
            found[sentence] = Struck(language, sentence.text, "repeated", "said before")
        elif found[sentence] is None:
            said.add(words)
    kept = [sentence for sentence in sentences if found[sentence] is None]
    return kept, [one for sentence in sentences if (one := found[sentence]) is not None]


def findings_conflict(facts: Facts, findings: Findings) -> str | None:
    """Where facts say other than what is confirmed; None where they do not."""
    known = findings.known
    if facts.sides != known.sides:
        return f"sides {list(facts.sides)}, confirmed {list(known.sides)}"
    if known.lesions and set(facts.lesions) != set(known.lesions):
        return f"{len(facts.lesions)} lesions that are not the {len(known.lesions)} confirmed ones"
    for name in ("dominance", "grafts"):
        said, confirmed = getattr(facts, name), getattr(known, name)
        if confirmed is not None and said != confirmed:
            return f"{name} {said}, confirmed {confirmed}"
    return None


def _of_others(sentence: Sentence) -> bool:
    return any(isinstance(one, Clear) and one.others for one in sentence.statements)


def _struck(language: Language, sentence: Sentence, facts: Facts, stated: Sequence[Statement] = ()) -> Struck | None:
    if (refused := refusal(language, sentence.text)) is not None:
        return Struck(language, sentence.text, refused[0], refused[1])
    lesions = stated_lesions([*stated, *sentence.statements], facts)
    verdicts = [verdict(statement, facts, lesions) for statement in sentence.statements]
    for reason in ("contradiction", "unsupported"):
        for found, detail in verdicts:
            if found == reason:
                return Struck(language, sentence.text, reason, detail)
    return None


def _without(text: str, sentences: Sequence[Sentence], good: Sequence[Sentence]) -> str:
    """The text with only the good sentences, each with what stood before it: white space, or the mark of a list."""
    starts = [0, *(sentence.end for sentence in sentences)]
    kept = [text[start : one.end] for start, one in zip(starts, sentences, strict=False) if one in good]
    return "".join(kept).strip()


def _missing(said: frozenset[str], facts: Facts) -> tuple[str, ...]:
    return tuple(item for item in items_of(facts) if item not in said)


def _withheld(
    kept: Mapping[Language, str],
    omissions: Mapping[Language, Sequence[str]],
    facts: Facts,
    findings: Findings,
    *,
    same_facts: bool,
) -> str | None:
    """The first reason in this order: the facts themselves, nothing left, an omission, the languages."""
    if faults := facts_faults(facts):
        return f"the facts cannot be true: {'; '.join(faults)}"
    if (conflict := findings_conflict(facts, findings)) is not None:
        return f"the facts contradict confirmed findings: {conflict}"
    if empty := [language for language, text in kept.items() if not text]:
        return f"nothing is left of the text: {', '.join(empty)}"
    essential = essential_items(facts)
    for language, missing in omissions.items():
        if lacking := [item for item in missing if item in essential]:
            return f"facts are not stated in {language}: {'; '.join(lacking)}"
    return None if same_facts else "the two languages do not state the same facts"

"""What each sentence of a written draft rests on: its facts, and the key frames that the model was shown.

Read again out of the record, by the same words as the check does. Not for: whether a sentence may stand (check.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from cathrt.runtime.alert import Draft
from cathrt.runtime.model_kind import DraftFact, DraftFrame, DraftLinks, DraftSentence, Side
from cathrt.runtime.models.report import english, japanese
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.places import SIDE_OF
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.section import Language
from cathrt.runtime.models.report.stated import clear_item, stated_items, stated_lesions
from cathrt.runtime.models.report.statements import Sentence, Shown
from cathrt.runtime.models.report.template import clear_sides, sentences_of


def links_of(draft: Draft) -> DraftLinks:
    """Of a draft of this kind. One without facts has no fact, and its sentences none either."""
    assert isinstance(draft, ReportDraft)
    frames = tuple(DraftFrame(one.run_id, one.frame_index, one.side, one.score) for one in draft.key_frames)
    if draft.facts is None:
        return DraftLinks((), (), frames)
    facts = draft.facts
    sentences = [
        *_sentences("en", english.statements(draft.text or ""), facts),
        *_sentences("ja", japanese.statements(draft.text_ja or ""), facts),
    ]
    return DraftLinks(tuple(sentences), tuple(_facts(facts)), frames)


def _facts(facts: Facts) -> Iterator[DraftFact]:
    """In the order of sentences_of()."""
    words = zip(sentences_of("en", facts), sentences_of("ja", facts), strict=True)
    for (text, text_ja), about in zip(words, _abouts(facts), strict=True):
        if isinstance(about, Lesion):
            yield DraftFact(text, text_ja, SIDE_OF[about.artery], about.artery, about.segment)
        else:
            yield DraftFact(text, text_ja, about)


def _abouts(facts: Facts) -> list[Lesion | Side | None]:
    """What each fact is about; None for what is of no one side."""
    abouts: list[Lesion | Side | None] = [facts.sides[0] if len(facts.sides) == 1 else None]
    abouts += [*facts.lesions, *clear_sides(facts)]
    return [*abouts, *([None] if facts.dominance is not None else []), *([None] if facts.grafts is not None else [])]


def _sentences(language: Language, found: tuple[Sentence, ...], facts: Facts) -> Iterator[DraftSentence]:
    for one in found:
        yield DraftSentence(language, one.text, one.start, one.end, tuple(sorted(_places(one, facts))))


def _places(sentence: Sentence, facts: Facts) -> set[int]:
    """Places of the facts that a sentence states."""
    items, places = stated_items(sentence.statements, facts), set[int]()
    if any(isinstance(one, Shown) for one in sentence.statements):
        places.add(0)
    first = 1
    for place, lesion in enumerate(facts.lesions, first):
        if lesion in stated_lesions(sentence.statements, facts):
            places.add(place)
    first += len(facts.lesions)
    clear = clear_sides(facts)
    places |= {first + place for place, side in enumerate(clear) if clear_item(side) in items}
    first += len(clear)
    if facts.dominance is not None:
        places |= {first} if f"dominance {facts.dominance}" in items else set()
        first += 1
    if facts.grafts is not None and f"grafts {facts.grafts}" in items:
        places.add(first)
    return places

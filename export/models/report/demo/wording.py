"""How a report of given facts is put together, in whatever language: which facts, in which order, drawn at random.

Not for: the words (english_reports.py, japanese_reports.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, Lesion, Side
from cathrt.runtime.models.report.section import Language
from cathrt.runtime.models.report.template import clear_sides
from cathrt.runtime.models.report.words import SEGMENT_NAMES, SIDE_NAMES

Choices = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language, as choices; blanks in braces.

    between: sentences. artery_alone: a place without a segment. graded: a narrowing of so many percent. sentence: of
    one or two narrowings. further: a sentence that goes on after another. grafts: a sentence of so many.
    """

    language: Language
    arteries: Mapping[Artery, Choices]
    sides: Mapping[tuple[Side, ...], Choices]
    no_lesion: Choices
    dominances: Mapping[Dominance, Choices]
    dominance: Choices
    ungraded: Choices
    occluded: Choices
    chronic: Choices
    places: Choices
    artery_alone: str
    between: str
    graded: Callable[[int, Random], str]
    sentence: Callable[[Sequence[Lesion], Random], str]
    further: Callable[[str, Random], str]
    grafts: Callable[[int, Random], str]


def worded(facts: Facts, draw: Random, words: Wording) -> str:
    """One wording of these facts. The same draws, the same text."""
    parts = [[draw.choice(words.sides[facts.sides])], _lesions(facts, draw, words)]
    if facts.dominance is not None:
        named = draw.choice(words.dominances[facts.dominance])
        parts.append([draw.choice(words.dominance).format(dominance=named)])
    if facts.grafts is not None:
        parts.append([words.grafts(facts.grafts, draw)])
    if draw.random() < 0.4:  # else sides first, as most reports have it
        rest = parts[1:]
        draw.shuffle(rest)
        parts = [parts[0], *rest]
    return words.between.join(sentence for part in parts for sentence in part)


def what(lesion: Lesion, draw: Random, words: Wording) -> str:
    """The narrowing, without its place."""
    if lesion.chronic:
        return draw.choice(words.chronic)
    if lesion.occluded:
        return draw.choice(words.occluded)
    if lesion.percent is None:
        return draw.choice(words.ungraded)
    return words.graded(lesion.percent, draw)


def where(lesion: Lesion, draw: Random, words: Wording) -> str:
    """Its place."""
    artery = draw.choice(words.arteries[lesion.artery])
    if lesion.segment is None:
        return words.artery_alone.format(artery=artery)
    name = SEGMENT_NAMES[words.language][lesion.segment]
    return draw.choice(words.places).format(artery=artery, segment=lesion.segment, name=name)


def _lesions(facts: Facts, draw: Random, words: Wording) -> list[str]:
    lesions = list(facts.lesions)
    if draw.random() < 0.2:
        draw.shuffle(lesions)
    sentences: list[str] = []
    while lesions:
        together = 2 if len(lesions) >= 2 and draw.random() < 0.3 else 1
        sentence = words.sentence(lesions[:together], draw)
        if sentences and draw.random() < 0.25:
            sentence = words.further(sentence, draw)
        sentences.append(sentence)
        lesions = lesions[together:]
    clear = [draw.choice(words.no_lesion).format(side=SIDE_NAMES[words.language][side]) for side in clear_sides(facts)]
    return [*sentences, *clear] if draw.random() < 0.7 else [*clear, *sentences]

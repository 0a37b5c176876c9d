"""How many facts of held-out pictures the model states, and how many of its facts are true, beside simple answers.

The simple answers: the commonest one always; the commonest one of the true side; the model's own, dealt to other
pictures.
Not for: prose (benchmarks/report_quality.py looks at that too), or the runtime's path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random

from cathrt.runtime.models.report.facts import Facts
from cathrt.runtime.models.report.schema import FactsError, facts_from_json

# What is compared, each as the set of things that facts state of it.
ASPECTS: dict[str, Callable[[Facts], frozenset[Hashable]]] = {
    "side": lambda facts: frozenset(facts.sides),
    "artery": lambda facts: frozenset(one.artery for one in facts.lesions),
    "segment": lambda facts: frozenset((one.artery, one.segment) for one in facts.lesions),
    "grade": lambda facts: frozenset((one.artery, one.percent) for one in facts.lesions),
    "cto": lambda facts: frozenset(one.artery for one in facts.lesions if one.chronic),
    "dominance": lambda facts: frozenset([facts.dominance] if facts.dominance else []),
}


@dataclass(frozen=True, slots=True)
class Score:
    """Of all pictures together. stated: how many things were stated, true: how many are true, right: how many both."""

    stated: int
    true: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.stated if self.stated else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2.0 * self.right / (self.stated + self.true) if self.stated + self.true else 0.0


def scores(found: Sequence[Facts], truth: Sequence[Facts]) -> dict[str, Score]:
    """By aspect."""
    result = {}
    for name, of in ASPECTS.items():
        pairs = [(of(one), of(other)) for one, other in zip(found, truth, strict=True)]
        result[name] = Score(
            sum(len(one) for one, _ in pairs),
            sum(len(other) for _, other in pairs),
            sum(len(one & other) for one, other in pairs),
        )
    return result


def facts_of(answer: str) -> Facts:
    """Of an answer; none where it is no JSON form of facts."""
    try:
        return facts_from_json(answer)
    except FactsError:
        return Facts(())


def commonest(training: Sequence[Facts]) -> Facts:
    """The commonest side, and of the narrowings the commonest one, whether or not most pictures have any."""
    sides = Counter(facts.sides for facts in training).most_common(1)[0][0]
    lesions = Counter(lesion for facts in training for lesion in facts.lesions).most_common(1)
    dominance = Counter(facts.dominance for facts in training).most_common(1)[0][0]
    return Facts(sides, tuple(lesion for lesion, _ in lesions), dominance)


def compared(found: Sequence[Facts], truth: Sequence[Facts], training: Sequence[Facts]) -> dict[str, dict[str, Score]]:
    """The model's scores and those of the simple answers, by who answers. found: of the model, one a picture."""
    by_side = {
        sides: commonest([facts for facts in training if facts.sides == sides])
        for sides in {facts.sides for facts in training}
    }
    dealt = list(found)
    Random(0).shuffle(dealt)
    return {
        "model": scores(found, truth),
        "commonest": scores([commonest(training)] * len(truth), truth),
        "commonest_of_side": scores([by_side[facts.sides] for facts in truth], truth),
        "dealt_to_others": scores(dealt, truth),
    }


def as_evidence(found: dict[str, dict[str, Score]]) -> dict[str, dict[str, dict[str, float]]]:
    """As JSON."""
    return {
        who: {
            name: {
                "precision": round(score.precision, 4),
                "recall": round(score.recall, 4),
                "f1": round(score.f1, 4),
                "stated": score.stated,
                "true": score.true,
            }
            for name, score in of.items()
        }
        for who, of in found.items()
    }

"""What a trained network is worth: facts of held-out pictures and studies, and prose of given facts.

Not for: the measures themselves (evaluate.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.answers import answers
from cathrt.export.models.report.demo.evaluate import as_evidence, compared, facts_of
from cathrt.export.models.report.demo.made_up_facts import made_up_facts
from cathrt.export.models.report.demo.pictures import Picture, as_taken
from cathrt.export.models.report.demo.tasks import Task, joined, picture_task, unknown_side_task
from cathrt.runtime.models.report import english, japanese
from cathrt.runtime.models.report.check import check_prose
from cathrt.runtime.models.report.facts import Facts, Findings
from cathrt.runtime.models.report.prompt import prose_prompt
from cathrt.runtime.models.report.section import LANGUAGES, ReportSection

_PROSE_SEED = 1 << 40  # far from the seeds of training


def evidence_of(
    network: Gemma3ForConditionalGeneration,
    tokenizer: Tokenizer,
    section: ReportSection,
    test: Sequence[Picture],
    training: Sequence[Facts],
    prose_count: int,
) -> dict[str, Any]:
    """Free JSON. picture_alone: its side is asked too. side_given: it is told. study: a picture of each side. prose: of
    so many sets of facts drawn at random. training: facts of the pictures that the simple answers learn from."""
    images = torch.from_numpy(as_taken([picture.image for picture in test]))
    truth = [picture.facts for picture in test]
    draw = Random(0)

    def asked(tasks: Sequence[Task]) -> list[Facts]:
        return [facts_of(answer) for answer in answers(network, tokenizer, section, tasks, images)]

    alone = asked([unknown_side_task(section, facts, number) for number, facts in enumerate(truth)])
    given = asked([picture_task(section, facts, [number], draw) for number, facts in enumerate(truth)])
    lefts, rights = (
        [number for number, facts in enumerate(truth) if facts.sides == (side,)] for side in ("left", "right")
    )
    pairs = list(zip(lefts, rights, strict=False))
    of_pairs = [joined(truth[left], truth[right]) for left, right in pairs]
    studies = asked([picture_task(section, facts, pair, draw) for facts, pair in zip(of_pairs, pairs, strict=True)])
    sides = {side: [facts for facts in training if facts.sides == (side,)] for side in ("left", "right")}
    trained_pairs = [joined(*pair) for pair in zip(sides["left"], sides["right"], strict=False)]
    return {
        "pictures": len(truth),
        "studies": len(of_pairs),
        "picture_alone": as_evidence(compared(alone, truth, training)),
        "side_given": as_evidence(compared(given, truth, training)),
        "study": as_evidence(compared(studies, of_pairs, trained_pairs)),
        "prose": prose_evidence(network, tokenizer, section, prose_count),
    }


def prose_evidence(
    network: Gemma3ForConditionalGeneration, tokenizer: Tokenizer, section: ReportSection, count: int
) -> dict[str, float]:
    """How faithful the prose of facts drawn at random is, by the runtime's own check.

    faithful: share of the sets of facts whose prose states all of them, and nothing else, in both languages.
    """
    given = [made_up_facts(Random(_PROSE_SEED + number)) for number in range(count)]
    tasks = [Task(prose_prompt(section, language, facts), "") for language in LANGUAGES for facts in given]
    none = torch.zeros(0, 0, 0, dtype=torch.uint8)
    texts = answers(network, tokenizer, section, tasks, none)
    faithful = struck = sentences = 0
    for facts, in_english, in_japanese in zip(given, texts[:count], texts[count:], strict=True):
        checked = check_prose({"en": in_english, "ja": in_japanese}, facts, Findings(1, (), Facts(facts.sides)))
        struck += len(checked.struck)
        sentences += len(english.statements(in_english)) + len(japanese.statements(in_japanese))
        faithful += not checked.struck and not any(checked.omissions.values())
    return {"facts": count, "faithful": faithful / count, "sentences": sentences, "sentences_struck": struck}

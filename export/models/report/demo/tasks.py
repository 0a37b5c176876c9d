"""What the model is asked and what it shall answer: the runtime's own prompts, and answers made from the truth.

Three tasks: facts of pictures as JSON, facts in English prose, facts in Japanese prose. Not for: batches of them
(language_stage.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tokenizers import Tokenizer

from cathrt.export.models.report.demo.english_reports import english_report
from cathrt.export.models.report.demo.japanese_reports import japanese_report
from cathrt.export.models.report.demo.made_up_facts import made_up_facts
from cathrt.export.models.report.demo.seen import in_order
from cathrt.export.models.report.demo.tokenizer import END_OF_TURN
from cathrt.runtime.models.report.facts import Facts, Findings, KeyFrame
from cathrt.runtime.models.report.prompt import Part, PictureMark, facts_prompt, prose_prompt
from cathrt.runtime.models.report.schema import json_from_facts
from cathrt.runtime.models.report.section import Language, ReportSection

_WRITERS = {"en": english_report, "ja": japanese_report}


@dataclass(frozen=True, slots=True)
class Task:
    """parts: of the prompt. answer: what shall follow. pictures: which pictures the marks mean, in their order."""

    parts: tuple[Part, ...]
    answer: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """A task in token ids. answer_from: where the answer begins. pictures: as in Task."""

    ids: tuple[int, ...]
    answer_from: int
    pictures: tuple[int, ...]


def findings_of(facts: Facts, draw: Random) -> Findings:
    """What a study whose pictures show these facts has confirmed: the sides, and how many runs there were."""
    runs = draw.randint(len(facts.sides), 9)
    frames = tuple(
        KeyFrame(number, f"run-{number}", f"pass-{number}", 0, side, 0.9) for number, side in enumerate(facts.sides, 1)
    )
    return Findings(runs, frames, Facts(facts.sides))


def picture_task(section: ReportSection, facts: Facts, pictures: Sequence[int], draw: Random) -> Task:
    """Facts as JSON from the best picture of each side. pictures: left first, one of each side of the facts."""
    parts = facts_prompt(section, findings_of(facts, draw))
    return Task(parts, json_from_facts(facts), tuple(pictures))


def unknown_side_task(section: ReportSection, facts: Facts, picture: int) -> Task:
    """Facts as JSON from one picture whose side nobody has told."""
    before, after = section.prompts.facts.split("{pictures}")
    asked = before.replace("{findings}", "runs 1; shown unknown; pictures unknown")
    return Task((section.prompts.system, asked, PictureMark(0), after), json_from_facts(facts), (picture,))


def copied_task(section: ReportSection, facts: Facts, draw: Random) -> Task:
    """Facts as JSON from findings that hold them all: nothing is to be seen."""
    findings = replace(findings_of(facts, draw), key_frames=(), known=facts)
    return Task(facts_prompt(section, findings), json_from_facts(facts))


def prose_task(section: ReportSection, language: Language, facts: Facts, draw: Random) -> Task:
    """Given facts in prose, in one of many wordings."""
    return Task(prose_prompt(section, language, facts), _WRITERS[language](facts, draw))


def made_up_task(section: ReportSection, draw: Random, seen: Sequence[Facts] = ()) -> Task:
    """A task without pictures. seen: facts of pictures, which three of ten are of."""
    facts = draw.choice(seen) if seen and draw.random() < 0.3 else made_up_facts(draw)
    drawn = draw.random()
    if drawn < 0.06:
        return copied_task(section, facts, draw)
    return prose_task(section, "en" if drawn < 0.5 else "ja", facts, draw)


def joined(left: Facts, right: Facts) -> Facts:
    """The facts of a study with a picture of each side."""
    dominance = left.dominance or right.dominance
    if left.dominance and right.dominance and left.dominance != right.dominance:
        dominance = None  # two scenes drawn apart may contradict each other
    return Facts(("left", "right"), in_order((*left.lesions, *right.lesions)), dominance)


def tokens_of(task: Task, tokenizer: Tokenizer, section: ReportSection) -> Tokens:
    """Each part for itself, as the runtime does it; a picture is its begin mark, soft tokens and end mark."""
    ids = [section.tokens.begin, *prompt_ids(task.parts, tokenizer, section)]
    answer = tokenizer.encode(task.answer + END_OF_TURN, add_special_tokens=False).ids
    return Tokens((*ids, *answer), len(ids), task.pictures)


def prompt_ids(parts: Sequence[Part], tokenizer: Tokenizer, section: ReportSection) -> list[int]:
    """Ids of a prompt without the begin token."""
    tokens, picture = section.tokens, section.picture
    assert picture is not None
    block = [tokens.begin_image, *[tokens.image] * picture.tokens, tokens.end_image]
    ids: list[int] = []
    for part in parts:
        ids += block if isinstance(part, PictureMark) else tokenizer.encode(part, add_special_tokens=False).ids
    return ids


def tokenizer_texts(section: ReportSection, seed: int, count: int) -> list[str]:
    """Prompts and answers for the tokenizer to learn from."""
    draw = Random(seed)
    texts: list[str] = []
    for _ in range(count):
        task = made_up_task(section, draw)
        texts += [*(part for part in task.parts[1:] if isinstance(part, str)), task.answer]
        facts = made_up_facts(draw)
        texts += [part for part in picture_task(section, facts, (), draw).parts[1:] if isinstance(part, str)]
    return [section.prompts.system] * (count // 10) + texts

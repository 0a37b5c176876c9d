"""The texts on which an engine is held against its network: prompts as the runtime makes them, and answers to force.

Findings, facts and key frames are generated, the same ones each time; no study is needed. Not for: running them
(answers.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle.manifest import Preprocessing
from cathrt.runtime.models.report.facts import Dominance, Facts, Findings, KeyFrame, Lesion, Side
from cathrt.runtime.models.report.layout import Layout, laid_out
from cathrt.runtime.models.report.places import arteries_of, segments_of
from cathrt.runtime.models.report.prompt import PictureMark, facts_prompt, prose_prompt
from cathrt.runtime.models.report.prompt_parts import Markup, Part, Prompt
from cathrt.runtime.models.report.schema import PERCENTS, facts_faults, json_from_facts
from cathrt.runtime.models.report.section import LANGUAGES, ReportSection
from cathrt.runtime.models.report.template import prose_from_facts
from cathrt.runtime.models.report.tokens import Tokenizer
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.preprocess import Preprocessor

SEED = 91_000_000  # of scenes and facts that nothing else draws
PICTURES = 4  # two of each side
_MATRIX = 256
_MOST_LESIONS = 3
_MOST_CASES = 200  # of a tokenizer that makes one token of a whole text, the sample stays small


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """name: for messages. parts: of the prompt; a number is a picture's. answer: token ids that are forced."""

    name: str
    parts: tuple[str | int, ...]
    answer: tuple[int, ...]

    @property
    def pictures(self) -> tuple[int, ...]:
        return tuple(part for part in self.parts if isinstance(part, int))

    def layout(self, section: ReportSection, tokenizer: Tokenizer, pictures: Sequence[NDArray[np.float32]]) -> Layout:
        """As the runtime lays a prompt out. pictures: embeddings, (tokens, hidden), by number."""
        parts: list[Part] = [Markup(part) if isinstance(part, str) else pictures[part] for part in self.parts]
        return laid_out(Prompt(tuple(parts)), tokenizer, section)


def cases_for(section: ReportSection, tokenizer: Tokenizer, positions: int) -> tuple[Case, ...]:
    """Cases of at least so many positions of answers together: facts of pictures, then prose in each language.

    Answers that do not fit into the context, or are longer than the bundle's, are cut.
    """
    cases: list[Case] = []
    number = total = 0
    while total < positions and len(cases) < _MOST_CASES:
        for case in _of_study(section, tokenizer, number):
            cases.append(case)
            total += len(case.answer)
        number += 1
    return tuple(cases)


@cache
def grey_pictures() -> tuple[NDArray[np.float32], ...]:
    """Key frames, (rows, columns) float32 in [0, 1]: left and right in turn."""
    return tuple(_grey(SEED + number, cast(Side, side)) for number, side in enumerate(_sides()))


def _sides() -> list[str]:
    return [("left", "right")[number % 2] for number in range(PICTURES)]


def _of_study(section: ReportSection, tokenizer: Tokenizer, number: int) -> list[Case]:
    draw = random.Random(SEED + number)
    facts = _facts(draw)
    findings = _findings(facts, draw)
    asked = [(f"study {number}, facts", facts_prompt(section, findings), json_from_facts(facts))]
    asked += [
        (f"study {number}, {language}", prose_prompt(section, language, facts), prose_from_facts(language, facts))
        for language in LANGUAGES
    ]
    cases = []
    for name, parts, text in asked:
        marked = tuple(_number_of(findings, part) if isinstance(part, PictureMark) else part for part in parts)
        answer = (*tokenizer.encode(text), section.tokens.end[0])
        tokens = section.picture.tokens + 2 if section.picture is not None else 0
        taken = 1 + sum(tokens if isinstance(part, int) else len(tokenizer.encode_markup(part)) for part in marked)
        room = min(section.most_tokens, section.context - taken)
        if room > 0:
            cases.append(Case(name, marked, answer[:room]))
    return cases


def _number_of(findings: Findings, mark: PictureMark) -> int:
    """Of a picture, by the frame number that _findings gave it."""
    return findings.key_frames[mark.index].frame_index


def _findings(facts: Facts, draw: random.Random) -> Findings:
    """Key frames whose frame_index is the number of a generated picture of their side."""
    frames: list[KeyFrame] = []
    for side in facts.sides:
        number = draw.choice([place for place, one in enumerate(_sides()) if one == side])
        frames.append(KeyFrame(len(frames) + 1, f"run-{number}", "", number, side, round(draw.uniform(0.6, 0.99), 2)))
    return Findings(draw.randint(2, 12), tuple(frames), Facts(sides=facts.sides))


def _facts(draw: random.Random) -> Facts:
    """Facts that could be of one study."""
    while True:
        sides = cast("tuple[Side, ...]", draw.choice([("left", "right"), ("left", "right"), ("left",), ("right",)]))
        dominance = cast("Dominance | None", draw.choice([*get_args(Dominance), None]))
        grafts = draw.choice([None, None, 0, 1, 3])
        lesions = tuple(_lesion(sides, dominance, draw) for _ in range(draw.randint(0, _MOST_LESIONS)))
        facts = Facts(sides, lesions, dominance, grafts)
        if not facts_faults(facts):
            return facts


def _lesion(sides: tuple[Side, ...], dominance: Dominance | None, draw: random.Random) -> Lesion:
    artery = draw.choice(arteries_of(sides))
    segment, percent = draw.choice(segments_of(artery, dominance)), draw.choice(PERCENTS)
    occluded = percent == 100
    return Lesion(artery, segment, percent, occluded, occluded and draw.random() < 0.5)


def _grey(seed: int, side: Side) -> NDArray[np.float32]:
    """The middle frame of a generated run, windowed as the runtime windows a key frame."""
    source = PhantomSource(sample_scene(seed, side=side, matrix=_MATRIX))
    made = Preprocessing(
        input="pixels",
        layout="NCHW",
        height=_MATRIX,
        width=_MATRIX,
        window="percentile",
        percentiles=(1.0, 99.0),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        masked_value=0.0,
    )
    tensor = np.zeros(made.shape, np.float32)
    Preprocessor(source.run, made)(source.render((source.run.frame_count or 1) // 2), tensor)
    source.close()
    grey: NDArray[np.float32] = tensor[0, 0]
    return grey

"""The prompts of a draft: the bundle's texts with their blanks filled from confirmed findings, and from facts.

Only numbers and words of a closed vocabulary are filled in. No name, description, comment, id or text of a picture
ever gets here, so that nothing a study says of itself can give the model an order. Not for: token ids (tokens.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cathrt.runtime.models.report.facts import Facts, Findings, Lesion
from cathrt.runtime.models.report.schema import json_from_facts
from cathrt.runtime.models.report.section import Language, ReportPrompts, ReportSection

_BLANK = re.compile(r"(\{findings\}|\{pictures\}|\{facts\})")

# What the exporter writes into a bundle that brings no prompts of its own. The turn marks are Gemma's.
DEFAULT_PROMPTS = ReportPrompts(
    system="<start_of_turn>user\nYou draft reports of coronary angiography for research. State only what is shown.\n",
    facts="Confirmed: {findings}.\n{pictures}\nFacts as JSON:<end_of_turn>\n<start_of_turn>model\n",
    prose={
        "en": "Facts: {facts}\nReport in English, one sentence for each fact, no advice:"
        "<end_of_turn>\n<start_of_turn>model\n",
        "ja": "Facts: {facts}\n日本語の所見、事実ごとに一文、助言なし:<end_of_turn>\n<start_of_turn>model\n",
    },
)


@dataclass(frozen=True, slots=True)
class PictureMark:
    """Where a picture's embeddings go. index: of its key frame in Findings.key_frames."""

    index: int


Part = str | PictureMark


def facts_prompt(section: ReportSection, findings: Findings) -> tuple[Part, ...]:
    """Asks for the JSON facts. The system text is a part of its own, and the first: it is the same in every draft."""
    pictures = chosen_pictures(section, findings)
    texts = {"{findings}": findings_text(findings, pictures)}
    return section.prompts.system, *_filled(section.prompts.facts, texts, pictures)


def prose_prompt(section: ReportSection, language: Language, facts: Facts) -> tuple[Part, ...]:
    """Asks for the prose of the facts in one language. The system text is the first part."""
    return section.prompts.system, *_filled(section.prompts.prose[language], {"{facts}": json_from_facts(facts)}, ())


def chosen_pictures(section: ReportSection, findings: Findings) -> tuple[int, ...]:
    """Indices of the key frames that the model gets to see: the best of each side that was shown, left first.

    At most as many as the bundle takes; then the side with the better key frame is seen. Key frames of unknown side
    are not used.
    """
    frames = findings.key_frames
    best = {side: next((i for i, one in enumerate(frames) if one.side == side), None) for side in ("left", "right")}
    shown = [index for side, index in best.items() if index is not None and side in findings.known.sides]
    kept = sorted(shown)[: section.pictures]
    return tuple(index for index in shown if index in kept)


def findings_text(findings: Findings, pictures: tuple[int, ...]) -> str:
    """The confirmed findings in one line. pictures: the key frames that follow, by index."""
    known = findings.known
    parts = [f"runs {findings.runs}", f"shown {_listed(known.sides)}"]
    if pictures:
        parts.append(f"pictures {_listed([str(findings.key_frames[index].side) for index in pictures])}")
    if known.lesions:
        parts.append(f"lesions {_listed([_lesion_text(lesion) for lesion in known.lesions])}")
    if known.dominance is not None:
        parts.append(f"dominance {known.dominance}")
    if known.grafts is not None:
        parts.append(f"grafts {known.grafts}")
    return "; ".join(parts)


def _lesion_text(lesion: Lesion) -> str:
    grade = "ungraded" if lesion.percent is None else f"{lesion.percent}%"
    kind = " chronic occlusion" if lesion.chronic else " occlusion" if lesion.occluded else ""
    return " ".join([lesion.artery, *([] if lesion.segment is None else [lesion.segment]), grade]) + kind


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words) or "none"


def _filled(template: str, texts: Mapping[str, str], pictures: tuple[int, ...]) -> list[Part]:
    """The template with texts in the place of their blanks, joined, and marks in the place of {pictures}.

    Done in one pass: what is filled in is never looked at for blanks.
    """
    parts: list[Part] = []
    for piece in _BLANK.split(template):
        if piece == "{pictures}":
            parts += [PictureMark(index) for index in pictures]
            continue
        text = texts.get(piece, piece)
        if parts and isinstance(parts[-1], str):
            text = f"{parts.pop()}{text}"
        if text:
            parts.append(text)
    return parts

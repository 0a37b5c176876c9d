"""MODEL_CARD.md of the demonstration report model, written from what was recorded of its training and measured after.

Not for: any other model; what this one is and is not is said here in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cathrt.runtime.alert import NOTICE

# Rows of a table: key of evaluate.ASPECTS, words.
_ROWS = (
    ("side", "side"),
    ("artery", "artery of a narrowing"),
    ("segment", "segment of a narrowing"),
    ("grade", "artery and grade"),
    ("cto", "chronic total occlusion"),
    ("dominance", "dominance"),
)
_COLUMNS = (
    ("model", "model"),
    ("commonest", "always the commonest"),
    ("commonest_of_side", "the commonest of the true side"),
    ("dealt_to_others", "the model's answers to other pictures"),
)
_QUESTIONS = (
    ("picture_alone", "One picture, the side not told"),
    ("side_given", "One picture, the side told"),
    ("study", "A picture of each side, both told"),
)


def model_card(training: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """The card as Markdown. training: training.json; evidence: evidence.json (train_report.py writes both)."""
    found = evidence["adapter"]
    return f"""# Model card: the demonstration report model

> {NOTICE}

A demonstration. These weights exist so that the way from key frames to a checked draft in two languages can be run and
tested with something real in it. They were trained on generated images and generated texts only. They are not fit to
report an angiogram, nor meant to.

## What it is
Gemma3's architecture, {training["parameters"]:,} parameters: a vision tower for {training["picture"]["side"]} x \
{training["picture"]["side"]} pixels that gives {training["picture"]["tokens"]} soft tokens a picture, and a decoder \
with sliding and global layers. Its tokenizer has {training["vocabulary"]:,} tokens, learnt from the generated texts. \
It answers three questions in the words of the runtime's prompts: facts of pictures as JSON, facts in English prose, \
facts in Japanese prose.

## How it was made
`python -m {training["made_by"]}`, on one CPU core, seeds fixed:
- Pictures: the most readable frame of each of {training["scenes"]["training"]:,} phantom scenes. No real image took \
part. Stated are narrowings of {training["least_grade"]} % and more that are opacified and inside the field.
{_stages(training)}
- Texts: facts drawn at random, worded at random; the runtime's own check reads every wording back without loss.

## What was measured
{found["pictures"]} phantom scenes never seen before, base and adapter merged, greedy, no grammar. Each cell: F1 \
(precision / recall) over all facts of this kind.

{_tables(found)}
{_prose(found)}
## What the adapter adds
{_added(evidence)}

## Limits
- {_narrowings(found)}
- The phantom is a simplification; scores on it say that the training worked, not that the model does.
- Grafts were never shown to it in pictures; it states them only where they are confirmed facts.
- Its texts have few words. What it was never taught to say it cannot say.
"""


def _stages(training: Mapping[str, Any]) -> str:
    words = {
        "vision": "Vision: maps of segments and narrowings, with heads that are left behind",
        "text": "Decoder: prose of made-up facts in both languages",
        "base": "Both: pictures to facts, facts to prose, the maps beside them",
        "adapter": "Adapter (LoRA on language, vision and projector): the same, more often with two pictures",
    }
    return "\n".join(
        f"- {words[name]}; {stage['steps']:,} steps of {stage['batch']}." for name, stage in training["stages"].items()
    )


def _tables(found: Mapping[str, Any]) -> str:
    parts = []
    for question, title in _QUESTIONS:
        head = " | ".join(words for _, words in _COLUMNS)
        rows = [
            f"| {words} | " + " | ".join(_cell(found[question][who][key]) for who, _ in _COLUMNS) + " |"
            for key, words in _ROWS
        ]
        parts += [f"{title}:", "", f"| | {head} |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(parts)


def _cell(score: Mapping[str, float]) -> str:
    if not score["true"]:
        return "none there"
    return f"{score['f1']:.2f} ({score['precision']:.2f} / {score['recall']:.2f})"


def _narrowings(found: Mapping[str, Any]) -> str:
    """Whether it reads narrowings, or has only learnt where they are common."""
    told = found["side_given"]
    own, common = (told[who]["artery"]["f1"] for who in ("model", "commonest_of_side"))
    if own > common:
        return (
            f"Told the side, it names the artery of a narrowing with F1 {own:.2f}; the commonest of that side, without "
            f"a look, scores {common:.2f}. It reads narrowings a little, and not nearly as a reader does."
        )
    return (
        f"It does not read narrowings: told the side, it names their artery with F1 {own:.2f}, and the commonest of "
        f"that side, without a look, scores {common:.2f}. What it states of them is where they are common."
    )


def _prose(found: Mapping[str, Any]) -> str:
    prose = found["prose"]
    return (
        f"Prose of {prose['facts']} sets of facts drawn at random: {prose['faithful']:.1%} state in both languages all "
        f"facts and nothing else; {prose['sentences_struck']} of {prose['sentences']} sentences were struck by the "
        "check.\n"
    )


def _added(evidence: Mapping[str, Any]) -> str:
    rows = [
        f"| {title} | {words} | {_cell(evidence['base'][question]['model'][key])} | "
        f"{_cell(evidence['adapter'][question]['model'][key])} |"
        for question, title in _QUESTIONS
        for key, words in _ROWS[:2]
    ]
    return "\n".join(["| | | base | base and adapter |", "|---|---|---|---|", *rows])

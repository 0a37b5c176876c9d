"""English reports of given facts in many wordings, drawn at random: what the demonstration model learns to write.

Every sentence states facts that runtime/models/report/english.py parses back, and nothing else.
Not for: reports at run time, which the model writes, or template.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cathrt.export.models.report.demo.wording import Wording, what, where, worded
from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, Lesion, Side

_ARTERIES: dict[Artery, tuple[str, ...]] = {
    "left_main": ("left main coronary artery", "left main trunk", "left main"),
    "lad": ("LAD", "left anterior descending artery"),
    "lcx": ("LCx", "left circumflex artery"),
    "rca": ("RCA", "right coronary artery"),
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SIDES: dict[tuple[Side, ...], tuple[str, ...]] = {
    (): ("No coronary artery was shown.",),
    ("left",): (
        "The left coronary artery was shown.",
        "The left coronary artery was imaged.",
        "The left coronary artery was opacified.",
        "Left coronary angiography was performed.",
        "Angiography of the left coronary artery was performed.",
    ),
    ("right",): (
        "The right coronary artery was shown.",
        "The right coronary artery was imaged.",
        "The right coronary artery was opacified.",
        "Right coronary angiography was performed.",
        "Angiography of the right coronary artery was performed.",
    ),
    ("left", "right"): (
        "The left and right coronary arteries were shown.",
        "Both coronary arteries were shown.",
        "Both coronary arteries were imaged.",
        "Left and right coronary angiography was performed.",
        "The left coronary artery and the right coronary artery were opacified.",
    ),
}
_NO_LESION = (
    "No stenosis was seen in the {side}.",
    "No narrowing was seen in the {side}.",
    "No significant stenosis was seen in the {side}.",
    "There is no stenosis in the {side}.",
    "The {side} shows no stenosis.",
)
_DOMINANCES: dict[Dominance, tuple[str, ...]] = {
    "right": ("right dominant", "right-dominant"),
    "left": ("left dominant", "left-dominant"),
    "balanced": ("balanced", "codominant"),
}
_DOMINANCE = (
    "The coronary circulation is {dominance}.",
    "The circulation is {dominance}.",
    "The coronary system is {dominance}.",
)
_GRADED = (
    "{a} {percent}% stenosis",
    "{a} {percent}% stenosis",
    "{a} {percent}% diameter stenosis",
    "{a} {percent}% narrowing",
    "a stenosis of {percent}%",
)
_UNGRADED = ("a stenosis", "a narrowing")
_OCCLUDED = ("an occlusion", "a total occlusion", "a complete occlusion")
_CHRONIC = ("a chronic total occlusion", "a chronic total occlusion (CTO)", "a CTO")
_PLACES = (
    "segment {segment} of the {artery}",
    "the {artery} (segment {segment})",
    "{artery} segment {segment}",
    "segment {segment} ({name})",
    "the {name} (segment {segment})",
)
_ONE_LESION = (
    "There is {what} in {where}.",
    "There was {what} in {where}.",
    "{what} is seen in {where}.",
    "{what} was seen in {where}.",
    "{what} was found in {where}.",
    "{where} shows {what}.",
    "{where} has {what}.",
    "In {where} there is {what}.",
)
_FURTHER = ("In addition, ", "Also, ", "Furthermore, ")


def english_report(facts: Facts, draw: Random) -> str:
    """One wording of these facts. The same draws, the same text."""
    return worded(facts, draw, _ENGLISH)


def _grafts(count: int, draw: Random) -> str:
    number = draw.choice((str(count), _NUMBERS[count]))
    if count == 0:
        return draw.choice(("No bypass graft was shown.", "There are no bypass grafts."))
    noun, were, are = ("graft", "was", "is") if count == 1 else ("grafts", "were", "are")
    return draw.choice(
        (
            f"{_capital(number)} bypass {noun} {were} shown.",
            f"There {are} {number} bypass {noun}.",
            f"{_capital(number)} bypass {noun} {were} seen.",
        )
    )


def _sentence(lesions: Sequence[Lesion], draw: Random) -> str:
    first, *others = ((what(lesion, draw, _ENGLISH), where(lesion, draw, _ENGLISH)) for lesion in lesions)
    if not others:
        return _capital(draw.choice(_ONE_LESION).format(what=first[0], where=first[1]))
    more = "".join(f" and {narrowing} in {place}" for narrowing, place in others)
    begin = draw.choice(("There is {what} in {where}", "{what} is seen in {where}", "{what} was seen in {where}"))
    return _capital(begin.format(what=first[0], where=first[1]) + more + ".")


def _further(sentence: str, draw: Random) -> str:
    return draw.choice(_FURTHER) + (sentence if sentence[:2].isupper() else sentence[0].lower() + sentence[1:])


def _graded(percent: int, draw: Random) -> str:
    spoken_vowel = str(percent).startswith("8") or percent in (11, 18)
    return draw.choice(_GRADED).format(a="an" if spoken_vowel else "a", percent=percent)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


_ENGLISH = Wording(
    language="en",
    arteries=_ARTERIES,
    sides=_SIDES,
    no_lesion=_NO_LESION,
    dominances=_DOMINANCES,
    dominance=_DOMINANCE,
    ungraded=_UNGRADED,
    occluded=_OCCLUDED,
    chronic=_CHRONIC,
    places=_PLACES,
    artery_alone="the {artery}",
    between=" ",
    graded=_graded,
    sentence=_sentence,
    further=_further,
    grafts=_grafts,
)

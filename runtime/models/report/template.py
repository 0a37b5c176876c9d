"""Prose of given facts without a model: one sentence a fact, as plain as it gets. The baseline of every measurement.

Never put in the place of a withheld draft. Not for: what the words mean when a model writes them (english.py,
japanese.py).
"""

from __future__ import annotations

from cathrt.runtime.models.report.facts import Facts, Lesion, Side
from cathrt.runtime.models.report.places import SIDE_OF
from cathrt.runtime.models.report.section import Language
from cathrt.runtime.models.report.words import ARTERY_NAMES, DOMINANCE_NAMES, SEGMENT_NAMES, SIDE_NAMES


def prose_from_facts(language: Language, facts: Facts) -> str:
    """States every fact once: sides, lesions as they are listed, sides without a lesion, dominance, grafts."""
    return (" " if language == "en" else "").join(sentences_of(language, facts))


def sentences_of(language: Language, facts: Facts) -> list[str]:
    """The sentences of that prose, each of one fact; in both languages in the same order."""
    return _english(facts) if language == "en" else _japanese(facts)


def _english(facts: Facts) -> list[str]:
    sentences = [_english_sides(facts), *(_english_lesion(lesion) for lesion in facts.lesions)]
    sentences += [f"No significant stenosis was seen in the {SIDE_NAMES['en'][side]}." for side in clear_sides(facts)]
    if facts.dominance is not None:
        sentences.append(f"The coronary circulation is {DOMINANCE_NAMES['en'][facts.dominance]}.")
    if facts.grafts is not None:
        sentences.append(_english_grafts(facts.grafts))
    return sentences


def _english_sides(facts: Facts) -> str:
    if not facts.sides:
        return "No coronary artery was shown."
    if len(facts.sides) > 1:
        return "The left and right coronary arteries were shown."
    return f"The {SIDE_NAMES['en'][facts.sides[0]]} was shown."


def _english_lesion(lesion: Lesion) -> str:
    where = ARTERY_NAMES["en"][lesion.artery]
    if lesion.segment is not None:
        where = f"segment {lesion.segment} ({SEGMENT_NAMES['en'][lesion.segment]})"
    if lesion.occluded:
        return f"There is a {'chronic ' if lesion.chronic else ''}total occlusion (100%) of {where}."
    if lesion.percent is None:
        return f"There is a stenosis of unknown grade in {where}."
    return f"There is a {lesion.percent}% stenosis in {where}."


def _english_grafts(grafts: int) -> str:
    if grafts == 0:
        return "No bypass graft was seen."
    return "One bypass graft was seen." if grafts == 1 else f"{grafts} bypass grafts were seen."


def _japanese(facts: Facts) -> list[str]:
    sentences = [_japanese_sides(facts), *(_japanese_lesion(lesion) for lesion in facts.lesions)]
    sentences += [f"{SIDE_NAMES['ja'][side]}に有意狭窄を認めない。" for side in clear_sides(facts)]
    if facts.dominance is not None:
        sentences.append(f"冠動脈は{DOMINANCE_NAMES['ja'][facts.dominance]}である。")
    if facts.grafts is not None:
        sentences.append(
            f"バイパスグラフトを{facts.grafts}本認める。" if facts.grafts else "バイパスグラフトを認めない。"
        )
    return sentences


def _japanese_sides(facts: Facts) -> str:
    if not facts.sides:
        return "冠動脈は造影されていない。"
    names = "と".join(SIDE_NAMES["ja"][side] for side in facts.sides)
    return f"{names}が造影されている。"


def _japanese_lesion(lesion: Lesion) -> str:
    where = ARTERY_NAMES["ja"][lesion.artery]
    if lesion.segment is not None:
        where = f"#{lesion.segment}（{SEGMENT_NAMES['ja'][lesion.segment]}）"
    if lesion.occluded:
        return f"{where}に{'慢性完全閉塞（CTO、100%）' if lesion.chronic else '完全閉塞（100%）'}を認める。"
    if lesion.percent is None:
        return f"{where}に程度不明の狭窄を認める。"
    return f"{where}に{lesion.percent}%狭窄を認める。"


def clear_sides(facts: Facts) -> tuple[Side, ...]:
    """Sides that were shown and have no lesion."""
    held = {SIDE_OF[lesion.artery] for lesion in facts.lesions}
    return tuple(side for side in facts.sides if side not in held)

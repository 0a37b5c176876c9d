"""Two sentences run together stand only if each stands alone: nothing is read across what joins them."""

from __future__ import annotations

from random import Random

import pytest

from cathrt.runtime.models.report.section import Language
from tests.models.report.sentences import outcome

PLACES: dict[Language, tuple[str, ...]] = {
    "en": (
        *("segment 6", "segment 7", "D1", "#9", "segment 13", "segment 2", "the LAD", "the RCA", "the LCx"),
        *("the left main", "the mid RCA", "the proximal LAD", "the left coronary artery"),
    ),
    "ja": (
        *("#6", "#7", "D1", "#9", "#13", "#2", "LAD", "RCA", "LCx"),
        *("左主幹部", "右冠動脈中間部", "LAD近位部", "左冠動脈"),
    ),
}
GRADES: dict[Language, tuple[str, ...]] = {
    "en": ("75% stenosis", "90% stenosis", "50%", "75%", "a CTO", "total occlusion", "a lesion", "severe stenosis"),
    "ja": ("75%狭窄", "90%狭窄", "50%", "75%", "CTO", "完全閉塞", "病変", "高度狭窄"),
}
NOUNS: dict[Language, tuple[str, ...]] = {
    "en": ("stenosis", "significant stenosis", "occlusion"),
    "ja": ("狭窄", "有意狭窄", "閉塞"),
}
FORMS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("{p} shows {g}", "{g} in {p}", "{p} {g}", "{p} has {g}", "{p}: {g}", "{p}, {g}", "{p} was shown"),
        *("no {n} in {p}", "{p} shows no {n}", "{p} is normal", "{p} is not stenosed", "{n} in {p} is not seen"),
        *("{p}, {q} and {r} show {g}", "{g} in {p} and {q}", "{p} without {n}"),
        *("no bypass grafts", "right-dominant circulation"),
    ),
    "ja": (
        *("{p}に{g}を認める", "{p}に{g}を認め", "{p}{g}", "{g}を{p}に認める", "{p}：{g}", "{p}が造影された"),
        *("{p}に{n}を認めない", "{p}に{n}を認めず", "{p}{n}なし", "{p}に{n}はない", "{p}は正常"),
        *("{p}、{q}に{g}を認める", "{p}や{q}に{n}を認めない", "右優位", "グラフトなし"),
    ),
}
BETWEEN: dict[Language, tuple[str, ...]] = {
    "en": (" and ", ", ", ", and ", "; ", ", while ", " but ", " with ", " "),
    "ja": ("、", "が、", "、また", "および", "、一方", "と"),
}


def _sentence(language: Language, draw: Random) -> str:
    p, q, r = (draw.choice(PLACES[language]) for _ in range(3))
    form, grade, noun = (draw.choice(table[language]) for table in (FORMS, GRADES, NOUNS))
    return form.format(p=p, q=q, r=r, g=grade, n=noun)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_they_stand_together_only_if_each_stands_alone(language: Language) -> None:
    draw, stood = Random(14), 0
    for _ in range(600):
        one, other = _sentence(language, draw), _sentence(language, draw)
        both = f"{one}{draw.choice(BETWEEN[language])}{other}"
        if outcome(language, both) == "kept":
            stood += 1
            assert outcome(language, one) == outcome(language, other) == "kept", both
    assert stood > 40

"""Japanese reports of given facts in many wordings, drawn at random: what the demonstration model learns to write.

Every sentence states facts that runtime/models/report/japanese.py parses back, and nothing else.
Not for: reports at run time, which the model writes, or template.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from cathrt.export.models.report.demo.wording import Wording, what, where, worded
from cathrt.runtime.models.report.facts import Artery, Dominance, Facts, Lesion, Side

_ARTERIES: dict[Artery, tuple[str, ...]] = {
    "left_main": ("左冠動脈主幹部", "左主幹部", "LMT"),
    "lad": ("左前下行枝", "LAD"),
    "lcx": ("左回旋枝", "LCx"),
    "rca": ("右冠動脈", "RCA"),
}
_SIDES: dict[tuple[Side, ...], tuple[str, ...]] = {
    (): ("冠動脈は造影されていない。",),
    ("left",): ("左冠動脈が造影されている。", "左冠動脈が造影された。", "左冠動脈を造影した。"),
    ("right",): ("右冠動脈が造影されている。", "右冠動脈が造影された。", "右冠動脈を造影した。"),
    ("left", "right"): (
        "左冠動脈と右冠動脈が造影されている。",
        "左右の冠動脈が造影された。",
        "左右の冠動脈を造影した。",
    ),
}
_NO_LESION = (
    "{side}に狭窄を認めない。",
    "{side}に有意狭窄を認めない。",
    "{side}には狭窄を認めなかった。",
    "{side}に狭窄は認めない。",
)
_DOMINANCES: dict[Dominance, tuple[str, ...]] = {
    "right": ("右優位", "右冠動脈優位"),
    "left": ("左優位", "左冠動脈優位"),
    "balanced": ("均衡型", "バランス型"),
}
_DOMINANCE = ("冠循環は{dominance}である。", "{dominance}である。", "冠動脈は{dominance}である。")
_GRADED = ("{percent}%狭窄", "{percent}%の狭窄", "{percent}%の内腔狭窄")
_UNGRADED = ("狭窄",)
_OCCLUDED = ("完全閉塞", "閉塞")
_CHRONIC = ("慢性完全閉塞", "慢性完全閉塞（CTO）", "CTO")
_PLACES = (
    "{artery} #{segment}",
    "{artery}（#{segment}）",
    "#{segment}",
    "#{segment}（{name}）",
    "{name}（#{segment}）",
    "{name}(#{segment})",
)
_ONE_LESION = (
    "{where}に{what}を認める。",
    "{where}に{what}を認めた。",
    "{where}に{what}が認められる。",
    "{where}に{what}がある。",
)
_FURTHER = ("また、", "さらに、", "加えて、")


def japanese_report(facts: Facts, draw: Random) -> str:
    """One wording of these facts. The same draws, the same text."""
    return worded(facts, draw, _JAPANESE)


def _grafts(count: int, draw: Random) -> str:
    if count == 0:
        return draw.choice(("バイパスグラフトは認めない。", "バイパスグラフトはない。"))
    return draw.choice(
        (
            f"バイパスグラフト{count}本が造影された。",
            f"バイパスグラフトは{count}本である。",
            f"{count}本のバイパスグラフトを認める。",
        )
    )


def _sentence(lesions: Sequence[Lesion], draw: Random) -> str:
    if len(lesions) == 1:
        (lesion,), begin = lesions, draw.choice(_ONE_LESION)
        return begin.format(where=where(lesion, draw, _JAPANESE), what=what(lesion, draw, _JAPANESE))
    listed = (f"{where(lesion, draw, _JAPANESE)}に{what(lesion, draw, _JAPANESE)}" for lesion in lesions)
    return "、".join(listed) + draw.choice(("を認める。", "を認めた。"))


def _further(sentence: str, draw: Random) -> str:
    return draw.choice(_FURTHER) + sentence


def _graded(percent: int, draw: Random) -> str:
    return draw.choice(_GRADED).format(percent=percent)


_JAPANESE = Wording(
    language="ja",
    arteries=_ARTERIES,
    sides=_SIDES,
    no_lesion=_NO_LESION,
    dominances=_DOMINANCES,
    dominance=_DOMINANCE,
    ungraded=_UNGRADED,
    occluded=_OCCLUDED,
    chronic=_CHRONIC,
    places=_PLACES,
    artery_alone="{artery}",
    between="",
    graded=_graded,
    sentence=_sentence,
    further=_further,
    grafts=_grafts,
)

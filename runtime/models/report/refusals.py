"""Words that a draft must not contain: orders, advice, treatment, certainty. A sentence with one of them is struck.

It is struck for that reason even if all else in it is true. Not for: what a sentence states (english.py, japanese.py).
"""

from __future__ import annotations

import re
from typing import Literal

from cathrt.runtime.models.report.lexicon import normalised
from cathrt.runtime.models.report.section import Language

Refusal = Literal["order", "advice", "treatment", "certainty"]

# Searched for in this order in normalised text; the first that is found is the reason.
_ENGLISH: dict[Refusal, str] = {
    "order": r"""
        must | shall | please | proceed | perform | administer\w* | gives? | (?<!that\ )order(?:ed|s)? | refer
        | schedule | admit | start | stop | continue | discontinue | avoid | repeat | obtain | ensure | call | treat
        """,
    "advice": r"""
        should | ought | recommend\w* | suggest(?:ed|s|ions?)? | advis\w* | advice | consider\w* | indicated
        | indications? | warrant\w* | needs? | needed | require[sd]? | necessary | mandatory | appropriate | candidates?
        | reasonable | prefer\w* | beneficial | benefits? | favou?r\w* | urgent\w* | emergen\w* | follow-?\s?up
        | suitable | amenable | plan(?:ned|s)? | decisions? | discuss\w* | heart\ team | next\ step
        """,
    "treatment": r"""
        pci | ptca | poba | stent\w* | angioplast\w* | revasculari[sz]\w* | cabg | surg\w* | balloon\w* | rotablat\w*
        | atherectom\w* | thrombectom\w* | thrombolys\w* | medications? | therap\w* | treatments? | treated
        | interven\w* | aspirin | clopidogrel | prasugrel | ticagrelor | statins? | heparin | dapt | antiplatelet\w*
        | anticoagula\w* | nitroglycerin | nitrates? | drugs? | dos(?:es?|age) | mg
        """,
    "certainty": r"""
        (?<!no\ )definite\w* | certain\w* | undoubted\w* | doubt\w* | unequivocal\w* | unmistakabl\w* | confirm\w*
        | proven | proves? | conclusive\w* | sure(?:ly)? | (?<!no\ )obvious\w* | clearly | (?<!no\ )evident\w*
        | diagnos\w* | guarantee\w* | absolute\w* | rule[sd]?\ out | final\ report
        """,
}
_JAPANESE: dict[Refusal, str] = {
    "order": r"""
        [てで](?:下さい|ください) | 下さい | せよ | なさい | すること[。)]?$ | 行うこと | のこと[。)]?$ | 指示
        """,
    "advice": r"""
        推奨 | 勧め | 薦め | 奨め | べき | 望ましい | 望まれ | 検討 | 考慮 | 必要 | 要する | 適応 | 適当 | 適切 | 助言
        | 提案 | 方針 | 予定 | 推薦 | 願い | (?:した)?(?:ほう|方)が[よ良い] | のが[よ良] | 緊急 | 早急 | 至急
        | 経過観察 | フォロー | 再検 | 相談 | ハートチーム
        """,
    "treatment": r"""
        治療 | pci | ptca | poba | ステント | バルーン | 血行再建 | cabg | バイパス(?:手)?術 | 手術
        | インターベンション | 投与 | 内服 | 薬 | 処方 | アスピリン | クロピドグレル | プラスグレル | スタチン
        | ヘパリン | dapt | 抗血小板 | 抗凝固 | ニトロ | ロータブレーター | アテレクトミー | 血栓吸引
        """,
    "certainty": r"""
        診断 | 確実 | 間違いな | 確定 | 断定 | 断言 | 疑いな[いく] | 疑う余地 | 明白 | 絶対 | 必ず | 確信 | 証明
        | 除外 | 否定 | 確認(?:した|され|でき)
        | 明らか(?! [なに](?:有意な?)?(?:狭窄|病変|異常|閉塞)[^。、]{0,4}(?:ない|ず|なかった|なし) )
        """,
}
REFUSALS: dict[Language, tuple[tuple[Refusal, re.Pattern[str]], ...]] = {
    "en": tuple((reason, re.compile(rf"\b(?:{words})\b", re.VERBOSE)) for reason, words in _ENGLISH.items()),
    "ja": tuple((reason, re.compile(words, re.VERBOSE)) for reason, words in _JAPANESE.items()),
}


def refusal(language: Language, sentence: str) -> tuple[Refusal, str] | None:
    """Why a sentence may not stand in a draft, and the word that says so; None where nothing of the kind is in it."""
    text = normalised(sentence)
    for reason, pattern in REFUSALS[language]:
        if (match := pattern.search(text)) is not None:
            return reason, match[0]
    return None

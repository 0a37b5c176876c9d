"""Every word that a Japanese report may use, and what it means. A word that is not here makes a sentence unsupported.

Not for: sentences (japanese.py), or what words say together (reading.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cathrt.runtime.models.report.lexicon import ITEM, Rule, Token, making, numbered, rule, segment_place, words
from cathrt.runtime.models.report.names import ENTIRE, both, entire, position
from cathrt.runtime.models.report.statements import OCCLUDED, SIGNIFICANT, Grade

_KANJI = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_COUNT = r"(?P<count>[1-9]|[一二三四五六七八九])"
_NUMBER = r"(?P<number>\d{1,3}|[一二三四五六七八九]?十[一二三四五六七八九]?|百)"
_PERCENT = r"\s*(?:%|パーセント|percent)"
_AND = r"\s*(?:、|,|・|と|および|及び|または|又は)\s*"
_FIRST, _SECOND, _THIRD = r"第\s*[1一]", r"第\s*[2二]", r"第\s*[3三]"
_CORONARY = r"冠(?:状)?動脈"


def _percent(match: re.Match[str]) -> Sequence[Token] | None:
    number = _value(match["number"])
    if not 0 < number <= OCCLUDED:
        return None
    return (Token("grade", match[0], Grade(percent=number, occluded=number == OCCLUDED)),)


def _bound(match: re.Match[str]) -> Sequence[Token] | None:
    """75%以上, 50%未満 and their like."""
    number, word = _value(match["number"]), match["bound"]
    least, most = 1, OCCLUDED
    if word in ("未満", "以下"):
        most = number - 1 if word == "未満" else number
    else:
        least = number if word == "以上" else number + 1
    return (Token("grade", match[0], Grade(least=least, most=most)),) if 1 <= least <= most <= OCCLUDED else None


def _value(word: str) -> int:
    """Digits, or kanji up to 百."""
    if word.isdigit():
        return int(word)
    if word == "百":
        return 100
    tens, _, ones = word.partition("十")
    return 10 * (_KANJI[tens] if tens else 1) + (_KANJI[ones] if ones else 0)


def _segments(match: re.Match[str]) -> Sequence[Token] | None:
    """#6、#7: a place each."""
    found: list[Token] = []
    for piece in re.split(f"({_AND})", match["items"]):
        if re.fullmatch(_AND, piece):
            link = "or" if "又" in piece or "または" in piece else "," if piece.strip() in ("、", ",") else "and"
            found.append(Token("list", piece, link))
        elif (place := numbered(piece)) is not None:
            found.append(Token("place", piece, place))
        else:
            return None
    return found


def _number(match: re.Match[str]) -> Sequence[Token]:
    return (Token("number", match[0], _counted(match["count"])),)


def _lesions(match: re.Match[str]) -> Sequence[Token]:
    return Token("number", match[0], _counted(match["count"])), Token("grade", match[0], Grade(named=True))


def _vessels(match: re.Match[str]) -> Sequence[Token]:
    return (Token("vessels", match[0], _counted(match["count"])),)


def _not_shown(match: re.Match[str]) -> Sequence[Token]:
    return Token("shown", match[0]), Token("none", match[0])


def _counted(word: str) -> int:
    return _KANJI[word] if word in _KANJI else int(word)


_PLACES: tuple[Rule, ...] = (
    rule(rf"左{_CORONARY}(?:系|造影)?|lca", "place", entire("left")),
    rule(rf"右{_CORONARY}(?:系|造影|本幹)?|右冠|rca", "place", ENTIRE["rca"]),
    rule(rf"(?:左右の?|両側の?|両){_CORONARY}(?:造影)?|左右とも", "place", both()),
    rule(rf"左?(?:{_CORONARY}の?)?主幹部|lmt部?|lmca|lm", "place", ENTIRE["left_main"]),
    rule(rf"左?(?:{_CORONARY}の?)?前下行枝|lad(?:本幹)?", "place", ENTIRE["lad"]),
    rule(rf"左?(?:{_CORONARY}の?)?回旋枝|lcx(?:本幹)?|cx", "place", ENTIRE["lcx"]),
    rule(r"近位(?:部|側)?|proximal|prox", "place", position("proximal")),
    rule(r"中間部|中位部|中部|mid", "place", position("mid")),
    rule(r"遠位(?:部|側)?|末梢(?:部|側)?|distal|dist", "place", position("distal")),
    rule(rf"{_FIRST}対角枝|対角枝1|d1", "place", segment_place("9", "9a")),
    rule(rf"{_SECOND}対角枝|対角枝2|d2", "place", segment_place("10", "10a")),
    rule(r"対角枝", "place", segment_place("9", "9a", "10", "10a")),
    rule(rf"{_FIRST}(?:鈍角?縁枝|鈍角枝)|om\s?1", "place", segment_place("12", "12a")),
    rule(rf"{_SECOND}(?:鈍角?縁枝|鈍角枝)|om\s?2", "place", segment_place("12b")),
    rule(r"鈍角?縁枝|鈍角枝|om", "place", segment_place("12", "12a", "12b")),
    rule(r"高位側壁枝|中間枝|hl", "place", segment_place("12")),
    rule(r"後下行枝|pda", "place", segment_place("4", "15")),
    rule(r"後側壁枝|plv?", "place", segment_place("16", "16a", "16b", "16c", "14", "14a", "14b")),
    rule(rf"{_FIRST}後側壁枝", "place", segment_place("16a", "14", "14a")),
    rule(rf"{_SECOND}後側壁枝", "place", segment_place("16b", "14b")),
    rule(rf"{_THIRD}後側壁枝", "place", segment_place("16c")),
    rule(r"房室(?:結節)?枝|4\s?-?av", "place", segment_place("16")),
    rule(r"4\s?-?pd", "place", segment_place("4")),
    making(rf"(?:#|セグメント|区域|segments?|seg\.?)\s*(?P<items>#?{ITEM}(?:{_AND}#?{ITEM})*)", _segments),
    making(rf"(?P<items>{ITEM})\s*番", _segments),
)

_GRADES: tuple[Rule, ...] = (
    making(rf"{_NUMBER}{_PERCENT}", _percent),
    making(rf"{_NUMBER}{_PERCENT}(?P<bound>以上|未満|以下|超|を超える|を越える)", _bound),
    words(
        "grade",
        """狭窄|狭窄病変|狭窄部|病変|狭小化|内腔狭窄|内腔の狭窄|内径狭窄|狭窄率|狭窄度|狭窄所見|stenosis""",
        Grade(named=True),
    ),
    rule(r"(?:完全)?閉塞(?:病変)?", "grade", Grade(named=True, occluded=True, least=OCCLUDED)),
    rule(
        r"慢性(?:の)?(?:完全)?閉塞(?:性)?(?:病変)?|ctos?(?:病変)?",
        "grade",
        Grade(named=True, occluded=True, chronic=True, least=OCCLUDED),
    ),
    words("grade", "慢性", Grade(chronic=True)),
    rule(r"(?:亜|準)(?:完全)?閉塞|ほぼ(?:完全)?閉塞", "grade", Grade(named=True, least=95, most=99)),
    # Words for grades, as ranges (SCCT, CAD-RADS 2022). AHA's 75 covers 51 to 75, so it may be called moderate.
    words(
        "grade",
        "軽度|軽微|軽微な|有意でない|有意ではない|非有意|有意とはいえない|非閉塞性",
        Grade(most=SIGNIFICANT - 1),
    ),
    words("grade", "中等度|中程度", Grade(least=SIGNIFICANT, most=75)),
    words("grade", "高度|高度な|重度", Grade(least=70, most=99)),
    words("grade", "有意|有意な", Grade(least=SIGNIFICANT)),
    words("grade", "程度不明|程度は不明|程度は判定できない|程度未判定", Grade(unknown=True)),
    words(
        "clear", "正常|intact|異常なし|異常を認めない|異常は認めない|異常を認めず|異常所見なし|異常所見を認めない", 1
    ),
    words("clear", "開存", OCCLUDED),
)

_DENIALS: tuple[Rule, ...] = (
    rule(
        r"(?:認め|みとめ|み|見)(?:られ)?(?:ない|ず|ません(?:でした)?|なかった|ておらず|ていない)"
        r"|(?:存在|指摘|検出)(?:し|され|でき)(?:ない|ず|ません(?:でした)?|なかった|ていない|ておらず)"
        r"|存在せず|な(?:い|し|く|かった)|無(?:い|し|く|かった)|ありません(?:でした)?|見当たらない|[(]-[)]",
        "none",
    ),
    making(
        r"(?:造影|描出|撮影|施行|評価|検査)(?:し|され|でき)(?:て(?:いない|おらず|いなかった|いません)|ない|ず|なかった|ません)"
        r"|写って(?:いない|おらず)",
        _not_shown,
    ),
    rule(
        r"(?:その)?(?:他|ほか)(?:の)?(?:部位|枝|区域|冠動脈|血管)?|それ以外(?:の)?(?:部位|枝|区域)?|残(?:りの|る)(?:部位|枝|区域)?",
        "other",
    ),
)

_COUNTS: tuple[Rule, ...] = (
    making(rf"{_COUNT}\s*(?:か所|箇所|ヶ所|カ所|ヵ所|ケ所|個所|個|つ|本)", _number),
    making(rf"{_COUNT}\s*病変", _lesions),
    making(rf"{_COUNT}\s*枝(?:病変|疾患)", _vessels),
    words("graft", "バイパスグラフト|グラフト|バイパス|冠動脈バイパスグラフト|バイパス血管"),
)

_DOMINANCES: tuple[Rule, ...] = (
    rule(r"右(?:冠動脈(?:\(rca\))?)?優位(?:型|性)?|優位性?は右", "dominance", "right"),
    rule(r"左(?:冠動脈|回旋枝)?優位(?:型|性)?|優位性?は左", "dominance", "left"),
    rule(
        r"均衡(?:型|優位)?|バランス(?:型|ド)|両(?:側|冠動脈)?優位(?:型)?|左右均等型?|共優位(?:型)?",
        "dominance",
        "balanced",
    ),
)

_BETWEEN: tuple[Rule, ...] = (
    rule(r"[、,]", "list", ","),
    rule(r"[、,]?\s*(?:と|および|及び|ならびに|並びに|かつ)|・|/", "list", "and"),
    rule(r"[、,]?\s*(?:または|又は|あるいは|もしくは|や)|(?<=狭窄)も|(?<=閉塞)も|(?<=病変)も", "list", "or"),
    rule(
        r"が[、,]|;|一方(?:で)?(?:は)?[、,]?|のに対し(?:て)?[、,]?|ものの[、,]?|しかし(?:ながら)?[、,]?|ただし[、,]?"
        r"|(?<=る)も[、,]|(?<=た)も[、,]|(?<=る)が|(?<=た)が|(?<=ない)が|(?<=です)が|(?<=ます)が",
        "break",
    ),
    words("respectively", "それぞれ|各々|順に"),
    rule(rf"{_CORONARY}(?:内|系|全体)?|冠循環", "coronary"),
)

# What says nothing of its own. "shown" also says, where nothing else is said of a place, that it was.
_NEUTRAL: tuple[Rule, ...] = (
    rule(
        r"(?:造影|描出|撮影|検査|評価|観察|施行|実施)(?:(?:し|され|でき)(?:て(?:いる|いた|います|おり)|た|ました|る|ます)?)?"
        r"|写って(?:いる|おり)?|写る",
        "shown",
    ),
    rule(
        r"(?:認め|みとめ|み|見)(?:られ)(?:る|た|ます|ました)?|(?:認め|みとめ)(?:る|た|ます|ました|て)?"
        r"|あ(?:る|り|った|ります|りました)|存在(?:する|した|し|します)?|(?:示|呈)(?:す|し|した|している|します)"
        r"|有(?:する|し|した)|伴(?:う|い)|で(?:ある|あり|あった|す|した)|だ|(?:検出|指摘|計測|測定|判定)(?:する|し|した|され|された|される)?"
        r"|となって(?:いる|おり|います)|(?:して|されて|て)?(?:いる|おり|います|おります|いた)|(?:し|され)(?:た|ました)|する|され|し|行(?:い|った|われた)",
        "fill",
    ),
    words(
        "fill",
        """は|が|を|に|の|で|も|へ|にて|では|には|にも|での|における|において|に関して|については|について|また|また、|さらに|さらに、|更に|加えて
        加えて、|同様に|なお|なお、|次に|続いて|いずれも|いずれにも|ともに|とも|合計|計|全部で|すべて|約|およそ|おおよそ|程度|程度の|明らかな|明らかに""",
    ),
    words(
        "fill",
        """冠動脈造影|冠動脈造影検査|冠動脈造影所見|血管造影|冠血管造影|所見|結果|画像|像|フレーム|キーフレーム|部位|部|区域|セグメント|枝|血管|本幹
        内腔|内径|径|率|度|研究|研究用|下書き""",
    ),
    rule(r"[。.:()\[\]*_\"'「」『』【】-]", "fill"),
)

RULES = (*_PLACES, *_GRADES, *_DENIALS, *_COUNTS, *_DOMINANCES, *_BETWEEN, *_NEUTRAL)

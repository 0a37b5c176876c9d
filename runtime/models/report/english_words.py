"""Every word that an English report may use, and what it means. A word that is not here makes a sentence unsupported.

Not for: sentences (english.py), or what words say together (reading.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cathrt.runtime.models.report.lexicon import ITEM, Rule, Token, making, numbered, rule, segment_place, words
from cathrt.runtime.models.report.names import ENTIRE, both, entire, position
from cathrt.runtime.models.report.statements import OCCLUDED, SIGNIFICANT, Grade

_NUMBERS = {"one": 1, "single": 1, "two": 2, "double": 2, "three": 3, "triple": 3, "four": 4, "five": 5, "six": 6,
            "seven": 7, "eight": 8, "nine": 9}  # fmt: skip
_TENS = {"ten": 10, "twenty": 20, "twenty-five": 25, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
         "seventy-five": 75, "eighty": 80, "ninety": 90, "ninety-five": 95, "ninety-nine": 99, "one hundred": 100,
         "a hundred": 100, "hundred": 100}  # fmt: skip
_TEN = "|".join(sorted(_TENS, key=len, reverse=True))
_PERCENT = r"\s*(?:%|percent|per\s?cent|pct)"
_COUNT = rf"(?P<count>[1-9]|{'|'.join(_NUMBERS)})"
_AND = r"\s*,?\s*\b(?:and|or)\b\s*|\s*[,&]\s*"
_BRANCH = r"(?:\s+(?:coronary\s+)?(?:branch|artery|vessel))?"
_PART = r"(?:\s*-?\s*(?:segment|part|portion|third|section))?"
_FIRST, _SECOND, _THIRD = r"(?:first|1st)", r"(?:second|2nd)", r"(?:third|3rd)"
_OF_SIDE = r"(?:\s+(?:artery|arteries|system|tree|circulation|angiogra(?:m|phy)|injection))?"
_RCA = r"(?:right\s+coronary(?:\s+artery)?|rca)"
_LCA = r"(?:left\s+coronary(?:\s+artery)?|lca|(?:left\s+)?circumflex(?:\s+artery)?|lcx)"
_DOMINANT = r"(?:the\s+)?dominant(?:\s+(?:vessel|artery))?"
_LR = r"(?:left\s+and\s+(?:the\s+)?right|right\s+and\s+(?:the\s+)?left)"


def _percent(match: re.Match[str]) -> Sequence[Token] | None:
    word = re.sub(r"\s+", " ", match["number"])
    number = int(word) if word.isdigit() else _TENS[word]
    if not 0 < number <= OCCLUDED:
        return None
    return (Token("grade", match[0], Grade(percent=number, occluded=number == OCCLUDED)),)


def _bound(match: re.Match[str]) -> Sequence[Token] | None:
    """A percentage with "at least", "more than", "under", "up to"."""
    number, groups = int(match["number"]), match.groupdict()
    least, most = 1, OCCLUDED
    if groups.get("least") or groups.get("more"):
        least = number
    elif groups.get("over"):
        least = number + 1
    else:
        most = number - 1 if groups.get("under") else number
    return (Token("grade", match[0], Grade(least=least, most=most)),) if 1 <= least <= most <= OCCLUDED else None


def _segments(match: re.Match[str]) -> Sequence[Token] | None:
    """ "segments 6, 7 and 9": a place each."""
    found: list[Token] = []
    for piece in re.split(f"({_AND})", match["items"]):
        if re.fullmatch(_AND, piece):
            link = "or" if "or" in piece else "and" if "and" in piece or "&" in piece else ","
            found.append(Token("list", piece, link))
        elif (place := numbered(piece)) is not None:
            found.append(Token("place", piece, place))
        else:
            return None
    return found


def _number(match: re.Match[str]) -> Sequence[Token]:
    return (Token("number", match[0], _counted(match["count"])),)


def _vessels(match: re.Match[str]) -> Sequence[Token]:
    return (Token("vessels", match[0], _counted(match["count"])),)


def _one(match: re.Match[str]) -> Sequence[Token]:
    return (Token("number", match[0], 1),)


def _counted(word: str) -> int:
    return _NUMBERS[word] if word in _NUMBERS else int(word)


_PLACES: tuple[Rule, ...] = (
    rule(rf"left\s+coronary{_OF_SIDE}|lca", "place", entire("left")),
    rule(rf"{_RCA}|right\s+coronary{_OF_SIDE}", "place", ENTIRE["rca"]),
    rule(rf"(?:both|{_LR})\s+coronar(?:y{_OF_SIDE}|ies)|coronary\s+arteries|both\s+sides", "place", both()),
    rule(r"left\s+main(?:\s+(?:coronary|trunk|stem))*(?:\s+artery)?|lmt|lmca|lms|lm", "place", ENTIRE["left_main"]),
    rule(rf"(?:left\s+)?anterior\s+descending(?:\s+coronary)?{_BRANCH}|lad(?:\s+artery)?", "place", ENTIRE["lad"]),
    rule(rf"(?:left\s+)?circumflex{_BRANCH}|lcx(?:\s+artery)?|cx", "place", ENTIRE["lcx"]),
    rule(rf"(?:proximal|prox\.?){_PART}", "place", position("proximal")),
    rule(rf"(?:mid|middle){_PART}", "place", position("mid")),
    rule(rf"(?:distal|dist\.?|apical){_PART}", "place", position("distal")),
    rule(rf"{_FIRST}\s+diagonal{_BRANCH}|diagonal{_BRANCH}\s+1|d1|dg1", "place", segment_place("9", "9a")),
    rule(rf"{_SECOND}\s+diagonal{_BRANCH}|diagonal{_BRANCH}\s+2|d2|dg2", "place", segment_place("10", "10a")),
    rule(rf"diagonal{_BRANCH}", "place", segment_place("9", "9a", "10", "10a")),
    rule(rf"{_FIRST}\s+(?:obtuse\s+)?marginal{_BRANCH}|marginal\s+1|om\s?1", "place", segment_place("12", "12a")),
    rule(rf"{_SECOND}\s+(?:obtuse\s+)?marginal{_BRANCH}|marginal\s+2|om\s?2", "place", segment_place("12b")),
    rule(rf"obtuse\s+marginal{_BRANCH}|marginal\s+branch|om", "place", segment_place("12", "12a", "12b")),
    rule(rf"ramus(?:\s+intermedius)?{_BRANCH}|intermediate\s+(?:branch|artery)", "place", segment_place("12")),
    rule(rf"posterior\s+(?:descending|interventricular){_BRANCH}|pda", "place", segment_place("4", "15")),
    rule(rf"postero-?lateral{_BRANCH}|plv?b?", "place", segment_place("16", "16a", "16b", "16c", "14", "14a", "14b")),
    rule(rf"{_FIRST}\s+postero-?lateral{_BRANCH}", "place", segment_place("16a", "14", "14a")),
    rule(rf"{_SECOND}\s+postero-?lateral{_BRANCH}", "place", segment_place("16b", "14b")),
    rule(rf"{_THIRD}\s+postero-?lateral{_BRANCH}", "place", segment_place("16c")),
    making(rf"(?:segments|segs\.?|#)\s*(?P<items>#?{ITEM}(?:(?:{_AND})#?{ITEM})*)", _segments),
    making(rf"(?:segment|seg\.?)\s*(?P<items>#?{ITEM}(?:\s+(?:and|or)\s+#?{ITEM})*)", _segments),
)

_GRADES: tuple[Rule, ...] = (
    making(rf"(?P<number>\d{{1,3}}|{_TEN}){_PERCENT}", _percent),
    making(
        rf"(?P<number>\d{{1,3}}){_PERCENT}\s*(?:(?P<more>or\s+(?:more|greater|higher|above)|and\s+above)"
        r"|or\s+(?:less|below|lower))",
        _bound,
    ),
    making(
        r"(?:of\s+)?(?:(?P<least>at\s+least|>=|≥|⩾)|(?P<over>(?:more|greater|higher)\s+than|over|above|exceeding|>)"
        rf"|(?P<under>(?:less|lower)\s+than|under|below|<)|up\s+to|at\s+most|<=|≤|⩽)\s*(?P<number>\d{{1,3}}){_PERCENT}",
        _bound,
    ),
    words(
        "grade",
        """stenosis|stenoses|stenotic|stenosed|stenotic lesion|stenotic lesions|narrowing|narrowings|narrowed|lesion
        lesions|obstruction|obstructions|obstructed|disease|diseased|coronary artery disease|cad|blockage|blocked
        reduction|luminal reduction|diameter reduction|stricture""",
        Grade(named=True),
    ),
    rule(
        r"(?:(?:total|complete|full)(?:ly)?\s+)?(?:coronary\s+)?(?:occlusions?|occluded|occlusive)"
        r"|(?:totally|completely|fully)\s+(?:blocked|obstructed|closed)"
        r"|(?:total|complete|full)\s+(?:blockage|obstruction)s?",
        "grade",
        Grade(named=True, occluded=True, least=OCCLUDED),
    ),
    rule(
        r"chronic(?:ally)?\s+(?:(?:total|complete)(?:ly)?\s+)?(?:coronary\s+)?(?:occlusions?|occluded)"
        r"|ctos?(?:\s+lesions?)?",
        "grade",
        Grade(named=True, occluded=True, chronic=True, least=OCCLUDED),
    ),
    words("grade", "chronic", Grade(chronic=True)),
    rule(
        r"(?:sub-?\s?total|(?:near|almost|nearly)[-\s]?(?:total|complete))(?:ly)?\s+"
        r"(?:occlusions?|occluded|stenos[ie]s|obstructions?|blockages?)|(?:near|nearly|almost)[-\s]?occlu(?:sion|ded)",
        "grade",
        Grade(named=True, least=95, most=99),
    ),
    # Words for grades, as ranges (SCCT, CAD-RADS 2022). AHA's 75 covers 51 to 75, so it may be called moderate.
    words(
        "grade",
        """mild|minor|minimal|mildly|non-obstructive|nonobstructive|insignificant|not significant|non-significant
        nonsignificant|not obstructive""",
        Grade(most=SIGNIFICANT - 1),
    ),
    words("grade", "moderate|intermediate|moderately", Grade(least=SIGNIFICANT, most=75)),
    words("grade", "severe|severely|high-grade|high grade|tight", Grade(least=70, most=99)),
    words("grade", "significant|significantly|obstructive|relevant", Grade(least=SIGNIFICANT)),
    words(
        "grade",
        "of unknown grade|ungraded|not graded|grade unknown|grade not known|grade is unknown",
        Grade(unknown=True),
    ),
    words("clear", "normal|intact|unremarkable|angiographically normal|smooth", 1),
    words("clear", "patent|open", OCCLUDED),
)

_DENIALS: tuple[Rule, ...] = (
    words(
        "no",
        """no|neither|without|without any|free of|free from|devoid of|absence of|no obvious|no evident|no definite
        no evidence of|without evidence of|no sign of|no signs of|without signs of|no angiographic evidence of""",
    ),
    words("not", "not|never"),
    words("none", "absent|is absent|are absent|was absent|were absent"),
    rule(
        r"(?:no|none\s+of\s+the)\s+(?:coronary\s+)?(?:artery|arteries|segments?|vessels?|branch(?:es)?)"
        r"(?!\s*#?\d)",
        "nowhere",
    ),
    rule(
        r"(?:other|further|remaining|additional)(?:\s+(?:coronary\s+)?(?:segments?|vessels?|arter(?:y|ies)|branch(?:es)?))?|elsewhere"
        r"|(?:rest|remainder)(?:\s+of\s+the\s+(?:coronary\s+)?(?:segments|vessels|arteries|branches))?",
        "other",
    ),
)

_COUNTS: tuple[Rule, ...] = (
    making(
        rf"{_COUNT}(?:\s+(?:separate|distinct|different))?"
        r"(?=\s+(?:[a-z-]+\s+){0,3}(?:lesions?|stenos[ie]s|narrowings?|occlusions?|ctos?|stenotic)\b)",
        _number,
    ),
    making(rf"{_COUNT}(?=\s+\d{{1,3}}{_PERCENT}\s+\w)", _number),
    making(rf"{_COUNT}(?=\s+(?:coronary\s+)?(?:artery\s+)?(?:bypass(?:es)?(?:\s+grafts?)?|grafts?)\b)", _number),
    making(r"(?P<count>[1-9])(?=\s*\.?$)", _number),
    making(r"an?(?=\s+(?:coronary\s+)?(?:bypass\s+graft|graft|bypass)\b)", _one),
    making(rf"{_COUNT}-?\s?vessel\s+(?:coronary\s+)?(?:artery\s+)?(?:disease|cad)", _vessels),
    rule(r"(?:aorto-?coronary\s+|coronary\s+)?(?:artery\s+)?bypass(?:es)?(?:\s+grafts?)?|grafts?", "graft"),
)

_DOMINANCES: tuple[Rule, ...] = (
    rule(
        r"right(?:-|\s+)(?:coronary\s+)?dominan(?:t|ce)|dominan(?:ce|t)\s*(?::|is|side)\s*right"
        rf"|{_RCA}\s+(?:is|was)\s+{_DOMINANT}|dominant\s+{_RCA}",
        "dominance",
        "right",
    ),
    rule(
        r"left(?:-|\s+)(?:coronary\s+)?dominan(?:t|ce)|dominan(?:ce|t)\s*(?::|is|side)\s*left"
        rf"|{_LCA}\s+(?:is|was)\s+{_DOMINANT}|dominant\s+{_LCA}",
        "dominance",
        "left",
    ),
    rule(
        r"co-?\s?dominan(?:t|ce)|balanced(?:\s+dominance)?|dominan(?:ce|t)\s*(?::|is)\s*(?:balanced|co-?dominant)",
        "dominance",
        "balanced",
    ),
)

_BETWEEN: tuple[Rule, ...] = (
    words("list", ",", ","),
    rule(r",?\s*(?:and|&|plus|as\s+well\s+as)", "list", "and"),
    rule(r",?\s*(?:or|nor)", "list", "or"),
    rule(r";|,?\s*(?:but|while|whereas|although|though|however),?", "break"),
    rule(r",?\s*(?:respectively|in\s+that\s+order)", "respectively"),
)

# What says nothing of its own. "shown" also says, where nothing else is said of a place, that it was.
_NEUTRAL: tuple[Rule, ...] = (
    words(
        "shown",
        """shown|imaged|visualized|visualised|opacified|injected|seen|assessed|evaluated|examined|demonstrated|studied
        depicted|displayed|filled|catheterized|catheterised|recorded|obtained|filmed|captured|included
        performed|done|carried out|acquired""",
    ),
    words(
        "fill",
        """a total of|in total
        a|an|the|is|are|was|were|be|been|there|has|have|had|with|in|of|at|on|for|by|within|this|that|these|those|it|its
        which|show|shows|showed|showing|demonstrate|demonstrates|demonstrating|reveal|reveals|revealed|revealing|exhibit
        exhibits|exhibited|contain|contains|contained|display|displays|noted|note|found|finding|findings|observed
        identified|detected|present|visible|located|lies|involving|involves|involved|affecting|affects|affected
        does|do|did|any|each|all|both|also|additionally|in addition|furthermore|moreover|finally|another|likewise|then
        in addition,|furthermore,|moreover,|additionally,|also,|finally,|likewise,""",
    ),
    words(
        "fill",
        """coronary artery|coronary|artery|vessel|segment|branch|site|sites|location|region|portion|segments
        arteries|vessels|branches|circulation|system|tree|anatomy|diameter|luminal|lumen|degree|grade|graded|grading|measures
        measured|measuring|estimated|approximately|approx.|approx|about|around|roughly|ca.|~|≈|equal to
        angiography|angiogram|angiograms|angiographic|angiographically|coronary angiography|coronary angiogram
        cineangiography|study|examination|exam|image|images|imaging|frame|frames|run|runs|view|views|key|selected
        projection|projections|picture|pictures|available|report|summary|impression
        conclusion|result|results|interpretation|well|evidence""",
    ),
    rule(r"[.:()\[\]*_\"'。-]", "fill"),
)

RULES = (*_PLACES, *_GRADES, *_DENIALS, *_COUNTS, *_DOMINANCES, *_BETWEEN, *_NEUTRAL)

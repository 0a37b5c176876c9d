"""Names of sides, arteries, segments and dominance in English and in Japanese.

Not for: which other words a text may use for them (english.py, japanese.py).
"""

from __future__ import annotations

from cathrt.runtime.models.report.facts import Artery, Dominance, Segment, Side
from cathrt.runtime.models.report.section import Language

SIDE_NAMES: dict[Language, dict[Side, str]] = {
    "en": {"left": "left coronary artery", "right": "right coronary artery"},
    "ja": {"left": "左冠動脈", "right": "右冠動脈"},
}
ARTERY_NAMES: dict[Language, dict[Artery, str]] = {
    "en": {"left_main": "left main", "lad": "LAD", "lcx": "LCx", "rca": "RCA"},
    "ja": {"left_main": "左主幹部", "lad": "左前下行枝", "lcx": "左回旋枝", "rca": "右冠動脈"},
}
# After SYNTAX (Sianos 2005). The number decides; the name only helps the reader.
SEGMENT_NAMES: dict[Language, dict[Segment, str]] = {
    "en": {
        "1": "proximal RCA",
        "2": "mid RCA",
        "3": "distal RCA",
        "4": "posterior descending branch of RCA",
        "16": "posterolateral branch of RCA",
        "16a": "first posterolateral branch of RCA",
        "16b": "second posterolateral branch of RCA",
        "16c": "third posterolateral branch of RCA",
        "5": "left main",
        "6": "proximal LAD",
        "7": "mid LAD",
        "8": "distal LAD",
        "9": "first diagonal branch",
        "9a": "first diagonal branch",
        "10": "second diagonal branch",
        "10a": "second diagonal branch",
        "11": "proximal LCx",
        "12": "marginal branch of LCx",
        "12a": "first marginal branch of LCx",
        "12b": "second marginal branch of LCx",
        "13": "distal LCx",
        "14": "posterolateral branch of LCx",
        "14a": "posterolateral branch of LCx",
        "14b": "posterolateral branch of LCx",
        "15": "posterior descending branch of LCx",
    },
    "ja": {
        "1": "右冠動脈近位部",
        "2": "右冠動脈中間部",
        "3": "右冠動脈遠位部",
        "4": "右冠動脈の後下行枝",
        "16": "右冠動脈の後側壁枝",
        "16a": "右冠動脈の第1後側壁枝",
        "16b": "右冠動脈の第2後側壁枝",
        "16c": "右冠動脈の第3後側壁枝",
        "5": "左主幹部",
        "6": "左前下行枝近位部",
        "7": "左前下行枝中間部",
        "8": "左前下行枝遠位部",
        "9": "第1対角枝",
        "9a": "第1対角枝",
        "10": "第2対角枝",
        "10a": "第2対角枝",
        "11": "左回旋枝近位部",
        "12": "左回旋枝の鈍縁枝",
        "12a": "左回旋枝の第1鈍縁枝",
        "12b": "左回旋枝の第2鈍縁枝",
        "13": "左回旋枝遠位部",
        "14": "左回旋枝の後側壁枝",
        "14a": "左回旋枝の後側壁枝",
        "14b": "左回旋枝の後側壁枝",
        "15": "左回旋枝の後下行枝",
    },
}
DOMINANCE_NAMES: dict[Language, dict[Dominance, str]] = {
    "en": {"right": "right-dominant", "left": "left-dominant", "balanced": "balanced"},
    "ja": {"right": "右優位", "left": "左優位", "balanced": "均衡型"},
}

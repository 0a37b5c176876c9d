"""What the keyframe model tells a reader of a key frame and of a run, in English and in Japanese, one line each.

Not for: deciding anything (announce.py, ranking.py, side.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.runtime.models.keyframe.records import KeyframeFinding
from cathrt.runtime.models.keyframe.section import KeyframeSection
from cathrt.runtime.models.keyframe.side import RunSide

_SIDE = {"left": "left coronary", "right": "right coronary", "unknown": "side unknown"}
_SIDE_JA = {"left": "左冠動脈", "right": "右冠動脈", "unknown": "左右不明"}

NOTHING_JUDGED = ("no frame judged; no side, no key frame", "判定できたフレームなし、左右不明、キーフレーム なし")


def key_frame_words(finding: KeyframeFinding) -> tuple[str, str]:
    """Of one announced key frame."""
    side, side_ja = _SIDE[finding.laterality], _SIDE_JA[finding.laterality]
    return f"key frame, {side}, score {finding.score:.2f}", f"キーフレーム、{side_ja}、スコア {finding.score:.2f}"


def outside_words(reason: str, section: KeyframeSection) -> tuple[str, str]:
    """Of a run outside the domain. reason: its name in the manifest."""
    reasons = section.domain.reasons if section.domain is not None else ()
    text, text_ja = next(((one.text, one.text_ja) for one in reasons if one.name == reason), (reason, reason))
    return (
        f"outside the domain: {text}; no side, no key frame",
        f"対象外の画像：{text_ja}、左右の判定なし、キーフレーム なし",
    )


def run_words(
    side: RunSide, key_frames: Sequence[tuple[int, float]], *, poor: bool, filter_prefers: int | None = None
) -> tuple[str, str]:
    """Of a run. key_frames: index and score, best first. poor: the first one is the best available, and poor.
    filter_prefers: the frame of the classical filter, where it disagrees."""
    if not side.shows_artery:
        return (
            "side unknown: too little of a coronary artery in view; no key frame",
            "左右不明：冠動脈が十分に写っていない、キーフレーム なし",
        )
    of_side, of_side_ja = _side_words(side)
    listed = ", ".join(f"{index} ({score:.2f})" for index, score in key_frames)
    best, best_ja = (
        ("; best available, poor", "（この撮影では最良だが、判読性は低い）") if poor and listed else ("", "")
    )
    angle, angle_ja = "", ""
    if side.mismatch and side.laterality != "unknown":
        angle, angle_ja = "; C-arm angle unusual for this side", "、Cアーム角度はこの側では通常と異なる"
    other, other_ja = "", ""
    if filter_prefers is not None:
        other = f"; look again: the vessel filter prefers frame {filter_prefers}"
        other_ja = f"、要確認：血管フィルタはフレーム{filter_prefers}を選ぶ"
    return (
        f"{of_side}; key frames, best first: {listed or 'none'}{best}{angle}{other}",
        f"{of_side_ja}、キーフレーム {listed or 'なし'}{best_ja}{angle_ja}{other_ja}",
    )


def _side_words(side: RunSide) -> tuple[str, str]:
    if side.laterality == side.voted:
        return f"{_SIDE[side.voted]}, score {side.score:.2f}", f"{_SIDE_JA[side.voted]}、スコア {side.score:.2f}"
    return (
        f"side unknown: {_SIDE[side.voted]} by its pictures, score {side.score:.2f}, "
        "but the C-arm angle is unusual for that side",
        f"左右不明：画像では{_SIDE_JA[side.voted]}、スコア {side.score:.2f}、ただしCアーム角度はその側では通常と異なる",
    )

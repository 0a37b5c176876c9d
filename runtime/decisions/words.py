"""A decision as one line that a person reads, in English and in Japanese, with frames counted from 1 as viewers do.

Not for: who and when, which stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from cathrt.runtime.alert import Correction, PersonDecided

_WHAT_JA = {"accepted": "承認", "corrected": "訂正", "rejected": "却下"}
_SIDE_JA = {"left": "左冠動脈", "right": "右冠動脈", "unknown": "左右不明"}
_SIDE = {"left": "left coronary artery", "right": "right coronary artery", "unknown": "artery unknown"}


def in_words(decision: PersonDecided, numbers: Mapping[str, int]) -> tuple[str, str]:
    """numbers: of runs in their study, from 1, by run_id. One that is not there is named by the start of its id."""
    thing, said = decision.thing, decision.said
    if thing.kind == "results":
        return f"results of the study {decision.what}", f"検査結果を{_WHAT_JA[decision.what]}"
    if thing.kind == "finding":
        model = "" if said is None else _model_value(decision)
        return (
            f"{thing.finding} {decision.what}{_instead(decision.correction, model)}",
            f"{thing.finding} を{_WHAT_JA[decision.what]}{_instead_ja(decision.correction, model)}",
        )
    run_id = thing.run_id or ""
    run = str(numbers.get(run_id) or run_id[:8])
    if thing.kind == "side":
        side = "" if decision.correction is None else f": {_SIDE[decision.correction.side or 'unknown']}"
        side_ja = "" if decision.correction is None else f"：{_SIDE_JA[decision.correction.side or 'unknown']}"
        return f"run {run}: side {decision.what}{side}", f"ラン{run}：左右を{_WHAT_JA[decision.what]}{side_ja}"
    frame = (thing.frame_index or 0) + 1
    if decision.correction is None:
        return (
            f"run {run}: key frame {frame} {decision.what}",
            f"ラン{run}：キーフレーム {frame} を{_WHAT_JA[decision.what]}",
        )
    if decision.correction.frame_index is None:
        return f"run {run}: frame {frame} added as a key frame", f"ラン{run}：フレーム {frame} をキーフレームに追加"
    other = decision.correction.frame_index + 1
    return (
        f"run {run}: key frame {other} in place of {frame}",
        f"ラン{run}：キーフレームを {frame} から {other} に変更",
    )


def _model_value(decision: PersonDecided) -> str:
    said, correction = decision.said, decision.correction
    assert said is not None
    of_amount = correction is not None and correction.value is not None
    return said.label if said.label and not of_amount else "" if said.value is None else f"{said.value:g}"


def _instead(correction: Correction | None, model: str) -> str:
    return "" if correction is None else f": {_value(correction)} (model: {model})"


def _instead_ja(correction: Correction | None, model: str) -> str:
    if correction is None:
        return ""
    value = {"yes": "あり", "no": "なし"}.get(_value(correction), _value(correction))
    return f"：{value}（モデル：{model}）"


def _value(correction: Correction) -> str:
    if correction.value is not None:
        return f"{correction.value:g}"
    if correction.positive is not None:
        return "yes" if correction.positive else "no"
    return correction.label or ""

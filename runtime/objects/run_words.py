"""One line on a run for a person, in English and in Japanese, with frames counted from 1 as viewers and DICOM do.

Records and pages of ours count frames from 0, so their lines are not copied into objects.
"""

from __future__ import annotations

from collections.abc import Iterable

_SIDE = {"left": "left coronary artery", "right": "right coronary artery", "unknown": "artery unknown"}
_SIDE_JA = {"left": "左冠動脈", "right": "右冠動脈", "unknown": "左右不明"}


def run_words(laterality: str, score: float | None, key_frames: Iterable[tuple[int, float]]) -> tuple[str, str]:
    """key_frames: at least one, frame number (1-based) and score, best first. score: of the artery; None where a person
    has named it."""
    listed = ", ".join(f"{number} ({of_frame:.2f})" for number, of_frame in key_frames)
    told = f", score {score:.2f}" if laterality != "unknown" and score is not None else ""
    told_ja = f"、スコア {score:.2f}" if laterality != "unknown" and score is not None else ""
    return (
        f"{_SIDE[laterality]}{told}; key frames, counted from 1, best first: {listed}",
        f"{_SIDE_JA[laterality]}{told_ja}、キーフレーム（1から数える） {listed}",
    )


def chosen_by(*, person: bool) -> str:
    """What a mark calls a key frame, by who has chosen it."""
    return "Key frame chosen by a person" if person else "AI key frame"
